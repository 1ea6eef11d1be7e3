"""The agreement page at scale: how long a selection takes with all its intervals, beside a plain loop of resamples.

    python -m perf.agreement --verdicts 1000000 --labels 200000

Fills a new SQLite database (about half a KB a verdict) and asks what the page asks: the report with every figure, its
tables and its first plots, then the plots below. Eight people label in pairs, half of them blind. The loop draws the
same labels anew and computes one figure, quadratic kappa by scikit-learn; only some of its resamples are run, and the
time of all is worked out.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
from sqlalchemy import insert

from backend.agreement import RESAMPLES
from backend.agreement.direct import compare_scores
from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.types import SCORES, Mode, digest_of
from db import models
from db.session import Store
from perf.options import add_folder, add_runs, add_verdicts, parser_of
from ui.agreement_export import figures
from ui.agreement_tables import tables

CHUNK = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = 8
LEAD = 1
RUBRICS = 4
TOP = ("agreement", "confusion")
BELOW = ("ceiling", "powered_mean", "sources", "strengths", "anchoring", "calibration", "slices", "drift")
"""Plots that the page draws with its tables, and those that it draws after them."""
OTHER = Selection(kind=Kind.POOLED, rubric_version_id=1)
"""What was looked at before the selection changed."""
LOOPED = 20
"""Resamples of the plain loop that are run."""


def main() -> None:
    parser = parser_of(__doc__)
    add_verdicts(parser)
    parser.add_argument("--labels", type=int, default=200_000)
    add_runs(parser, 3)
    add_folder(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store = Store(f"sqlite:///{Path(folder) / 'agreement.db'}")
        store.migrate()
        _fill(store, options.verdicts, options.labels)
        print(f"{options.verdicts:,} verdicts, {options.labels:,} labels")
        comparing = Comparing(store)
        for name, selection in _selections().items():
            first = [_timed(lambda: _page(Comparing(store), selection)) for _ in range(options.runs)]  # noqa: B023
            changed = []
            for _ in range(options.runs):
                comparing = Comparing(store)
                comparing.report(OTHER, LEAD)
                changed.append(_timed(lambda: _page(comparing, selection)))  # noqa: B023
            report = comparing.report(selection, LEAD)
            below = _timed(lambda: figures(report, BELOW))  # noqa: B023
            print(
                f"{name:<28} first {_words(first)}   changed to {_words(changed)}   plots below {_words([below])}   "
                f"{report.counts.compared:,} labels compared",
                flush=True,
            )
        store.close()
    _loop(options.labels)


def _selections() -> dict[str, Selection]:
    return {
        "scores, both kinds pooled": Selection(kind=Kind.POOLED),
        "scores, blind": Selection(kind=Kind.BLIND),
        "scores, one rubric, pooled": Selection(kind=Kind.POOLED, rubric_version_id=2),
        "scores, two people, pooled": Selection(kind=Kind.POOLED, people=(1, 2)),
        "pairs (there are none)": Selection(mode=Mode.PAIRWISE),
    }


def _page(comparing: Comparing, selection: Selection) -> None:
    """What stands first: every figure with its interval in the tables, and the plots at the top."""
    report = comparing.report(selection, LEAD)
    tables(report)
    figures(report, TOP)


def _words(times: list[tuple[float, float]]) -> str:
    wall, busy = (statistics.median(column) for column in zip(*times, strict=True))
    return f"{wall:5.2f} s (processor {busy:5.2f} s)"


def _loop(labels: int) -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = numpy.random.default_rng(0)
    model = rng.integers(1, 6, size=labels)
    person = numpy.clip(model + rng.choice([-1, 0, 0, 1], size=labels), 1, 5)
    ours, _ = _timed(lambda: compare_scores(model, person, numpy.arange(labels)))

    def resample() -> None:
        for _ in range(LOOPED):
            drawn = rng.integers(labels, size=labels)
            cohen_kappa_score(model[drawn], person[drawn], weights="quadratic")

    loop = _timed(resample)[0] * RESAMPLES / LOOPED
    print(
        f"eleven figures of {labels:,} labels with intervals: {ours:.2f} s; kappa alone in a plain loop: {loop:.0f} s"
    )


def _timed(ask: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of a processor: they differ where other programs run."""
    start, busy = time.perf_counter(), time.process_time()
    ask()
    return time.perf_counter() - start, time.process_time() - busy


