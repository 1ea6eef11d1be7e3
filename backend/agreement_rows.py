"""The labels of a selection beside the verdicts of a model, as columns of numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

import numpy
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import Session

from backend.agreement.bootstrap import Floats, Integers
from backend.errors import InvalidInputError
from backend.types import SCORES, Mode
from db import agreement_queries as queries

NONE = -1


class Kind(StrEnum):
    """Labels given before the verdict was seen, after it, or both pooled, which has to be asked for."""

    BLIND = "blind"
    AFTER = "after"
    POOLED = "pooled"


@dataclass(frozen=True)
class Selection:
    """What to compare.

    model_version_id None: the model with the most verdicts on labelled items. kind None: blind if there are enough,
    else after. people: ids, none for all. since, until: days in UTC on which labels were given, both included.
    """

    mode: Mode = Mode.DIRECT
    model_version_id: int | None = None
    rubric_version_id: int | None = None
    kind: Kind | None = None
    project_id: int | None = None
    people: tuple[int, ...] = ()
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Labels:
    """(labels,) each. question: an item under one rubric version, from 0. value: 1..5; of a pair 0 A, 1 B, 2 tie.

    verdict: the id of the verdict that its author had seen, NONE for a blind label. day: as 20260131.
    length_a, length_b: characters of the item's first two responses, NaN where there is none. project: id or NONE.
    source: number of who wrote the responses, or NONE. seconds: that the label took, NaN where it was not timed.
    """

    question: Integers
    item: Integers
    rubric_version: Integers
    person: Integers
    value: Integers
    verdict: Integers
    day: Integers
    length_a: Floats
    length_b: Floats
    project: Integers
    source: Integers
    seconds: Floats
    outside: int
    """Labels that were left out, since they lie outside of the scale."""

    def __len__(self) -> int:
        return len(self.value)

    @property
    def blind(self) -> NDArray[numpy.bool_]:
        blind: NDArray[numpy.bool_] = self.verdict == NONE
        return blind

    def only(self, kept: NDArray[Any]) -> "Labels":
        """Those that a mask, or positions, choose."""
        columns = {name: getattr(self, name)[kept] for name in LABEL_COLUMNS}
        return replace(self, **columns)


LABEL_COLUMNS = (
    "question",
    "item",
    "rubric_version",
    "person",
    "value",
    "verdict",
    "day",
    "length_a",
    "length_b",
    "project",
    "source",
    "seconds",
)


@dataclass(frozen=True)
class Verdicts:
    """(verdicts,) each, by rising id. expected: score, or probability that A is better. NaN where there is none."""

    id: Integers
    question: Integers
    model: Integers
    value: Integers
    expected: Floats
    confidence: Floats
    p_a_first: Floats
    p_a_second: Floats

    def on(self, place: Integers) -> "Verdicts":
        """Those on the questions that have a place, under their new numbers. place: (questions,), else NONE."""
        number = place[self.question]
        kept = number != NONE
        columns = {name: getattr(self, name)[kept] for name in VERDICT_COLUMNS}
        return Verdicts(question=number[kept], **columns)

    def newest(self, model: int, questions: int) -> Integers:
        """For each question the position of this model's newest verdict, NONE where it gave none."""
        places = numpy.full(questions, NONE)
        mine = numpy.flatnonzero(self.model == model)
        places[self.question[mine]] = mine  # of several the last, which is the newest
        return places


VERDICT_COLUMNS = ("id", "model", "value", "expected", "confidence", "p_a_first", "p_a_second")


@dataclass(frozen=True)
class Rows:
    """What a selection holds. labels: of both kinds, of all models' readers. questions: how many there are.

    sources: the names that labels number.
    """

    labels: Labels
    verdicts: Verdicts
    questions: int
    sources: tuple[str, ...]

    def chosen(self, selection: Selection) -> "Rows":
        """The labels of a selection, of both kinds, and the verdicts on what they ask."""
        labels = self.labels
        kept = numpy.ones(len(labels), dtype=bool)
        if selection.rubric_version_id is not None:
            kept &= labels.rubric_version == selection.rubric_version_id
        if selection.project_id is not None:
            kept &= labels.project == selection.project_id
        if selection.people:
            kept &= numpy.isin(labels.person, selection.people)
        if selection.since is not None:
            kept &= labels.day >= int(selection.since.strftime("%Y%m%d"))
        if selection.until is not None:
            kept &= labels.day <= int(selection.until.strftime("%Y%m%d"))
        if kept.all():
            return self
        labels = labels.only(kept)
        questions, index = numpy.unique(labels.question, return_inverse=True)
        place = numpy.full(self.questions, NONE)
        place[questions] = numpy.arange(len(questions))
        return Rows(replace(labels, question=index), self.verdicts.on(place), len(questions), self.sources)

    def most_judged(self) -> int | None:
        """The model with the most verdicts on these questions, of two the newer; None where there is no verdict."""
        models, counts = numpy.unique(self.verdicts.model, return_counts=True)
        return int(models[len(models) - 1 - numpy.argmax(counts[::-1])]) if len(models) else None

    def beside(self, model: int) -> Integers:
        """For each label the position of the verdict it is compared with, NONE if there is none.

        A label given after a verdict is compared with that verdict, if it is this model's; a blind label with the
        model's newest.
        """
        if not len(self.verdicts.id):
            return numpy.full(len(self.labels), NONE)
        places = self.verdicts.newest(model, self.questions)[self.labels.question]
        seen = numpy.searchsorted(self.verdicts.id, self.labels.verdict).clip(max=len(self.verdicts.id) - 1)
        found = (self.verdicts.id[seen] == self.labels.verdict) & (self.verdicts.model[seen] == model)
        return numpy.where(self.labels.blind, places, numpy.where(found, seen, NONE))


