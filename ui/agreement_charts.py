"""Figures of the agreement page. Every one says its n; shape and place tell what colour tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.agreement.bootstrap import Stat
from backend.agreement.calibration import Reliability
from backend.agreement.slices import Slice
from backend.agreement.sources import Sources
from backend.agreement_report import Anchoring, Ceiling, Named, PoweredPart, Report
from ui.agreement_tables import SCORE_NAMES, WINNER_NAMES
from ui.charts import GREY, TEAL, framed
from ui.shell import escape

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NAME_CHARACTERS = 24
SOURCE_CHARACTERS = 14
"""Of a source's name, before who is meant."""
MOST_ROWS = 12
MOST_NAMED_CELLS = 9
"""Raters up to which a cell of the heat map has room for its number."""
BLUES = [[0.0, "rgba(217, 119, 6, 0.55)"], [0.5, "rgba(100, 116, 139, 0.06)"], [1.0, "rgba(13, 148, 136, 0.6)"]]
"""Amber below 0, teal above: told apart with every common colour blindness, and text stays readable on them."""


def agreement(report: Report) -> Figure | None:
    """The chance-corrected figures, shares and correlations on one scale; None where none has a value."""
    if report.scores:
        stats, names = report.scores.stats, SCORE_NAMES
    elif report.winners:
        stats, names = report.winners.stats, WINNER_NAMES
    else:
        return None
    rows = [(name, stats[key]) for key, name in names.items() if key not in ("absolute_error", "bias")]
    return intervals(rows, "Agreement (1 is perfect)", most=1.0)


def intervals(rows: Sequence[tuple[str, Stat]], title: str, *, most: float | None = None) -> Figure | None:
    """A dot with its 95% interval for each figure, the first on top; figures without a value are left out."""
    from plotly.graph_objects import Scatter

    drawn = [(name, stat) for name, stat in rows if stat.value is not None][::-1]
    if not drawn:
        return None
    values = [stat.value or 0.0 for _, stat in drawn]
    lows = [value if stat.low is None else stat.low for value, (_, stat) in zip(values, drawn, strict=True)]
    highs = [value if stat.high is None else stat.high for value, (_, stat) in zip(values, drawn, strict=True)]
    dots = Scatter(
        x=values,
        y=list(range(len(drawn))),
        mode="markers",
        marker={
            "size": 10,
            "color": TEAL,
            "symbol": ["circle-open" if stat.low is None else "circle" for _, stat in drawn],
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - value for high, value in zip(highs, values, strict=True)],
            "arrayminus": [value - low for low, value in zip(lows, values, strict=True)],
            "color": TEAL,
            "thickness": 2,
            "width": 5,
        },
        customdata=[
            (escape(name), "no interval" if stat.low is None else f"{stat.low:.3f} to {stat.high:.3f}", f"{stat.n:,}")
            for name, stat in drawn
        ],
        hovertemplate="%{customdata[0]}: %{x:.3f} [%{customdata[1]}], n = %{customdata[2]}<extra></extra>",
        cliponaxis=False,
    )
    figure = framed([dots], height=84 + 30 * len(drawn))
    counted = sorted({stat.n for _, stat in drawn})
    n = f"{counted[0]:,}" if len(counted) == 1 else f"{counted[0]:,} to {counted[-1]:,}"
    _fit_axis(figure, [*lows, *values, *highs], most)
    figure.update_yaxes(
        tickvals=list(range(len(drawn))), ticktext=[short(name) for name, _ in drawn], range=[-0.6, len(drawn) - 0.4]
    )
    titled(figure, f"{title}, n = {n}")
    return figure


def _fit_axis(figure: Figure, shown: Sequence[float], most: float | None) -> None:
    """An axis with room around all that is shown, up to `most` at least, and a line at zero where it crosses it."""
    low, high = min(shown), max(shown)
    room = max(high - low, 0.02) * 0.08
    figure.update_xaxes(
        range=[low - room, high + room if most is None else max(high, most) + room / 2],
        zeroline=low < 0 < high,
        zerolinecolor=GREY,
        nticks=6,
        tickangle=0,
    )


def everybody(ceiling: Ceiling, *, ordinal: bool) -> Figure | None:
    """Everybody beside everybody, those who agree side by side; None where no two share enough items."""
    together = ceiling.everybody
    what = "Quadratic kappa" if ordinal else "Share of equal winners"
    return heat_map(ceiling.names, together.agreement, together.n, what)


