"""Figures of the alpha lab: the curve over alpha in both formats, and which points no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.benchmarks.metrics import Estimate
from backend.sweep_results import HEADLINE, Point, SweepResult, SweptSet
from backend.types import Mode
from ui.charts import GREY, framed
from ui.label_places import sides_of
from ui.training_charts import COLOURS, SYMBOLS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANEL_HEIGHT = 230
LABEL_PIXELS = 15
"""Least distance between the names of two baselines."""
FRONT_HEIGHT = 360
FRONT_INSIDE = 280, 250
"""Pixels: how wide and how high the Pareto front is between its axes on a small screen."""
_Place = tuple[float, float]
"""A model's mean figures by both formats: Pearson, accuracy."""
FIGURES = {Mode.DIRECT: "Pearson", Mode.PAIRWISE: "Accuracy"}


@dataclass(frozen=True)
class _Panel:
    """One format's half of the picture. axis: its y axis as Plotly names it. domain: of the figure's height, 0..1."""

    swept: SweptSet
    axis: str
    domain: tuple[float, float]


def curve(result: SweepResult, sets: Sequence[SweptSet]) -> Figure | None:
    """A panel for each of these sets, one above the other over one alpha axis; None where no merge is measured.

    A line and its 95% band for each method; the models that the merges are compared with as dashed lines.
    """
    merged = [point for point in result.points if point.role == "merge"]
    if not merged or not sets:
        return None
    methods = list(dict.fromkeys(str(point.method) for point in merged))
    figure = framed([], height=PANEL_HEIGHT * len(sets) + 90)
    panels = _panels(sets)
    for panel in panels:
        for index, method in enumerate(methods):
            line = [point for point in merged if point.method == method]
            for trace in _line(panel, line, index, named=panel is panels[0]):
                figure.add_trace(trace)
        _lay_out_panel(figure, panel, result)
    figure.update_layout(
        margin={"l": 8, "r": 74, "t": 30 if len(methods) == 1 else 70, "b": 62},
        showlegend=len(methods) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.06 if len(sets) > 1 else 1.12, "yanchor": "bottom"},
        hovermode="closest",
    )
    figure.update_xaxes(
        range=[-0.03, 1.03],
        tickvals=[0, 0.25, 0.5, 0.75, 1],
        ticktext=["0", "0.25", "0.5", "0.75", "1"],
        title_text="alpha (weight of the direct expert)",
        anchor="free",
        position=0,
        side="bottom",
    )
    return figure


