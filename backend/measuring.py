"""Measures a judge on a labelled set. What it has read before is taken from the store and never asked again.

Every reading is kept under its judge and its prompt, in short transactions while the judge works. So a second run,
a run after a kill and another set with the same rows ask only what is missing; none is asked twice, none is lost.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from backend.benchmarks.labelled import LabelledRow, LabelledSet, LeftOut
from backend.benchmarks.metrics import (
    Estimate,
    Metric,
    Outcome,
    PairOutcome,
    ScoreOutcome,
    estimate,
    estimates,
    paired_difference,
)
from backend.engines.base import ReadingDone
from backend.errors import CancelledError, NotFoundError, PromptTooLongError
from backend.formats import prompt_format
from backend.prompts import Prompt, PromptFormat
from backend.ranking import score_verdict, shares_of
from backend.readings import judge_row_id, keep_first_readings
from backend.served import Report, Served
from backend.types import SIDES, Mode, Reading, Sampling
from db import measuring_queries as queries
from db import models as rows
from db.session import Store, added

KEPT_AT_ONCE = 16
"""Readings in one transaction; as many are read again at most after a kill."""
UNPARSED = "The judge's answer holds no result that could be read."
NOT_READ = "The judge could not read it: it is too long, or its answer held no result."

VERDICT_ONLY = Sampling(feedback=False)


@dataclass(frozen=True)
class Measured:
    """A judge on a set. outcomes: of the rows it could read, in the set's order. unread: all others, and why."""

    judge_id: int
    set_name: str
    set_digest: str
    mode: Mode
    outcomes: tuple[Outcome, ...]
    unread: tuple[LeftOut, ...]
    estimates: tuple[Estimate, ...]

    @property
    def total(self) -> int:
        """Rows of the set, also those that the judge could not read."""
        return len(self.outcomes) + len(self.unread)

    def estimate(self, metric: Metric) -> Estimate:
        return next(one for one in self.estimates if one.metric is metric)

    def difference(self, other: "Measured", metric: Metric) -> Estimate:
        """This judge's figure minus the other's, on the rows that both could read, with its paired interval."""
        return paired_difference(self.outcomes, other.outcomes, metric)


def measure(
    served: Served,
    labelled: LabelledSet,
    store: Store,
    *,
    report: Report,
    cancel: threading.Event,
    sampling: Sampling = VERDICT_ONLY,
    keep_figures: bool = True,
) -> Measured:
    """Ask what the judge has not read of the set yet, and store the figures. The caller alone asks the engine.

    Pairs are asked in both orders. Rows that don't fit the judge's context are not asked; they are listed in the
    result and count in its total. keep_figures: whether the figures are the judge's own record from now on; not for a
    set that was tampered with. Raises CancelledError and EngineError, with all that was read by then kept.
    """
    sampling = sampling.canonical()
    asked = _asked(labelled, served.format)
    with store.write() as session:
        judge_id = judge_row_id(session, served.maker(sampling), served.model_version_id)
    with store.read() as session:
        read = _stored_shares(session, judge_id, asked)
    missing, too_long = _to_ask(served, sampling, asked, read, cancel)
    progress = _Progress(labelled.name, len(read), len(read) + len(missing), report)
    _read_missing(served, sampling, store, judge_id, missing, read, progress, cancel)
    outcomes, unread = _outcomes(labelled, asked, read, too_long)
    measured = Measured(
        judge_id, labelled.name, labelled.digest, labelled.mode, outcomes, unread, estimates(labelled.mode, outcomes)
    )
    if keep_figures:
        with store.write() as session:
            _keep_measurements(session, measured)
    return measured


