"""Preference Bench: the pairs of Feedback Bench's responses, the better-scored one the winner. Pure.

Published on the hub in the Preference Collection's fields, and as a file of chosen and rejected prompts.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from backend.benchmarks.published import PREFERENCE_BENCH
from backend.benchmarks.sets.form import Published, PublishedSet, Row, chosen_prompts, pair_row, parsed, states
from backend.row_files import RawRow
from backend.types import Mode

LICENCE = "CC-BY-4.0 (as its card on the hub says; not checked where Assay was built)"


class _Preferred(Published):
    """A row of the hub's form."""

    orig_instruction: str
    response_a: str = Field(alias="orig_response_A")
    response_b: str = Field(alias="orig_response_B")
    orig_reference_answer: str | None = None
    orig_criteria: str
    orig_preference: Literal["A", "B"]


def _read(raws: Sequence[RawRow]) -> list[Row]:
    if not states(raws, "orig_response_A"):
        return chosen_prompts(PREFERENCE_BENCH, LICENCE, "gpt4_label", raws)
    return [_row(parsed(_Preferred, raw), number) for number, raw in enumerate(raws, start=1)]


def _row(one: _Preferred, number: int) -> Row:
    return pair_row(
        f"pairwise_preference_bench-{number}", one.orig_instruction, (one.response_a, one.response_b),
        winner=one.orig_preference, label="gpt4_label", licence=LICENCE, reference=one.orig_reference_answer,
        rubric={"criteria": one.orig_criteria},
    )  # fmt: skip


PREFERENCE_BENCH_SET = PublishedSet(
    name=PREFERENCE_BENCH,
    mode=Mode.PAIRWISE,
    size=2_000,
    licence=LICENCE,
    labels="the response that GPT-4 wrote for the higher score, no ties",
    file="eval/benchmark/data/preference_collection_ood_test.json of prometheus-eval/prometheus-eval on GitHub",
    read=_read,
    hub="prometheus-eval/Preference-Bench",
    split="train",
)
