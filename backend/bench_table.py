"""The tables of a benchmark run, in the paper's layout: direct assessment, pairwise ranking, both together. Pure.

A row is a judge; published rows and the baselines that read nothing stand below, marked as such.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from backend.agreement import Share
from backend.agreement.bootstrap import Stat
from backend.bench_result import BenchResult
from backend.benchmarks import consistency
from backend.benchmarks.consistency import Consistency, Difference
from backend.benchmarks.licences import restrictions
from backend.benchmarks.metrics import Estimate, Metric
from backend.benchmarks.own import is_project
from backend.benchmarks.published import DIRECT_PLACES, PREFERENCE_BENCH, PUBLISHED, PUBLISHED_DELTA, SOURCE, Place
from backend.sweep_results import HEADLINE
from backend.types import Mode

BASELINE: Mapping[Mode, Metric] = {Mode.DIRECT: Metric.LENGTH_PEARSON, Mode.PAIRWISE: Metric.LONGER_WINS}
TITLES: Mapping[Mode, str] = {
    Mode.DIRECT: "Direct assessment: Pearson of the expected score with the label",
    Mode.PAIRWISE: "Pairwise ranking: accuracy by the mean of both orders, without ties",
}
CHANCE: Mapping[Mode, float] = {Mode.DIRECT: 0.0, Mode.PAIRWISE: 0.5}
Kind = Literal["ours", "baseline", "published"]


@dataclass(frozen=True)
class Line:
    """A row of a table. texts: one a column; empty where there is no figure. judge: its place among the run's judges,
    where the figures are of one; None else.
    """

    name: str
    kind: Kind
    texts: tuple[str, ...]
    judge: int | None = None


@dataclass(frozen=True)
class Table:
    """Ready to print: columns are sets. places: of each column, the set's among the run's; empty for other columns."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    places: tuple[int, ...] = ()


def tables(result: BenchResult) -> tuple[Table, ...]:
    """One a mode that the run has sets of, both formats on the same pairs and transitivity where they were measured,
    and what the paper has of the run's sets with other reference judges.
    """
    by_mode = (_table(result, mode) for mode in Mode)
    others = (_by_role, _consistency, _transitivity, _repeated, _references)
    made = (*by_mode, *(other(result) for other in others))
    return tuple(table for table in made if table is not None)


def figure_text(figure: Estimate) -> str:
    """Three digits with the 95% interval; "undefined" where there is no value."""
    if figure.value is None:
        return "undefined"
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{interval}"


def share_text(share: Share | None) -> str:
    """As figure_text."""
    return "undefined" if share is None else f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


def not_drawn_words(count: int) -> str:
    """Behind what a project's set is: how many labelled items it does not hold, and why. Empty where it holds all."""
    if not count:
        return ""
    items = "1 labelled item is" if count == 1 else f"{count:,} labelled items are"
    return (
        f" {items} left out: not drawn by chance as the others were, but chosen for doubt, they would bias the figures."
    )


def _table(result: BenchResult, mode: Mode) -> Table | None:
    places = [index for index, one in enumerate(result.sets) if one.mode is mode]
    if not places:
        return None
    sets = [result.sets[index] for index in places]
    named = list(enumerate(zip(result.names(), result.rows, strict=True)))
    ours = [
        Line(name, "ours", tuple(figure_text(row.cells[index].figure(HEADLINE[mode])) for index in places), judge)
        for judge, (name, row) in named
    ]
    if mode is Mode.PAIRWISE:
        ours += [
            Line(
                f"{name}, order-sensitive share", "ours",
                tuple(figure_text(row.cells[index].figure(Metric.ORDER_SENSITIVE)) for index in places), judge,
            )
            for judge, (name, row) in named
        ]  # fmt: skip
    first = result.rows[0]
    baselines = [
        Line("the longer response", "baseline",
             tuple(figure_text(first.cells[index].figure(BASELINE[mode])) for index in places)),
        Line("chance", "baseline", tuple(f"{CHANCE[mode]:.3f}" for _ in places)),
    ]  # fmt: skip
    published = [
        Line(one.judge, "published", tuple(_figure(one.figures, set_.place) for set_ in sets))
        for one in PUBLISHED
        if any(set_.place in one.figures for set_ in sets)
    ]
    return Table(
        TITLES[mode],
        tuple(one.shown for one in sets),
        (*ours, *baselines, *published),
        _notes(result, places, published),
        tuple(places),
    )


