"""A process that works on a job is killed again and again; the job is done all the same, and done once."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.jobs import JobKind, Jobs, JobState, JobView
from db.models import User
from db.session import Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
KILLS = 10
CELLS = 50


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with an owner, and a table of cells that would hold two of the same."""
    store = Store(f"sqlite:///{tmp_path / 'assay.db'}")
    store.migrate()
    with store.write() as session:
        session.add(User(name="owner", role="admin"))
    store.close()
    with sqlite3.connect(tmp_path / "cells.db") as cells:
        cells.execute("CREATE TABLE cells (number INTEGER)")
    cells.close()
    return tmp_path


def submit(home: Path, kind: JobKind) -> int:
    store = Store(f"sqlite:///{home / 'assay.db'}")
    job_id = Jobs(store, home, {}).submit(kind, "A drill", {"cells": CELLS}, 1)
    store.close()
    return job_id


def look(home: Path, job_id: int) -> JobView:
    store = Store(f"sqlite:///{home / 'assay.db'}")
    view = Jobs(store, home, {}).get(job_id)
    store.close()
    return view


def cells_of(home: Path) -> list[int]:
    cells = sqlite3.connect(home / "cells.db")
    numbers = [number for (number,) in cells.execute("SELECT number FROM cells ORDER BY number")]
    cells.close()
    return numbers


def process(home: Path, job_id: int) -> "subprocess.Popen[bytes]":
    """A process that works on the home's jobs until this one has ended."""
    return subprocess.Popen([sys.executable, "-m", "tests.drills.job_process", str(home), str(job_id)], cwd=ROOT)


def test_a_job_killed_ten_times_makes_every_cell_exactly_once(home: Path) -> None:
    """Every other kill hits the work, at a random moment; the others hit whatever goes on then, often the start."""
    job_id = submit(home, JobKind.SWEEP)
    chance = random.Random(7)
    for kill in range(KILLS):
        before = len(cells_of(home))
        child = process(home, job_id)
        if kill % 2:
            while len(cells_of(home)) == before:
                assert child.poll() is None, "the job ended before the last kill: give it more cells"
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.8))
        else:
            time.sleep(chance.uniform(0.3, 2.5))
        child.kill()
        child.wait()
    assert len(cells_of(home)) < CELLS
    assert process(home, job_id).wait(180) == 0
    view = look(home, job_id)
    assert (view.state, view.result) == (JobState.DONE, {"cells": CELLS})
    assert cells_of(home) == list(range(CELLS))


def test_of_two_processes_the_second_takes_over_and_no_cell_is_made_twice(home: Path) -> None:
    job_id = submit(home, JobKind.SWEEP)
    first = process(home, job_id)
    while not cells_of(home):
        time.sleep(0.05)
    second = process(home, job_id)
    time.sleep(3)
    first.kill()
    first.wait()
    assert len(cells_of(home)) < CELLS
    assert second.wait(180) == 0
    assert cells_of(home) == list(range(CELLS))


def test_a_job_that_always_ends_its_process_is_given_up(home: Path) -> None:
    job_id = submit(home, JobKind.TRAIN)
    codes = [process(home, job_id).wait(180) for _ in range(4)]
    view = look(home, job_id)
    assert codes == [9, 9, 9, 0]
    assert view.state is JobState.FAILED
    assert "ended 3 times while this job ran" in view.message
