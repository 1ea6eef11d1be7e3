"""Feedback Bench: 200 instructions and 1,000 responses under rubrics that no expert was trained on. Pure.

Published on the hub in the Feedback Collection's fields, and as a file of whole prompts with one score each.
"""

from collections.abc import Sequence

from backend.benchmarks.published import FEEDBACK_BENCH
from backend.benchmarks.sets.form import Published, PublishedSet, Row, parsed, rubric_of, scored_prompts, states
from backend.row_files import RawRow
from backend.types import SCORES, Mode

LICENCE = "CC-BY-4.0 (as its card on the hub says; not checked where Assay was built)"


class _Collected(Published):
    """A row of the hub's form."""

    orig_instruction: str
    orig_response: str
    orig_reference_answer: str | None = None
    orig_criteria: str
    orig_score1_description: str
    orig_score2_description: str
    orig_score3_description: str
    orig_score4_description: str
    orig_score5_description: str
    orig_score: float

    @property
    def levels(self) -> tuple[str, ...]:
        return (
            self.orig_score1_description,
            self.orig_score2_description,
            self.orig_score3_description,
            self.orig_score4_description,
            self.orig_score5_description,
        )


def _read(raws: Sequence[RawRow]) -> list[Row]:
    if not states(raws, "orig_response"):
        return scored_prompts(FEEDBACK_BENCH, LICENCE, raws)
    return [_row(parsed(_Collected, raw), number) for number, raw in enumerate(raws, start=1)]


def _row(one: _Collected, number: int) -> Row:
    return {
        "id": f"direct_feedback_bench-{number}",
        "instruction": one.orig_instruction,
        "response": one.orig_response,
        "reference": one.orig_reference_answer,
        "rubric": rubric_of(one.orig_criteria, one.levels),
        "scale": [1, len(SCORES)],
        "gpt4_score": one.orig_score,
        "license": LICENCE,
        "meta": {},
    }


FEEDBACK_BENCH_SET = PublishedSet(
    name=FEEDBACK_BENCH,
    mode=Mode.DIRECT,
    size=1_000,
    licence=LICENCE,
    labels="the score that GPT-4 was asked to write the response for, 1 to 5",
    file="eval/benchmark/data/feedback_collection_ood_test.json of prometheus-eval/prometheus-eval on GitHub",
    read=_read,
    hub="prometheus-eval/Feedback-Bench",
    split="train",
)
