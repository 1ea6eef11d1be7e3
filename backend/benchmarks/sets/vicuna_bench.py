"""Vicuna Bench: 80 questions, answered by four models, each with a rubric and a reference answer of its own. Pure."""

from functools import partial

from backend.benchmarks.published import VICUNA
from backend.benchmarks.sets.form import PublishedSet, scored_prompts
from backend.types import Mode

LICENCE = "Apache-2.0 (prometheus-eval/prometheus-eval)"

VICUNA_BENCH = PublishedSet(
    name=VICUNA,
    mode=Mode.DIRECT,
    size=320,
    licence=LICENCE,
    labels="the mean of three scores by GPT-4, 1 to 5",
    file="evaluation/benchmark/data/vicuna_eval.json of prometheus-eval/prometheus on GitHub",
    read=partial(scored_prompts, VICUNA, LICENCE),
)
