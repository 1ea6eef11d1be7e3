"""What an annotator may see of verdicts, and that every service keeps the rest from them."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backend.errors import NotAllowedError
from backend.history import Filter, History
from backend.judging import Judging, Question
from backend.labelling import Labelling
from backend.labels import Labels
from backend.projects import ProjectView
from backend.types import Item, Sampling
from db.models import Verdict
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.project_bench import RUBRIC, ProjectBench
from tests.test_labelling import judge


@pytest.fixture
def bench(any_store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(any_store, tmp_path)


def click() -> str:
    return uuid.uuid4().hex


def judged(bench: ProjectBench, **changes: Any) -> tuple[ProjectView, list[int]]:
    """A project of two items, and its verdicts."""
    view = bench.filled(2, **changes)
    judge(bench, view)
    with bench.store.read() as session:
        return view, list(session.scalars(select(Verdict.id).order_by(Verdict.id)))


def seen(bench: ProjectBench, viewer_id: int) -> list[int]:
    return [row.id for row in History(bench.store).page(Filter(), 1, viewer_id).rows]


def test_before_their_label_an_annotator_finds_and_opens_no_verdict_of_a_blind_project(bench: ProjectBench) -> None:
    _view, verdicts = judged(bench)
    history, labels = History(bench.store), Labels(bench.store)
    assert seen(bench, bench.ann) == []
    assert seen(bench, bench.lead) == verdicts[::-1]
    for route in (
        lambda: history.open(verdicts[0], bench.ann),
        lambda: labels.trail(verdicts[0], bench.ann),
        lambda: labels.agree(verdicts[0], bench.ann, click()),
        lambda: labels.override_score(verdicts[0], bench.ann, click(), 3),
        lambda: labels.undo(verdicts[0], bench.ann, click()),
    ):
        with pytest.raises(NotAllowedError, match="Label the item first"):
            route()


def test_after_their_label_they_see_the_verdict_that_they_were_shown_and_no_other(bench: ProjectBench) -> None:
    view, verdicts = judged(bench)
    labelling, history = Labelling(bench.store), History(bench.store)
    task = labelling.next(view.id, bench.ann)
    given = labelling.submit(task.project_item_id, bench.ann, click(), "4", seconds=9)
    assert seen(bench, bench.ann) == [given.verdict_id] == verdicts[:1]
    assert history.open(given.verdict_id, bench.ann).item.instruction == "Question 0?"
    assert seen(bench, bench.bob) == [], "another person's label shows nothing to this one"
    with pytest.raises(NotAllowedError):
        history.open(given.verdict_id, bench.bob)


def test_an_annotator_sees_their_own_labels_and_no_one_elses(bench: ProjectBench) -> None:
    view, verdicts = judged(bench, people_per_item=2)
    labelling, labels = Labelling(bench.store), Labels(bench.store)
    for person in (bench.ann, bench.bob):
        task = labelling.next(view.id, person)
        labelling.submit(task.project_item_id, person, click(), "4", seconds=9)
        labels.override_score(verdicts[0], person, click(), 2)
    assert [view.author for view in labels.trail(verdicts[0], bench.ann)] == ["ann"]
    assert [view.author for view in labels.trail(verdicts[0], bench.lead)] == ["ann", "bob"]
    (row,) = History(bench.store).page(Filter(), 1, bench.bob).rows
    assert [label.author for label in row.labels] == ["bob"]


def test_the_judge_does_not_answer_an_annotator_what_waits_blind_for_them(bench: ProjectBench) -> None:
    view, _verdicts = judged(bench)
    judging = Judging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    asked = Question(Item("Question 0?", ("In other words.",)), RUBRIC, bench.rubric_version_id)
    with pytest.raises(NotAllowedError, match="Label the item first"):
        judging.start(asked, Sampling(), bench.ann)
    labelling = Labelling(bench.store)
    labelling.submit(labelling.next(view.id, bench.ann).project_item_id, bench.ann, click(), "4", seconds=9)
    state = judging.start(asked, Sampling(), bench.ann).wait()
    assert History(bench.store).open(state.verdict_id, bench.ann).created_by == "ann"


def test_in_a_project_that_is_not_blind_the_verdict_is_there_at_once(bench: ProjectBench) -> None:
    _view, verdicts = judged(bench, blind=False)
    assert seen(bench, bench.ann) == verdicts[::-1]


def test_who_asks_what_another_had_asked_gets_the_answer_into_their_own_history(bench: ProjectBench) -> None:
    judging = Judging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    asked = Question(Item("What is tea?", ("A drink.",)), RUBRIC, bench.rubric_version_id)
    first = judging.start(asked, Sampling(), bench.bob).wait()
    assert seen(bench, bench.ann) == []
    for _ in range(2):
        again = judging.start(asked, Sampling(), bench.ann).wait()
        assert (again.verdict_id, again.from_store) == (first.verdict_id, True)
    assert seen(bench, bench.ann) == seen(bench, bench.bob) == [first.verdict_id]
