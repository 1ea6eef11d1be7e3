"""Work that is dispatched again if the process died during it: DBOS Transact, and the only file that knows it."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from dbos import DBOS

APPLICATION = "assay"
APPLICATION_VERSION = "1"
"""Ours and fixed: DBOS recovers its own version only, and by default that is the hash of the code."""
QUEUE = "assay-jobs"
POLL_SECONDS = 0.5


class Standing(StrEnum):
    """What became of a job's newest dispatch."""

    NEVER = "never dispatched"
    OPEN = "waiting or running, here or in another process"
    ENDED = "ended"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Dispatched:
    """How a job stands, and how many dispatches were put so far."""

    standing: Standing
    count: int


class DurableQueue:
    """Calls work(job_id) for what is put, one at a time; what a dead process left is called again after open().

    url: where DBOS keeps its tables (SQLite or PostgreSQL). executor_id: of this home folder; whoever opens
    under it takes over what the last one left, so only one process may. most_attempts: a dispatch that ended
    with its process so many times is given up. DBOS is one per process: a second queue waits its turn.
    """

    _one_per_process: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, url: str, executor_id: str, work: Callable[[int], None], *, most_attempts: int) -> None:
        self._url = url
        self._executor_id = executor_id
        self._work = work
        self._most_attempts = most_attempts
        self._dbos: type[DBOS] | None = None
        self._workflow: Callable[[int], None] | None = None

    def open(self) -> bool:
        """Start to dispatch, beginning with what was left. False while another queue of this process is open.

        Slow (0.5 s): DBOS is first imported here. Raises what DBOS raises where its tables can't be used.
        """
        if not self._one_per_process.acquire(blocking=False):
            return False
        from dbos import DBOS, DBOSPortableJSONSerializer

        try:
            DBOS(
                config={
                    "name": APPLICATION,
                    "application_version": APPLICATION_VERSION,
                    "executor_id": self._executor_id,
                    "system_database_url": self._url,
                    "sys_db_pool_size": 5,
                    "use_listen_notify": False,
                    "serializer": DBOSPortableJSONSerializer(),
                    "enable_otlp": False,
                    "log_level": "ERROR",
                }
            )
            register = DBOS.workflow(name="job", max_recovery_attempts=self._most_attempts - 1)
            self._workflow = register(_plain(self._work))
            DBOS.launch()
            DBOS.register_queue(
                QUEUE, worker_concurrency=1, polling_interval_sec=POLL_SECONDS, on_conflict="always_update"
            )
        except BaseException:
            self._destroy(DBOS)
            raise
        self._dbos = DBOS
        return True

    def put(self, job_id: int, number: int) -> None:
        """Dispatch a job. The same number of the same job again changes nothing."""
        from dbos import SetWorkflowID

        assert self._dbos is not None  # open() came first
        assert self._workflow is not None
        with SetWorkflowID(f"{_prefix(job_id)}{number}"):
            self._dbos.enqueue_workflow(QUEUE, self._workflow, job_id)

    def dispatched(self, job_ids: Collection[int]) -> dict[int, Dispatched]:
        """How each of these jobs stands."""
        assert self._dbos is not None  # open() came first
        if not job_ids:
            return {}
        found = self._dbos.list_workflows(
            workflow_id_prefix=[_prefix(job_id) for job_id in job_ids], load_input=False, load_output=False
        )
        statuses: dict[int, dict[int, str]] = {job_id: {} for job_id in job_ids}
        for workflow in found:
            job_id, number = map(int, workflow.workflow_id.removeprefix("job-").split("."))
            statuses[job_id][number] = workflow.status
        return {
            job_id: Dispatched(_standing(of_job[max(of_job)]), max(of_job)) if of_job else Dispatched(Standing.NEVER, 0)
            for job_id, of_job in statuses.items()
        }

    def close(self, patience: float) -> bool:
        """Stop to dispatch. Work that is going on has `patience` seconds to return; False if it has not."""
        if self._dbos is None:
            return True
        deadline = time.monotonic() + patience
        while (working := self._is_working(self._dbos)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._destroy(self._dbos)
        self._dbos = self._workflow = None
        return not working

    def _is_working(self, dbos: "type[DBOS]") -> bool:
        with contextlib.suppress(Exception):  # its tables can't be read: then there is nothing to wait for
            return bool(
                dbos.list_workflows(
                    status="PENDING", executor_id=self._executor_id, limit=1, load_input=False, load_output=False
                )
            )
        return False

    def _destroy(self, dbos: "type[DBOS]") -> None:
        try:
            dbos.destroy(destroy_registry=True)
        finally:
            self._one_per_process.release()


def _plain(work: Callable[[int], None]) -> Callable[[int], None]:
    """A plain function, since DBOS writes its notes on what it registers."""

    def job(job_id: int) -> None:
        work(job_id)

    return job


def _prefix(job_id: int) -> str:
    return f"job-{job_id}."


def _standing(status: str) -> Standing:
    match status:
        case "ENQUEUED" | "PENDING" | "DELAYED":
            return Standing.OPEN
        case "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            return Standing.GIVEN_UP
        case _:
            return Standing.ENDED
