"""An import is in its project whole or not at all, whatever ends it, and nobody waits for more than a chunk of it."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from backend.errors import ConflictError
from backend.project_import import ProjectImport
from backend.project_rows import guess_mapping, read_row
from backend.project_staging import LEFT_BEHIND, Staging
from backend.projects import ProjectState
from backend.types import Mode
from db.models import ProjectItem, StagedItem, now
from db.session import Store
from tests.project_bench import RUBRIC, ProjectBench, rows_of

ROOT = Path(__file__).parent.parent
IMPORT = """
import sys
from backend.project_import import ProjectImport
from db.session import Store
ProjectImport(Store(sys.argv[1])).run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
"""


@pytest.fixture
def bench(any_store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(any_store, tmp_path)


def count(store: Store, table: type[ProjectItem] | type[StagedItem]) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_import_that_is_killed_leaves_nothing_in_the_project_and_goes_again(store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(store, tmp_path)
    view, rows = bench.project(), bench.file(rows_of(20_000))
    arguments = [str(store.url), str(rows), str(view.id), str(bench.lead)]
    child = subprocess.Popen([sys.executable, "-c", IMPORT, *arguments], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while count(store, StagedItem) < 2_000:
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert count(store, StagedItem) >= 2_000
    assert bench.projects.get(view.id).items == 0
    with store.write() as session:
        session.execute(update(StagedItem).values(staged_at=now() - LEFT_BEHIND - timedelta(seconds=1)))
    short = bench.file(rows_of(500), "short.jsonl")
    assert bench.importing.run(str(short), view.id, bench.lead).imported == 500
    assert count(store, StagedItem) == 0
    assert bench.projects.get(view.id).items == 500


def test_two_imports_at_once_never_mix(bench: ProjectBench) -> None:
    view, mapping = bench.project(), guess_mapping(("instruction", "response"), Mode.DIRECT)
    rows = [read_row(row, mapping, Mode.DIRECT) for row in rows_of(5)]
    with Staging(bench.store, view.id, bench.lead) as slow:
        slow.add(rows)
        bench.importing.run(str(bench.file(rows_of(2))), view.id, bench.lead)
        with pytest.raises(ConflictError, match="Another import added items"):
            slow.finish()
    assert bench.projects.get(view.id).items == 2
    assert count(bench.store, StagedItem) == 0


def test_a_project_that_is_closed_meanwhile_gets_nothing(bench: ProjectBench) -> None:
    view, mapping = bench.project(), guess_mapping(("instruction", "response"), Mode.DIRECT)
    with Staging(bench.store, view.id, bench.lead) as staging:
        staging.add([read_row(row, mapping, Mode.DIRECT) for row in rows_of(5)])
        bench.projects.set_state(view.id, ProjectState.CLOSED, bench.lead)
        with pytest.raises(ConflictError, match="Reopen it first"):
            staging.finish()
    assert (bench.projects.get(view.id).items, count(bench.store, StagedItem)) == (0, 0)


def test_a_row_with_the_projects_own_rubric_is_the_same_as_one_without(bench: ProjectBench) -> None:
    plain = rows_of(800)
    named = [
        {**row, "rubric": {"criteria": RUBRIC.criterion, "scores": list(RUBRIC.levels)}} for row in rows_of(800)
    ]  # fmt: skip
    view = bench.project()
    report = ProjectImport(bench.store).run(str(bench.file(plain + named)), view.id, bench.lead)
    assert (report.imported, report.duplicates) == (800, 800)
