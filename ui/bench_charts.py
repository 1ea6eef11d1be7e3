"""Figures of the benchmarks page, of one set each. Every one says its n; place and symbol tell what colour tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.benchmarks.opinions import Category, Opinions, categories, parts, spreads, together
from backend.types import Mode
from ui.agreement_charts import heat_map, short, titled
from ui.charts import FADE, framed
from ui.shell import escape
from ui.training_charts import COLOURS, SYMBOLS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

SPREAD = {Mode.DIRECT: "Scores given, share of rows", Mode.PAIRWISE: "Probability of A, share of pairs"}
RIGHT = {Mode.DIRECT: "Score within 1 of the label", Mode.PAIRWISE: "Accuracy without ties"}
LEGEND_PIXELS = 22
MOST_PIXELS = 32
ROOM = 0.62
"""Of a category's height that its judges share."""


def correlation(opinions: Opinions) -> Figure | None:
    """Everybody with everybody, those who agree side by side; None where no two share enough rows."""
    found = together(opinions)
    return heat_map(found.raters, found.pearson, found.n, "Pearson")


def distribution(opinions: Opinions) -> Figure | None:
    """A row a rater: how often it said what; None where nobody said anything."""
    from plotly.graph_objects import Heatmap

    found = spreads(opinions)
    if not found:
        return None
    places = list(range(len(found)))
    cells = Heatmap(
        x=list(parts(opinions.mode)),
        y=places,
        z=[list(one.shares) for one in found],
        zmin=0,
        zmax=1,
        text=[[f"{value:.0%}" if value else "" for value in one.shares] for one in found],
        texttemplate="%{text}",
        customdata=[[(escape(one.rater), one.n)] * len(one.shares) for one in found],
        colorscale=FADE,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{customdata[0]}, %{x}: %{z:.1%} of n = %{customdata[1]}<extra></extra>",
    )
    figure = framed([cells], height=110 + 40 * len(found))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(
        tickvals=places, ticktext=[short(one.rater) for one in found], autorange="reversed", showgrid=False
    )
    titled(figure, f"{SPREAD[opinions.mode]}, n = {_counts([one.n for one in found])}")
    return figure


def by_category(opinions: Opinions) -> Figure | None:
    """A dot with its 95% interval for each judge in each category; None where the set names no categories."""
    found = categories(opinions)
    judges = opinions.raters[len(opinions.raters) - len(opinions.scores) :]
    if not found or not judges:
        return None
    figure = framed(
        [_dots(found, name, place, len(judges)) for place, name in enumerate(judges)],
        height=100 + max(MOST_PIXELS, 13 * len(judges)) * len(found) + LEGEND_PIXELS * len(judges),
    )
    figure.update_xaxes(range=[-0.02, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1], ticktext=["0", ".25", ".5", ".75", "1"])
    figure.update_yaxes(
        tickvals=list(range(len(found))),
        ticktext=[short(f"{one.name} ({one.size:,})") for one in found],
        range=[len(found) - 0.5, -0.5],
    )
    titled(figure, f"{RIGHT[opinions.mode]}, n = {_counts([one.size for one in found])} rows")
    if len(judges) > 1:
        room = 30 + LEGEND_PIXELS * len(judges)
        figure.update_layout(
            showlegend=True,
            legend={"x": 0, "xanchor": "left", "y": -34 / (figure.layout.height - room), "yanchor": "top"},
            margin_b=room,
        )
    return figure


def _dots(found: Sequence[Category], name: str, place: int, judges: int) -> Scatter:
    from plotly.graph_objects import Scatter

    drawn = [(number, share) for number, one in enumerate(found) if (share := one.right[place]) is not None]
    aside = ((place + 0.5) / judges - 0.5) * ROOM
    colour = COLOURS[place % len(COLOURS)]
    return Scatter(
        x=[share.value for _, share in drawn],
        y=[number + aside for number, _ in drawn],
        name=short(name),
        mode="markers",
        marker={"size": 9, "color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [share.high - share.value for _, share in drawn],
            "arrayminus": [share.value - share.low for _, share in drawn],
            "color": colour,
            "thickness": 1.5,
            "width": 3,
        },
        customdata=[(escape(found[number].name), share.low, share.high, share.n) for number, share in drawn],
        hovertemplate=(
            "%{fullData.name}, %{customdata[0]}: %{x:.2f} [%{customdata[1]:.2f}, %{customdata[2]:.2f}], "
            "n = %{customdata[3]}<extra></extra>"
        ),
        cliponaxis=False,
    )


def _counts(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
