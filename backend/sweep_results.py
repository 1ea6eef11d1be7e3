"""What a sweep has found: the curve, what is best and by how much, and the table single / joint / merged. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.metrics import Estimate, Metric
from backend.measuring import Measured
from backend.sweep_spec import PlannedPoint, Role
from backend.types import Mode

Target = Literal["direct", "pairwise", "both"]
HEADLINE: Mapping[Mode, Metric] = {Mode.DIRECT: Metric.PEARSON, Mode.PAIRWISE: Metric.ACCURACY}
"""The figure by which points are compared."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SweptSet(_Value):
    """A set that the sweep measured on. size: its rows, also those that nobody can be asked about."""

    name: str
    digest: str
    mode: Mode
    size: int
    licence: str
    is_benchmark: bool


class Cell(_Value):
    """A point on a set. read: rows that the judge could read, of total."""

    set_name: str
    read: int
    total: int
    figures: tuple[Estimate, ...]

    def figure(self, metric: Metric) -> Estimate:
        return next(figure for figure in self.figures if figure.metric is metric)


class Point(_Value):
    """One model. key: its name within the sweep, as PlannedPoint's. cells: in the order of the sweep's sets."""

    key: str
    role: Role
    method: str | None
    alpha: float | None
    model_version_id: int
    judge_id: int
    cells: tuple[Cell, ...]


class Best(_Value):
    """The merged point that was chosen for a target. point: its key; None where none could be, and why says so.

    value: the mean headline figure over the sets chosen by; for both, the mean of the two after each was scaled to
    0 at the sweep's worst merged point and 1 at its best. sets: what it was chosen by; never a benchmark.
    """

    target: Target
    point: str | None
    value: float | None
    sets: tuple[str, ...]
    why: str


class Difference(_Value):
    """point minus against on a set, by the headline figure, with the interval of a paired bootstrap."""

    point: str
    against: str
    set_name: str
    figure: Estimate


class TableRow(_Value):
    """One line of the table single / joint / merged. figures: the headline figure by set."""

    name: str
    point: str
    figures: dict[str, Estimate]


class SweepResult(_Value):
    """missing: keys of points that are not measured yet. pareto: keys of the points that no other point is at
    least as good as in both formats and better in one, by the sets chosen by; in the order of the points."""

    sets: tuple[SweptSet, ...]
    points: tuple[Point, ...]
    missing: tuple[str, ...]
    best: tuple[Best, ...]
    pareto: tuple[str, ...]
    differences: tuple[Difference, ...]

    def point(self, key: str) -> Point:
        return next(point for point in self.points if point.key == key)

    def headline(self, mode: Mode, point: Point) -> float | None:
        """The mean headline figure of a mode over the sets that may be chosen by; None where one is undefined."""
        return _headline(mode, self.sets, point)

    def best_for(self, target: Target) -> Best:
        return next(best for best in self.best if best.target == target)

    def table(self) -> tuple[TableRow, ...]:
        """Base, the experts, joint training, and the merge that is best for both (or for the one that is measured)."""
        names = {
            "base": "Untrained base",
            "direct": "Direct-assessment expert",
            "pairwise": "Pairwise expert",
            "joint": "Trained jointly",
        }
        rows = [(names[point.role], point) for point in self.points if point.role != "merge"]
        chosen = next((best for best in reversed(self.best) if best.point is not None), None)
        if chosen is not None and chosen.point is not None:
            rows.append((f"Merged, {chosen.point}", self.point(chosen.point)))
        return tuple(
            TableRow(
                name=name,
                point=point.key,
                figures={
                    cell.set_name: cell.figure(HEADLINE[swept.mode])
                    for swept, cell in zip(self.sets, point.cells, strict=True)
                },
            )
            for name, point in rows
        )


@dataclass(frozen=True)
class MeasuredPoint:
    """A point with all that its judge said. measured: in the order of the sweep's sets."""

    planned: PlannedPoint
    model_version_id: int
    measured: tuple[Measured, ...]


def result_of(
    plan: Sequence[PlannedPoint], sets: Sequence[LabelledSet], measured: Mapping[str, MeasuredPoint]
) -> SweepResult:
    """What the points measured so far, by their keys, add up to."""
    there = [measured[planned.key] for planned in plan if planned.key in measured]
    points = tuple(_point(one) for one in there)
    best = tuple(_best(target, sets, points) for target in ("direct", "pairwise", "both"))
    return SweepResult(
        sets=tuple(_swept(labelled) for labelled in sets),
        points=points,
        missing=tuple(planned.key for planned in plan if planned.key not in measured),
        best=best,
        pareto=_pareto(sets, points),
        differences=tuple(_differences(there, best)),
    )