def _figure(figures: Mapping[Place, float], place: Place) -> str:
    return f"{figures[place]:.3f}" if place in figures else ""


def _references(result: BenchResult) -> Table | None:
    """What the paper has of the run's direct sets with every reference judge; None where it has nothing."""
    names = {one.name for one in result.sets}
    places = [place for place in DIRECT_PLACES if place[0] in names]
    if not places:
        return None
    lines = tuple(
        Line(
            one.judge,
            "published",
            tuple(f"{one.figures[place]:.3f}" if place in one.figures else "" for place in places),
        )
        for one in PUBLISHED
    )
    return Table(
        "Published: Pearson with each reference judge",
        tuple(f"{name}, {reference}" for name, reference in places),
        lines,
        (f"Of whole sets: {SOURCE}.",),
    )


def _notes(result: BenchResult, places: Sequence[int], published: Sequence[Line]) -> tuple[str, ...]:
    notes = ["Ours are asked for the verdict on the rows named in the column, with 95% bootstrap intervals over rows."]
    if published:
        notes.append(f"Published, of whole sets: {SOURCE}.")
    for index in places:
        one = result.sets[index]
        if one.changed:
            notes.append(one.changed)
        if is_project(one.name):
            notes.append(f"{one.name}: {one.licence}.{not_drawn_words(one.not_drawn)}")
        if forbids := restrictions(one.licence):
            notes.append(f"{one.name}: {one.licence}: {forbids}.")
        if not one.whole:
            notes.append(f"{one.shown} is a seeded, stratified subset; published figures are of the whole set.")
        notes += [
            f"{name} could not read {cell.total - cell.read} of {cell.total} rows of {one.shown}; its figures are "
            f"over {cell.read}."
            for name, row in zip(result.names(), result.rows, strict=True)
            if (cell := row.cells[index]).read < cell.total
        ]
    return tuple(notes)


ROLES = ("base", "direct expert", "pairwise expert", "joint expert", "merge")
"""In the order of the paper's table of single formats, both together, and merging."""


def _by_role(result: BenchResult) -> Table | None:
    """Single, joint, merged: the headline of every set, by what the registry knows of each judge; None for less than
    two roles.
    """
    known = [
        (next(place for place, role in enumerate(ROLES) if row.role.startswith(role)), judge, name, row)
        for judge, (name, row) in enumerate(zip(result.names(), result.rows, strict=True))
        if row.role
    ]
    if len({order for order, *_ in known}) < 2:
        return None
    sets = result.sets
    lines = tuple(
        Line(
            f"{row.role}: {name}", "ours",
            tuple(figure_text(cell.figure(HEADLINE[one.mode])) for cell, one in zip(row.cells, sets, strict=True)),
            judge,
        )
        for _, judge, name, row in sorted(known, key=lambda one: one[:2])
    )  # fmt: skip
    return Table(
        "Single, joint, merged",
        tuple(one.shown for one in sets),
        lines,
        ("Pearson of the expected score on direct sets, accuracy without ties on pairs.",),
        tuple(range(len(sets))),
    )


