"""Labelling: one item at a time, nothing lost, nothing doubled, and no verdict before the label."""

import threading
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend.batch_job import BatchJudging, BatchOrder
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.labelling import Labelling
from backend.labelling_desk import Given, Task
from backend.projects import ProjectState, ProjectView
from backend.types import Mode, Sampling
from db.models import Label, Lease, ProjectItem, now
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.conftest import add_user
from tests.project_bench import ProjectBench


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


@pytest.fixture
def labelling(bench: ProjectBench) -> Labelling:
    return Labelling(bench.store)


def click() -> str:
    return uuid.uuid4().hex


def judge(bench: ProjectBench, view: ProjectView) -> None:
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())


def taken(labelling: Labelling, view: ProjectView, user_id: int) -> Task:
    task = labelling.next(view.id, user_id)
    assert task is not None
    return task


def give(labelling: Labelling, task: Task, user_id: int, choice: str = "4", seconds: float = 9) -> Given:
    return labelling.submit(task.project_item_id, user_id, click(), choice, seconds=seconds)


def labels(store: Store) -> list[Label]:
    with store.read() as session:
        return list(session.scalars(select(Label).order_by(Label.id)))


def test_a_person_labels_every_item_once_in_order(any_store: Store, tmp_path: Path) -> None:
    bench, labelling = ProjectBench(any_store, tmp_path), Labelling(any_store)
    view = bench.filled(3)
    for number in range(3):
        task = taken(labelling, view, bench.ann)
        assert task.instruction == f"Question {number}?"
        assert taken(labelling, view, bench.ann) == task, "a refresh shows the same item"
        give(labelling, task, bench.ann, seconds=1.5 if number == 2 else 9)
    assert labelling.next(view.id, bench.ann) is None
    progress = bench.projects.progress(view.id)
    assert (progress.complete, progress.labels) == (3, 3)
    (ann,) = progress.people
    assert (ann.name, ann.labels, ann.rushed, ann.seconds) == ("ann", 3, 1, 9)


