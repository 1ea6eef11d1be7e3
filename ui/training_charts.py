"""Curves of a training that runs or ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.training_progress import DevPoint, LossPoint
from ui.charts import GREY, TEAL, framed
from ui.model_render import SHORT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (TEAL, "rgb(217, 119, 6)", "rgb(124, 58, 237)", "rgb(37, 99, 235)", "rgb(190, 24, 93)")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
"""Lines are told apart by symbol too, not by colour alone."""
HEIGHT = 310
MOST_POINTS = 600
SMOOTHING = 20
"""Steps of the moving mean."""


def loss(points: Sequence[LossPoint], of: int) -> Figure:
    """Each step's loss, and over it the mean of the last steps. of: all steps that there will be."""
    from plotly.graph_objects import Scatter

    every = max(1, len(points) // MOST_POINTS)
    kept = points[::every]
    raw = Scatter(
        x=[point.step for point in kept],
        y=[point.loss for point in kept],
        mode="lines" if len(points) > 1 else "markers",
        line={"color": GREY, "width": 1},
        marker={"color": GREY},
        hoverinfo="skip",
    )
    mean = Scatter(
        x=[point.step for point in kept],
        y=_moving_mean([point.loss for point in points])[::every],
        mode="lines",
        line={"color": TEAL, "width": 2.5},
        hovertemplate="step %{x}: %{y:.3f}<extra></extra>",
    )
    figure = framed([raw, mean], height=HEIGHT)
    figure.update_xaxes(title_text="Step", range=[0, max(of, 1)])
    figure.update_yaxes(title_text="Loss", rangemode="tozero", ticklabelstandoff=6)
    return figure


def agreement(points: Sequence[DevPoint], of: int) -> Figure | None:
    """Agreement with each dev set by step; None where nothing was measured that is defined. of: all steps."""
    from plotly.graph_objects import Scatter

    defined = [point for point in points if point.value is not None]
    if not defined:
        return None
    traces = []
    for index, name in enumerate(dict.fromkeys(point.dev_set for point in defined)):
        of_set = [point for point in defined if point.dev_set == name]
        colour = COLOURS[index % len(COLOURS)]
        traces.append(
            Scatter(
                x=[point.step for point in of_set],
                y=[point.value for point in of_set],
                name=f"{name} ({SHORT.get(of_set[-1].metric, of_set[-1].metric)}, n = {of_set[-1].n:,})",
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"color": colour, "size": 8, "symbol": SYMBOLS[index % len(SYMBOLS)]},
                cliponaxis=False,
                hovertemplate="step %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            )
        )
    figure = framed(traces, height=HEIGHT)
    figure.update_xaxes(title_text="Step", range=[0, max(of, 1)])
    figure.update_yaxes(title_text="Agreement with the dev rows", ticklabelstandoff=6)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": -0.25, "yanchor": "top"})
    return figure


def _moving_mean(values: Sequence[float]) -> list[float]:
    means = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - SMOOTHING) : end]
        means.append(sum(window) / len(window))
    return means
