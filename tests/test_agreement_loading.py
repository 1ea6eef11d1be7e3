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
    first = comparing.report(Selection(), panel.people[0])
    with statements(panel.store) as asked:
        assert comparing.report(Selection(people=(panel.people[0],)), panel.people[0]).counts.compared == 12
        assert comparing.report(Selection(), panel.people[0]) is first
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


def in_project(
    panel: Panel, verdicts: list[int], imported: list[object], *, name: str = "Kettles", **fields: object
) -> int:
    """A project of these verdicts' items with the labels that came with each; its id."""
    with panel.store.write() as session:
        project = models.Project(
            name=name, guidelines="", mode="direct", blind=True, people_per_item=1, item_order="given", repeats=0,
            lease_seconds=60, seed=1, state="open", created_by_id=panel.people[0],
        )  # fmt: skip
        session.add(project)
        session.flush()
        for number, (verdict, labels) in enumerate(zip(verdicts, imported, strict=True)):
            row = session.get_one(models.Verdict, verdict)
            session.add(
                models.ProjectItem(
                    project_id=project.id, item_id=row.item_id, rubric_version_id=row.rubric_version_id,
                    position=number, order_key=number, imported_labels=labels, **fields,
                )
            )  # fmt: skip
        return project.id


def test_imported_labels_are_a_kind_of_their_own_with_their_raters_names(panel: Panel) -> None:
    verdicts = [panel.bench.direct(score) for score in (1, 2, 3, 4, 5) * 4]
    in_project(panel, verdicts, [{"ann": 1 + n % 5, "bo": 3} for n in range(20)])
    report = panel.report()
    assert (report.kind, report.counts.imported, report.counts.compared) == (Kind.IMPORTED, 40, 40)
    assert {report.name_of(person.key) for person in report.people} == {"ann", "bo"}
    assert report.scores.matrix[0] == (4, 0, 4, 0, 0)
    assert set(report.ceiling.names) == {"ann", "bo", "starter (model)"}
    assert report.months == ()
    assert panel.report(kind=Kind.POOLED).counts.compared == 0  # pooled are only labels that were given here
    panel.blind(verdicts[0], panel.people[0], score=1)
    assert panel.report(kind=Kind.IMPORTED).counts.compared == 40
    assert panel.report(kind=Kind.IMPORTED).anchoring.blind.n == 1


def test_imported_labels_without_names_are_told_apart_by_their_place_and_means_are_left_out(panel: Panel) -> None:
    verdicts = [panel.bench.direct(4) for _ in range(12)]
    in_project(panel, verdicts, [[4, 3]] * 10 + [[3.3333], None])
    report = panel.report()
    assert (report.counts.compared, report.counts.between) == (20, 1)
    assert {report.name_of(person.key) for person in report.people} == {"imported 1", "imported 2"}


def test_labels_of_items_imported_since_are_read_on(panel: Panel) -> None:
    comparing = Comparing(panel.store)
    assert comparing.report(Selection(), panel.people[0]).counts.imported == 0
    verdicts = [panel.bench.direct(4) for _ in range(12)]
    project = in_project(panel, verdicts, [[4]] * 12, sources=["alpha"])
    report = comparing.report(Selection(project_id=project), panel.people[0])
    assert report.counts.compared == 12
    assert comparing.choices(Mode.DIRECT, panel.people[0]).projects == ((project, "Kettles"),)


def test_imported_raters_of_several_projects_are_told_apart_by_their_project(panel: Panel) -> None:
    first = in_project(panel, [panel.bench.direct(4) for _ in range(12)], [[4]] * 12)
    second = in_project(panel, [panel.bench.direct(4) for _ in range(12)], [[5]] * 12, name="Teapots")
    both, one = panel.report(), panel.report(project_id=first)
    names = {both.name_of(person.key) for person in both.people}
    assert names == {f"imported 1 (project {first})", f"imported 1 (project {second})"}
    assert [one.name_of(person.key) for person in one.people] == ["imported 1"]