def test_the_same_click_twice_is_one_label(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(2)
    task, once = taken(labelling, view, bench.ann), click()
    first = labelling.submit(task.project_item_id, bench.ann, once, "4", seconds=3)
    assert labelling.submit(task.project_item_id, bench.ann, once, "2", seconds=3) == first
    assert len(labels(bench.store)) == 1
    with pytest.raises(ConflictError, match="another label"):
        labelling.submit(task.project_item_id + 1, bench.ann, once, "4")


def test_nothing_of_the_verdict_is_there_before_the_blind_label(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(2, Mode.PAIRWISE)
    judge(bench, view)
    task = taken(labelling, view, bench.ann)
    assert task.verdict_id is None
    assert "alpha" not in repr(task), "who wrote a response would give it away too"
    given = give(labelling, task, bench.ann, "A")
    assert given.verdict_id is not None
    (label,) = labels(bench.store)
    assert (label.kind, label.verdict_id, label.agrees) == ("blind", None, None)
    assert given.words == "AB"[label.shown_order[0]]


def test_an_opinion_after_the_reveal_is_an_override_beside_the_blind_label(any_store: Store, tmp_path: Path) -> None:
    bench, labelling = ProjectBench(any_store, tmp_path), Labelling(any_store)
    view = bench.filled(1)
    judge(bench, view)
    task = taken(labelling, view, bench.ann)
    given = give(labelling, task, bench.ann, "1")
    again = labelling.reopen(view.id, bench.ann, task.project_item_id)
    assert (again.choice, again.reopened, again.verdict_id) == ("1", True, given.verdict_id)
    kinds = [give(labelling, again, bench.ann, choice).kind for choice in ("3", "5")]
    assert set(kinds) <= {"override", "agree"}
    blind, first, second = labels(any_store)
    assert (blind.kind, blind.score, blind.supersedes_id) == ("blind", 1, None)
    assert (first.verdict_id, first.supersedes_id, second.supersedes_id) == (given.verdict_id, None, first.id)
    assert bench.projects.progress(view.id).labels == 1


def test_before_any_verdict_a_changed_mind_supersedes_and_both_are_kept(
    bench: ProjectBench, labelling: Labelling
) -> None:
    view = bench.filled(2)
    task = taken(labelling, view, bench.ann)
    give(labelling, task, bench.ann, "2")
    (recent,) = labelling.recent(view.id, bench.ann)
    assert (recent.words, recent.project_item_id) == ("2", task.project_item_id)
    give(labelling, labelling.reopen(view.id, bench.ann, recent.project_item_id), bench.ann, "3")
    first, second = labels(bench.store)
    assert (first.score, second.score, second.supersedes_id, second.kind) == (2, 3, first.id, "blind")
    with pytest.raises(ConflictError, match="last 10"):
        labelling.reopen(view.id, bench.ann, task.project_item_id + 1)


def test_sides_are_shuffled_by_person_and_said_back_right(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(20, Mode.PAIRWISE)
    shown = Counter()
    for _ in range(20):
        task = taken(labelling, view, bench.ann)
        shown[task.responses[0].split()[0]] += 1
        better = "A" if task.responses[0].startswith("First") else "B"
        assert give(labelling, task, bench.ann, better).words == "A"
    assert min(shown.values()) >= 4
    assert {label.winner for label in labels(bench.store)} == {"A"}


def test_a_ranking_is_given_in_the_letters_that_were_shown(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(1, Mode.RANKING)
    task = taken(labelling, view, bench.ann)
    best_first = sorted(range(3), key=lambda place: task.responses[place])
    give(labelling, task, bench.ann, " > ".join("ABC"[place] for place in best_first))
    assert labels(bench.store)[0].ranking == [0, 1, 2]


def test_a_skipped_item_goes_to_others_only(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(1)
    task = taken(labelling, view, bench.ann)
    assert labelling.next(view.id, bench.bob) is None, "ann has it in hand"
    labelling.skip(task.project_item_id, bench.ann)
    labelling.skip(task.project_item_id, bench.ann)
    assert labelling.next(view.id, bench.ann) is None
    assert taken(labelling, view, bench.bob).project_item_id == task.project_item_id


def test_drafts_and_flags_are_kept(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(1)
    task = taken(labelling, view, bench.ann)
    labelling.keep_draft(task.project_item_id, bench.ann, "3", "It is al")
    labelling.keep_draft(task.project_item_id, bench.ann, "3", "It is almost right.")
    once = click()
    for _ in range(2):
        labelling.flag(task.project_item_id, bench.ann, once, "The response is cut off.")
    again = taken(Labelling(bench.store), view, bench.ann)
    assert (again.choice, again.note) == ("3", "It is almost right.")
    give(labelling, again, bench.ann, "3")
    (ann,) = bench.projects.progress(view.id).people
    assert ann.flagged == 1


def test_an_expired_lease_lets_others_in_and_the_late_label_is_refused(
    bench: ProjectBench, labelling: Labelling
) -> None:
    view = bench.filled(1)
    task = taken(labelling, view, bench.ann)
    with bench.store.write() as session:
        session.execute(update(Lease).values(expires_at=now() - timedelta(seconds=1)))
    give(labelling, taken(labelling, view, bench.bob), bench.bob)
    with pytest.raises(ConflictError, match="somebody else"):
        give(labelling, task, bench.ann)
    assert len(labels(bench.store)) == 1


def test_an_expired_lease_costs_nothing_where_nobody_came(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(1)
    task = taken(labelling, view, bench.ann)
    with bench.store.write() as session:
        session.execute(update(Lease).values(expires_at=now() - timedelta(days=400)))
    assert give(labelling, task, bench.ann).kind == "blind"


def test_items_come_back_and_consistency_is_counted(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(3, repeats=2)
    judge(bench, view)
    for choice in ("1", "2", "3"):
        given = give(labelling, taken(labelling, view, bench.ann), bench.ann, choice)
        assert given.verdict_id is None, "who had seen the verdict would not be measured"
    for choice in ("1", "5"):
        task = taken(labelling, view, bench.ann)
        assert (task.round, task.choice) == (2, "")
        give(labelling, task, bench.ann, choice)
    assert labelling.next(view.id, bench.ann) is None
    (ann,) = bench.projects.progress(view.id).people
    assert (ann.labels, ann.repeated, ann.consistent) == (3, 2, 1)


def test_a_closed_project_takes_no_labels_and_loses_none(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(1)
    task = taken(labelling, view, bench.ann)
    bench.projects.set_state(view.id, ProjectState.ARCHIVED, bench.lead)
    for action in (lambda: give(labelling, task, bench.ann), lambda: labelling.next(view.id, bench.ann)):
        with pytest.raises(ConflictError, match="archived"):
            action()


@pytest.mark.parametrize("choice", ["", "6", "A", "tie", "4.0", "x" * 5000])
def test_a_choice_that_is_none_is_refused(bench: ProjectBench, labelling: Labelling, choice: str) -> None:
    task = taken(labelling, bench.filled(1), bench.ann)
    with pytest.raises(InvalidInputError, match="choose 1 to 5"):
        give(labelling, task, bench.ann, choice)
    assert labels(bench.store) == []


def test_clocks_that_jump_and_items_that_are_not_there(bench: ProjectBench, labelling: Labelling) -> None:
    view = bench.filled(2)
    give(labelling, taken(labelling, view, bench.ann), bench.ann, seconds=-5e9)
    give(labelling, taken(labelling, view, bench.ann), bench.ann, seconds=5e9)
    assert [label.seconds for label in labels(bench.store)] == [0, 86_400]
    with pytest.raises(InvalidInputError, match="nan"):
        labelling.submit(1, bench.ann, click(), "4", seconds=float("nan"))
    with pytest.raises(NotFoundError, match="99"):
        labelling.submit(99, bench.ann, click(), "4")


def test_many_people_at_once_never_exceed_what_an_item_needs(any_store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(any_store, tmp_path)
    view = bench.filled(12, people_per_item=2)
    people = [add_user(any_store, f"person {n}", "annotator") for n in range(6)]
    errors: list[Exception] = []

    labelling = Labelling(any_store)

    def work(user_id: int) -> None:
        try:
            while (task := labelling.next(view.id, user_id)) is not None:
                give(labelling, task, user_id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(user_id,)) for user_id in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    by_item = Counter(label.project_item_id for label in labels(any_store))
    assert len(by_item) == 12
    assert set(by_item.values()) == {2}
    with any_store.read() as session:
        assert set(session.scalars(select(ProjectItem.people))) == {2}
