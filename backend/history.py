"""What was judged so far: find it, and open it whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement

from backend.accounts import Role, may
from backend.errors import InvalidInputError, NotFoundError
from backend.labels import LabelView, label_opinion, require_shown, trail_for
from backend.readings import reading_of
from backend.results import Opinion, Result, ranked_words, ranking_of
from backend.rubrics import rubric_of
from backend.types import (
    Item,
    Maker,
    Mode,
    PairVerdict,
    ParsedPair,
    ParsedScore,
    Reading,
    Rubric,
    Sampling,
    ScoreVerdict,
    Status,
)
from db import models, queries
from db.blind_queries import visible_to
from db.session import Store

PAGE_SIZE = 25
MOST_FOUND = 10_000
"""More are not counted and not paged through: narrow the filter. It keeps a page fast at any size."""
INSTRUCTION_CHARACTERS = 160
NO_RESULT_WORDS = "not readable"


class Agreement(StrEnum):
    """What people's current labels say of a verdict. Agreed, overridden and unlabelled are all there is."""

    ANY = "any"
    AGREED = "agreed"
    OVERRIDDEN = "overridden"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Filter:
    """Which verdicts to look at; the default is all.

    agreement: agreed means that somebody's current label says what the verdict says and nobody's says
    otherwise; overridden, that somebody's says otherwise; unlabelled, that there is none. text: stands
    in the instruction, a response, the reference or the feedback; case doesn't matter, % and _ are
    themselves.
    """

    model_version_id: int | None = None
    rubric_id: int | None = None
    mode: Mode | None = None
    agreement: Agreement = Agreement.ANY
    text: str = ""


@dataclass(frozen=True)
class RowLabel:
    """A label that stands, in short."""

    words: str
    author: str
    agrees: bool


@dataclass(frozen=True)
class HistoryRow:
    """One verdict in short. result: in words. confidence: 0..1. instruction: its first 160 characters."""

    id: int
    created_at: datetime
    mode: Mode
    instruction: str
    rubric_name: str
    rubric_number: int
    model_name: str
    result: str
    confidence: float | None
    order_sensitive: bool
    labels: tuple[RowLabel, ...]


@dataclass(frozen=True)
class HistoryPage:
    """Some rows, the newest first.

    total: how many were found, at most MOST_FOUND. more: there are more than that, so say "10,000+".
    number: of this page, from 1. pages: how many there are, at least 1. first: of the first row, from 1.
    """

    rows: tuple[HistoryRow, ...]
    total: int
    more: bool
    number: int
    pages: int
    first: int


@dataclass(frozen=True)
class ReadingDetail:
    """One reading of a verdict. first, second: positions of the responses as they were shown to the judge;
    second is None for a direct assessment. attempt: how often this prompt had been asked, from 1."""

    first: int
    second: int | None
    attempt: int
    created_at: datetime
    prompt_digest: str
    reading: Reading


@dataclass(frozen=True)
class VerdictDetail:
    """A verdict whole. result: None when it could not be read. seconds: that the judge worked for it.

    order_sensitive: of a pair, the two orders named different winners; of a ranking, some pair's did.
    labels: all label events, the oldest first.
    """

    id: int
    created_at: datetime
    created_by: str
    attempt: int
    mode: Mode
    status: Status
    item_id: int
    item: Item
    rubric_id: int
    rubric_version_id: int
    rubric_name: str
    rubric_number: int
    rubric: Rubric
    model_version_id: int
    model_kind: str
    maker: Maker
    maker_digest: str
    result: Result | None
    order_sensitive: bool
    readings: tuple[ReadingDetail, ...]
    seconds: float
    labels: tuple[LabelView, ...]

    @property
    def prompt_tokens(self) -> int:
        return sum(reading.reading.prompt_tokens for reading in self.readings)

    @property
    def new_tokens(self) -> int:
        return sum(reading.reading.new_tokens for reading in self.readings)


