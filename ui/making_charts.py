"""Figures of how judges are made: the family of a model."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from backend.lineage import Lineage, Step
from backend.model_views import ModelView
from ui.charts import GREY, TEAL, framed
from ui.model_render import kind_words
from ui.shell import escape

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BOX_WIDTH = 80
ROW_HEIGHT = 96
ARROW_END = 52
"""Pixels between a box's middle and the tip of an arrow that points at it: to its corner and a little more."""
LINE_CHARACTERS = 11
MOST_LINES = 3
MOST_IN_COLUMN = 6


def lineage(family: Lineage) -> Figure | None:
    """A box for each model, from the oldest on the left to the youngest on the right; None for a model alone.

    Of a column of many, the opened model, its ancestors and the latest others are drawn.
    """
    drawn = _drawn(family)
    if len(drawn) < 2:
        return None
    places = _places(drawn, family)
    rows = max(sum(x == column for x, _ in places.values()) for column, _ in places.values())
    figure = framed([], height=ROW_HEIGHT * rows + 24)
    edge = BOX_WIDTH / 2 + 10
    figure.update_layout(margin={"l": edge, "r": edge, "t": 12, "b": 12})
    figure.update_xaxes(visible=False, range=[0, max(x for x, _ in places.values()) or 1])
    figure.update_yaxes(visible=False, range=[-rows / 2, rows / 2])
    steps = [step for step in family.steps if step.parent_id in places and step.child_id in places]
    for step in steps:
        figure.add_annotation(**_arrow(places[step.parent_id], places[step.child_id]))
    for view in drawn:
        figure.add_annotation(**_box(view, places[view.id], opened=view.id == family.opened_id))
    for step in steps:
        figure.add_annotation(**_role(step, places[step.parent_id], places[step.child_id]))
    return figure


def _drawn(family: Lineage) -> list[ModelView]:
    columns: dict[int, list[ModelView]] = {}
    for view in family.models:
        columns.setdefault(family.generations[view.id], []).append(view)
    kept = []
    for column in columns.values():
        needed = [view for view in column if view.id in family.ancestors]
        others = [view for view in column if view.id not in family.ancestors]
        room = max(0, MOST_IN_COLUMN - len(needed))
        kept += sorted(needed + others[len(others) - room :], key=lambda view: view.id)
    return kept


def _places(drawn: list[ModelView], family: Lineage) -> dict[int, tuple[float, float]]:
    """Where each box's middle is: columns to the right, rows downwards, each column around the middle line."""
    columns: dict[int, list[int]] = {}
    for view in drawn:
        columns.setdefault(family.generations[view.id], []).append(view.id)
    return {
        model_id: (float(column), (len(ids) - 1) / 2 - row)
        for column, ids in columns.items()
        for row, model_id in enumerate(ids)
    }


def _arrow(parent: tuple[float, float], child: tuple[float, float]) -> dict[str, Any]:
    """From the middle of a box, which hides its beginning, up to the edge of another."""
    (ax, ay), (x, y) = parent, child
    at = {"x": x, "y": y, "ax": ax, "ay": ay, "xref": "x", "yref": "y", "axref": "x", "ayref": "y"}
    return {**at, "text": "", "arrowhead": 2, "arrowwidth": 1.5, "arrowcolor": GREY, "standoff": ARROW_END}


def _role(step: Step, parent: tuple[float, float], child: tuple[float, float]) -> dict[str, Any]:
    """In the gap behind the parent; nearer to it on arrows that may cross others in the middle of the gap."""
    (ax, ay), (x, y) = parent, child
    way = (0.5 if abs(y - ay) < 1 else 0.36) / (x - ax)
    weight = "" if step.weight is None else f"<br><b>{step.weight:.3g}</b>"
    return {
        "x": ax + way * (x - ax),
        "y": ay + way * (y - ay),
        "text": f"{step.role}{weight}",
        "showarrow": False,
        "font": {"size": 10},
        "borderpad": 1,
        "bgcolor": "rgba(255, 255, 255, 0)",
    }


def _box(view: ModelView, place: tuple[float, float], *, opened: bool) -> dict[str, Any]:
    said = [f"<b>{escape(line)}</b>" for line in _lines(view.name)]
    said += textwrap.wrap(kind_words(view), LINE_CHARACTERS + 1)
    return {
        "x": place[0],
        "y": place[1],
        "text": "<br>".join(said),
        "hovertext": f"{escape(view.name)} ({view.digest[:12]})",
        "showarrow": False,
        "width": BOX_WIDTH,
        "font": {"size": 10.5},
        "borderpad": 5,
        "borderwidth": 2.5 if opened else 1,
        "bordercolor": TEAL if opened else GREY,
        "bgcolor": "rgba(255, 255, 255, 0)",
    }


def _lines(name: str) -> list[str]:
    """The name cut to the width of a box, after a dash where there is one; what is too long ends in dots."""
    lines, rest = [], name
    while len(rest) > LINE_CHARACTERS and len(lines) < MOST_LINES - 1:
        cut = rest.rfind("-", 0, LINE_CHARACTERS) + 1 or LINE_CHARACTERS
        lines.append(rest[:cut])
        rest = rest[cut:]
    return [*lines, rest if len(rest) <= LINE_CHARACTERS else rest[: LINE_CHARACTERS - 1] + "…"]