def _fill(store: Store, verdicts: int, labels: int) -> None:
    rng = numpy.random.default_rng(1)
    with store.write() as session:
        people = [
            {"id": key, "name": f"person {key}", "role": "annotator" if key > LEAD else "lead"}
            for key in range(1, PEOPLE + 1)
        ]
        session.execute(insert(models.User), people)
        for key in range(1, RUBRICS + 1):
            levels = {f"level_{score}": "It helps." for score in SCORES}
            session.add(models.Rubric(id=key, name=f"Rubric {key}"))
            session.flush()
            session.add(
                models.RubricVersion(id=key, rubric_id=key, number=1, digest=str(key), criterion="Help?", **levels)
            )
        session.add(
            models.ModelVersion(
                id=1, digest="1", name="model", kind="base", path="/models", architecture="Llama", bytes=1,
                prompt_format="assay",
            )
        )  # fmt: skip
        session.flush()
        session.add(
            models.Judge(
                id=1, digest="1", model_version_id=1, prompt_format="assay", format_digest="1", engine="transformers",
                engine_version="1", device="cpu", dtype="float32", temperature=0.0, top_p=1.0, seed=0,
                max_new_tokens=256, feedback=True,
            )
        )  # fmt: skip
    scores = rng.integers(1, 6, size=verdicts)
    expected = numpy.clip(scores + rng.normal(0, 0.4, size=verdicts), 1, 5)
    confidence = rng.uniform(0.3, 1, size=verdicts)
    for first in range(0, verdicts, CHUNK):
        numbers = range(first, min(first + CHUNK, verdicts))
        with store.write() as session:
            session.execute(insert(models.Item), [_item(n) for n in numbers])
            texts = [{"item_id": n + 1, "position": 0, "text": "word " * (n % 97 + 3)} for n in numbers]
            session.execute(insert(models.Response), texts)
            rows = [_verdict(n, int(scores[n]), float(expected[n]), float(confidence[n])) for n in numbers]
            session.execute(insert(models.Verdict), rows)
    for chunk in _labels(labels, scores, rng):
        with store.write() as session:
            session.execute(insert(models.Label), chunk)


def _item(number: int) -> dict[str, Any]:
    return {
        "id": number + 1,
        "digest": digest_of("item", number),
        "mode": "direct",
        "instruction": f"Question {number}?",
    }


def _verdict(number: int, score: int, expected: float, confidence: float) -> dict[str, Any]:
    return {
        "id": number + 1, "item_id": number + 1, "rubric_version_id": number % RUBRICS + 1, "judge_id": 1,
        "mode": "direct", "status": "read", "score": score, "expected_score": expected, "confidence": confidence,
        "seconds": 1.0, "created_by_id": 1,
    }  # fmt: skip


def _labels(labels: int, scores: Any, rng: numpy.random.Generator) -> Iterator[list[dict[str, Any]]]:
    """Two people for each of the first items; every second label is blind."""
    for first in range(0, labels, CHUNK):
        chunk = []
        for number in range(first, min(first + CHUNK, labels)):
            item = number // 2
            said = int(numpy.clip(scores[item] + rng.choice([-1, 0, 0, 1]), 1, 5))
            blind = item % 2 == 0
            chunk.append(
                {
                    "client_id": str(number), "kind": "blind" if blind else "override", "item_id": item + 1,
                    "rubric_version_id": item % RUBRICS + 1, "verdict_id": None if blind else item + 1,
                    "author_id": (item + number % 2) % PEOPLE + 1, "score": said,
                    "agrees": None if blind else said == scores[item], "note": "",
                    "created_at": START + timedelta(days=number % 180),
                }
            )  # fmt: skip
        yield chunk


if __name__ == "__main__":
    main()