def pareto(result: SweepResult) -> Figure | None:
    """Every model by both formats; those on the front are filled and joined.

    None where one of the formats has no set to choose by.
    """
    from plotly.graph_objects import Scatter

    places: dict[_Place, list[Point]] = {}
    for point in result.points:
        x, y = result.headline(Mode.DIRECT, point), result.headline(Mode.PAIRWISE, point)
        if x is not None and y is not None:
            places.setdefault((x, y), []).append(point)
    if not places:
        return None
    front = sorted(place for place, points in places.items() if any(one.key in result.pareto for one in points))
    across, up = (_padded([place[axis] for place in places], 0.16) for axis in (0, 1))
    traces = _clouds(places, front, _sides(places, across, up))
    if len(front) > 1:
        line = {"color": GREY, "width": 1.5, "dash": "dot"}
        xs, ys = zip(*front, strict=True)
        traces.insert(0, Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    figure = framed(traces, height=FRONT_HEIGHT)
    figure.update_xaxes(title_text="Direct: Pearson", range=across, tickformat=".2f", nticks=6)
    figure.update_yaxes(title_text="Pairwise: accuracy", range=up, tickformat=".2f", nticks=6)
    title = "<b>Pareto front</b>: the filled ones"
    figure.update_layout(
        margin_t=60,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        title={"text": title, "x": 0, "xref": "paper", "y": 0.98, "font_size": 13},
    )
    return figure


def _panels(sets: Sequence[SweptSet]) -> list[_Panel]:
    if len(sets) == 1:
        return [_Panel(sets[0], "y", (0.0, 1.0))]
    return [_Panel(sets[0], "y", (0.56, 1.0)), _Panel(sets[1], "y2", (0.0, 0.44))]


def _line(panel: _Panel, points: Sequence[Point], index: int, *, named: bool) -> list[Any]:
    """The line of one method and the band around it. named: whether the legend has it."""
    from plotly.graph_objects import Scatter

    drawn = [
        (point.alpha, estimate)
        for point in sorted(points, key=lambda point: point.alpha or 0.0)
        if (estimate := _estimate(point, panel.swept)).value is not None
    ]
    if not drawn:
        return []
    symbol, colour = _style(index)
    alphas = [alpha for alpha, _ in drawn]
    lows = [estimate.low if estimate.low is not None else estimate.value for _, estimate in drawn]
    highs = [estimate.high if estimate.high is not None else estimate.value for _, estimate in drawn]
    values = [estimate.value for _, estimate in drawn]
    line = Scatter(
        x=alphas,
        y=values,
        yaxis=panel.axis,
        mode="lines+markers",
        name=points[0].method,
        showlegend=named,
        line={"color": colour, "width": 2.5},
        marker={"color": colour, "size": 8, "symbol": symbol},
        error_y=_bars(values, lows, highs, colour) if len(drawn) == 1 else None,
        customdata=list(zip(lows, highs, [estimate.n for _, estimate in drawn], strict=True)),
        hovertemplate=(
            "%{fullData.name}, alpha %{x}: %{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}], "
            "n = %{customdata[2]}<extra></extra>"
        ),
        cliponaxis=False,
    )
    return [_band(panel, alphas, lows, highs, colour), line] if len(drawn) > 1 else [line]


def _band(panel: _Panel, alphas: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str) -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[*alphas, *reversed(alphas)],
        y=[*highs, *reversed(lows)],
        yaxis=panel.axis,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=colour.replace("rgb(", "rgba(").replace(")", ", 0.16)"),
        hoverinfo="skip",
        showlegend=False,
    )


