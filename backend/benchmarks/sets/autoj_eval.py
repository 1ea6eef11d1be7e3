"""Auto-J Eval: pairs in 58 scenarios with people's winner, ties among them. Pure."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from backend.benchmarks.published import AUTOJ
from backend.benchmarks.sets.form import Published, PublishedSet, Row, pair_row, parsed
from backend.row_files import RawRow
from backend.types import Mode

LICENCE = "not stated (GAIR-NLP/auto-j)"
WINNERS = ("A", "B", "tie")
"""By the published label 0, 1 and 2."""


class _Labelled(Published):
    prompt: str
    response_1: str = Field(alias="response 1")
    response_2: str = Field(alias="response 2")
    label: Literal[0, 1, 2]
    scenario: str = ""


def _read(raws: Sequence[RawRow]) -> list[Row]:
    return [_row(parsed(_Labelled, raw), number) for number, raw in enumerate(raws, start=1)]


def _row(one: _Labelled, number: int) -> Row:
    return pair_row(
        f"pairwise_autoj_eval-{number}", one.prompt, (one.response_1, one.response_2), winner=WINNERS[one.label],
        label="human_label", licence=LICENCE, category=one.scenario,
    )  # fmt: skip


AUTOJ_EVAL = PublishedSet(
    name=AUTOJ,
    mode=Mode.PAIRWISE,
    size=1_392,
    licence=LICENCE,
    labels="the winner as people chose it, with ties",
    file="data/test/testdata_pairwise.jsonl of GAIR-NLP/auto-j on GitHub",
    read=_read,
)
