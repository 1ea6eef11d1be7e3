"""All published sets that are known, in the paper's order. Pure."""

from backend.benchmarks.sets.autoj_eval import AUTOJ_EVAL
from backend.benchmarks.sets.feedback_bench import FEEDBACK_BENCH_SET
from backend.benchmarks.sets.flask import FLASK_SET
from backend.benchmarks.sets.form import PublishedSet
from backend.benchmarks.sets.hhh_alignment import HHH_ALIGNMENT
from backend.benchmarks.sets.mt_bench import MT_BENCH_SET
from backend.benchmarks.sets.mt_bench_human import MT_BENCH_HUMAN_SET
from backend.benchmarks.sets.preference_bench import PREFERENCE_BENCH_SET
from backend.benchmarks.sets.vicuna_bench import VICUNA_BENCH
from backend.errors import NotFoundError

PAPER_SETS = (
    VICUNA_BENCH,
    MT_BENCH_SET,
    FLASK_SET,
    FEEDBACK_BENCH_SET,
    HHH_ALIGNMENT,
    MT_BENCH_HUMAN_SET,
    AUTOJ_EVAL,
    PREFERENCE_BENCH_SET,
)


def published_set(name: str) -> PublishedSet:
    """The one of this name in the data folder. Raises NotFoundError that lists them."""
    found = next((one for one in PAPER_SETS if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in PAPER_SETS)
        raise NotFoundError(f"There is no published set {name!r}. There are: {known}.")
    return found
