"""Sees to it that a home's open jobs are worked on, one at a time, by one of its processes, until that closes.

It knows which jobs are open, not what they are: see jobs.py for how one is done and how it ends.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from backend.durable import DurableQueue, Standing
from backend.errors import SHOWN
from db import job_queries as queries
from db.models import Job
from db.session import Store

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
"""How often progress is written, and how soon a job or a cancel that came by another process is seen."""
RETRY_SECONDS = 30.0
"""How long to wait after the queue could not be opened."""


@dataclass
class RunningJob:
    """A job that this process works on. said: the newest progress; written: whether the row has it.

    paused: it was asked to stop in order to go on later.
    """

    cancel: threading.Event = field(default_factory=threading.Event)
    said: tuple[str, float | None] | None = None
    written: bool = True
    paused: bool = False

    def report(self, message: str, fraction: float | None) -> None:
        self.said, self.written = (message, fraction), False

    def pause(self) -> None:
        self.paused = True
        self.cancel.set()


class Dispatcher:
    """Puts open jobs into the home's durable queue, which calls work(job_id, running) in a thread of its own.

    give_up: called with the id of a job that ended `most_attempts` times together with its process.
    """

    def __init__(
        self,
        store: Store,
        home: Path,
        work: Callable[[int, RunningJob], None],
        give_up: Callable[[int], None],
        *,
        most_attempts: int,
    ) -> None:
        self._store = store
        self._home = home
        self._work = work
        self._give_up = give_up
        self._most_attempts = most_attempts
        self._running: dict[int, RunningJob] = {}
        self._guard = threading.Lock()
        self._lock = FileLock(home / "jobs.lock", thread_local=False)
        self._queue: DurableQueue | None = None
        self._patience = 30.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why jobs wait though they could be worked on: a sentence for people."""
        return self._problem

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def running(self, job_id: int) -> RunningJob | None:
        """The job if this process works on it now."""
        with self._guard:
            return self._running.get(job_id)

    def start(self) -> None:
        """Begin to work, behind the page: on what an earlier process left, then on what is submitted."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at the rows now: one was submitted, cancelled or resumed."""
        self._wake.set()

    def close(self, patience: float) -> None:
        """Stop to work. What runs has `patience` seconds to stop, and goes on at the next start."""
        self._patience = patience
        with self._guard:
            self._closing.set()
            for running in self._running.values():
                running.cancel.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience + 20)

    # The dispatcher's thread

    def _run(self) -> None:
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
                waiting = {row.id: row for row in queries.open_jobs(session)}
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
        queue = DurableQueue(self._queue_url(), executor_id, self._do, most_attempts=self._most_attempts)
        try:
            if queue.open():
                return queue
        except BaseException:
            self._lock.release()
            raise
        self._lock.release()
        return None

    def _queue_url(self) -> str:
        """Beside the store: DBOS's tables have a file of their own, or on PostgreSQL a schema of their own."""
        if self._store.is_sqlite:
            return f"sqlite:///{self._home / 'jobs.db'}"
        return self._store.url.render_as_string(hide_password=False)

    def _care_for_running(self, waiting: Mapping[int, Job]) -> None:
        with self._guard:
            ours = dict(self._running)
        for job_id, running in ours.items():
            row = waiting.get(job_id)
            if row is None:  # paused by another process, or just ended
                running.pause()
            elif row.state == "cancelled":
                running.cancel.set()
            if running.said is not None and not running.written:
                running.written = True
                with self._store.write() as session:
                    queries.keep_progress(session, job_id, *running.said)

    def _put_others(self, queue: DurableQueue, waiting: Mapping[int, Job]) -> None:
        """Dispatch whatever is open and neither runs here nor waits in the queue, whyever that is."""
        with self._guard:
            others = [job_id for job_id in waiting if job_id not in self._running]
        for job_id, dispatched in queue.dispatched(others).items():
            match dispatched.standing:
                case Standing.NEVER | Standing.ENDED:
                    queue.put(job_id, dispatched.count + 1)
                case Standing.GIVEN_UP:
                    self._give_up(job_id)
                case Standing.OPEN:
                    pass

    # The queue's thread

    def _do(self, job_id: int) -> None:
        running = RunningJob()
        with self._guard:
            if self._closing.is_set():
                return
            self._running[job_id] = running
        try:
            self._work(job_id, running)
        finally:
            with self._guard:
                del self._running[job_id]


def _executor_id(home: Path) -> str:
    """The name under which this home's processes take over from each other, made once."""
    file = home / "jobs.id"
    known = file.read_text("ascii").strip() if file.is_file() else ""
    if not known:
        known = uuid.uuid4().hex
        file.write_text(known, "ascii")
    return known
