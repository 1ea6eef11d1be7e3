"""Asks the judge about an item, keeps every reading the moment it is there, and makes the verdict of them.

A run works in a thread of its own, so that it neither dies with the page that asked for it nor holds
the judge when nobody listens: a page that was refreshed finds its run again by its id.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sqlalchemy.orm import Session

from backend.accounts import Role, may
from backend.doubts import place_again
from backend.engines.base import FeedbackDelta, ReadingDone
from backend.errors import SHOWN, CancelledError, NotAllowedError
from backend.passes import Pass, next_passes, prompts_of, verdict_row
from backend.prompts import Prompt
from backend.readings import certain, judge_row_id, keep_reading, reading_of
from backend.rubrics import version_for
from backend.served import Served
from backend.serving import Serving
from backend.types import Item, Mode, Reading, Rubric, Sampling
from db import judging_queries as queries
from db import models as rows
from db.blind_queries import blind_project_asking
from db.session import Store, added

log = logging.getLogger(__name__)

KEPT_RUNS = 50
"""How many finished runs are remembered for pages that come back to them."""


@dataclass(frozen=True)
class Question:
    """What is to be judged, by which rubric. rubric_version_id: the row that held the rubric when it was asked."""

    item: Item
    rubric: Rubric
    rubric_version_id: int


@dataclass(frozen=True)
class PassState:
    """How far a pass is. text: the feedback so far."""

    asked: Pass
    text: str = ""
    reading: Reading | None = None
    from_store: bool = False


class RunPhase(StrEnum):
    WAITING = "waiting"
    JUDGING = "judging"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class RunState:
    """A run at one moment. verdict_id is set when done; from_store: no reading had to be made for it."""

    phase: RunPhase
    message: str
    passes: tuple[PassState, ...] = ()
    verdict_id: int | None = None
    from_store: bool = False

    @property
    def finished(self) -> bool:
        return self.phase in (RunPhase.DONE, RunPhase.CANCELLED, RunPhase.FAILED)


@dataclass
class Run:
    """A verdict in the making, to be watched from any thread."""

    id: str
    mode: Mode
    cancel: threading.Event = field(default_factory=threading.Event)
    _state: RunState = RunState(RunPhase.WAITING, "Waiting for the judge …")
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def state(self) -> RunState:
        return self._state

    def watch(self, interval: float = 0.15) -> Iterator[RunState]:
        """The state now and then whenever it has changed, at most once an interval (seconds); ends with the run."""
        while True:
            state = self._state
            yield state
            if state.finished:
                return
            time.sleep(interval)
            with self._changed:
                self._changed.wait_for(lambda seen=state: self._state is not seen, timeout=1.0)  # type: ignore[misc]

    def wait(self) -> RunState:
        """The last state, when the run has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.finished)
        return self._state

    def update(self, state: RunState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def update_pass(self, index: int, changed: PassState) -> None:
        passes = list(self._state.passes)
        passes[index] = changed
        self.update(replace(self._state, passes=tuple(passes)))


class Judging:
    """Runs, from a question to a stored verdict."""

    def __init__(self, store: Store, serving: Serving) -> None:
        self._store = store
        self._serving = serving
        self._runs: dict[str, Run] = {}

    def start(self, question: Question, sampling: Sampling, user_id: int, *, anew: bool = False) -> Run:
        """Begin to judge. anew: ask the judge again even where the store knows its answer.

        Raises NotAllowedError for an annotator who asks about an item that waits blind for their own label.
        """
        with self._store.read() as session:
            if not may(session, user_id, Role.LEAD):
                _require_not_blind(session, question.item, user_id)
        run = Run(uuid.uuid4().hex, question.item.mode)
        self._forget_old_runs()
        self._runs[run.id] = run
        worker = _Worker(self._store, self._serving, run, question, sampling.canonical(), user_id, anew)
        threading.Thread(target=worker.work, name=f"run-{run.id[:8]}", daemon=True).start()
        return run

    def run(self, run_id: str) -> Run | None:
        """A run that is going on, or ended lately."""
        return self._runs.get(run_id)

    def close(self) -> None:
        """Stop whatever is going on; what was read by then is kept."""
        for run in list(self._runs.values()):
            run.cancel.set()

    def _forget_old_runs(self) -> None:
        finished = [run_id for run_id, run in self._runs.items() if run.state.finished]
        for run_id in finished[:-KEPT_RUNS]:
            del self._runs[run_id]


def _require_not_blind(session: Session, item: Item, user_id: int) -> None:
    waiting = blind_project_asking(session, item.instruction, user_id)
    if waiting is not None:
        raise NotAllowedError(
            f"This instruction is asked in “{waiting}”, where you label before you see what the judge says. "
            "Label the item first; then ask."
        )


@dataclass
class _Worker:
    """The work of one run."""

    store: Store
    serving: Serving
    run: Run
    question: Question
    sampling: Sampling
    user_id: int
    anew: bool

    def work(self) -> None:
        try:
            with self.serving.use(self.run.cancel) as served:
                verdict_id, from_store = self._judge(served)
        except CancelledError as error:
            self._end(RunPhase.CANCELLED, str(error))
        except SHOWN as error:
            self._end(RunPhase.FAILED, str(error))
        except Exception as error:
            log.exception("a run failed")
            self._end(RunPhase.FAILED, f"Something broke that should not: {error!r}. The log has the details.")
        else:
            self.run.update(
                replace(self.run.state, phase=RunPhase.DONE, message="", verdict_id=verdict_id, from_store=from_store)
            )

    def _end(self, phase: RunPhase, message: str) -> None:
        self.run.update(replace(self.run.state, phase=phase, message=message))

    def _judge(self, served: Served) -> tuple[int, bool]:
        """The verdict's id, and whether it was there before."""
        item = self.question.item
        prompts = prompts_of(item, self.question.rubric, served.format)
        for prompt in prompts.values():
            served.engine.check(prompt, self.sampling)
        with self.store.write() as session:
            judge_id = judge_row_id(session, served.maker(self.sampling), served.model_version_id)
            item_id = _item_id(session, item)
            version_id = self._version_id(session)
            known = None if self.anew else queries.latest_verdict(session, item_id, version_id, judge_id)
            if known is not None:
                queries.keep_asking(session, known, self.user_id)
        if known is not None:
            return known, True
        reading_ids: list[int] = []
        while asked := next_passes(item, self._readings()):
            reading_ids += self._read(served, judge_id, {one: prompts[one] for one in asked})
        passes = self.run.state.passes
        with self.store.write() as session:
            verdict = verdict_row(item, self._readings())
            verdict.item_id, verdict.judge_id, verdict.created_by_id = item_id, judge_id, self.user_id
            verdict.rubric_version_id = self._version_id(session)
            verdict.seconds = sum(state.reading.seconds for state in passes if state.reading and not state.from_store)
            verdict.attempt = 1 + queries.attempts(session, item_id, verdict.rubric_version_id, judge_id)
            verdict.readings = [
                rows.VerdictReading(reading_id=reading_id, first=state.asked.first, second=state.asked.second)
                for state, reading_id in zip(passes, reading_ids, strict=True)
            ]
            session.add(verdict)
            session.flush()
            place_again(session, item_id, verdict.rubric_version_id)
            return verdict.id, all(state.from_store for state in passes)

    def _readings(self) -> dict[Pass, Reading]:
        return {state.asked: state.reading for state in self.run.state.passes if state.reading is not None}

    def _version_id(self, session: Session) -> int:
        """The row with the very text that was asked by: the one named may have been edited in place meanwhile."""
        version = session.get(rows.RubricVersion, self.question.rubric_version_id)
        if version is None or version.digest != self.question.rubric.digest:
            version = version_for(session, self.question.rubric, self.user_id)
        return version.id

    def _read(self, served: Served, judge_id: int, asked: Mapping[Pass, Prompt]) -> list[int]:
        """Each pass's reading id, in order: from the store where it has them, else from the engine."""
        prompts = list(asked.values())
        digests = [prompt.digest for prompt in prompts]
        with self.store.read() as session:
            stored = {} if self.anew else queries.latest_readings(session, judge_id, digests)
        ids = {index: stored[digest].id for index, digest in enumerate(digests) if digest in stored}
        before = self.run.state.passes
        known = tuple(
            _from_store(one, stored[digest]) if digest in stored else PassState(one)
            for one, digest in zip(asked, digests, strict=True)
        )
        self.run.update(RunState(RunPhase.JUDGING, "", (*before, *known)))
        open_passes = [index for index in range(len(asked)) if index not in ids]
        wanted = [prompts[index] for index in open_passes]
        for event in served.engine.read(wanted, self.sampling, self.run.cancel) if wanted else ():
            index = open_passes[event.index]
            place = len(before) + index
            state = self.run.state.passes[place]
            match event:
                case FeedbackDelta(text=text):
                    self.run.update_pass(place, replace(state, text=state.text + text))
                case ReadingDone(reading=reading):
                    ids[index] = self._keep(judge_id, digests[index], reading)
                    self.run.update_pass(place, replace(state, text=reading.feedback, reading=reading))
        return [ids[index] for index in range(len(asked))]

    def _keep(self, judge_id: int, prompt_digest: str, reading: Reading) -> int:
        with self.store.write() as session:
            return keep_reading(session, judge_id, prompt_digest, reading)


def _from_store(asked: Pass, row: rows.Reading) -> PassState:
    reading = reading_of(row)
    return PassState(asked, reading.feedback, reading, from_store=True)


def _item_id(session: Session, item: Item) -> int:
    known = queries.item_by_digest(session, item.digest)
    if known is not None:
        return known
    row = rows.Item(digest=item.digest, mode=item.mode, instruction=item.instruction, reference=item.reference)
    row.responses = [rows.Response(position=position, text=text) for position, text in enumerate(item.responses)]
    return row.id if added(session, row) else certain(queries.item_by_digest(session, item.digest))
