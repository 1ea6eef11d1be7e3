"""Scored responses out of pairs with winners: weak labels, for where pairs are many and scores are few. Pure.

That a response won says that it is likelier good than bad, and no more; so it becomes a wide target, which an
expert of direct assessment can learn order from, and never a score that somebody gave.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backend.errors import InvalidInputError
from backend.training_rows import RefusedRow, TrainingRow
from backend.types import Item, Mode, Rubric

WON = (0.0, 0.05, 0.2, 0.45, 0.3)
TIED = (0.02, 0.13, 0.4, 0.33, 0.12)
LOST = (0.2, 0.4, 0.25, 0.1, 0.05)
"""The probability of each score 1..5 of a response that won, tied or lost its pair; means 4.0, 3.4 and 2.4."""


@dataclass(frozen=True)
class PairScores:
    """What became of the rows: two of each pair, and those that are no pairs."""

    rows: tuple[TrainingRow, ...]
    refused: tuple[RefusedRow, ...]


def scores_of_pairs(rows: Iterable[TrainingRow], rubric: Rubric) -> PairScores:
    """Each response of each pair as a row of its own under this rubric, with a target by how surely it won.

    A pair's feedback compares two responses, so none is kept. Rows of one response are refused. Raises
    InvalidInputError if no pair is among the rows.
    """
    scored: list[TrainingRow] = []
    refused: list[RefusedRow] = []
    for row in rows:
        if row.mode is not Mode.PAIRWISE:
            refused.append(RefusedRow(row.id, "It has one response and its own score already."))
            continue
        for side, response, share in zip("ab", row.item.responses, row.target, strict=True):
            item = Item(row.item.instruction, (response,), row.item.reference)
            scored.append(
                TrainingRow(f"{row.id}-{side}", _named(row.source), row.licence, item, rubric, weak_target(share), None)
            )
    if not scored:
        raise InvalidInputError("None of the rows is a pair with a winner. Name a set of pairs.")
    return PairScores(tuple(scored), tuple(refused))


def _named(source: str) -> str:
    """The source as a card groups it (`repository:file`), marked as what it is used for."""
    repository, colon, file = source.partition(":")
    return f"{repository} (winners as scores){colon}{file}"


def weak_target(won: float) -> tuple[float, ...]:
    """The probabilities of the scores 1..5 of a response that won with this probability, 0..1.

    Linear from LOST at 0 by way of TIED at one half to WON at 1.
    """
    lower, upper, way = (TIED, WON, 2 * won - 1) if won >= 0.5 else (LOST, TIED, 2 * won)
    return tuple(low + way * (high - low) for low, high in zip(lower, upper, strict=True))