def heat_map(
    names: Sequence[str], values: Sequence[Sequence[float | None]], n: Sequence[Sequence[int]], what: str
) -> Figure | None:
    """Raters by raters, -1..1; None where no two have a value. n: items in common. what: the figure in words."""
    from plotly.graph_objects import Heatmap

    count = len(names)
    pairs = [n[i][j] for i in range(count) for j in range(i) if values[i][j] is not None]
    if not pairs:
        return None
    texts = [["" if value is None else f"{value:.2f}".replace("0.", ".", 1) for value in row] for row in values]
    cells = Heatmap(
        x=list(range(count)),
        y=list(range(count)),
        z=[list(row) for row in values],
        zmin=-1,
        zmax=1,
        text=texts,
        texttemplate="%{text}" if count <= MOST_NAMED_CELLS else "",
        customdata=[[(escape(names[i]), escape(names[j]), n[i][j]) for j in range(count)] for i in range(count)],
        colorscale=BLUES,
        showscale=False,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        hovertemplate="%{customdata[0]} and %{customdata[1]}: %{z:.2f}, n = %{customdata[2]}<extra></extra>",
    )
    figure = framed([cells], height=160 + 40 * max(count, 3))
    ticks = {"tickvals": list(range(count)), "ticktext": [short(name) for name in names], "showgrid": False}
    counted = f"{min(pairs):,}" if min(pairs) == max(pairs) else f"{min(pairs):,} to {max(pairs):,}"
    figure.update_xaxes(**ticks, tickangle=-40)
    figure.update_yaxes(**ticks, autorange="reversed")
    titled(figure, f"{what}, n = {counted} items a pair")
    return figure


def powered(parts: Sequence[PoweredPart]) -> Figure | None:
    """The mean of all: of labels and verdicts, of labels alone, and of verdicts alone; and that of audit streams."""
    if not parts or parts[0].mean.powered.value is None:
        return None
    mean = parts[0].mean
    rows = [("Labels and verdicts", mean.powered), ("Labels alone", mean.people)]
    if mean.model is not None:
        rows.append(("Verdicts alone", Stat(mean.model, None, None, mean.powered.n, mean.powered.items)))
    rows += [("Audit streams", part.mean.powered) for part in parts if part.projects]
    return intervals(rows, "Mean of all that was judged")


def sources(found: Sources) -> Figure | None:
    """What labels and verdicts say of each source, the best on top; the verdicts alone where labels are few."""
    rows = []
    for one in found.found[:MOST_ROWS]:
        alone = Stat(one.mean.model, None, None, one.judged, one.judged)
        rows.append((one.name, alone if one.mean.powered.value is None else one.mean.powered))
    return intervals(rows, "Sources, labels and verdicts")


def strengths(found: Sources) -> Figure | None:
    """Bradley-Terry strengths of each source by people, and below by the model."""
    rows = []
    for one in found.found[: MOST_ROWS // 2]:
        if one.strength_by_people and one.strength_by_model:
            name = _cut(one.name, SOURCE_CHARACTERS)
            rows.append((f"{name}, people", one.strength_by_people))
            rows.append((f"{name}, model", one.strength_by_model))
    return intervals(rows, "Strength")


def anchoring(found: Anchoring) -> Figure | None:
    if found.gap.value is None:
        return None
    rows = [("Blind", found.blind), ("After seeing it", found.after)]
    return intervals(rows, "The same as the model")


def reliability(found: Reliability) -> Figure | None:
    """How often people said the same, by how sure the judge was; on the line it is as sure as it may be."""
    from plotly.graph_objects import Scatter

    if not found.bins:
        return None
    dashed = {"color": GREY, "width": 1.5, "dash": "dash"}
    line = Scatter(x=[0, 1], y=[0, 1], mode="lines", line=dashed, hoverinfo="skip")
    values = [one.right.value for one in found.bins]
    dots = Scatter(
        x=[one.confidence for one in found.bins],
        y=values,
        mode="lines+markers",
        line={"color": TEAL, "width": 2},
        marker={"color": TEAL, "size": 9},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.right.high - one.right.value for one in found.bins],
            "arrayminus": [one.right.value - one.right.low for one in found.bins],
            "color": TEAL,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=[(one.right.low, one.right.high, one.right.n) for one in found.bins],
        hovertemplate=(
            "confidence %{x:.2f}: right %{y:.2f} [%{customdata[0]:.2f}, %{customdata[1]:.2f}], "
            "n = %{customdata[2]}<extra></extra>"
        ),
    )
    figure = framed([line, dots], height=320)
    n = sum(one.right.n for one in found.bins)
    figure.update_xaxes(title_text="Confidence of the judge", range=[0, 1.02], nticks=6)
    figure.update_yaxes(title_text="People said the same", range=[0, 1.02], nticks=6)
    titled(figure, f"Reliability, n = {n:,}")
    return figure


def slices(parts: Sequence[Slice]) -> Figure | None:
    rows = [(part.name, part.gap) for part in parts[:MOST_ROWS]]
    return intervals(rows, "Error less that of the others")


def months(found: Sequence[Named]) -> Figure | None:
    """None for one month, over which nothing can drift."""
    if len(found) < 2:
        return None
    return intervals([(one.name, one.stat) for one in found[-MOST_ROWS:]], "Error by month")


def short(name: str) -> str:
    """The beginning of a name, as plain text: Plotly would take some tags for its own."""
    return escape(_cut(name, NAME_CHARACTERS))


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def titled(figure: Figure, title: str) -> None:
    """Above the plot from the left edge, where a narrow screen has the most room."""
    figure.update_layout(
        title={"text": title, "x": 0.02, "xref": "container", "y": 0.99, "yref": "container", "yanchor": "top"},
        title_font_size=13,
        title_pad={"t": 8},
        margin={"l": 12, "r": 16, "t": 36, "b": 34},
    )
