"""Jobs: written down first, worked on one at a time, stopped on demand, and gone on with after a stop."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from sqlalchemy import event, update

from backend.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError
from backend.jobs import Handler, JobContext, JobKind, Jobs, JobState, JobView
from db.models import Job
from db.session import Store
from tests.conftest import add_user

ROOT = Path(__file__).parent.parent
Make = Callable[[Handler], Jobs]


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Iterator[Make]:
    """Jobs of this handler, each closed at the end."""
    made = []

    def make_jobs(handler: Handler) -> Jobs:
        made.append(Jobs(store, tmp_path, {JobKind.TRAIN: handler}))
        return made[-1]

    yield make_jobs
    for jobs in made:
        jobs.close(patience=5)


def submit(jobs: Jobs, user_id: int, title: str = "A job", **spec: Any) -> int:
    return jobs.submit(JobKind.TRAIN, title, spec, user_id)


def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_state(jobs: Jobs, job_id: int, state: JobState) -> Callable[[], bool]:
    return lambda: jobs.get(job_id).state is state


def echo(context: JobContext) -> dict[str, Any]:
    return {"job": context.job_id, "user": context.user_id, **context.spec}


def until_cancelled(context: JobContext) -> dict[str, Any]:
    context.report("Working.", 0.5)
    assert context.cancel.wait(20)
    raise CancelledError("The work was stopped.")


def test_a_job_is_done_and_keeps_its_result_on_both_databases(any_store: Store, tmp_path: Path) -> None:
    owner_id = add_user(any_store, "owner", "admin")
    jobs = Jobs(any_store, tmp_path, {JobKind.TRAIN: echo})
    jobs.start()
    job_id = submit(jobs, owner_id, "An expert", rows=3)
    view = jobs.wait(job_id, 20)
    jobs.close()
    assert (view.state, view.result) == (JobState.DONE, {"job": job_id, "user": owner_id, "rows": 3})
    assert (view.kind, view.title, view.fraction) == (JobKind.TRAIN, "An expert", 1.0)
    assert view.created_at <= view.started_at <= view.finished_at


def test_a_job_submitted_before_the_start_begins_with_it(make: Make, owner_id: int) -> None:
    job_id = submit(make(echo), owner_id)
    jobs = make(echo)
    assert jobs.get(job_id).state is JobState.QUEUED
    jobs.start()
    assert jobs.wait(job_id, 20).state is JobState.DONE


def test_one_job_runs_at_a_time_in_the_order_of_submission(make: Make, owner_id: int) -> None:
    at_once, most, order = 0, 0, []

    def work(context: JobContext) -> dict[str, Any]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        order.append(context.job_id)
        time.sleep(0.3)
        at_once -= 1
        return {}

    jobs = make(work)
    ids = [submit(jobs, owner_id) for _ in range(3)]
    jobs.start()
    for job_id in ids:
        jobs.wait(job_id, 20)
    assert (most, order) == (1, ids)


def test_progress_is_seen_at_once_and_written_at_most_about_once_a_second(
    make: Make, store: Store, owner_id: int
) -> None:
    reported, go_on = threading.Event(), threading.Event()

    def work(context: JobContext) -> dict[str, Any]:
        for step in range(1, 1001):
            context.report(f"Step {step}.", step / 1000)
        reported.set()
        assert go_on.wait(20)
        return {}

    updates = []
    event.listen(
        store.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *rest: updates.append(statement) if "fraction" in statement else None,
    )
    jobs = make(work)
    jobs.start()
    job_id = submit(jobs, owner_id)
    assert reported.wait(20)
    view = jobs.get(job_id)
    assert (view.message, view.fraction) == ("Step 1000.", 1.0)
    until(lambda: written(store, job_id) == ("Step 1000.", 1.0))
    go_on.set()
    jobs.wait(job_id, 20)
    assert sum(statement.startswith("UPDATE") for statement in updates) <= 4


def written(store: Store, job_id: int) -> tuple[str, float | None]:
    with store.read() as session:
        row = session.get(Job, job_id)
        return row.message, row.fraction


def test_a_running_job_counts_as_running_until_it_has_stopped(make: Make, owner_id: int) -> None:
    asked, stop = threading.Event(), threading.Event()

    def work(context: JobContext) -> dict[str, Any]:
        assert context.cancel.wait(20)
        asked.set()
        assert stop.wait(20)
        raise CancelledError("Stopped after row 7.")

    jobs = make(work)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(is_state(jobs, job_id, JobState.RUNNING))
    jobs.cancel(job_id, owner_id)
    assert asked.wait(5)
    view = jobs.get(job_id)
    assert (view.state, view.message, view.finished) == (JobState.RUNNING, "Stopping …", False)
    stop.set()
    view = jobs.wait(job_id, 20)
    assert (view.state, view.message) == (JobState.CANCELLED, "Stopped after row 7.")
    assert view.finished_at is not None


def test_a_job_that_was_done_before_it_saw_the_cancel_is_done(make: Make, owner_id: int) -> None:
    def work(context: JobContext) -> dict[str, Any]:
        context.cancel.wait(20)
        return {"made": True}

    jobs = make(work)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(is_state(jobs, job_id, JobState.RUNNING))
    jobs.cancel(job_id, owner_id)
    assert jobs.wait(job_id, 20).result == {"made": True}


def test_a_queued_job_that_is_cancelled_never_begins(make: Make, owner_id: int) -> None:
    begun = []

    def work(context: JobContext) -> dict[str, Any]:
        begun.append(context.job_id)
        return until_cancelled(context)

    jobs = make(work)
    jobs.start()
    first, second, third = (submit(jobs, owner_id) for _ in range(3))
    until(lambda: begun)
    jobs.cancel(second, owner_id)
    assert jobs.get(second).state is JobState.CANCELLED
    jobs.cancel(first, owner_id)
    until(lambda: third in begun)
    assert begun == [first, third]


def test_cancelling_a_job_that_has_ended_changes_nothing(make: Make, owner_id: int) -> None:
    jobs = make(echo)
    jobs.start()
    job_id = submit(jobs, owner_id)
    done = jobs.wait(job_id, 20)
    jobs.cancel(job_id, owner_id)
    assert jobs.get(job_id) == done


def test_an_error_meant_for_people_is_the_jobs_message(make: Make, owner_id: int) -> None:
    def work(context: JobContext) -> dict[str, Any]:
        raise InvalidInputError("The folder rows has no row. Name another.")

    jobs = make(work)
    jobs.start()
    view = jobs.wait(submit(jobs, owner_id), 20)
    assert (view.state, view.message) == (JobState.FAILED, "The folder rows has no row. Name another.")


def test_a_fault_is_logged_and_named_as_one(make: Make, owner_id: int, caplog: pytest.LogCaptureFixture) -> None:
    def work(context: JobContext) -> dict[str, Any]:
        raise ZeroDivisionError("by zero")

    jobs = make(work)
    jobs.start()
    with caplog.at_level(logging.ERROR):
        view = jobs.wait(submit(jobs, owner_id), 20)
    assert view.state is JobState.FAILED
    assert "fault in Assay" in view.message
    assert "ZeroDivisionError" in caplog.text


def test_a_result_that_cannot_be_stored_is_a_fault_and_not_an_endless_loop(make: Make, owner_id: int) -> None:
    jobs = make(lambda context: {"folder": Path("here")})
    jobs.start()
    view = jobs.wait(submit(jobs, owner_id), 20)
    assert view.state is JobState.FAILED
    assert "not JSON serializable" in view.message


def test_a_failed_or_cancelled_job_is_tried_again_as_a_new_one(make: Make, store: Store, owner_id: int) -> None:
    other_id = add_user(store, "colleague", "admin")
    broken = True

    def work(context: JobContext) -> dict[str, Any]:
        if broken:
            raise InvalidInputError("Not now.")
        return echo(context)

    jobs = make(work)
    jobs.start()
    failed = jobs.wait(submit(jobs, owner_id, "An expert", rows=3), 20)
    broken = False
    again = jobs.wait(jobs.again(failed.id, other_id), 20)
    assert again.id != failed.id
    assert (again.title, again.spec, again.result["user"]) == ("An expert", {"rows": 3}, other_id)
    assert jobs.get(failed.id) == failed
    with pytest.raises(ConflictError, match="is done"):
        jobs.again(again.id, owner_id)


def test_an_unknown_job_is_named(make: Make, owner_id: int) -> None:
    jobs = make(echo)
    for ask in (jobs.get, lambda job_id: jobs.cancel(job_id, owner_id)):
        with pytest.raises(NotFoundError, match="no job 7"):
            ask(7)


def test_jobs_are_listed_newest_first_and_by_kind(make: Make, owner_id: int) -> None:
    jobs = make(echo)
    first, second = submit(jobs, owner_id), submit(jobs, owner_id)
    merge = jobs.submit(JobKind.MERGE, "A merge", {}, owner_id)
    assert [view.id for view in jobs.list()] == [merge, second, first]
    assert [view.id for view in jobs.list(JobKind.TRAIN, limit=1)] == [second]


def test_a_job_that_runs_when_we_close_goes_on_at_the_next_start(make: Make, owner_id: int) -> None:
    lives = []

    def work(context: JobContext) -> dict[str, Any]:
        lives.append(context.job_id)
        return until_cancelled(context) if len(lives) == 1 else {"lives": len(lives)}

    jobs = make(work)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(is_state(jobs, job_id, JobState.RUNNING))
    jobs.close()
    stopped = jobs.get(job_id)
    assert (stopped.state, stopped.message) == (JobState.QUEUED, "Interrupted; it goes on where it was.")

    jobs = make(work)
    jobs.start()
    done = jobs.wait(job_id, 20)
    assert done.result == {"lives": 2}
    assert done.started_at == stopped.started_at


def test_the_home_stays_locked_while_a_job_that_does_not_stop_still_runs(
    make: Make, tmp_path: Path, owner_id: int
) -> None:
    end = threading.Event()

    def work(context: JobContext) -> dict[str, Any]:
        assert end.wait(20)
        return {}

    jobs = make(work)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(is_state(jobs, job_id, JobState.RUNNING))
    jobs.close(patience=0.2)
    with pytest.raises(Timeout), FileLock(tmp_path / "jobs.lock", timeout=0):
        pass
    end.set()
    assert jobs.wait(job_id, 20).state is JobState.DONE


def test_a_job_that_was_cancelled_while_its_process_died_is_not_begun_again(
    make: Make, store: Store, owner_id: int
) -> None:
    begun: list[JobView] = []
    dead = make(echo)
    job_id = submit(dead, owner_id)
    with store.write() as session:
        session.execute(update(Job).values(state=JobState.RUNNING))
    dead.cancel(job_id, owner_id)
    jobs = make(lambda context: begun.append(context) or {})
    jobs.start()
    view = jobs.wait(job_id, 20)
    assert (view.state, begun) == (JobState.CANCELLED, [])


def test_jobs_and_cancels_of_another_process_are_seen(make: Make, owner_id: int) -> None:
    jobs, other = make(until_cancelled), make(until_cancelled)
    jobs.start()
    job_id = submit(other, owner_id)
    until(is_state(other, job_id, JobState.RUNNING))
    other.cancel(job_id, owner_id)
    assert other.wait(job_id, 20).state is JobState.CANCELLED


def test_a_process_waits_while_another_works_on_the_jobs_of_this_home(
    make: Make, tmp_path: Path, owner_id: int
) -> None:
    jobs = make(echo)
    with FileLock(tmp_path / "jobs.lock"):
        jobs.start()
        job_id = submit(jobs, owner_id)
        time.sleep(1.5)
        assert jobs.get(job_id).state is JobState.QUEUED
    assert jobs.wait(job_id, 20).state is JobState.DONE


def test_a_damaged_queue_file_is_told_where_the_job_waits(make: Make, tmp_path: Path, owner_id: int) -> None:
    (tmp_path / "jobs.db").write_text("this is no database\n" * 100)
    jobs = make(echo)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(lambda: "file is not a database" in jobs.get(job_id).message)
    assert jobs.get(job_id).state is JobState.QUEUED


def test_jobs_survive_the_loss_of_the_queues_own_file(make: Make, tmp_path: Path, owner_id: int) -> None:
    jobs = make(until_cancelled)
    jobs.start()
    job_id = submit(jobs, owner_id)
    until(is_state(jobs, job_id, JobState.RUNNING))
    jobs.close()
    (tmp_path / "jobs.db").unlink()
    jobs = make(echo)
    jobs.start()
    assert jobs.wait(job_id, 20).state is JobState.DONE


def test_dbos_is_not_imported_before_there_is_a_job(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib; from db.session import Store; from backend.jobs import Jobs\n"
        f"home = pathlib.Path({str(tmp_path)!r}); store = Store(f'sqlite:///{{home}}/assay.db'); store.migrate()\n"
        "jobs = Jobs(store, home, {}); jobs.start(); time.sleep(1.5); jobs.close()\n"
        "sys.exit('dbos' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
