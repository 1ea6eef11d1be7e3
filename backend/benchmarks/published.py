"""What others have published of their judges on the same sets. Pure.

Source of all: Kim et al. 2024, "Prometheus 2" (arXiv 2405.01535, first version), Pearson with GPT-4's scores, and
accuracy on pairs that people or GPT-4 labelled. Their runs wrote feedback and covered whole sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "arXiv 2405.01535, v1"
VICUNA, MT_BENCH = "benchmarks/direct_vicuna_bench", "benchmarks/direct_mt_bench"
HHH, MT_BENCH_HUMAN = "benchmarks/pairwise_hhh_alignment", "benchmarks/pairwise_mt_bench_human"
AUTOJ = "benchmarks/pairwise_autoj_eval"
FLASK, FEEDBACK_BENCH = "benchmarks/direct_flask", "benchmarks/direct_feedback_bench"
PREFERENCE_BENCH = "benchmarks/pairwise_preference_bench"


@dataclass(frozen=True)
class Published:
    """A judge of the paper. figures: by the set's name; Pearson of direct sets, accuracy (0..1) of pairwise ones."""

    judge: str
    figures: Mapping[str, float]


PUBLISHED = (
    Published(
        "Prometheus-2-8x7B",
        {VICUNA: 0.685, MT_BENCH: 0.665, FLASK: 0.659, FEEDBACK_BENCH: 0.898, HHH: 0.855, MT_BENCH_HUMAN: 0.720,
         AUTOJ: 0.800},
    ),
    Published(
        "Prometheus-2-7B",
        {VICUNA: 0.642, MT_BENCH: 0.543, FLASK: 0.645, FEEDBACK_BENCH: 0.878, HHH: 0.747, MT_BENCH_HUMAN: 0.708},
    ),
    Published("Prometheus-13B", {VICUNA: 0.492, MT_BENCH: 0.404, FLASK: 0.462, FEEDBACK_BENCH: 0.860}),
    Published("Auto-J-13B", {VICUNA: 0.351, MT_BENCH: 0.432, FLASK: 0.430, FEEDBACK_BENCH: 0.637}),
    Published("Mistral-7B-Instruct", {VICUNA: 0.486, MT_BENCH: 0.284, FLASK: 0.448, FEEDBACK_BENCH: 0.586}),
)  # fmt: skip

PAPER_SETS = (VICUNA, MT_BENCH, FLASK, FEEDBACK_BENCH, HHH, MT_BENCH_HUMAN, AUTOJ, PREFERENCE_BENCH)
"""The eight of the paper, in its order."""
WHERE = (
    "Its rows are in the repository prometheus-eval/prometheus-eval on GitHub, folder eval/benchmark/data. Put them "
    "into the data folder in the form of docs/measuring.md."
)
"""How to get one of the paper's sets that is not in the data folder."""
