"""What everybody said of each row of a set: who goes with whom, who says what how often, who is right where. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from backend.agreement import ENOUGH, Share, share
from backend.agreement.ceiling import side_by_side
from backend.benchmarks.labelled import Label
from backend.benchmarks.metrics import EQUAL
from backend.types import SCORES, Mode

PARTS = 5
"""Of the probability of A, from 0 to 1, where a pairwise set's opinions are counted."""
MOST_CATEGORIES = 10
NEAR = 1.0
"""How far a score may lie from the label and still count as right within a category."""


@dataclass(frozen=True)
class Opinions:
    """What everybody said of each row of a set, as numbers: scores 1..5, or the probability that A is better, 0..1.

    row_ids, categories: of the rows. raters: people and GPT-4 where the set has them, then the judges. values: a list a
    rater, None where it said nothing. scores: of judges on a direct set their most probable scores, else empty. labels:
    what figures compare with.
    """

    mode: Mode
    row_ids: tuple[str, ...]
    categories: tuple[str, ...]
    labels: tuple[Label, ...]
    raters: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    scores: tuple[tuple[int | None, ...], ...]


@dataclass(frozen=True)
class Together:
    """raters: those who agree side by side. pearson: a row and a column each; None with fewer than 10 rows in common or
    where one of the two said the same of all. n: rows in common.
    """

    raters: tuple[str, ...]
    pearson: tuple[tuple[float | None, ...], ...]
    n: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Spread:
    """How often a rater said what. shares: of each part, 0..1, summing to 1. n: rows that it said anything of."""

    rater: str
    shares: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Category:
    """right: by judge, rows of this category on which it was right; None where none counts. size: its rows."""

    name: str
    size: int
    right: tuple[Share | None, ...]


def together(opinions: Opinions) -> Together:
    """Everybody with everybody: Pearson of their numbers."""
    table = numpy.array(
        [[numpy.nan if value is None else value for value in values] for values in opinions.values], dtype=float
    )
    count = len(opinions.raters)
    pearson: list[list[float | None]] = [[None] * count for _ in range(count)]
    common = [[0] * count for _ in range(count)]
    for one in range(count):
        for other in range(one + 1, count):
            both = ~numpy.isnan(table[one]) & ~numpy.isnan(table[other])
            common[one][other] = common[other][one] = int(both.sum())
            x, y = table[one][both], table[other][both]
            if len(x) >= ENOUGH and numpy.ptp(x) > EQUAL and numpy.ptp(y) > EQUAL:
                pearson[one][other] = pearson[other][one] = float(numpy.corrcoef(x, y)[0, 1])
    order = side_by_side(pearson)
    return Together(
        tuple(opinions.raters[place] for place in order),
        tuple(tuple(pearson[row][column] for column in order) for row in order),
        tuple(tuple(common[row][column] for column in order) for row in order),
    )


def parts(mode: Mode) -> tuple[str, ...]:
    """What spreads() counts, in words: the scores, or fifths of the probability that A is better."""
    if mode is Mode.DIRECT:
        return SCORES
    return tuple(f"{part / PARTS:g} to {(part + 1) / PARTS:g}" for part in range(PARTS))


def spreads(opinions: Opinions) -> tuple[Spread, ...]:
    """Of labellers their scores rounded, of judges their most probable ones; of pairs, the probability of A."""
    labellers = len(opinions.raters) - len(opinions.scores)
    found = []
    for place, (rater, values) in enumerate(zip(opinions.raters, opinions.values, strict=True)):
        said: Sequence[float | None] = values if place < labellers else opinions.scores[place - labellers]
        if opinions.mode is Mode.PAIRWISE:
            said = values
        counts = Counter(_part(opinions.mode, value) for value in said if value is not None)
        n = counts.total()
        if n:
            found.append(Spread(rater, tuple(counts[part] / n for part in range(PARTS)), n))
    return tuple(found)


def categories(opinions: Opinions) -> tuple[Category, ...]:
    """The largest categories that the set names, the largest first; empty where it names none.

    Right is a most probable score within 1 of the label, or the winner; pairs labelled as ties don't count.
    """
    sizes = Counter(name for name in opinions.categories if name)
    judges = len(opinions.scores)
    values = opinions.values[len(opinions.raters) - judges :]
    return tuple(
        Category(
            name,
            size,
            tuple(
                _right([
                    (opinions.labels[place], values[judge][place], opinions.scores[judge][place])
                    for place, category in enumerate(opinions.categories)
                    if category == name
                ])
                for judge in range(judges)
            ),
        )
        for name, size in sizes.most_common(MOST_CATEGORIES)
    )  # fmt: skip


def _part(mode: Mode, value: float) -> int:
    return round(value) - 1 if mode is Mode.DIRECT else min(int(value * PARTS), PARTS - 1)


def _right(rows: Sequence[tuple[Label, float | None, int | None]]) -> Share | None:
    """rows: the label, the judge's value and its score."""
    told = [
        (value > 0.5 if label == "A" else value < 0.5) if isinstance(label, str) else abs((score or 0) - label) <= NEAR
        for label, value, score in rows
        if value is not None and label != "tie"
    ]
    return share(sum(told), len(told))
