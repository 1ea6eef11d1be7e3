"""Asks the judge about an item, keeps every reading the moment it is there, and makes the verdict of them.

A run works in a thread of its own, so that it neither dies with the page that asked for it nor holds
the judge when nobody listens: a page that was refreshed finds its run again by its id.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sqlalchemy.orm import Session

from backend.engines.base import FeedbackDelta, ReadingDone
from backend.errors import SHOWN, CancelledError
from backend.prompts import Prompt, PromptFormat
from backend.ranking import Comparison, pair_verdict, ranking_verdict, score_verdict, shares_of
from backend.readings import added, certain, judge_row_id, keep_reading, reading_of
from backend.rubrics import version_for
from backend.serving import Served, Serving
from backend.types import Item, Mode, Reading, Rubric, Sampling, Status, letter
from db import judging_queries as queries
from db import models as rows
from db.session import Store

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
class Pass:
    """One reading to be had: the response at `first` alone, or shown before the one at `second`."""

    first: int
    second: int | None = None

    @property
    def label(self) -> str:
        if self.second is None:
            return f"Response {letter(self.first)}"
        return f"{letter(self.first)} shown first, {letter(self.second)} second"


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
        """Begin to judge. anew: ask the judge again even where the store knows its answer."""
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


def passes_of(item: Item) -> tuple[Pass, ...]:
    """One response: its score. Two: both orders. More: every score, and every pair in both orders."""
    count = len(item.responses)
    if item.mode is Mode.DIRECT:
        return (Pass(0),)
    pairs = tuple(Pass(a, b) for i in range(count) for j in range(i + 1, count) for a, b in ((i, j), (j, i)))
    if item.mode is Mode.PAIRWISE:
        return pairs
    return (*(Pass(position) for position in range(count)), *pairs)


def prompt_of(asked: Pass, format: PromptFormat, item: Item, rubric: Rubric) -> Prompt:
    if asked.second is None:
        return format.direct(item, rubric, asked.first)
    return format.pairwise(item, rubric, asked.first, asked.second)


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
        asked = passes_of(self.question.item)
        prompts = [prompt_of(one, served.format, self.question.item, self.question.rubric) for one in asked]
        for prompt in prompts:
            served.engine.check(prompt, self.sampling)
        with self.store.write() as session:
            judge_id = judge_row_id(session, served.maker(self.sampling), served.model_version_id)
            item_id = _item_id(session, self.question.item)
            version_id = self._version_id(session)
            known = None if self.anew else queries.latest_verdict(session, item_id, version_id, judge_id)
        if known is not None:
            return known, True
        reading_ids = self._read_all(served, judge_id, asked, prompts)
        readings = [state.reading for state in self.run.state.passes if state.reading is not None]
        with self.store.write() as session:
            verdict = verdict_row(self.question.item, asked, readings)
            verdict.item_id, verdict.judge_id, verdict.created_by_id = item_id, judge_id, self.user_id
            verdict.rubric_version_id = self._version_id(session)
            verdict.seconds = sum(
                state.reading.seconds for state in self.run.state.passes if state.reading and not state.from_store
            )
            verdict.attempt = 1 + queries.attempts(session, item_id, verdict.rubric_version_id, judge_id)
            verdict.readings = [
                rows.VerdictReading(reading_id=reading_id, first=one.first, second=one.second)
                for one, reading_id in zip(asked, reading_ids, strict=True)
            ]
            session.add(verdict)
            session.flush()
            return verdict.id, all(state.from_store for state in self.run.state.passes)

    def _version_id(self, session: Session) -> int:
        """The row with the very text that was asked by: the one named may have been edited in place meanwhile."""
        version = session.get(rows.RubricVersion, self.question.rubric_version_id)
        if version is None or version.digest != self.question.rubric.digest:
            version = version_for(session, self.question.rubric, self.user_id)
        return version.id

    def _read_all(self, served: Served, judge_id: int, asked: Sequence[Pass], prompts: Sequence[Prompt]) -> list[int]:
        """Every pass's reading id, in order: from the store where it has them, else from the engine."""
        digests = [prompt.digest for prompt in prompts]
        with self.store.read() as session:
            stored = {} if self.anew else queries.latest_readings(session, judge_id, digests)
        ids = {index: stored[digest].id for index, digest in enumerate(digests) if digest in stored}
        self.run.update(
            RunState(
                RunPhase.JUDGING,
                "",
                tuple(
                    _from_store(one, stored[digest]) if digest in stored else PassState(one)
                    for one, digest in zip(asked, digests, strict=True)
                ),
            )
        )
        open_passes = [index for index in range(len(asked)) if index not in ids]
        wanted = [prompts[index] for index in open_passes]
        for event in served.engine.read(wanted, self.sampling, self.run.cancel) if wanted else ():
            index = open_passes[event.index]
            state = self.run.state.passes[index]
            match event:
                case FeedbackDelta(text=text):
                    self.run.update_pass(index, replace(state, text=state.text + text))
                case ReadingDone(reading=reading):
                    ids[index] = self._keep(judge_id, digests[index], reading)
                    self.run.update_pass(index, replace(state, text=reading.feedback, reading=reading))
        return [ids[index] for index in range(len(asked))]

    def _keep(self, judge_id: int, prompt_digest: str, reading: Reading) -> int:
        with self.store.write() as session:
            return keep_reading(session, judge_id, prompt_digest, reading)


