"""Long work that survives a restart: a merge, a training, a sweep.

The row in the store is the truth: what was asked, how far it is, how it ended. The durable queue only
dispatches; whatever it dispatches twice, the row ends once. See docs/decisions/2026-11-24-jobs-on-dbos.md.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import SHOWN, CancelledError, ConflictError, NotFoundError
from backend.job_dispatch import Dispatcher, RunningJob
from db import job_queries as queries
from db.models import Job, now
from db.session import Store

log = logging.getLogger(__name__)


class JobKind(StrEnum):
    MERGE = "merge"
    TRAIN = "train"
    SWEEP = "sweep"
    JUDGE = "judge"
    BENCH = "bench"


LEAST = {
    JobKind.MERGE: Role.ADMIN,
    JobKind.TRAIN: Role.ADMIN,
    JobKind.SWEEP: Role.ADMIN,
    JobKind.JUDGE: Role.LEAD,
    JobKind.BENCH: Role.LEAD,
}
"""Who may have such work done, and stop it."""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobView:
    """A job at one moment. message: a sentence for people. fraction: 0..1 where it is known. result: when done.

    A job that was cancelled while it ran counts as running until it has stopped.
    """

    id: int
    kind: JobKind
    title: str
    spec: dict[str, Any]
    state: JobState
    message: str
    fraction: float | None
    result: dict[str, Any] | None
    created_by_id: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def finished(self) -> bool:
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class JobContext:
    """What a handler is given. cancel: set when it should stop and raise CancelledError.

    report(message, fraction 0..1 or None): how far it is; cheap and never fails, so call it as often as you like.
    """

    job_id: int
    user_id: int
    spec: dict[str, Any]
    cancel: threading.Event
    report: Callable[[str, float | None], None]


Handler = Callable[[JobContext], dict[str, Any]]
"""Does the work and returns its result, of JSON values. Run again after a kill -9 it goes on where it was, and run
again after it was done it returns the same. Its child processes are in a session of their own (start_new_session),
or Ctrl-C ends them before the handler is asked to stop."""


@dataclass(frozen=True)
class _Ending:
    state: JobState
    message: str
    result: dict[str, Any] | None = None


class Jobs:
    """Jobs that are written down first, and worked on one at a time by one process of each home folder.

    most_attempts: how many times a job may end together with its process before it is given up.
    """

    def __init__(
        self, store: Store, home: Path, handlers: Mapping[JobKind, Handler], *, most_attempts: int = 15
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._most_attempts = most_attempts
        self._dispatcher = Dispatcher(store, home, self._work, self._give_up, most_attempts=most_attempts)

    def start(self) -> None:
        """Begin to work, behind the page: on what an earlier process left, then on what is submitted."""
        self._dispatcher.start()

    def submit(self, kind: JobKind, title: str, spec: dict[str, Any], user_id: int) -> int:
        """Write the job down; it begins when those before it have ended. Its id. Raises NotAllowedError, StoreError."""
        with self._store.write() as session:
            _require(session, kind, user_id)
            job = Job(kind=kind, title=title, spec=spec, state=JobState.QUEUED, created_by_id=user_id)
            session.add(job)
            session.flush()
            job_id = job.id
        self._dispatcher.wake()
        return job_id

    def get(self, job_id: int) -> JobView:
        """Raises NotFoundError."""
        with self._store.read() as session:
            row = session.get(Job, job_id)
        if row is None:
            raise NotFoundError(f"There is no job {job_id}. Reload the page: it lists those there are.")
        return self._view(row)

    def list(self, kind: JobKind | None = None, limit: int = 50) -> Sequence[JobView]:
        """The newest jobs, of one kind or of all, the newest first."""
        with self._store.read() as session:
            return [self._view(row) for row in queries.newest_jobs(session, kind, limit)]

    def cancel(self, job_id: int, user_id: int) -> None:
        """Stop a job, or keep it from beginning. One that has ended stays as it is.

        Raises NotFoundError, NotAllowedError.
        """
        kind = self.get(job_id).kind
        with self._store.write() as session:
            _require(session, kind, user_id)
            queries.cancel_job(session, job_id, now())
        running = self._dispatcher.running(job_id)
        if running is not None:
            running.cancel.set()
        self._dispatcher.wake()

    def pause(self, job_id: int, user_id: int) -> None:
        """Let a job that waits or runs stop until resume().

        Raises NotFoundError, NotAllowedError, and ConflictError for any other.
        """
        kind = self.get(job_id).kind
        with self._store.write() as session:
            _require(session, kind, user_id)
            paused = queries.pause_job(session, job_id)
        if not paused:
            raise ConflictError(f"Job {job_id} is {self.get(job_id).state}, so it can't be paused.")
        running = self._dispatcher.running(job_id)
        if running is not None:
            running.pause()

    def resume(self, job_id: int, user_id: int) -> None:
        """Let a paused job go on where it was.

        Raises NotFoundError, NotAllowedError, and ConflictError for one that is not paused.
        """
        kind = self.get(job_id).kind
        with self._store.write() as session:
            _require(session, kind, user_id)
            resumed = queries.resume_job(session, job_id)
        if not resumed:
            raise ConflictError(f"Job {job_id} is {self.get(job_id).state}, so there is nothing to resume.")
        self._dispatcher.wake()

    def again(self, job_id: int, user_id: int) -> int:
        """Submit what a failed or cancelled job was asked, as a new job; its id.

        Raises NotFoundError, NotAllowedError, and ConflictError for a job that is waiting, running or done.
        """
        job = self.get(job_id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise ConflictError(
                f"Job {job_id} is {job.state}, so there is nothing to try again. Only a failed or cancelled one can be."
            )
        return self.submit(job.kind, job.title, job.spec, user_id)

    def watch(self, job_id: int, interval: float = 0.5) -> Iterator[JobView]:
        """The job now and then whenever it has changed, looked at once an interval (seconds); ends with the job."""
        seen = None
        while seen is None or not seen.finished:
            view = self.get(job_id)
            if view != seen:
                yield view
                seen = view
            if not view.finished:
                time.sleep(interval)

    def wait(self, job_id: int, timeout: float | None = None) -> JobView:
        """The job when it has ended. Raises TimeoutError after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (view := self.get(job_id)).finished:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Job {job_id} is still {view.state} after {timeout} s: {view.message}")
            time.sleep(0.1)
        return view

    def close(self, patience: float = 30.0) -> None:
        """Stop to work. What runs has `patience` seconds to stop, and goes on at the next start."""
        self._dispatcher.close(patience)

    # What the dispatcher calls

    def _work(self, job_id: int, running: RunningJob) -> None:
        """One dispatch of a job. It begins only if its row is open."""
        with self._store.write() as session:
            begun = queries.begin_job(session, job_id, now())
            row = session.get(Job, job_id)
        if begun and row is not None:
            ending = self._ending(row, running)
            if not (running.paused and ending.state is JobState.CANCELLED):
                self._finish(job_id, ending)
        else:
            self._end(job_id, _Ending(JobState.CANCELLED, "Stopped."))

    def _ending(self, row: Job, running: RunningJob) -> _Ending:
        context = JobContext(row.id, row.created_by_id, row.spec, running.cancel, running.report)
        try:
            result = self._handlers[JobKind(row.kind)](context)
            json.dumps(result)
        except CancelledError as error:
            return _Ending(JobState.CANCELLED, str(error))
        except SHOWN as error:
            return _Ending(JobState.FAILED, str(error))
        except Exception as error:
            log.exception("job %d failed", row.id)
            return _Ending(JobState.FAILED, f"A fault in Assay ended this job: {error!r}. The log has the details.")
        return _Ending(JobState.DONE, "", result)

    def _finish(self, job_id: int, ending: _Ending) -> None:
        """Write the ending, unless it came because we close: then the job goes on at the next start."""
        if self._dispatcher.closing and ending.state is not JobState.DONE:
            with self._store.write() as session:
                if queries.requeue_job(session, job_id, "Interrupted; it goes on where it was."):
                    return
        self._end(job_id, ending)

    def _end(self, job_id: int, ending: _Ending) -> None:
        with self._store.write() as session:
            queries.end_job(session, job_id, state=ending.state, message=ending.message, result=ending.result, at=now())

    def _give_up(self, job_id: int) -> None:
        message = (
            f"The program ended {self._most_attempts} times while this job ran (killed, or out of memory), so it is "
            "not begun again by itself. Free some memory or choose smaller settings, then try again: it goes on where "
            "it was."
        )
        self._end(job_id, _Ending(JobState.FAILED, message))

    # Looking

    def _view(self, row: Job) -> JobView:
        state, message, fraction = JobState(row.state), row.message, row.fraction
        running = self._dispatcher.running(row.id)
        if state is JobState.RUNNING and running is not None and running.said is not None:
            message, fraction = running.said
        if state is JobState.QUEUED:
            message = self._dispatcher.problem or message
        if state is JobState.CANCELLED and row.finished_at is None:
            state, message = JobState.RUNNING, "Stopping …"
        return JobView(
            id=row.id,
            kind=JobKind(row.kind),
            title=row.title,
            spec=row.spec,
            state=state,
            message=message,
            fraction=fraction,
            result=row.result,
            created_by_id=row.created_by_id,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


def _require(session: Session, kind: JobKind, user_id: int) -> None:
    require_role(session, user_id, LEAST[kind], f"have {_WORK[kind]}")


_WORK = {
    JobKind.MERGE: "models merged",
    JobKind.TRAIN: "models trained",
    JobKind.SWEEP: "alphas swept",
    JobKind.JUDGE: "projects judged",
    JobKind.BENCH: "judges measured",
}
