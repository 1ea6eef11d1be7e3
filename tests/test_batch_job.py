"""Judging a whole project: once each, going on where it was, giving way to people, naming what failed."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.batch_job import BatchJudging, BatchOrder, BatchResult
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError, ConflictError, NotAllowedError
from backend.jobs import JobKind, Jobs, JobState
from backend.projects import ProjectView
from backend.serving import Serving
from backend.types import Mode, Sampling
from db import project_queries as queries
from db.models import Reading, Verdict
from db.session import Store
from tests.batch_engine import FastEngine, fast_served, fast_serving
from tests.counting_format import CountingFormat
from tests.project_bench import ProjectBench, rows_of


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def judging_of(bench: ProjectBench) -> BatchJudging:
    return BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))


def quiet(_message: str, _fraction: float | None) -> None:
    pass


def run(bench: ProjectBench, judging: BatchJudging, view: ProjectView, **changes: Any) -> BatchResult:
    order = BatchOrder(view.id, **{"sampling": Sampling(), **changes})
    return judging.run(order, bench.lead, quiet, threading.Event())


def count(store: Store, table: type[Reading] | type[Verdict]) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize(("mode", "passes"), [(Mode.DIRECT, 1), (Mode.PAIRWISE, 2), (Mode.RANKING, 9)])
def test_every_item_gets_one_verdict_and_a_second_batch_asks_nothing(
    any_store: Store, tmp_path: Path, mode: Mode, passes: int
) -> None:
    bench, engine = ProjectBench(any_store, tmp_path), FastEngine()
    judging = BatchJudging(any_store, fast_serving(any_store, tmp_path, engine))
    view = bench.filled(11, mode)
    for _ in range(2):
        result = run(bench, judging, view)
        assert (result.items, result.judged, result.failed) == (11, 11, 0)
        assert len(engine.asked) == count(any_store, Reading) == 11 * passes
        assert count(any_store, Verdict) == 11
    assert bench.projects.progress(view.id).judged == 11


@pytest.mark.parametrize(("mode", "prompts"), [(Mode.DIRECT, 3), (Mode.PAIRWISE, 6), (Mode.RANKING, 27)])
def test_a_batch_builds_each_prompt_once(bench: ProjectBench, tiny_model: Path, mode: Mode, prompts: int) -> None:
    format, engine = CountingFormat(), TransformersEngine(tiny_model, device="cpu", dtype="float32")
    served = replace(fast_served(bench.store, bench.folder, FastEngine()), engine=engine, format=format)
    serving = Serving(lambda report: served)
    result = run(bench, BatchJudging(bench.store, serving), bench.filled(3, mode), sampling=Sampling(feedback=False))
    serving.close()
    assert (result.judged, result.failed) == (3, 0)
    assert len(format.built) == prompts
    assert set(format.built.values()) == {1}


def test_what_failed_is_named_and_tried_again_alone(bench: ProjectBench) -> None:
    engine = FastEngine()
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, engine))
    view = bench.project()
    odd = [{"instruction": "TOO LONG", "response": "a"}, {"instruction": "UNREADABLE", "response": "b"}]
    bench.importing.run(str(bench.file(rows_of(3) + odd)), view.id, bench.lead)
    result = run(bench, judging, view)
    assert (result.judged, result.failed) == (3, 2)
    with bench.store.read() as session:
        reasons = [failure.reason for _item, failure in queries.failures(session, view.id, 10)]
    assert "2,000 tokens long" in reasons[0]
    assert "could not be read" in reasons[1]

    asked, engine.too_long, engine.unreadable = len(engine.asked), "never", ""
    result = run(bench, judging, view, failed_only=True)
    assert (result.judged, result.failed) == (5, 0)
    assert len(engine.asked) == asked + 2


def test_rankings_of_many_responses_go_on_from_the_round_where_they_were(bench: ProjectBench) -> None:
    """Asked in rounds; stopped in the middle and begun again, nothing is asked twice."""
    engine = FastEngine()
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, engine))
    view = bench.project(mode=Mode.RANKING)
    many = [{"instruction": f"Question {n}?", "responses": [f"{n}, number {k}" for k in range(9)]} for n in range(3)]
    bench.importing.run(str(bench.file(many)), view.id, bench.lead)
    cancel = threading.Event()
    engine.after, engine.then = 40, cancel.set
    with pytest.raises(CancelledError):
        judging.run(BatchOrder(view.id, Sampling()), bench.lead, quiet, cancel)
    assert 40 <= count(bench.store, Reading) == len(engine.asked) < 3 * (9 + 72)
    result = run(bench, judging, view)
    assert (result.judged, result.failed) == (3, 0)
    digests = [prompt.digest for prompt in engine.asked]
    assert len(digests) == len(set(digests)) == count(bench.store, Reading)
    with bench.store.read() as session:
        for verdict in session.scalars(select(Verdict)):
            assert len(verdict.readings) == 9 + 2 * verdict.ranking["pairs"]
            assert verdict.ranking["pairs"] < 36


def test_a_person_goes_ahead_of_the_batch(bench: ProjectBench) -> None:
    engine = FastEngine(seconds=0.05)
    serving = fast_serving(bench.store, bench.folder, engine)
    view = bench.filled(60)
    batch = threading.Thread(target=lambda: run(bench, BatchJudging(bench.store, serving), view))
    batch.start()
    while len(engine.asked) < 3:
        time.sleep(0.01)
    begun = time.monotonic()
    with serving.use(threading.Event()):
        waited, before = time.monotonic() - begun, len(engine.asked)
    batch.join(30)
    assert waited < 0.3
    assert before < 10
    assert count(bench.store, Verdict) == len(engine.asked) == 60


def test_a_paused_batch_stands_still_and_goes_on_where_it_was(bench: ProjectBench) -> None:
    engine = FastEngine(seconds=0.05)
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, engine))
    jobs = Jobs(bench.store, bench.folder, {JobKind.JUDGE: judging.handle})
    view = bench.filled(40)
    order = BatchOrder(view.id, Sampling())
    job_id = judging_of(bench).submit(jobs, order, bench.lead)
    with pytest.raises(ConflictError, match="judges this project already"):
        judging_of(bench).submit(jobs, order, bench.lead)
    jobs.start()
    while len(engine.asked) < 5:
        time.sleep(0.01)
    jobs.pause(job_id, bench.lead)
    time.sleep(0.5)
    still = len(engine.asked)
    time.sleep(1.5)
    assert len(engine.asked) == still < 40
    assert jobs.get(job_id).state is JobState.PAUSED
    with pytest.raises(ConflictError, match="paused"):
        jobs.pause(job_id, bench.lead)
    jobs.resume(job_id, bench.lead)
    done = jobs.wait(job_id, 30)
    assert (done.state, done.result) == (JobState.DONE, {"items": 40, "judged": 40, "failed": 0})
    assert len(engine.asked) == 40
    with pytest.raises(ConflictError, match="nothing to resume"):
        jobs.resume(job_id, bench.lead)
    jobs.close()


def test_a_paused_batch_can_be_cancelled(bench: ProjectBench) -> None:
    jobs = Jobs(bench.store, bench.folder, {})
    job_id = judging_of(bench).submit(jobs, BatchOrder(bench.filled(1).id, Sampling()), bench.lead)
    jobs.pause(job_id, bench.lead)
    jobs.cancel(job_id, bench.lead)
    assert jobs.get(job_id).state is JobState.CANCELLED


def test_a_cancelled_batch_keeps_what_it_has(bench: ProjectBench) -> None:
    engine = FastEngine(seconds=0.02)
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, engine))
    view, cancel = bench.filled(40), threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(CancelledError):
        judging.run(BatchOrder(view.id, Sampling()), bench.lead, quiet, cancel)
    assert 0 < count(bench.store, Verdict) <= len(engine.asked) < 40
    run(bench, judging, view)
    assert count(bench.store, Verdict) == len(engine.asked) == 40


def test_another_judge_or_an_annotator_can_not_go_on_with_it(bench: ProjectBench) -> None:
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    view = bench.filled(1)
    with pytest.raises(ConflictError, match="fast serves now"):
        run(bench, judging, view, model_version_id=99)
    with pytest.raises(NotAllowedError):
        judging.submit(Jobs(bench.store, bench.folder, {}), BatchOrder(view.id, Sampling()), bench.ann)