def recall(session: Session, judge_id: int, labelled: LabelledSet) -> Measured | None:
    """What measure() has found of this judge on this set, from the store alone; None if it did not come to its end.

    Raises NotFoundError if there is no such judge.
    """
    stored = {row.metric: row for row in queries.measurements(session, judge_id, labelled.digest)}
    wanted = [metric for metric in Metric if metric.mode is labelled.mode]
    read = _recalled_outcomes(session, judge_id, labelled)
    if read is None or not stored:
        return None
    outcomes, unread = read
    figures = tuple(_recalled(metric, stored.get(metric), outcomes) for metric in wanted)
    return Measured(judge_id, labelled.name, labelled.digest, labelled.mode, outcomes, unread, figures)


def stored_outcomes(session: Session, judge_id: int, labelled: LabelledSet) -> tuple[Outcome, ...]:
    """What the judge has read of this set by now, measured or not. Raises NotFoundError if there is no such judge."""
    read = _recalled_outcomes(session, judge_id, labelled)
    return () if read is None else read[0]


def missing_readings(session: Session, judge_id: int | None, labelled: LabelledSet, format: PromptFormat) -> int:
    """How many prompts of the set the judge has not read; all of them for one that is not known yet."""
    asked = _asked(labelled, format)
    read = _stored_shares(session, judge_id, asked) if judge_id is not None else {}
    return len(_digests(asked) - read.keys())


def _recalled_outcomes(
    session: Session, judge_id: int, labelled: LabelledSet
) -> tuple[tuple[Outcome, ...], tuple[LeftOut, ...]] | None:
    """None where the judge was asked in another wording than today's."""
    judge = session.get(rows.Judge, judge_id)
    if judge is None:
        raise NotFoundError(f"There is no judge {judge_id}. It may belong to another database.")
    format = prompt_format(judge.prompt_format)
    if judge.format_digest != format.digest:
        return None
    asked = _asked(labelled, format)
    return _outcomes(labelled, asked, _stored_shares(session, judge_id, asked), {})


_Asked = list[tuple[LabelledRow, tuple[Prompt, ...]]]


def _asked(labelled: LabelledSet, format: PromptFormat) -> _Asked:
    """Each row with its prompts: one of a response, two of a pair, first in the order A, B."""
    if labelled.mode is Mode.DIRECT:
        return [(row, (format.direct(row.item, row.rubric, 0),)) for row in labelled.rows]
    orders = ((0, 1), (1, 0))
    return [
        (row, tuple(format.pairwise(row.item, row.rubric, first, second) for first, second in orders))
        for row in labelled.rows
    ]


def _to_ask(
    served: Served,
    sampling: Sampling,
    asked: _Asked,
    read: Mapping[str, Sequence[float] | None],
    cancel: threading.Event,
) -> tuple[dict[str, Prompt], dict[str, str]]:
    """The prompts that are not read yet, by digest; and, by row, why it doesn't fit the judge's context."""
    missing, too_long = dict[str, Prompt](), dict[str, str]()
    for row, prompts in asked:
        if cancel.is_set():
            raise CancelledError("Cancelled. What had been read by then is kept.")
        try:
            new = {prompt.digest: prompt for prompt in prompts if prompt.digest not in read}
            for prompt in new.values():
                served.engine.check(prompt, sampling)
        except PromptTooLongError as error:
            too_long[row.id] = str(error)
        else:
            missing.update(new)
    return missing, too_long


def _stored_shares(session: Session, judge_id: int, asked: _Asked) -> dict[str, Sequence[float] | None]:
    said = queries.newest_readings(session, judge_id, _digests(asked))
    return {digest: shares_of(one.results, one.probabilities, one.parsed) for digest, one in said.items()}


def _digests(asked: _Asked) -> set[str]:
    return {prompt.digest for _, prompts in asked for prompt in prompts}


