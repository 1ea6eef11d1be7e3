"""What a set of training rows holds, in numbers: enough to see a wrong file or a lopsided set before training."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from backend.training_rows import Loaded, TrainingRow
from backend.types import SCORES, SIDES, Mode

TOKENS_A_WORD = 4 / 3
"""Tokens of an English word, roughly; other languages and code have more."""


@dataclass(frozen=True)
class RowSummary:
    """scores, winners: how many rows say so, shares counted as shares. shared: rows without one single result.

    feedback: rows that have one. words: of all texts of a row together, by white space. sources: rows by their
    source and licence.
    """

    forms: dict[str, int]
    direct: int
    pairwise: int
    duplicates: int
    refused: int
    scores: dict[str, float]
    winners: dict[str, float]
    shared: int
    feedback: int
    words: int
    sources: dict[str, int]

    @property
    def rows(self) -> int:
        return self.direct + self.pairwise

    @property
    def tokens(self) -> int:
        """Roughly."""
        return round(self.words * TOKENS_A_WORD)


def summary_of(loaded: Loaded) -> RowSummary:
    direct = [row for row in loaded.rows if row.mode is Mode.DIRECT]
    pairwise = [row for row in loaded.rows if row.mode is Mode.PAIRWISE]
    return RowSummary(
        forms=dict(loaded.forms),
        direct=len(direct),
        pairwise=len(pairwise),
        duplicates=loaded.duplicates,
        refused=len(loaded.refused),
        scores=_said(direct, SCORES),
        winners=_said(pairwise, SIDES),
        shared=sum(row.result is None for row in loaded.rows),
        feedback=sum(row.feedback is not None for row in loaded.rows),
        words=sum(_words(row) for row in loaded.rows),
        sources=dict(Counter(f"{row.source} ({row.licence})" for row in loaded.rows).most_common()),
    )


def _said(rows: Iterable[TrainingRow], results: tuple[str, ...]) -> dict[str, float]:
    totals = [0.0] * len(results)
    for row in rows:
        totals = [total + share for total, share in zip(totals, row.target, strict=True)]
    return {result: round(total, 2) for result, total in zip(results, totals, strict=True)}


def _words(row: TrainingRow) -> int:
    item, rubric = row.item, row.rubric
    texts = [item.instruction, *item.responses, item.reference, rubric.criterion, *rubric.levels, row.feedback]
    return sum(len(text.split()) for text in texts if text)
