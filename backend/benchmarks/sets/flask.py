"""FLASK: 200 instructions, answered by four models and scored for the skills that each needs. Pure."""

from functools import partial

from backend.benchmarks.published import FLASK
from backend.benchmarks.sets.form import PublishedSet, scored_prompts
from backend.types import Mode

LICENCE = "Apache-2.0 (prometheus-eval/prometheus-eval); FLASK's own licence was not checked"

FLASK_SET = PublishedSet(
    name=FLASK,
    mode=Mode.DIRECT,
    size=2_000,
    licence=LICENCE,
    labels="the mean of people's scores and the mean of three by GPT-4, 1 to 5",
    file="eval/benchmark/data/flask_eval.json of prometheus-eval/prometheus-eval on GitHub",
    read=partial(scored_prompts, FLASK, LICENCE),
)
