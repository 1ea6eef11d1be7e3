"""The labels of a selection beside the verdicts of a model, as columns of numbers."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

import numpy
from numpy.typing import NDArray
from sqlalchemy import ColumnElement

from backend.agreement.bootstrap import Floats, Integers
from backend.errors import InvalidInputError
from backend.types import Mode
from db import agreement_queries as queries

NONE = -1


EPOCH = date(1970, 1, 1)


class Kind(StrEnum):
    """Labels given before the verdict was seen, after it, those that came with a project's items, or the first two
    pooled, which has to be asked for."""

    BLIND = "blind"
    AFTER = "after"
    IMPORTED = "imported"
    POOLED = "pooled"


KINDS = (Kind.BLIND, Kind.AFTER, Kind.IMPORTED)
"""As the labels' column numbers them."""


@dataclass(frozen=True)
class Selection:
    """What to compare.

    model_version_id None: the model with the most verdicts on labelled items. kind None: blind if there are enough,
    else imported, else after. people: ids, none for all. since, until: days in UTC on which labels were given, both
    included.
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

    kind: 0 blind, 1 after, 2 imported. verdict: the id of the verdict that its author had seen, else NONE. day: since
    1970 in UTC, NONE for imported labels. length_a, length_b: characters of the item's first two responses, NaN where
    there is none. project: id or NONE. source: number of who wrote the responses, or NONE. seconds: that the label
    took, NaN where it was not timed. gold: what a lead decided of its item in its project, as value has it, or NONE.
    drawn: the probability with which its item was drawn for an audit stream; 0 where it was chosen for its doubt, NaN
    where its project has no streams.
    """

    question: Integers
    item: Integers
    rubric_version: Integers
    person: Integers
    value: Integers
    kind: Integers
    verdict: Integers
    day: Integers
    length_a: Floats
    length_b: Floats
    project: Integers
    source: Integers
    seconds: Floats
    gold: Integers
    drawn: Floats
    outside: int
    """Labels that were left out, since they lie outside of the scale."""
    between: int
    """Imported labels that were left out, since they lie between two scores, as the means of several people do."""

    def __len__(self) -> int:
        return len(self.value)

    def of(self, kind: Kind) -> NDArray[numpy.bool_]:
        """Which labels are of this kind; pooled are those that were given here, blind or after."""
        mask: NDArray[numpy.bool_] = self.kind != KINDS.index(Kind.IMPORTED)
        return mask if kind is Kind.POOLED else self.kind == KINDS.index(kind)

    def only(self, kept: NDArray[Any]) -> "Labels":
        """Those that a mask, or positions, choose."""
        columns = {name: getattr(self, name)[kept] for name in LABEL_COLUMNS}
        return replace(self, **columns)


LABEL_COLUMNS = tuple(field.name for field in fields(Labels) if field.name not in ("outside", "between"))


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


SourceNames = tuple[str, ...]
"""Who wrote each response of an item."""


@dataclass(frozen=True)
class Rows:
    """What a selection holds. labels: of every kind, of all models' readers. questions: how many there are.

    sources: the names that labels number, one for each response. raters: project and name of those whose labels were
    imported.
    """

    labels: Labels
    verdicts: Verdicts
    questions: int
    sources: tuple[SourceNames, ...]
    raters: dict[int, tuple[int, str]]

    def chosen(self, selection: Selection) -> "Rows":
        """The labels of a selection, of every kind, and the verdicts on what they ask."""
        labels = self.labels
        kept = numpy.ones(len(labels), dtype=bool)
        if selection.rubric_version_id is not None:
            kept &= labels.rubric_version == selection.rubric_version_id
        if selection.project_id is not None:
            kept &= labels.project == selection.project_id
        if selection.people:
            kept &= numpy.isin(labels.person, selection.people)
        if selection.since is not None:
            kept &= labels.day >= (selection.since - EPOCH).days
        if selection.until is not None:
            kept &= (labels.day <= (selection.until - EPOCH).days) & (labels.day != NONE)
        if kept.all():
            return self
        labels = labels.only(kept)
        questions, index = numpy.unique(labels.question, return_inverse=True)
        place = numpy.full(self.questions, NONE)
        place[questions] = numpy.arange(len(questions))
        return replace(
            self, labels=replace(labels, question=index), verdicts=self.verdicts.on(place), questions=len(questions)
        )

    def rater_names(self) -> dict[int, str]:
        """Of those whose imported labels these are, with their project where the labels are of several."""
        here = {int(person): self.raters[int(person)] for person in numpy.unique(self.labels.person)
                if int(person) in self.raters}  # fmt: skip
        several = len({project for project, _ in here.values()}) > 1
        return {key: f"{name} (project {project})" if several else name for key, (project, name) in here.items()}

    def most_judged(self) -> int | None:
        """The model with the most verdicts on these questions, of two the newer; None where there is no verdict."""
        models, counts = numpy.unique(self.verdicts.model, return_counts=True)
        return int(models[len(models) - 1 - numpy.argmax(counts[::-1])]) if len(models) else None

    def beside(self, model: int) -> Integers:
        """For each label the position of the verdict it is compared with, NONE if there is none.

        A label given after a verdict is compared with that verdict, if it is this model's; a blind or imported one
        with the model's newest.
        """
        if not len(self.verdicts.id):
            return numpy.full(len(self.labels), NONE)
        places = self.verdicts.newest(model, self.questions)[self.labels.question]
        seen = numpy.searchsorted(self.verdicts.id, self.labels.verdict).clip(max=len(self.verdicts.id) - 1)
        found = (self.verdicts.id[seen] == self.labels.verdict) & (self.verdicts.model[seen] == model)
        return numpy.where(self.labels.verdict == NONE, places, numpy.where(found, seen, NONE))


def check_days(selection: Selection) -> None:
    """Raises InvalidInputError for days in the wrong order."""
    if selection.since and selection.until and selection.since > selection.until:
        raise InvalidInputError(f"The first day, {selection.since}, is after the last, {selection.until}. Swap them.")


def orders_of(selection: Selection) -> list[ColumnElement[bool]]:
    """The orders of a selection, for SQL."""
    return queries.orders_of(
        rubric_version_id=selection.rubric_version_id,
        project_id=selection.project_id,
        people=selection.people,
        since=_midnight(selection.since),
        before=_midnight(selection.until and selection.until + timedelta(days=1)),
    )


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=UTC)
