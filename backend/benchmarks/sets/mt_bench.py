"""MT Bench: 80 questions of two turns, answered by four models, each with a rubric and a reference of its own. Pure."""

from functools import partial

from backend.benchmarks.published import MT_BENCH
from backend.benchmarks.sets.form import PublishedSet, scored_prompts
from backend.types import Mode

LICENCE = "Apache-2.0 (prometheus-eval/prometheus-eval)"

MT_BENCH_SET = PublishedSet(
    name=MT_BENCH,
    mode=Mode.DIRECT,
    size=320,
    licence=LICENCE,
    labels="the mean of three scores by GPT-4, 1 to 5",
    file="eval/benchmark/data/mt_bench_eval.json of prometheus-eval/prometheus-eval on GitHub",
    read=partial(scored_prompts, MT_BENCH, LICENCE),
)
