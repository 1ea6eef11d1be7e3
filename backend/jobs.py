"""Long work that survives a restart: a merge, a training, a sweep.

The row in the store is the truth: what was asked, how far it is, how it ended. The durable queue only
dispatches; whatever it dispatches twice, the row ends once. See docs/decisions/2026-11-24-jobs-on-dbos.md.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.durable import DurableQueue, Standing
from backend.errors import SHOWN, CancelledError, ConflictError, NotFoundError
from db import job_queries as queries
from db.models import Job, now
from db.session import Store

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""How often progress is written, and how soon a job or a cancel that came by another process is seen."""
RETRY_SECONDS = 30.0
"""How long to wait after the queue could not be opened."""


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


@dataclass
class _Running:
    """A job that this process works on. said: the newest progress; written: whether the row has it.

    paused: it was asked to stop in order to go on later.
    """

    cancel: threading.Event = field(default_factory=threading.Event)
    said: tuple[str, float | None] | None = None
    written: bool = True
    paused: bool = False

    def report(self, message: str, fraction: float | None) -> None:
        self.said, self.written = (message, fraction), False


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
        self._home = home
        self._handlers = handlers
        self._most_attempts = most_attempts
        self._running: dict[int, _Running] = {}
        self._guard = threading.Lock()
        self._lock = FileLock(home / "jobs.lock", thread_local=False)
        self._queue: DurableQueue | None = None
        self._patience = 30.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._dispatcher: threading.Thread | None = None
        self._problem: str | None = None

    def start(self) -> None:
        """Begin to work, behind the page: on what an earlier process left, then on what is submitted."""
        if self._dispatcher is None:
            self._dispatcher = threading.Thread(target=self._dispatch, name="jobs", daemon=True)
            self._dispatcher.start()

    def submit(self, kind: JobKind, title: str, spec: dict[str, Any], user_id: int) -> int:
        """Write the job down; it begins when those before it have ended. Its id. Raises NotAllowedError, StoreError."""
        with self._store.write() as session:
            _require(session, kind, user_id)
            job = Job(kind=kind, title=title, spec=spec, state=JobState.QUEUED, created_by_id=user_id)
            session.add(job)
            session.flush()
            job_id = job.id
        self._wake.set()
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
        with self._guard:
            running = self._running.get(job_id)
        if running is not None:
            running.cancel.set()
        self._wake.set()

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
        with self._guard:
            running = self._running.get(job_id)
        if running is not None:
            running.paused = True
            running.cancel.set()

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
        self._wake.set()

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
        self._patience = patience
        with self._guard:
            self._closing.set()
            for running in self._running.values():
                running.cancel.set()
        self._wake.set()
        if self._dispatcher is not None:
            self._dispatcher.join(patience + 20)

    # The dispatcher's thread

    def _dispatch(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self._closing.wait(0 if self._tick() else RETRY_SECONDS)
            self._wake.wait(TICK_SECONDS)
        if self._queue is None or self._queue.close(self._patience):
            self._lock.release()
        else:  # it stays ours until this process ends, or another would work beside what still runs here
            log.warning("a job did not stop within %s s of being asked to; it ends with this process", self._patience)

    def _tick(self) -> bool:
        """See what is to be done. False if it could not be: the next try should wait a while."""
        try:
            with self._store.read() as session:
                waiting = {row.id: JobState(row.state) for row in queries.open_jobs(session)}
            if not waiting:
                return True
            self._queue = self._queue or self._opened()
            if self._queue is not None:
                self._care_for_running(waiting)
                self._put_others(self._queue, waiting)
        except SHOWN as error:
            log.warning("jobs wait: %s", error)
            self._problem = f"Jobs wait: {error}"
            return False
        except Exception as error:
            log.exception("jobs can't be dispatched")
            self._problem = f"Jobs can't be worked on: {error!r}. The log has the details; it is tried again."
            return False
        self._problem = None
        return True

    def _opened(self) -> DurableQueue | None:
        """None while another process works on this home's jobs: it sees ours too."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return None
        executor_id = _executor_id(self._home)
        queue = DurableQueue(self._queue_url(), executor_id, self._work, most_attempts=self._most_attempts)
        try:
            if queue.open():
                return queue
        except BaseException:
            self._lock.release()
            raise
        self._lock.release()
        return None

    def _care_for_running(self, waiting: Mapping[int, JobState]) -> None:
        with self._guard:
            ours = dict(self._running)
        for job_id, running in ours.items():
            if waiting.get(job_id) is JobState.CANCELLED:
                running.cancel.set()
            if job_id not in waiting:  # paused by another process, or just ended
                running.paused = True
                running.cancel.set()
            if running.said is not None and not running.written:
                running.written = True
                with self._store.write() as session:
                    queries.keep_progress(session, job_id, *running.said)

    def _put_others(self, queue: DurableQueue, waiting: Mapping[int, JobState]) -> None:
        """Dispatch whatever is open and neither runs here nor waits in the queue, whyever that is."""
        with self._guard:
            others = [job_id for job_id in waiting if job_id not in self._running]
        for job_id, dispatched in queue.dispatched(others).items():
            match dispatched.standing:
                case Standing.NEVER | Standing.ENDED:
                    queue.put(job_id, dispatched.count + 1)
                case Standing.GIVEN_UP:
                    self._end(job_id, _Ending(JobState.FAILED, _given_up(self._most_attempts)))
                case Standing.OPEN:
                    pass

    # The queue's thread

    def _work(self, job_id: int) -> None:
        """One dispatch of a job. It begins only if its row is open."""
        running = _Running()
        with self._guard:
            if self._closing.is_set():
                return
            self._running[job_id] = running
        try:
            with self._store.write() as session:
                begun = queries.begin_job(session, job_id, now())
                row = session.get(Job, job_id)
            if begun and row is not None:
                ending = self._ending(row, running)
                if not (running.paused and ending.state is JobState.CANCELLED):
                    self._finish(job_id, ending)
            else:
                self._end(job_id, _Ending(JobState.CANCELLED, "Stopped."))
        finally:
            with self._guard:
                del self._running[job_id]

    def _ending(self, row: Job, running: _Running) -> _Ending:
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
        if self._closing.is_set() and ending.state is not JobState.DONE:
            with self._store.write() as session:
                if queries.requeue_job(session, job_id, "Interrupted; it goes on where it was."):
                    return
        self._end(job_id, ending)

    def _end(self, job_id: int, ending: _Ending) -> None:
        with self._store.write() as session:
            queries.end_job(session, job_id, state=ending.state, message=ending.message, result=ending.result, at=now())

    # Looking

    def _view(self, row: Job) -> JobView:
        state, message, fraction = JobState(row.state), row.message, row.fraction
        with self._guard:
            running = self._running.get(row.id)
        if state is JobState.RUNNING and running is not None and running.said is not None:
            message, fraction = running.said
        if state is JobState.QUEUED:
            message = self._problem or message
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

    def _queue_url(self) -> str:
        """Beside the store: DBOS's tables have a file of their own, or on PostgreSQL a schema of their own."""
        if self._store.is_sqlite:
            return f"sqlite:///{self._home / 'jobs.db'}"
        return self._store.url.render_as_string(hide_password=False)


def _executor_id(home: Path) -> str:
    """The name under which this home's processes take over from each other, made once."""
    file = home / "jobs.id"
    known = file.read_text("ascii").strip() if file.is_file() else ""
    if not known:
        known = uuid.uuid4().hex
        file.write_text(known, "ascii")
    return known


def _given_up(attempts: int) -> str:
    return (
        f"The program ended {attempts} times while this job ran (killed, or out of memory), so it is not begun again "
        "by itself. Free some memory or choose smaller settings, then try again: it goes on where it was."
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
