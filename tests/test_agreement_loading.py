"""What agreement is computed from is read once, and afterwards only what was added, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import pytest
from sqlalchemy import event, select

from backend.agreement_loading import Columns, read, rows_of
from backend.agreement_rows import LABEL_COLUMNS, VERDICT_COLUMNS, Kind, Selection
from backend.comparing import Comparing
from backend.labels import Labels
from backend.types import Mode
from db import models
from db.session import Store
from tests.test_comparing import Panel, judged


@pytest.fixture
def panel(any_store: Store) -> Panel:
    return Panel(any_store)


def read_now(panel: Panel, known: Columns) -> Columns:
    with panel.store.read() as session:
        return read(session, known)


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield asked
    event.remove(store.engine, "before_cursor_execute", note)


def test_reading_on_gives_the_same_as_reading_anew(panel: Panel) -> None:
    verdicts, model, _ = judged(panel, 12)
    known = read_now(panel, Columns(Mode.DIRECT))
    labels = Labels(panel.store)
    labels.override_score(verdicts[0], panel.people[0], "one", 1)
    labels.override_score(verdicts[1], panel.people[0], "two", 1)
    labels.undo(verdicts[1], panel.people[0], "undone")
    panel.bench.judge_id = panel.bench.judge("second")
    with panel.store.read() as session:
        asked = session.get_one(models.Verdict, verdicts[2]).item.instruction
    panel.bench.direct(int(model[2]), instruction=asked)
    late = panel.bench.direct(3)
    panel.blind(late, panel.people[1], score=2)
    further, anew = rows_of(read_now(panel, known)), rows_of(read_now(panel, Columns(Mode.DIRECT)))
    assert len(anew.labels) == 38
    assert len(anew.verdicts.id) == 14
    for name in LABEL_COLUMNS:
        numpy.testing.assert_array_equal(getattr(further.labels, name), getattr(anew.labels, name), err_msg=name)
    for name in VERDICT_COLUMNS:
        numpy.testing.assert_array_equal(getattr(further.verdicts, name), getattr(anew.verdicts, name), err_msg=name)


def test_labels_are_not_read_again_when_nothing_was_added(panel: Panel) -> None:
    judged(panel, 12)
    comparing = Comparing(panel.store)
    first = comparing.report(Selection())
    with statements(panel.store) as asked:
        assert comparing.report(Selection(people=(panel.people[0],))).counts.compared == 12
        assert comparing.report(Selection()) is first
    assert not [one for one in asked if "labels.score" in one and "SELECT labels.id" in one]


def test_several_verdicts_of_one_model_on_one_question_count_once_in_the_powered_mean(panel: Panel) -> None:
    judged(panel, 20)
    for attempt in (1, 2, 3):
        panel.bench.direct(1, instruction="Asked anew", attempt=attempt)
    mean = panel.report(kind=Kind.BLIND).powered[0].mean
    with panel.store.read() as session:
        expected = list(session.scalars(select(models.Verdict.expected_score).order_by(models.Verdict.id)))
    assert len(expected) == 23
    assert mean.model == pytest.approx(sum(expected[:21]) / 21)
