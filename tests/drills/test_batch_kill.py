"""A batch that is killed 20 times at random moments has, in the end, exactly one verdict on each of its 200 items."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.batch_job import BatchJudging, BatchOrder
from backend.jobs import Jobs, JobState
from backend.types import Sampling
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.project_bench import ProjectBench

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
ITEMS = 200
KILLS = 20


def rows(home: Path, query: str) -> list[tuple[int, ...]]:
    connection = sqlite3.connect(home / "assay.db")
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_killed_batch_has_one_verdict_for_each_item(store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(store, tmp_path)
    jobs = Jobs(store, tmp_path, {})
    job_id = BatchJudging(store, fast_serving(store, tmp_path, FastEngine())).submit(
        jobs, BatchOrder(bench.filled(ITEMS).id, Sampling()), bench.lead
    )
    chance, kills, at_work = random.Random(5), 0, 0
    while kills < KILLS:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.drills.batch_process", str(tmp_path), str(job_id)], cwd=ROOT
        )
        before = len(rows(tmp_path, "SELECT id FROM readings"))
        deadline = time.monotonic() + 60
        while len(rows(tmp_path, "SELECT id FROM readings")) == before and time.monotonic() < deadline:
            assert process.poll() is None, "the batch ended before it was killed often enough"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.wait()
        kills += 1
        at_work += len(rows(tmp_path, "SELECT id FROM readings")) > before
    assert at_work == KILLS
    assert len(rows(tmp_path, "SELECT id FROM verdicts")) < ITEMS
    last = subprocess.run([sys.executable, "-m", "tests.drills.batch_process", str(tmp_path), str(job_id)], cwd=ROOT)
    assert last.returncode == 0
    assert jobs.get(job_id).state is JobState.DONE
    verdicts = rows(tmp_path, "SELECT item_id, attempt FROM verdicts")
    assert len(verdicts) == len({item for item, _attempt in verdicts}) == ITEMS
    assert {attempt for _item, attempt in verdicts} == {1}
    readings = rows(tmp_path, "SELECT judge_id, prompt_digest FROM readings")
    assert len(readings) == len(set(readings)) == ITEMS
