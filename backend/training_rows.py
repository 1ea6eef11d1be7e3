"""What experts learn from: a row in one form, its target, and how it is written in the published field names."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import InvalidInputError
from backend.prompts import RESULT_MARKER
from backend.types import SCORES, SIDES, Item, Mode, Rubric, checked_text, digest_of

NOT_STATED = "not stated"
TIE = "tie"
LEVEL_FIELDS = tuple(f"orig_score{score}_description" for score in SCORES)
"""What the published sets call the descriptions of the scores 1 to 5."""


@dataclass(frozen=True)
class TrainingRow:
    """An item and what should be said of it.

    source, licence: where the row comes from and on what terms, for the model's card. target: the
    probability of each allowed result, summing to 1: of the scores 1 to 5 for one response, of A and B
    for two. feedback: without the result marker and the result; None if there is none.
    """

    id: str
    source: str
    licence: str
    item: Item
    rubric: Rubric
    target: tuple[float, ...]
    feedback: str | None

    def __post_init__(self) -> None:
        if self.item.mode is Mode.RANKING:
            raise InvalidInputError(
                f"It has {len(self.item.responses)} responses; an expert learns from rows of one or two."
            )
        if len(self.target) != len(self.results) or any(not 0 <= share <= 1 for share in self.target):
            raise InvalidInputError(
                f"The target {self.target} is not a probability, from 0 to 1, of each of {', '.join(self.results)}."
            )
        if abs(sum(self.target) - 1) > 1e-6:
            raise InvalidInputError(f"The target {self.target} sums to {sum(self.target):g}; it must sum to 1.")
        if self.feedback is not None:
            checked_text("The feedback", self.feedback)
            if RESULT_MARKER in self.feedback:
                raise InvalidInputError(f"The feedback has the marker {RESULT_MARKER} in it; a judge would stop there.")

    @property
    def mode(self) -> Mode:
        return self.item.mode

    @property
    def results(self) -> tuple[str, ...]:
        """What each place of the target stands for."""
        return SCORES if self.mode is Mode.DIRECT else SIDES

    @property
    def result(self) -> str | None:
        """The result that the target is sure of; None where it shares its probability out."""
        return next((result for result, share in zip(self.results, self.target, strict=True) if share == 1), None)

    @property
    def digest(self) -> str:
        """Of what is learned from the row: rows with the same one teach the same."""
        return digest_of("row", self.item.digest, self.rubric.digest, list(self.target), self.feedback)


@dataclass(frozen=True)
class RefusedRow:
    """A row that can't be learned from. where: its file, and its line or its number from 1."""

    where: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """What became of a place's rows.

    duplicates: rows left out because an earlier one teaches exactly the same. forms: how many rows, used
    or not, came in each known form.
    """

    rows: tuple[TrainingRow, ...]
    refused: tuple[RefusedRow, ...]
    duplicates: int
    forms: Mapping[str, int] = field(default_factory=dict)


def score_target(scores: Sequence[float]) -> tuple[float, ...]:
    """The target of one or several scores, 1..5: each person's counts the same, and one between two whole
    scores is split between them so that its mean stays (3.67 is .33 of a 3 and .67 of a 4).

    Raises InvalidInputError for no score and for one off the scale.
    """
    if not scores:
        raise InvalidInputError("It has no score.")
    target = [0.0] * len(SCORES)
    for score in scores:
        if not 1 <= score <= len(SCORES):
            raise InvalidInputError(f"The score is {score:g}; it must lie between 1 and 5.")
        lower = min(math.floor(score), len(SCORES) - 1)
        target[lower - 1] += lower + 1 - score
        target[lower] += score - lower
    return tuple(share / len(scores) for share in target)


def winner_target(winners: Sequence[str]) -> tuple[float, float]:
    """The target of one or several people's winners, each "A", "B" or "tie"; a tie is half of each.

    Raises InvalidInputError for no winner and for any other word.
    """
    if not winners:
        raise InvalidInputError("It has no winner.")
    shares = {"A": 1.0, "B": 0.0, TIE: 0.5}
    for winner in winners:
        if winner not in shares:
            raise InvalidInputError(f"The winner is {winner!r}; it must be A, B or tie.")
    share = sum(shares[winner] for winner in winners) / len(winners)
    return share, 1 - share


def split_output(output: str, results: Sequence[str]) -> tuple[str | None, str]:
    """The feedback (None if there is none) and the result of "Feedback: ... [RESULT] 4" or "... [RESULT] A".

    Strict: one marker, and nothing but one of the results behind it. Raises InvalidInputError.
    """
    feedback, *rest = output.split(RESULT_MARKER)
    if len(rest) != 1:
        raise InvalidInputError(
            f"The result can't be read: the output has the marker {RESULT_MARKER} {len(rest)} times, not once."
        )
    result = rest[0].strip()
    if result not in results:
        raise InvalidInputError(
            f"The result can't be read: {result[:40]!r} stands behind {RESULT_MARKER}, not one of {', '.join(results)}."
        )
    return feedback.strip().removeprefix("Feedback:").strip() or None, result


def published(row: TrainingRow) -> dict[str, Any]:
    """The row in the field names of the Feedback Collection or the Preference Collection, which load_rows reads.

    Three fields more: id, source and license; and where people differ, so that there is no one result,
    `target` with the probability of each.
    """
    fields: dict[str, Any] = {"id": row.id, "source": row.source, "license": row.licence}
    fields["orig_instruction"] = row.item.instruction
    if row.mode is Mode.DIRECT:
        fields["orig_response"], result_field = row.item.responses[0], "orig_score"
    else:
        fields["orig_response_A"], fields["orig_response_B"] = row.item.responses
        result_field = "orig_preference"
    fields["orig_reference_answer"] = row.item.reference
    fields["orig_criteria"] = row.rubric.criterion
    fields |= dict(zip(LEVEL_FIELDS, row.rubric.levels, strict=False))
    fields["orig_feedback"] = row.feedback
    fields[result_field] = row.result
    if row.result is None:
        fields["target"] = list(row.target)
    else:
        fields["output"] = f"{row.feedback or ''} {RESULT_MARKER} {row.result}".strip()
    return fields


def write_rows(rows: Iterable[TrainingRow], out: Path) -> int:
    """Write a new file of JSON lines in the published field names, whole or not at all; the number of rows.

    Raises InvalidInputError if the file is there already or can't be written.
    """
    if not out.name.endswith(".jsonl"):
        raise InvalidInputError(f"--out is {out}; give it a name that ends in .jsonl.")
    if out.exists():
        raise InvalidInputError(f"{out} is there already. Choose another --out, or move it away.")
    count = 0
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(published(row), ensure_ascii=False) + "\n")
                count += 1
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InvalidInputError(f"{out} can't be written: {error.strerror}. Choose another --out.") from error
    return count