@dataclass(frozen=True)
class Choices:
    """What there is to filter by: (id, name) of the models and rubrics that have verdicts."""

    models: tuple[tuple[int, str], ...]
    rubrics: tuple[tuple[int, str], ...]


class History:
    """Reads only. viewer_id: who looks; annotators see what they asked or were shown, and of labels their own.

    All raise StoreError when the database fails.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, filter: Filter, number: int, viewer_id: int, size: int = PAGE_SIZE) -> HistoryPage:
        """Page `number` (from 1) of what the filter lets through, the newest first.

        A number past the end gives the last page: rows may have gone since the pager was drawn.
        Raises InvalidInputError for a number or size below 1.
        """
        if number < 1 or size < 1:
            raise InvalidInputError(f"Page {number} of {size} rows can't be shown; both start at 1.")
        with self._store.read() as session:
            narrow = not may(session, viewer_id, Role.LEAD)
            wanted = [*_wanted(filter), visible_to(viewer_id)] if narrow else _wanted(filter)
            found = session.scalars(queries.newest_verdict_ids(wanted, MOST_FOUND + 1)).all()
            reachable = found[:MOST_FOUND]
            pages = max(1, -(-len(reachable) // size))
            number = min(number, pages)
            ids = reachable[(number - 1) * size : number * size]
            summaries = session.execute(queries.verdict_summaries(ids, INSTRUCTION_CHARACTERS)).all()
            current = session.execute(queries.current_labels(ids)).all()
            labels = _row_labels([one for one in current if not narrow or one[0].author_id == viewer_id])
        return HistoryPage(
            rows=tuple(_row(summary, labels.get(summary.id, ())) for summary in summaries),
            total=len(reachable),
            more=len(found) > MOST_FOUND,
            number=number,
            pages=pages,
            first=(number - 1) * size + 1,
        )

    def open(self, verdict_id: int, viewer_id: int) -> VerdictDetail:
        """Everything of one verdict. Raises NotFoundError, NotAllowedError."""
        with self._store.read() as session:
            verdict = session.scalars(queries.whole_verdict(verdict_id)).one_or_none()
            if verdict is None:
                raise NotFoundError(f"There is no verdict {verdict_id}. It may belong to another database.")
            require_shown(session, verdict_id, viewer_id)
            author = session.get_one(models.User, verdict.created_by_id)
            return _detail(verdict, author.name, tuple(trail_for(session, verdict_id, viewer_id)))

    def choices(self) -> Choices:
        """Names alone, which are no secret."""
        with self._store.read() as session:
            return Choices(
                models=tuple((row.id, row.name) for row in session.execute(queries.models_with_verdicts())),
                rubrics=tuple((row.id, row.name) for row in session.execute(queries.rubrics_with_verdicts())),
            )


def _wanted(filter: Filter) -> list[ColumnElement[bool]]:
    wanted = []
    if filter.model_version_id is not None:
        wanted.append(queries.by_model(filter.model_version_id))
    if filter.rubric_id is not None:
        wanted.append(queries.by_rubric(filter.rubric_id))
    if filter.mode is not None:
        wanted.append(queries.of_mode(filter.mode))
    match filter.agreement:
        case Agreement.AGREED:
            wanted.append(queries.agreed())
        case Agreement.OVERRIDDEN:
            wanted.append(queries.overridden())
        case Agreement.UNLABELLED:
            wanted.append(queries.unlabelled())
    if filter.text.strip():
        wanted.append(queries.mentioning(filter.text.strip()))
    return wanted


def _row_labels(labels: Sequence[Any]) -> dict[int, tuple[RowLabel, ...]]:
    of_verdict: dict[int, tuple[RowLabel, ...]] = {}
    for label, author in labels:
        said = RowLabel(words=label_opinion(label).words, author=author, agrees=label.agrees)
        of_verdict[label.verdict_id] = (*of_verdict.get(label.verdict_id, ()), said)
    return of_verdict


def _row(summary: Any, labels: tuple[RowLabel, ...]) -> HistoryRow:
    return HistoryRow(
        id=summary.id,
        created_at=summary.created_at,
        mode=Mode(summary.mode),
        instruction=summary.instruction,
        rubric_name=summary.rubric_name,
        rubric_number=summary.rubric_number,
        model_name=summary.model_name,
        result=_result_words(summary),
        confidence=summary.confidence,
        order_sensitive=bool(summary.order_sensitive),
        labels=labels,
    )


def _result_words(verdict: Any) -> str:
    if verdict.status != Status.READ:
        return NO_RESULT_WORDS
    if verdict.mode == Mode.RANKING:
        return ranked_words(ranking_of(verdict.ranking).ranked)
    return Opinion(score=verdict.score, winner=verdict.winner).words


def _detail(verdict: models.Verdict, created_by: str, labels: tuple[LabelView, ...]) -> VerdictDetail:
    version = verdict.rubric_version
    readings = tuple(_reading(part) for part in verdict.readings)
    return VerdictDetail(
        id=verdict.id,
        created_at=verdict.created_at,
        created_by=created_by,
        attempt=verdict.attempt,
        mode=Mode(verdict.mode),
        status=Status(verdict.status),
        item_id=verdict.item_id,
        item=Item(
            instruction=verdict.item.instruction,
            responses=tuple(response.text for response in verdict.item.responses),
            reference=verdict.item.reference,
        ),
        rubric_id=version.rubric_id,
        rubric_version_id=version.id,
        rubric_name=version.rubric.name,
        rubric_number=version.number,
        rubric=rubric_of(version),
        model_version_id=verdict.judge.model_version_id,
        model_kind=verdict.judge.model_version.kind,
        maker=_maker(verdict.judge),
        maker_digest=verdict.judge.digest,
        result=_result(verdict, readings),
        order_sensitive=bool(verdict.order_sensitive),
        readings=readings,
        seconds=verdict.seconds,
        labels=labels,
    )


def _maker(judge: models.Judge) -> Maker:
    version = judge.model_version
    return Maker(
        model_name=version.name,
        model_digest=version.digest,
        recipe=None if version.recipe is None else json.dumps(version.recipe, sort_keys=True),
        prompt_format=judge.prompt_format,
        format_digest=judge.format_digest,
        engine=judge.engine,
        engine_version=judge.engine_version,
        device=judge.device,
        dtype=judge.dtype,
        sampling=Sampling(
            temperature=judge.temperature,
            top_p=judge.top_p,
            seed=judge.seed,
            max_new_tokens=judge.max_new_tokens,
            feedback=judge.feedback,
        ),
    )


def _reading(part: models.VerdictReading) -> ReadingDetail:
    row = part.reading
    return ReadingDetail(
        first=part.first,
        second=part.second,
        attempt=row.attempt,
        created_at=row.created_at,
        prompt_digest=row.prompt_digest,
        reading=reading_of(row),
    )


def _result(verdict: models.Verdict, readings: tuple[ReadingDetail, ...]) -> Result | None:
    if verdict.status != Status.READ:
        return None
    row: Any = verdict  # which columns are filled follows from the mode, more than types can say
    match verdict.mode:
        case Mode.DIRECT if row.expected_score is None:
            return ParsedScore(row.score)
        case Mode.PAIRWISE if row.p_a is None:
            return ParsedPair(row.winner, row.order_sensitive)
        case Mode.DIRECT:
            return ScoreVerdict(
                score=row.score,
                expected=row.expected_score,
                confidence=row.confidence,
                distribution=readings[0].reading.probabilities or (),
            )
        case Mode.PAIRWISE:
            return PairVerdict(
                winner=row.winner,
                p_a=row.p_a,
                p_a_first=row.p_a_first,
                p_a_second=row.p_a_second,
                order_sensitive=row.order_sensitive,
                margin=row.tie_margin,
            )
        case _:
            return ranking_of(row.ranking)
