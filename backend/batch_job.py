"""All items of a project, judged behind the page: goes on after a kill, gives way to people, tells what failed."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.doubts import place_again
from backend.engines.base import ReadingDone
from backend.errors import CancelledError, ConflictError, PromptTooLongError
from backend.jobs import JobContext, JobKind, Jobs
from backend.passes import Pass, next_passes, prompts_of, verdict_row
from backend.projects import project_row
from backend.prompts import Prompt
from backend.readings import judge_row_id, keep_reading, reading_of
from backend.rubrics import rubric_of
from backend.served import Report, Served
from backend.serving import Serving
from backend.types import Item, Reading, Sampling, Status
from db import judging_queries, project_queries
from db import models as rows
from db.session import Store

CHUNK = 8
"""Items that are given to the engine at once: so many may be begun again after a kill, for whoever goes ahead."""
UNPARSED = "The judge's answer could not be read. Try it again, or choose another judge."


@dataclass(frozen=True)
class BatchOrder:
    """What is to be judged and how. model_version_id: the judge that has to serve. failed_only: what had no result."""

    project_id: int
    sampling: Sampling
    model_version_id: int | None = None
    failed_only: bool = False

    def document(self) -> dict[str, Any]:
        """Of JSON values; read_batch() reads it."""
        return asdict(self)


@dataclass(frozen=True)
class BatchResult:
    """items: of the project. judged: those that have a verdict with a result now. failed: those that have none."""

    items: int
    judged: int
    failed: int


def read_batch(document: dict[str, Any]) -> BatchOrder:
    return BatchOrder(**{**document, "sampling": Sampling(**document["sampling"])})


class BatchJudging:
    """Judges projects with the judge that serves.

    Every reading is kept the moment it is there, and a verdict is written in the transaction that has seen that
    there is none: so whatever ends this process, the next one asks only what is missing, and nothing is there twice.
    """

    def __init__(self, store: Store, serving: Serving) -> None:
        self._store = store
        self._serving = serving

    def submit(self, jobs: Jobs, order: BatchOrder, user_id: int) -> int:
        """The id of the job that will judge the project.

        Raises NotFoundError, NotAllowedError, and ConflictError if another job judges this project.
        """
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, "judge a project")
            name = project_row(session, order.project_id).name
        for job in jobs.list(JobKind.JUDGE):
            if not job.finished and job.spec["project_id"] == order.project_id:
                raise ConflictError(f"Job {job.id} ({job.state}) judges this project already. Resume it, or cancel it.")
        title = f"{name}: what failed" if order.failed_only else name
        return jobs.submit(JobKind.JUDGE, title[:300], order.document(), user_id)

    def failures(self, project_id: int, limit: int = 100) -> list[tuple[int, str]]:
        """The items that have no result, by their number from 1, each with the reason."""
        with self._store.read() as session:
            found = project_queries.failures(session, project_id, limit)
            return [(item.position + 1, failure.reason) for item, failure in found]

    def handle(self, context: JobContext) -> dict[str, Any]:
        """The handler of judge jobs: a BatchOrder as JSON in, a BatchResult as JSON out."""
        return asdict(self.run(read_batch(context.spec), context.user_id, context.report, context.cancel))

    def run(self, order: BatchOrder, user_id: int, report: Report, cancel: threading.Event) -> BatchResult:
        """Judge what is not judged yet by this judge and this sampling. user_id: who asked.

        Raises NotFoundError, EngineError, StoreError, CancelledError, and ConflictError if another judge serves
        than the order names; what was read by then is kept.
        """
        with self._store.read() as session:
            project_row(session, order.project_id)
            waiting = project_queries.items_to_judge(session, order.project_id, failed_only=order.failed_only)
        self._serving.start()
        pace = _Pace(len(waiting), report)
        while waiting:
            chunk = waiting[:CHUNK]
            with self._serving.use_behind(cancel) as (served, give_way):
                _require_judge(served, order)
                work = _Chunk(self._store, served, order, user_id)
                if not work.judge(chunk, give_way, cancel):
                    continue
            waiting = waiting[CHUNK:]
            pace.tell(done=len(chunk), asked=work.asked)
        with self._store.read() as session:
            items = project_queries.item_counts(session, [order.project_id]).get(order.project_id, 0)
            judged = project_queries.judged_count(session, order.project_id)
            return BatchResult(items, judged, project_queries.failure_count(session, order.project_id))


class _Pace:
    """How far it is, how fast, and how long it will take. Items that were judged before don't count as fast."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._done = 0
        self._asked = 0
        self._start = time.monotonic()

    def tell(self, *, done: int, asked: int) -> None:
        self._done += done
        self._asked += asked
        seconds = time.monotonic() - self._start
        words = f"{self._done:,} of {self._total:,} items"
        if self._asked and seconds > 0:
            rate = self._asked / seconds
            left = (self._total - self._done) / rate
            words += f", {rate:.2f} a second, about {_length(left)} left"
        self._report(f"{words}.", self._done / self._total)


@dataclass
class _Question:
    """One item that is to be asked, and what was read of it so far: readings with their ids."""

    row: rows.ProjectItem
    item: Item
    prompts: dict[Pass, Prompt]
    kept: dict[Pass, tuple[int, Reading]] = field(default_factory=dict)
    new: set[Pass] = field(default_factory=set)

    def open(self) -> tuple[Pass, ...]:
        """What to ask next."""
        return next_passes(self.item, self.readings())

    def readings(self) -> dict[Pass, Reading]:
        return {one: reading for one, (_id, reading) in self.kept.items()}