def _bars(values: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str) -> dict[str, Any]:
    """The interval of a point that stands alone, for which there is no band."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for high, value in zip(highs, values, strict=True)],
        "arrayminus": [value - low for low, value in zip(lows, values, strict=True)],
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def _lay_out_panel(figure: Figure, panel: _Panel, result: SweepResult) -> None:
    """Its axis, its title with n, and the models that the merges are compared with."""
    low, high = _range(panel.swept, result)
    axis = {
        "domain": panel.domain,
        "range": [low, high],
        "tickformat": ".2f",
        "nticks": 6,
        "fixedrange": True,
        "automargin": True,
        "zeroline": False,
        "gridcolor": figure.layout.yaxis.gridcolor,
        "anchor": "x",
    }
    figure.update_layout({panel.axis.replace("y", "yaxis", 1): axis})
    cells = [_estimate(point, panel.swept) for point in result.points]
    counted = sorted({estimate.n for estimate in cells})
    n = f"{counted[0]:,}" if len(counted) == 1 else f"{counted[0]:,} to {counted[-1]:,}"
    figure.add_annotation(
        text=f"<b>{panel.swept.mode.capitalize()}</b>: {FIGURES[panel.swept.mode]}, n = {n}",
        x=0,
        y=panel.domain[1],
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        yshift=4,
        showarrow=False,
    )
    _baselines(figure, panel, result, low, high)


def _baselines(figure: Figure, panel: _Panel, result: SweepResult, low: float, high: float) -> None:
    at: dict[float, list[str]] = {}
    for point in result.points:
        value = _estimate(point, panel.swept).value
        if point.role != "merge" and value is not None:
            at.setdefault(value, []).append(point.role)
    lines = sorted((value, ", ".join(names)) for value, names in at.items())
    gap = LABEL_PIXELS / PANEL_HEIGHT * (high - low)
    places = _apart([value for value, _ in lines], gap, low, high)
    for (value, name), place in zip(lines, places, strict=True):
        figure.add_shape(
            type="line",
            x0=0,
            x1=1,
            y0=value,
            y1=value,
            xref="x",
            yref=panel.axis,
            line={"color": GREY, "width": 1.5, "dash": "dash"},
        )
        figure.add_annotation(
            text=name,
            x=1,
            y=place,
            xref="paper",
            yref=panel.axis,
            xanchor="left",
            xshift=6,
            showarrow=False,
            font={"size": 11},
        )


def _apart(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near these sorted values, no two nearer than the gap: upwards first, then back from the top."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else max(value, low))
    top = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], top)
        top = places[index] - gap
    return places


def _sides(
    places: Mapping[_Place, Sequence[Point]], across: tuple[float, float], up: tuple[float, float]
) -> dict[_Place, str]:
    """On which side of its dot each label stands, in a figure as wide as on a small screen; wider, it has more room."""

    def pixels(value: float, ends: tuple[float, float], size: int) -> float:
        return (value - ends[0]) / (ends[1] - ends[0]) * size

    width, height = FRONT_INSIDE
    inner = [(pixels(x, across, width), pixels(y, up, height)) for x, y in places]
    return dict(zip(places, sides_of(inner, [_label(points) for points in places.values()]), strict=True))


def _clouds(
    places: Mapping[_Place, Sequence[Point]], front: Sequence[_Place], sides: Mapping[_Place, str]
) -> list[Any]:
    """The dots of each method, and those of the other models; what lies on one place has one label."""
    from plotly.graph_objects import Scatter

    methods = list(dict.fromkeys(point.method for points in places.values() for point in points if point.method))
    traces = []
    for index, method in enumerate([None, *methods]):
        drawn = [place for place, points in places.items() if any(one.method == method for one in points)]
        symbol, colour = ("diamond", "rgb(100, 116, 139)") if method is None else _style(index - 1)
        traces.append(
            Scatter(
                x=[x for x, _ in drawn],
                y=[y for _, y in drawn],
                mode="markers+text",
                name=method or "not merged",
                text=[_label(places[place]) if places[place][0].method == method else "" for place in drawn],
                textposition=[sides[place] for place in drawn],
                textfont={"size": 11},
                marker={
                    "color": colour,
                    "size": 10,
                    "symbol": [symbol if place in front else f"{symbol}-open" for place in drawn],
                    "line": {"color": colour, "width": 2},
                },
                customdata=[", ".join(point.key for point in places[place]) for place in drawn],
                cliponaxis=False,
                hovertemplate="%{customdata}: Pearson %{x:.3f}, accuracy %{y:.3f}<extra></extra>",
            )
        )
    return traces


def _style(index: int) -> tuple[str, str]:
    return SYMBOLS[index % len(SYMBOLS)], COLOURS[index % len(COLOURS)]


def _label(points: Sequence[Point]) -> str:
    """Merges by their alpha, the others by their name."""
    return ", ".join(dict.fromkeys(point.role if point.alpha is None else f"{point.alpha:g}" for point in points))


def _estimate(point: Point, swept: SweptSet) -> Estimate:
    cell = next(cell for cell in point.cells if cell.set_name == swept.name)
    return cell.figure(HEADLINE[swept.mode])


def _range(swept: SweptSet, result: SweepResult) -> tuple[float, float]:
    """Of the merges with their intervals and of the other models' values."""
    values: list[float | None] = []
    for point in result.points:
        estimate = _estimate(point, swept)
        values += [estimate.value] if point.role != "merge" else [estimate.value, estimate.low, estimate.high]
    return _padded([value for value in values if value is not None], 0.06)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    if not values:
        return (0.0, 1.0)
    low, high = min(values), max(values)
    room = max(high - low, 0.05) * share
    return (low - room, high + room)