@dataclass
class _Progress:
    """How many of a set's readings are there, and by the pace of this run when all will be."""

    name: str
    done: int
    total: int
    report: Report
    begun: float = field(default_factory=time.monotonic)
    read_now: int = 0

    def advance(self, readings: int) -> None:
        self.done += readings
        self.read_now += readings
        fraction = self.done / self.total if self.total else 1.0
        self.report(f"{self.name}: {self.done:,} of {self.total:,} readings{self._left()}.", fraction)

    def _left(self) -> str:
        missing = self.total - self.done
        if not missing or not self.read_now:
            return ""
        minutes = (time.monotonic() - self.begun) / self.read_now * missing / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"


def _read_missing(
    served: Served,
    sampling: Sampling,
    store: Store,
    judge_id: int,
    missing: Mapping[str, Prompt],
    read: dict[str, Sequence[float] | None],
    progress: _Progress,
    cancel: threading.Event,
) -> None:
    """Ask for these prompts, those with a common beginning one after the other; `read` gets what they gave."""
    progress.advance(0)
    if not missing:
        return
    in_order = sorted(missing, key=lambda digest: missing[digest].user)
    pending = dict[str, Reading]()

    def keep() -> None:
        if not pending:
            return
        with store.write() as session:
            keep_first_readings(session, judge_id, pending)
        read.update(
            (digest, shares_of(reading.results, reading.probabilities, reading.parsed))
            for digest, reading in pending.items()
        )
        progress.advance(len(pending))
        pending.clear()

    try:
        for event in served.engine.read([missing[digest] for digest in in_order], sampling, cancel):
            if isinstance(event, ReadingDone):
                pending[in_order[event.index]] = event.reading
                if len(pending) == KEPT_AT_ONCE:
                    keep()
    finally:
        keep()


def _outcomes(
    labelled: LabelledSet,
    asked: _Asked,
    read: Mapping[str, Sequence[float] | None],
    too_long: Mapping[str, str],
) -> tuple[tuple[Outcome, ...], tuple[LeftOut, ...]]:
    outcomes, unread = list[Outcome](), list(labelled.left_out)
    for row, prompts in asked:
        given = [read.get(prompt.digest) for prompt in prompts]
        probabilities = [one for one in given if one is not None]
        if len(probabilities) == len(prompts):
            outcomes.append(_outcome(row, probabilities))
        elif all(prompt.digest in read for prompt in prompts):
            unread.append(LeftOut(row.id, UNPARSED))
        else:
            unread.append(LeftOut(row.id, too_long.get(row.id, NOT_READ)))
    return tuple(outcomes), tuple(unread)


def _outcome(row: LabelledRow, probabilities: Sequence[Sequence[float]]) -> Outcome:
    lengths = [len(response) for response in row.item.responses]
    if isinstance(row.label, str):
        first, second = probabilities
        longer = None if lengths[0] == lengths[1] else SIDES[lengths.index(max(lengths))]
        return PairOutcome(row.id, row.label, p_a_first=first[0], p_a_second=second[1], longer=longer)
    verdict = score_verdict(probabilities[0])
    return ScoreOutcome(row.id, row.label, verdict.expected, verdict.score, lengths[0])


def _keep_measurements(session: Session, measured: Measured) -> None:
    known = {row.metric: row for row in queries.measurements(session, measured.judge_id, measured.set_digest)}
    for figure in measured.estimates:
        row = known.get(figure.metric)
        if row is None:
            row = rows.Measurement(
                judge_id=measured.judge_id,
                set_digest=measured.set_digest,
                mode=measured.mode,
                metric=figure.metric,
            )
        row.set_name, row.total, row.n = measured.set_name, measured.total, figure.n
        row.value, row.low, row.high = figure.value, figure.low, figure.high
        if figure.metric not in known:
            added(session, row)


def _recalled(metric: Metric, row: rows.Measurement | None, outcomes: Sequence[Outcome]) -> Estimate:
    """As it was stored; why a figure or its interval is missing is found out again, which costs nothing.

    row: None for a figure that an earlier version did not have.
    """
    if row is None or row.value is None or row.low is None:
        return estimate(metric, outcomes)
    return Estimate(metric, row.value, row.low, row.high, row.n)
