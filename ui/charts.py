"""Figures from values. Their text and lines take the page's colours (see style.css), in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backend.agreement import Matrix
from backend.results import Result, best_to_worst
from backend.types import SCORES, SIDES, PairVerdict, ParsedPair, ParsedScore, RankedResponse, ScoreVerdict, letter

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TEAL = "rgb(13, 148, 136)"
GREY = "rgba(100, 116, 139, 0.65)"
FONT = "ui-sans-serif, system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, sans-serif"
"""The page's own (ui/shell.py), named here too because Plotly measures its labels before it places them."""
LINE = "rgba(100, 116, 139, 0.25)"
FADE = [[0.0, "rgba(13, 148, 136, 0.0)"], [1.0, "rgba(13, 148, 136, 0.6)"]]
"""One hue, light to strong, and never so strong that the page's own text colour can't be read on it."""


def verdict(result: Result | None) -> Figure | None:
    """The figure that belongs to a result; None where there is nothing to draw."""
    match result:
        case ScoreVerdict(distribution=distribution_) if distribution_:
            return distribution(SCORES, distribution_, str(result.score))
        case PairVerdict():
            return distribution(SIDES, (result.p_a, 1 - result.p_a), result.winner)
        case None | ScoreVerdict() | ParsedScore() | ParsedPair():
            return None
        case _:
            return ranking(result.ranked)


def distribution(results: tuple[str, ...], probabilities: Sequence[float], chosen: str) -> Figure:
    """A bar for each allowed result with its probability (0..1); the chosen one is bold and strong."""
    from plotly.graph_objects import Bar

    bars = Bar(
        x=[f"<b>{result}</b>" if result == chosen else result for result in results],
        y=list(probabilities),
        text=[f"{probability:.0%}" for probability in probabilities],
        textposition="outside",
        cliponaxis=False,
        width=0.5,
        marker_color=[TEAL if result == chosen else GREY for result in results],
        hovertemplate="%{x}: %{y:.1%}<extra></extra>",
    )
    figure = framed([bars], height=250)
    figure.update_xaxes(type="category", title_text="Score" if results == SCORES else "Better response", showgrid=False)
    figure.update_yaxes(visible=False, range=[0, 1.12])
    return figure


def ranking(ranked: tuple[RankedResponse, ...]) -> Figure:
    """Every response's Bradley-Terry strength with its 95% interval, the best on top."""
    from plotly.graph_objects import Scatter

    worst_first = best_to_worst(ranked)[::-1]
    names = [
        f"{response.rank}. <b>{letter(response.position)}</b>"
        + ("" if response.expected_score is None else f" (score {response.expected_score:.1f})")
        for response in worst_first
    ]
    dots = Scatter(
        x=[response.strength for response in worst_first],
        y=names,
        mode="markers",
        marker={"size": 12, "color": TEAL},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [response.high - response.strength for response in worst_first],
            "arrayminus": [response.strength - response.low for response in worst_first],
            "color": TEAL,
            "thickness": 2,
            "width": 6,
        },
        customdata=[(response.low, response.high) for response in worst_first],
        hovertemplate="%{y}: %{x:.2f} [%{customdata[0]:.2f}, %{customdata[1]:.2f}]<extra></extra>",
    )
    figure = framed([dots], height=120 + 42 * len(ranked))
    figure.update_xaxes(title_text=f"Strength [95%], n = {len(ranked)} responses", zeroline=True, zerolinecolor=GREY)
    figure.update_yaxes(type="category")
    return figure


def confusion(matrix: Matrix, labels: tuple[str, ...]) -> Figure:
    """Counts and their share of the row: a row for what the model said, a column for what the person said."""
    from plotly.graph_objects import Heatmap

    n = sum(map(sum, matrix))
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    texts = [
        [f"<b>{count}</b><br>{share:.0%}" if count else "" for count, share in zip(counts, row, strict=True)]
        for counts, row in zip(matrix, shares, strict=True)
    ]
    cells = Heatmap(
        x=list(labels),
        y=list(labels),
        z=shares,
        zmin=0,
        zmax=1,
        text=texts,
        texttemplate="%{text}",
        customdata=[list(row) for row in matrix],
        colorscale=FADE,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="model %{y}, person %{x}: %{customdata} (%{z:.0%} of the row)<extra></extra>",
    )
    figure = framed([cells], height=130 + 52 * len(labels))
    figure.update_xaxes(type="category", title_text=f"Person (n = {n:,}, % of the row)", showgrid=False)
    figure.update_yaxes(type="category", title_text="Model", autorange="reversed", showgrid=False)
    return figure


def framed(traces: list[Any], *, height: int) -> Figure:
    """Transparent, without tool bar or dragging (a finger that scrolls the page must not zoom the plot)."""
    from plotly.graph_objects import Figure

    figure = Figure(traces)
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        margin={"l": 12, "r": 12, "t": 40, "b": 30},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"family": FONT, "size": 13, "color": "rgb(100, 116, 139)"},
        showlegend=False,
        dragmode=False,
        modebar={
            "remove": ["toimage", "zoom", "pan", "zoomin", "zoomout", "autoscale", "resetscale", "select", "lasso"]
        },
    )
    axes = {
        "fixedrange": True,
        "automargin": True,
        "zeroline": False,
        "gridcolor": LINE,
        "title_font_size": 13,
        "title_standoff": 8,
    }
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    return figure
