"""What others have published of their judges on the same sets. Pure.

Source of all: Kim et al. 2024, "Prometheus 2" (arXiv 2405.01535, first version): Pearson with the scores of GPT-4, of
Claude and of people, and accuracy on pairs without ties. Their runs wrote feedback and covered whole sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SOURCE = "arXiv 2405.01535, v1"
VICUNA, MT_BENCH = "benchmarks/direct_vicuna_bench", "benchmarks/direct_mt_bench"
HHH, MT_BENCH_HUMAN = "benchmarks/pairwise_hhh_alignment", "benchmarks/pairwise_mt_bench_human"
AUTOJ = "benchmarks/pairwise_autoj_eval"
FLASK, FEEDBACK_BENCH = "benchmarks/direct_flask", "benchmarks/direct_feedback_bench"
PREFERENCE_BENCH = "benchmarks/pairwise_preference_bench"


class Reference(StrEnum):
    """Whose opinion a judge is compared with."""

    GPT4 = "GPT-4"
    CLAUDE = "Claude-3-Opus"
    PEOPLE = "people"


Place = tuple[str, Reference]
"""A set and a reference on it."""

DIRECT_PLACES: tuple[Place, ...] = (
    (VICUNA, Reference.GPT4),
    (VICUNA, Reference.CLAUDE),
    (MT_BENCH, Reference.GPT4),
    (MT_BENCH, Reference.CLAUDE),
    (FLASK, Reference.GPT4),
    (FLASK, Reference.CLAUDE),
    (FLASK, Reference.PEOPLE),
    (FEEDBACK_BENCH, Reference.GPT4),
)
"""The columns of the paper's table of direct assessment."""


@dataclass(frozen=True)
class Published:
    """A judge of the paper. figures: Pearson on direct sets, accuracy (0..1) on pairwise ones."""

    judge: str
    figures: Mapping[Place, float]


def _published(judge: str, direct: tuple[float | None, ...], pairwise: Mapping[str, float] | None = None) -> Published:
    """direct: by DIRECT_PLACES; None where the paper has no figure. pairwise: by the set; its labels are people's."""
    figures = {place: value for place, value in zip(DIRECT_PLACES, direct, strict=True) if value is not None}
    return Published(judge, figures | {(name, Reference.PEOPLE): value for name, value in (pairwise or {}).items()})


PUBLISHED = (
    _published("Prometheus-2-8x7B", (0.685, 0.635, 0.665, 0.614, 0.659, 0.626, 0.555, 0.898),
               {HHH: 0.855, MT_BENCH_HUMAN: 0.720, AUTOJ: 0.800}),
    _published("Prometheus-2-7B", (0.642, 0.610, 0.543, 0.554, 0.645, 0.578, 0.544, 0.878),
               {HHH: 0.747, MT_BENCH_HUMAN: 0.708}),
    _published("Prometheus-13B", (0.492, 0.534, 0.404, 0.477, 0.462, 0.470, 0.449, 0.860)),
    _published("Auto-J-13B", (0.351, 0.262, 0.432, 0.375, 0.430, 0.370, 0.473, 0.637)),
    _published("Mistral-7B-Instruct", (0.486, 0.561, 0.284, 0.396, 0.448, 0.437, 0.377, 0.586)),
    _published("GPT-4-1106", (None, 0.694, None, 0.717, None, 0.736, 0.679, 0.753)),
    _published("Claude-3-Opus", (0.694, None, 0.717, None, 0.736, None, 0.573, 0.788)),
)  # fmt: skip

PUBLISHED_DELTA = {"Prometheus-2-8x7B": 4.07, "Auto-J-13B": 28.96}
"""Of the paper's consistency table: percentage points between the two formats' accuracy on Preference Bench."""
