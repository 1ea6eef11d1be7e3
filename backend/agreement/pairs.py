"""Winners of a model beside winners of people: accuracy, kappa, and what position and length do. Pure."""

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from backend.agreement import WINNERS, Matrix, Share, share
from backend.agreement import tables as of
from backend.agreement.bootstrap import Floats, Integers, Stat, Statistic, bootstrap, item_counts
from backend.agreement.direct import with_wilson
from backend.errors import InvalidInputError

SIZE = len(WINNERS)
TIE = WINNERS.index("tie")
NO_DECIDED = "There is no pair on which neither said tie."


def _decided(cells: Floats) -> Floats:
    """Share of equal winners where neither said tie."""
    return of.exact(cells.reshape(-1, SIZE, SIZE)[:, :TIE, :TIE])


WINNER_FIGURES: dict[str, Statistic] = {
    "with_ties": lambda cells: of.exact(cells.reshape(-1, SIZE, SIZE)),
    "without_ties": _decided,
    "kappa": lambda cells: of.nominal_kappa(cells.reshape(-1, SIZE, SIZE)),
    "alpha": lambda cells: of.nominal_alpha(cells.reshape(-1, SIZE, SIZE)),
}
WHY = {
    "without_ties": NO_DECIDED,
    **dict.fromkeys(("kappa", "alpha"), "Undefined: both named one and the same winner everywhere."),
}


@dataclass(frozen=True)
class WinnerAgreement:
    """Winners compared. stats: by the names of WINNER_FIGURES. matrix: in the order of WINNERS, a row for the model."""

    n: int
    items: int
    stats: dict[str, Stat]
    matrix: Matrix


@dataclass(frozen=True)
class PositionBias:
    """flips: pairs whose two orders name different winners. first_slot: readings that the response shown first wins;
    one half is no bias. Readings of exactly one half count for neither side. None where there is no such pair."""

    flips: Share | None
    first_slot: Share | None


@dataclass(frozen=True)
class LongerWins:
    """How often the longer response wins, where they differ in length and a side was named."""

    model: Share | None
    people: Share | None


def compare_winners(model: Integers, person: Integers, items: Integers) -> WinnerAgreement:
    """Compare winners, as positions in WINNERS, one pair a label: (labels,) each; items are drawn whole.

    Raises InvalidInputError for a winner that is none.
    """
    for winners in (model, person):
        if len(winners) and not 0 <= winners.min() <= winners.max() < SIZE:
            raise InvalidInputError(f"A winner can't be compared; only {', '.join(WINNERS)} can.")
    sample = item_counts(items, model * SIZE + person, SIZE**2)
    stats = bootstrap(sample, WINNER_FIGURES, WHY, len(model))
    for name in ("with_ties", "without_ties"):
        stats[name] = with_wilson(stats[name])
    total: Floats = sample.counts @ sample.rows if len(sample.rows) else numpy.zeros(SIZE**2)
    matrix = tuple(tuple(int(count) for count in row) for row in total.reshape(SIZE, SIZE))
    return WinnerAgreement(n=len(model), items=sample.items, stats=stats, matrix=matrix)


def position_bias(p_a_first: Floats, p_a_second: Floats) -> PositionBias:
    """p_a_first, p_a_second: (pairs,) probability that A is better, read with A shown first and with A shown second."""
    flips = (p_a_first > 0.5) != (p_a_second > 0.5)
    first = int((p_a_first > 0.5).sum() + (p_a_second < 0.5).sum())
    decided = int((p_a_first != 0.5).sum() + (p_a_second != 0.5).sum())
    return PositionBias(flips=share(int(flips.sum()), len(flips)), first_slot=share(first, decided))


def longer_wins(model: Integers, person: Integers, length_a: Floats, length_b: Floats) -> LongerWins:
    """Winners as positions in WINNERS, lengths in characters; (labels,) each."""
    longer = numpy.where(length_a > length_b, 0, 1)
    unequal = length_a != length_b

    def of_rater(winners: Integers) -> Share | None:
        counted: NDArray[numpy.bool_] = unequal & (winners != TIE)
        return share(int((winners == longer)[counted].sum()), int(counted.sum()))

    return LongerWins(model=of_rater(model), people=of_rater(person))