def _swept(labelled: LabelledSet) -> SweptSet:
    return SweptSet(
        name=labelled.name,
        digest=labelled.digest,
        mode=labelled.mode,
        size=labelled.size,
        licence=labelled.licence,
        is_benchmark=labelled.is_benchmark,
    )


def _point(one: MeasuredPoint) -> Point:
    return Point(
        key=one.planned.key,
        role=one.planned.role,
        method=one.planned.method,
        alpha=one.planned.alpha,
        model_version_id=one.model_version_id,
        judge_id=one.measured[0].judge_id,
        cells=tuple(
            Cell(
                set_name=measured.set_name,
                read=len(measured.outcomes),
                total=measured.total,
                figures=measured.estimates,
            )
            for measured in one.measured
        ),
    )


def _best(target: Target, sets: Sequence[LabelledSet], points: Sequence[Point]) -> Best:
    modes = [Mode.DIRECT, Mode.PAIRWISE] if target == "both" else [Mode(target)]
    for mode in modes:
        why = _why_not(mode, sets)
        if why:
            return Best(target=target, point=None, value=None, sets=(), why=why)
    by = tuple(labelled.name for labelled in sets if labelled.mode in modes and not labelled.is_benchmark)
    merges = [point for point in points if point.role == "merge"]
    columns = [_scaled([_headline(mode, sets, point) for point in merges], scale=target == "both") for mode in modes]
    values = {
        point.key: sum(figures) / len(figures)
        for point, row in zip(merges, zip(*columns, strict=True), strict=True)
        if len(figures := [figure for figure in row if figure is not None]) == len(modes)
    }
    if not values:
        why = "No merged point has a defined figure on these sets yet."
        return Best(target=target, point=None, value=None, sets=by, why=why)
    chosen = max(values, key=lambda key: values[key])
    return Best(target=target, point=chosen, value=values[chosen], sets=by, why="")


def _why_not(mode: Mode, sets: Sequence[LabelledSet]) -> str:
    of_mode = [labelled for labelled in sets if labelled.mode is mode]
    if not of_mode:
        return f"No {mode} set was measured."
    if all(labelled.is_benchmark for labelled in of_mode):
        names = ", ".join(labelled.name for labelled in of_mode)
        return (
            f"Nothing is chosen by {names}: who chooses by a benchmark can't report it any more. Measure a {mode} set "
            "under dev/, or labels of your own, and choose by that."
        )
    return ""


def _headline(mode: Mode, sets: Sequence[LabelledSet | SweptSet], point: Point) -> float | None:
    """The mean headline figure of a mode over the sets that may be chosen by; None where one is undefined."""
    figures = [
        cell.figure(HEADLINE[mode]).value
        for labelled, cell in zip(sets, point.cells, strict=True)
        if labelled.mode is mode and not labelled.is_benchmark
    ]
    defined = [figure for figure in figures if figure is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(figures) else None


def _scaled(values: Sequence[float | None], *, scale: bool) -> list[float | None]:
    """From 0, the least of them, to 1, the greatest; all 0 where they are one and the same."""
    defined = [value for value in values if value is not None]
    if not scale or not defined:
        return list(values)
    least, span = min(defined), max(defined) - min(defined)
    return [None if value is None else (value - least) / span if span else 0.0 for value in values]


def _pareto(sets: Sequence[LabelledSet], points: Sequence[Point]) -> tuple[str, ...]:
    places = {}
    for point in points:
        direct, pairwise = (_headline(mode, sets, point) for mode in (Mode.DIRECT, Mode.PAIRWISE))
        if direct is not None and pairwise is not None:
            places[point.key] = (direct, pairwise)

    def beaten(place: tuple[float, float]) -> bool:
        return any(other != place and other[0] >= place[0] and other[1] >= place[1] for other in places.values())

    return tuple(key for key, place in places.items() if not beaten(place))


def _differences(there: Sequence[MeasuredPoint], best: Sequence[Best]) -> list[Difference]:
    """Of every point against each baseline and each point that is best for something."""
    chosen = {one.point for one in best}
    against = [one for one in there if one.planned.role != "merge" or one.planned.key in chosen]
    return [
        Difference(
            point=one.planned.key,
            against=other.planned.key,
            set_name=ours.set_name,
            figure=ours.difference(theirs, HEADLINE[ours.mode]),
        )
        for one in there
        for other in against
        if one.planned.key != other.planned.key
        for ours, theirs in zip(one.measured, other.measured, strict=True)
    ]
