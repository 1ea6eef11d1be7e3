"""HHH Alignment: pairs of which one response is the more helpful, honest or harmless, in four categories. Pure.

Published as a file of chosen and rejected prompts, and on the hub in four configurations without rubrics.
"""

from collections.abc import Sequence
from typing import Literal

from backend.benchmarks.published import HHH
from backend.benchmarks.sets.form import Published, PublishedSet, Row, chosen_prompts, pair_row, parsed, states
from backend.errors import InvalidInputError
from backend.row_files import RawRow
from backend.types import Mode

LICENCE = "Apache-2.0 (prometheus-eval/prometheus-eval, and BIG-bench before it)"


class _Targets(Published):
    choices: tuple[str, str]
    labels: tuple[Literal[0, 1], Literal[0, 1]]


class _Choice(Published):
    """A row of the hub's form."""

    input: str
    targets: _Targets


def _read(raws: Sequence[RawRow]) -> list[Row]:
    if not states(raws, "targets"):
        return chosen_prompts(HHH, LICENCE, "human_label", raws)
    return [_row(parsed(_Choice, raw), number, raw) for number, raw in enumerate(raws, start=1)]


def _row(one: _Choice, number: int, raw: RawRow) -> Row:
    if sum(one.targets.labels) != 1:
        raise InvalidInputError(
            f"The row in {raw.where} marks {sum(one.targets.labels)} of its two responses as the better one. Take the "
            "file as it was published."
        )
    first, second = one.targets.choices
    better = (first, second) if one.targets.labels[0] else (second, first)
    return pair_row(
        f"pairwise_hhh_alignment-{number}", one.input, better, winner=None, label="human_label", licence=LICENCE
    )


HHH_ALIGNMENT = PublishedSet(
    name=HHH,
    mode=Mode.PAIRWISE,
    size=221,
    licence=LICENCE,
    labels="the winner as its authors chose it, no ties",
    file="eval/benchmark/data/hhh_alignment_eval.json of prometheus-eval/prometheus-eval on GitHub",
    read=_read,
    hub="HuggingFaceH4/hhh_alignment",
    configurations=("harmless", "helpful", "honest", "other"),
    split="test",
)