def _consistency(result: BenchResult) -> Table | None:
    """None where no judge was asked for scores of a pairwise set's responses."""
    places = [place for place, _ in enumerate(result.sets) if any(row.cells[place].consistency for row in result.rows)]
    if not places:
        return None
    ours = [
        Line(
            f"{name}, {part}", "ours", tuple(_part_text(row.cells[place].consistency, part) for place in places), judge
        )
        for judge, (name, row) in enumerate(zip(result.names(), result.rows, strict=True))
        for part in _CONSISTENCY
    ]
    notes = [
        "On the same pairs: the pairwise winner by the mean of both orders, and the response with the higher expected "
        "score by direct assessment under the same rubric. Accuracy leaves out pairs labelled as ties; delta is "
        "pairwise less direct, from the same resampled pairs.",
    ]
    published = []
    if any(result.sets[place].name == PREFERENCE_BENCH for place in places):
        published = [
            Line(f"{judge}, delta", "published", tuple(
                f"{delta / 100:.3f}" if result.sets[place].name == PREFERENCE_BENCH else "" for place in places
            ))
            for judge, delta in PUBLISHED_DELTA.items()
        ]  # fmt: skip
        notes.append(f"Published, of whole sets: {SOURCE}.")
    notes += [
        f"{name} could not read {found.unread} of {row.cells[place].total} pairs of {result.sets[place].shown} in both "
        "formats; they are left out of both."
        for name, row in zip(result.names(), result.rows, strict=True)
        for place in places
        if (found := row.cells[place].consistency) is not None and found.unread
    ]
    columns = tuple(result.sets[place].shown for place in places)
    lines = (*ours, *published)
    return Table("Consistency across formats, on the same pairs", columns, lines, tuple(notes), tuple(places))


_CONSISTENCY: Mapping[str, Callable[[Consistency], str]] = {
    "pairwise accuracy": lambda found: share_text(found.pairwise),
    "direct accuracy": lambda found: share_text(found.direct),
    "delta": lambda found: _difference_text(found.delta),
    "both name the same winner": lambda found: share_text(found.agree),
    "equal whole scores": lambda found: share_text(found.same_score),
}


def _part_text(found: Consistency | None, part: str) -> str:
    return "" if found is None else _CONSISTENCY[part](found)


def _transitivity(result: BenchResult) -> Table | None:
    """None where no set has three responses to an instruction of which all pairs were read."""
    places = [
        place
        for place, _ in enumerate(result.sets)
        if any((found := row.cells[place].transitivity) is not None and found.n for row in result.rows)
    ]
    if not places:
        return None
    ours = [
        Line(name, "ours", tuple(_stat_text(row.cells[place].transitivity) for place in places), judge)
        for judge, (name, row) in enumerate(zip(result.names(), result.rows, strict=True))
    ]
    chance = Line("chance", "baseline", tuple(f"{consistency.CHANCE:.3f}" for _ in places))
    notes = (
        "Of three responses to one instruction of which all pairs are in the set, the share whose winners make an "
        "order and not a circle; the interval is clustered by instruction.",
    )
    columns = tuple(result.sets[place].shown for place in places)
    return Table("Transitivity over triples", columns, (*ours, chance), notes, tuple(places))


def _repeated(result: BenchResult) -> Table | None:
    """None where nothing was asked more than once."""
    places = [place for place, _ in enumerate(result.sets) if any(row.cells[place].repeated for row in result.rows)]
    if not places:
        return None
    ours = tuple(
        Line(name, "ours", tuple(_stat_text(row.cells[place].repeated) for place in places), judge)
        for judge, (name, row) in enumerate(zip(result.names(), result.rows, strict=True))
    )
    notes = (
        "Krippendorff's alpha of a judge with itself: ordinal for scores, nominal for winners, over runs with other "
        "seeds; of so many readings.",
    )
    columns = tuple(result.sets[place].shown for place in places)
    return Table("Agreement with itself over repeated runs", columns, ours, notes, tuple(places))


def _difference_text(difference: Difference | None) -> str:
    if difference is None:
        return "undefined"
    interval = "" if difference.low is None else f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f}{interval}"


def _stat_text(stat: Stat | None) -> str:
    if stat is None or stat.value is None:
        return "undefined"
    interval = "" if stat.low is None else f" [{stat.low:.3f}, {stat.high:.3f}]"
    return f"{stat.value:.3f}{interval} of {stat.n:,}"