class _Chunk:
    """Some items, asked in one turn. asked: how many had to be."""

    def __init__(self, store: Store, served: Served, order: BatchOrder, user_id: int) -> None:
        self._store = store
        self._served = served
        self._order = order
        self._user_id = user_id
        self._sampling = order.sampling.canonical()
        self.asked = 0

    def judge(self, ids: Sequence[int], give_way: threading.Event, cancel: threading.Event) -> bool:
        """False if somebody else had to go ahead: then these items have to be gone through again."""
        with self._store.write() as session:
            judge_id = judge_row_id(session, self._served.maker(self._sampling), self._served.model_version_id)
            found = project_queries.whole_items(session, ids)
            questions = [one for row in found if (one := self._question(session, row, judge_id)) is not None]
        self.asked = len(questions)
        while wanted := {question.row.id: passes for question in questions if (passes := question.open())}:
            try:
                self._read(
                    [(one, each) for one in questions for each in wanted.get(one.row.id, ())],
                    judge_id,
                    give_way,
                    cancel,
                )
            except CancelledError:
                self._conclude(questions, judge_id)
                if cancel.is_set():
                    raise
                return False
        self._conclude(questions, judge_id)
        return True

    def _read(
        self,
        wanted: Sequence[tuple[_Question, Pass]],
        judge_id: int,
        give_way: threading.Event,
        cancel: threading.Event,
    ) -> None:
        """Give each question its readings of these passes: from the store where it has them, else from the engine."""
        places: dict[str, list[tuple[_Question, Pass]]] = {}
        prompts: dict[str, Prompt] = {}
        for question, one in wanted:
            prompt = question.prompts[one]
            prompts[prompt.digest] = prompt
            places.setdefault(prompt.digest, []).append((question, one))
        with self._store.read() as session:
            stored = judging_queries.latest_readings(session, judge_id, list(prompts))
        for digest, row in stored.items():
            if row.status == Status.READ or not self._order.failed_only:
                for question, one in places[digest]:
                    question.kept[one] = (row.id, reading_of(row))
                del prompts[digest]
        missing = list(prompts)
        for event in self._served.engine.read(list(prompts.values()), self._sampling, give_way) if missing else ():
            if isinstance(event, ReadingDone):
                digest = missing[event.index]
                with self._store.write() as session:
                    kept = (keep_reading(session, judge_id, digest, event.reading), event.reading)
                for question, one in places[digest]:
                    question.kept[one] = kept
                    question.new.add(one)
            if cancel.is_set():
                give_way.set()

    def _question(self, session: Session, row: rows.ProjectItem, judge_id: int) -> _Question | None:
        """None if the judge has said what it has to say, or can't be asked."""
        known = judging_queries.latest_verdict(session, row.item_id, row.rubric_version_id, judge_id)
        if known is not None:
            verdict = session.get_one(rows.Verdict, known)
            if verdict.status == Status.READ or not self._order.failed_only:
                _note(session, row.id, None if verdict.status == Status.READ else UNPARSED)
                return None
        item = item_of(row)
        asked = prompts_of(item, rubric_of(row.rubric_version), self._served.format)
        try:
            for prompt in asked.values():
                self._served.engine.check(prompt, self._sampling)
        except PromptTooLongError as error:
            _note(session, row.id, str(error))
            return None
        return _Question(row, item, asked)

    def _conclude(self, questions: Sequence[_Question], judge_id: int) -> None:
        """Write the verdict of every item whose readings are all there."""
        for question in questions:
            if not question.open():
                with self._store.write() as session:
                    self._keep_verdict(session, question, judge_id)

    def _keep_verdict(self, session: Session, question: _Question, judge_id: int) -> None:
        row = question.row
        project_row(session, self._order.project_id, hold=True)
        known = judging_queries.latest_verdict(session, row.item_id, row.rubric_version_id, judge_id)
        if known is not None and session.get_one(rows.Verdict, known).status == Status.READ:
            _note(session, row.id, None)
            return
        verdict = verdict_row(question.item, question.readings())
        verdict.item_id, verdict.rubric_version_id, verdict.judge_id = row.item_id, row.rubric_version_id, judge_id
        verdict.created_by_id = self._user_id
        verdict.seconds = sum(question.kept[one][1].seconds for one in question.new)
        verdict.attempt = 1 + judging_queries.attempts(session, row.item_id, row.rubric_version_id, judge_id)
        verdict.readings = [
            rows.VerdictReading(reading_id=question.kept[one][0], first=one.first, second=one.second)
            for one in sorted(question.kept, key=lambda one: one.place)
        ]
        session.add(verdict)
        session.flush()
        place_again(session, row.item_id, row.rubric_version_id)
        _note(session, row.id, UNPARSED if verdict.status == Status.UNPARSED else None)


def item_of(row: rows.ProjectItem) -> Item:
    """The value of a project's item."""
    item = row.item
    return Item(item.instruction, tuple(response.text for response in item.responses), item.reference)


def _note(session: Session, project_item_id: int, reason: str | None) -> None:
    """Keep why an item has no result; None: it has one."""
    failure = project_queries.failure_of(session, project_item_id)
    if failure is not None and reason is None:
        session.delete(failure)
    elif failure is not None and reason is not None:
        failure.reason = reason
    elif reason is not None:
        session.add(rows.BatchFailure(project_item_id=project_item_id, reason=reason))


def _require_judge(served: Served, order: BatchOrder) -> None:
    if order.model_version_id not in (None, served.model_version_id):
        raise ConflictError(
            f"{served.files.name} serves now, and this batch was begun with another judge. Activate that one on the "
            "page Models and try again: it goes on where it was. Or begin a new batch with this judge."
        )


def _length(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
