"""Scores of a model beside scores of people: every figure that experts ask for, each with its interval. Pure."""

from dataclasses import dataclass, replace

import numpy

from backend.agreement import Matrix, share
from backend.agreement import tables as of
from backend.agreement.bootstrap import Distinct, Floats, Integers, Stat, Statistic, bootstrap, item_counts
from backend.errors import InvalidInputError
from backend.types import SCORES

SIZE = len(SCORES)
ONE_SCORE = "Undefined: both gave one and the same score everywhere."
NO_SPREAD = "Undefined: one of the two gave the same score everywhere."


def _of_table(figure: Statistic, size: int = SIZE) -> Statistic:
    return lambda cells: figure(cells.reshape(-1, size, size))


SCORE_FIGURES: dict[str, Statistic] = {
    "exact": _of_table(of.exact),
    "within_one": _of_table(of.within_one),
    "quadratic_kappa": _of_table(of.quadratic_kappa),
    "linear_kappa": _of_table(of.linear_kappa),
    "alpha": _of_table(of.ordinal_alpha),
    "ac2": _of_table(of.ac2),
    "pearson": _of_table(of.pearson),
    "spearman": _of_table(of.spearman),
    "kendall": _of_table(of.kendall),
    "absolute_error": _of_table(of.mean_absolute_error),
    "bias": _of_table(of.bias),
}
WHY = {
    **dict.fromkeys(("quadratic_kappa", "linear_kappa", "alpha"), ONE_SCORE),
    **dict.fromkeys(("pearson", "spearman", "kendall"), NO_SPREAD),
}
SHARES = ("exact", "within_one")


@dataclass(frozen=True)
class ScoreAgreement:
    """Scores 1..5 compared. stats: by the names of SCORE_FIGURES. matrix: a row for each score of the first rater
    (the model), a column for each of the second (the person)."""

    n: int
    items: int
    stats: dict[str, Stat]
    matrix: Matrix


def compare_scores(model: Integers, person: Integers, items: Integers) -> ScoreAgreement:
    """Compare scores 1..5, one pair a label: (labels,) each. items: which item each is of, drawn whole.

    Raises InvalidInputError for a score outside 1..5.
    """
    _check(model)
    _check(person)
    return of_cells(item_counts(items, (model - 1) * SIZE + (person - 1), SIZE**2), len(model))


def of_cells(sample: Distinct, n: int) -> ScoreAgreement:
    """As compare_scores, of items that are counted already: vectors of 25, a row of the table after the other."""
    stats = bootstrap(sample, SCORE_FIGURES, WHY, n)
    total: Floats = sample.counts @ sample.rows if len(sample.rows) else numpy.zeros(SIZE**2)
    for name in SHARES:
        stats[name] = with_wilson(stats[name])
    matrix = tuple(tuple(int(count) for count in row) for row in total.reshape(SIZE, SIZE))
    return ScoreAgreement(n=n, items=sample.items, stats=stats, matrix=matrix)


def with_wilson(stat: Stat) -> Stat:
    """A share that resampling can't give an interval gets Wilson's, counting every item once."""
    if stat.value is None or stat.low is not None:
        return stat
    whole = share(round(stat.value * stat.items), stat.items)
    return stat if whole is None else replace(stat, low=whole.low, high=whole.high, missing="")


def _check(scores: Integers) -> None:
    outside = scores[(scores < 1) | (scores > SIZE)]
    if len(outside):
        raise InvalidInputError(f"The score {outside[0]} can't be compared; scores are whole numbers from 1 to {SIZE}.")