def _from_store(asked: Pass, row: rows.Reading) -> PassState:
    reading = reading_of(row)
    return PassState(asked, reading.feedback, reading, from_store=True)


def verdict_row(item: Item, asked: Sequence[Pass], readings: Sequence[Reading]) -> rows.Verdict:
    """The verdict that the readings make; unparsed, with nothing made up, where one of them has no result."""
    verdict = rows.Verdict(mode=item.mode, status=Status.READ)
    given = [shares_of(reading.results, reading.probabilities, reading.parsed) for reading in readings]
    by_pass = {one: shares for one, shares in zip(asked, given, strict=True) if shares is not None}
    if len(by_pass) < len(asked):
        verdict.status = Status.UNPARSED
        return verdict
    distributions = all(reading.probabilities is not None for reading in readings)
    match item.mode:
        case Mode.DIRECT:
            score = score_verdict(by_pass[Pass(0)])
            verdict.score = score.score
            if distributions:
                verdict.expected_score, verdict.confidence = score.expected, score.confidence
        case Mode.PAIRWISE:
            pair = pair_verdict(by_pass[Pass(0, 1)][0], by_pass[Pass(1, 0)][1])
            verdict.winner, verdict.order_sensitive, verdict.tie_margin = pair.winner, pair.order_sensitive, pair.margin
            if distributions:
                verdict.p_a, verdict.confidence = pair.p_a, pair.confidence
                verdict.p_a_first, verdict.p_a_second = pair.p_a_first, pair.p_a_second
        case Mode.RANKING:
            comparisons = [
                Comparison(one.first, one.second, p[0]) for one, p in by_pass.items() if one.second is not None
            ]
            scores = [score_verdict(by_pass[Pass(position)]).expected for position in range(len(item.responses))]
            ranking = ranking_verdict(comparisons, scores)
            verdict.order_sensitive = ranking.sensitive_pairs > 0
            verdict.ranking = {
                "ranked": [vars(ranked) for ranked in ranking.ranked],
                "pairs": ranking.pairs,
                "sensitive_pairs": ranking.sensitive_pairs,
            }
    return verdict


def _item_id(session: Session, item: Item) -> int:
    known = queries.item_by_digest(session, item.digest)
    if known is not None:
        return known
    row = rows.Item(digest=item.digest, mode=item.mode, instruction=item.instruction, reference=item.reference)
    row.responses = [rows.Response(position=position, text=text) for position, text in enumerate(item.responses)]
    return row.id if added(session, row) else certain(queries.item_by_digest(session, item.digest))
