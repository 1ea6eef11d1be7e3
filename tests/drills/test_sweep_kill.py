"""A sweep that is killed again and again has, in the end, read every prompt exactly once, and found the same."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.sweep_results import SweepResult
from backend.sweep_spec import read_sweep
from db.session import Store
from tests.experts import make_family
from tests.labelled import write_sets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
ROWS = 60
KILLS = 3
POINTS = 5
"""Two experts and three alphas that are none of them."""


@pytest.fixture
def make_home(tmp_path: Path):  # type: ignore[no-untyped-def]
    family = make_family(tmp_path / "family")

    def make(name: str) -> Path:
        home = tmp_path / name
        write_sets(home / "data", ROWS)
        store = Store(f"sqlite:///{home / 'assay.db'}")
        store.migrate()
        store.close()
        spec = read_sweep(
            {
                "direct": str(family.direct),
                "pairwise": str(family.pairwise),
                "alphas": [0, 0.2, 0.5, 0.8, 1],
                "sets": [{"name": "dev/direct_kind"}, {"name": "dev/pairwise_kind"}],
                "dtype": "float32",
            }
        )
        (home / "sweep.json").write_text(spec.model_dump_json())
        return home

    return make


def start(home: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.drills.sweep_process", str(home)], cwd=ROOT)


def readings(home: Path) -> list[tuple[int, str]]:
    connection = sqlite3.connect(home / "assay.db")
    found = connection.execute("SELECT judge_id, prompt_digest FROM readings").fetchall()
    connection.close()
    return found


def test_a_killed_sweep_reads_every_prompt_exactly_once(make_home) -> None:  # type: ignore[no-untyped-def]
    home, undisturbed = make_home("killed"), make_home("undisturbed")
    prompts = len(set(_prompts(undisturbed)))
    for kill in range(1, KILLS + 1):
        process = start(home)
        deadline = time.monotonic() + 300
        while len(readings(home)) < kill * prompts * POINTS // (KILLS + 1):
            assert process.poll() is None, "the sweep ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()
    assert not (home / "result.json").exists()
    assert start(home).wait(300) == 0
    found = readings(home)
    assert len(found) == len(set(found)) == prompts * POINTS
    results = [SweepResult.model_validate_json((one / "result.json").read_text()) for one in (home, undisturbed)]
    assert [[cell.figures for cell in point.cells] for point in results[0].points] == [
        [cell.figures for cell in point.cells] for point in results[1].points
    ]


def _prompts(undisturbed: Path) -> list[str]:
    """What one judge is asked, by a sweep that nobody kills."""
    assert start(undisturbed).wait(300) == 0
    found = readings(undisturbed)
    return [prompt for judge, prompt in found if judge == found[0][0]]
