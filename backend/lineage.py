"""Where a model comes from and what was made of it: the family that a model belongs to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.model_views import ModelView


@dataclass(frozen=True)
class Step:
    """One arrow of a lineage. role: base, direct or pairwise. weight: 0..1, of this parent in a merge, else None."""

    parent_id: int
    child_id: int
    role: str
    weight: float | None


@dataclass(frozen=True)
class Lineage:
    """A model, all that was made of it, and all that these were made of.

    ancestors: what it was made of, itself included. models: parents before their children. generations: of each
    model by its id, how many steps lie between it and the oldest of its ancestors, from 0.
    """

    opened_id: int
    ancestors: frozenset[int]
    models: tuple[ModelView, ...]
    steps: tuple[Step, ...]
    generations: Mapping[int, int]


def lineage_of(opened_id: int, views: Sequence[ModelView]) -> Lineage:
    """The family of a model that is among the views."""
    pairs = [(parent.id, view.id) for view in views for parent in view.parents]
    upwards = [(child, parent) for parent, child in pairs]
    ancestors = _reached({opened_id}, upwards)
    family = _reached(_reached({opened_id}, pairs), upwards)
    members = sorted((view for view in views if view.id in family), key=lambda view: view.id)
    steps = tuple(
        Step(parent.id, view.id, parent.role, _weight(view, parent.role))
        for view in members
        for parent in view.parents
        if parent.id in family
    )
    generations = _generations(members, steps)
    members.sort(key=lambda view: generations[view.id])
    return Lineage(opened_id, frozenset(ancestors), tuple(members), steps, generations)


def _weight(child: ModelView, role: str) -> float | None:
    """Alpha is the weight of the direct-assessment expert."""
    alpha = (child.recipe or {}).get("alpha")
    if not isinstance(alpha, int | float):
        return None
    return {"direct": float(alpha), "pairwise": 1 - float(alpha)}.get(role)


def _reached(start: set[int], arrows: Sequence[tuple[int, int]]) -> set[int]:
    """Everything that the arrows (from, to) lead to, the start included."""
    found, waiting = set(start), list(start)
    while waiting:
        here = waiting.pop()
        further = {to for from_, to in arrows if from_ == here} - found
        found |= further
        waiting += further
    return found


def _generations(members: Sequence[ModelView], steps: Sequence[Step]) -> dict[int, int]:
    """A path is never longer than the family is large, so that many rounds reach every end."""
    generations = {view.id: 0 for view in members}
    for _ in members:
        for step in steps:
            generations[step.child_id] = max(generations[step.child_id], generations[step.parent_id] + 1)
    return generations