def check_days(selection: Selection) -> None:
    """Raises InvalidInputError for days in the wrong order."""
    if selection.since and selection.until and selection.since > selection.until:
        raise InvalidInputError(f"The first day, {selection.since}, is after the last, {selection.until}. Swap them.")


def wanted(selection: Selection) -> list[ColumnElement[bool]]:
    """The labels of a selection, of both kinds, for SQL."""
    return queries.said_of(
        selection.mode,
        rubric_version_id=selection.rubric_version_id,
        project_id=selection.project_id,
        people=selection.people,
        since=_midnight(selection.since),
        before=_midnight(selection.until and selection.until + timedelta(days=1)),
    )


def load(session: Session, mode: Mode) -> Rows:
    """Every label that stands, of scores or of winners, and the verdicts on what they ask."""
    which = queries.said_of(mode)
    said = _columns(session, queries.labels(mode, which), 10)
    given = _columns(session, queries.verdicts(mode, which), 9)
    low, high = (1, len(SCORES)) if mode is Mode.DIRECT else (0, 2)
    known = (said[4] >= low) & (said[4] <= high)
    item, version = said[1][known].astype(numpy.int64), said[2][known].astype(numpy.int64)
    keys, questions = numpy.unique(_keys(item, version), return_inverse=True)
    of_verdict = _keys(given[1].astype(numpy.int64), given[2].astype(numpy.int64))
    place = numpy.searchsorted(keys, of_verdict).clip(max=max(len(keys) - 1, 0))
    asked = keys[place] == of_verdict if len(keys) else numpy.zeros(len(of_verdict), dtype=bool)
    length_a, length_b = _lengths(session, mode, item)
    source, sources = _sources(session, said[8])
    labels = Labels(
        question=questions,
        item=item,
        rubric_version=version,
        person=said[3][known].astype(numpy.int64),
        value=said[4][known].astype(numpy.int64),
        verdict=numpy.where(numpy.isnan(said[5]), NONE, said[5])[known].astype(numpy.int64),
        day=said[6][known].astype(numpy.int64),
        length_a=length_a,
        length_b=length_b,
        project=numpy.where(numpy.isnan(said[7]), NONE, said[7])[known].astype(numpy.int64),
        source=source[known],
        seconds=said[9][known],
        outside=int((~known).sum()),
    )
    verdicts = Verdicts(
        id=given[0][asked].astype(numpy.int64),
        question=place[asked],
        model=given[3][asked].astype(numpy.int64),
        value=given[4][asked].astype(numpy.int64),
        expected=given[5][asked],
        confidence=given[6][asked],
        p_a_first=given[7][asked],
        p_a_second=given[8][asked],
    )
    return Rows(labels, verdicts, len(keys), sources)


def _lengths(session: Session, mode: Mode, items: Integers) -> tuple[Floats, Floats]:
    rows = _columns(session, queries.lengths(queries.said_of(mode)), 3)
    found = []
    for position in (0, 1):
        of_position = rows[1] == position
        by_item = numpy.full(int(max(items.max(initial=0), rows[0].max(initial=0))) + 1, numpy.nan)
        by_item[rows[0][of_position].astype(numpy.int64)] = rows[2][of_position]
        found.append(by_item[items])
    return found[0], found[1]


def _sources(session: Session, project_items: Floats) -> tuple[Integers, tuple[str, ...]]:
    """The number of each label's source, NONE where it is not known, and the sources' names."""
    of_item = {key: _source_name(text) for key, text in session.execute(queries.sources())}
    names = tuple(sorted(set(of_item.values()) - {""}))
    number = {name: place for place, name in enumerate(names)}
    found = numpy.full(len(project_items), NONE)
    for place in numpy.flatnonzero(~numpy.isnan(project_items)) if of_item else ():
        found[place] = number.get(of_item.get(int(project_items[place]), ""), NONE)
    return found, names


def _source_name(text: str) -> str:
    return " against ".join(str(name) for name in json.loads(text) if name)


def _keys(item: Integers, version: Integers) -> Integers:
    keys: Integers = item * 1_000_003 + version
    return keys


def _columns(session: Session, query: Select[*tuple[Any, ...]], count: int) -> list[Floats]:
    rows: Sequence[Any] = session.connection().execute(query).all()  # without the ORM, which takes half as long again
    if not rows:
        return [numpy.zeros(0)] * count
    return [numpy.array(column, dtype=numpy.float64) for column in zip(*rows, strict=True)]


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=UTC)
