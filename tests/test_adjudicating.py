"""Adjudication: what is disputed, what a lead decides of it, and that nothing anybody said is lost by it."""

import json
import re
import uuid
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.adjudicating import Adjudicating, Dispute, Why
from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.labelling import Labelling
from backend.project_export import DPO, FEEDBACK, LONG, ProjectExport
from backend.projects import ProjectView
from backend.types import Mode
from db.adjudication_queries import gold
from db.models import Adjudication, ProjectItem, Verdict
from db.session import Store
from tests.project_bench import ProjectBench
from tests.test_labelling import judge
from ui.adjudicating_render import queue_list


@pytest.fixture
def bench(any_store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(any_store, tmp_path)


@pytest.fixture
def adjudicating(bench: ProjectBench) -> Adjudicating:
    return Adjudicating(bench.store)


def click() -> str:
    return uuid.uuid4().hex


def labelled(bench: ProjectBench, view: ProjectView, *choices: tuple[str, str]) -> None:
    """Ann's and Bob's labels on each item, in the imported order of its responses."""
    labelling = Labelling(bench.store)
    for pair in choices:
        for person, choice in zip((bench.ann, bench.bob), pair, strict=True):
            task = labelling.next(view.id, person)
            flipped = task.mode is Mode.PAIRWISE and task.responses[0].startswith("Second")
            shown = {"A": "B", "B": "A"}.get(choice, choice) if flipped else choice
            labelling.submit(task.project_item_id, person, click(), shown, f"{choice}, because", seconds=9)


def numbers(found: list[Dispute]) -> list[int]:
    return [one.number for one in found]


def test_items_on_which_people_differ_are_listed_the_widest_first(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view = bench.filled(4, people_per_item=2)
    labelled(bench, view, ("3", "4"), ("2", "2"), ("1", "5"))
    assert numbers(adjudicating.queue(view.id, bench.lead)) == [3, 1]
    assert adjudicating.queue(view.id, bench.lead)[0].people == 2
    pairs = bench.filled(2, Mode.PAIRWISE, name="Pairs", people_per_item=2)
    labelled(bench, pairs, ("A", "A"), ("A", "tie"))
    assert numbers(adjudicating.queue(pairs.id, bench.lead)) == [2]


def test_the_queue_marks_the_item_that_stands_open_and_no_other(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view = bench.filled(3, people_per_item=2)
    labelled(bench, view, ("3", "4"), ("2", "3"), ("1", "5"))
    disputes = adjudicating.queue(view.id, bench.lead)
    marks = re.findall(r'data-item="(\d+)" aria-pressed="(\w+)"', queue_list(disputes))
    assert marks == [(str(one.project_item_id), str(one is disputes[0]).lower()) for one in disputes]
    assert len(marks) == 3


def test_items_on_which_people_agree_with_each_other_and_not_with_the_model_are_a_queue_of_their_own(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view = bench.filled(3, people_per_item=2)
    judge(bench, view)
    with bench.store.write() as session:
        for verdict in session.scalars(select(Verdict)):
            verdict.score = 4
    labelled(bench, view, ("4", "4"), ("2", "2"))
    task = Labelling(bench.store).next(view.id, bench.ann)
    Labelling(bench.store).submit(task.project_item_id, bench.ann, click(), "1", seconds=9)
    assert numbers(adjudicating.queue(view.id, bench.lead, Why.MODEL)) == [2], "item 3 still waits for bob"
    assert numbers(adjudicating.queue(view.id, bench.lead)) == []


def test_orders_are_compared_with_the_models_by_their_winner_and_by_kendalls_tau(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    """Ties of the model take nobody's side; of an item on which people differ nothing is asked here."""
    view = bench.project(mode=Mode.RANKING, people_per_item=2)
    rows = [{"instruction": f"Question {n}?", "responses": [f"{w} {n}" for w in "vwxyz"]} for n in range(7)]
    bench.importing.run(str(bench.file(rows)), view.id, bench.lead)
    judge(bench, view)
    orders = ("A > B > C > D > E",) * 5 + ("A > B > C > E > D", "B > A > C > D > E")
    ranks = {  # by the item's number, from 1
        1: (1, 2, 3, 5, 4),  # tau .8, the same winner
        2: (1, 5, 4, 3, 2),  # tau -.2, the same winner
        3: (2, 1, 3, 4, 5),  # tau .8, another winner
        4: (1, 1, 3, 4, 5),  # people's winner is one of two
        5: (1, 1, 1, 1, 1),  # says nothing
        6: (5, 4, 3, 2, 1),
        7: (5, 4, 3, 1, 2),
    }
    labelling = Labelling(bench.store)
    with bench.store.write() as session:
        items = session.scalars(select(ProjectItem).order_by(ProjectItem.position)).all()
        for item in items:
            verdict = session.scalars(select(Verdict).where(Verdict.item_id == item.item_id)).one()
            said = ranks[item.position + 1]
            ranked = [one | {"rank": said[one["position"]]} for one in verdict.ranking["ranked"]]
            verdict.ranking = {**verdict.ranking, "ranked": ranked}
    for person in (bench.ann, bench.bob):
        for order in orders:
            task = labelling.next(view.id, person)
            if task is None:
                break
            differs = person == bench.bob and order == orders[5]
            shown = as_shown(task.responses, orders[0] if differs else order)
            labelling.submit(task.project_item_id, person, click(), shown, seconds=9)
    assert numbers(adjudicating.queue(view.id, bench.lead, Why.MODEL)) == [7, 2, 3]
    assert numbers(adjudicating.queue(view.id, bench.lead)) == [6]
    adjudicating.decide(items[6].id, bench.lead, click(), "A > B > C > D > E", "by hand")
    assert numbers(adjudicating.queue(view.id, bench.lead, Why.MODEL)) == [2, 3]


def as_shown(responses: tuple[str, ...], order: str) -> str:
    """An order of the responses as they were imported, "v 0" to "z 0", in the letters of the page's own order."""
    letters = {"vwxyz".index(text[0]): "ABCDE"[place] for place, text in enumerate(responses)}
    return " > ".join(letters["ABCDE".index(name)] for name in order.split(" > "))


def test_a_case_has_the_labels_without_telling_who_is_who_by_their_order(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view = bench.filled(1, people_per_item=2)
    judge(bench, view)
    labelled(bench, view, ("5", "2"))
    (dispute,) = adjudicating.queue(view.id, bench.lead)
    case = adjudicating.open(dispute.project_item_id, bench.lead)
    assert [(side.words, side.note, side.author) for side in case.sides] == [
        ("2 of 5", "2, because", "bob"), ("5 of 5", "5, because", "ann"),
    ]  # fmt: skip
    assert case.verdict_id is not None
    assert case.decisions == ()


def test_a_decision_leaves_the_queue_and_a_later_one_supersedes_it(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view = bench.filled(1, people_per_item=2)
    labelled(bench, view, ("5", "2"))
    (dispute,) = adjudicating.queue(view.id, bench.lead)
    once = click()
    first = adjudicating.decide(dispute.project_item_id, bench.lead, once, "4", "Bob overlooked the table.")
    assert adjudicating.decide(dispute.project_item_id, bench.lead, once, "1", "Twice.") == first
    assert (first.words, first.author, first.stands) == ("4 of 5", "lead", True)
    assert adjudicating.queue(view.id, bench.lead) == []
    second = adjudicating.decide(dispute.project_item_id, bench.lead, click(), "3", "The table is wrong.")
    assert numbers(adjudicating.queue(view.id, bench.lead, Why.DECIDED)) == [1]
    case = adjudicating.open(dispute.project_item_id, bench.lead)
    assert [(one.words, one.stands) for one in case.decisions] == [("4 of 5", False), ("3 of 5", True)]
    assert len(case.sides) == 2
    assert bench.projects.progress(view.id).decided == 1
    with bench.store.read() as session:
        assert [one.id for one in gold(session, view.id)] == [second.id]
        rows = list(session.scalars(select(Adjudication)))
    assert [sorted(row.label_ids) for row in rows] == [[1, 2], [1, 2]]


def test_who_finishes_an_item_that_was_decided_meanwhile_is_told_and_their_label_is_kept(
    bench: ProjectBench, adjudicating: Adjudicating
) -> None:
    view, labelling = bench.filled(1, people_per_item=3), Labelling(bench.store)
    labelled(bench, view, ("5", "2"))
    late = bench.lead
    task = labelling.next(view.id, late)
    adjudicating.decide(task.project_item_id, bench.lead, click(), "4", "Settled.")
    given = labelling.submit(task.project_item_id, late, click(), "1", seconds=9)
    assert (given.decided, given.words, given.kind) == (True, "1 of 5", "blind")
    assert len(adjudicating.open(task.project_item_id, bench.lead).sides) == 3


def test_a_decided_item_is_handed_to_nobody_else(bench: ProjectBench, adjudicating: Adjudicating) -> None:
    view, labelling = bench.filled(2, people_per_item=2), Labelling(bench.store)
    first = labelling.next(view.id, bench.ann)
    adjudicating.decide(first.project_item_id, bench.lead, click(), "4", "Settled.")
    assert labelling.next(view.id, bench.bob).project_item_id != first.project_item_id


def test_exports_carry_the_decision_and_training_rows_follow_it(
    bench: ProjectBench, adjudicating: Adjudicating, tmp_path: Path
) -> None:
    view, exporting = bench.filled(2, people_per_item=2), ProjectExport(bench.store)
    labelled(bench, view, ("5", "2"), ("3", "3"))
    (dispute,) = adjudicating.queue(view.id, bench.lead)
    adjudicating.decide(dispute.project_item_id, bench.lead, click(), "4", "Settled.")
    exporting.write(view.id, LONG, tmp_path / "long.jsonl", bench.lead)
    rows = [json.loads(line) for line in (tmp_path / "long.jsonl").read_text().splitlines()]
    (decision,) = [row for row in rows if row["kind"] == "adjudication"]
    assert (decision["score"], decision["note"], decision["annotator"], decision["stands"]) == (
        4,
        "Settled.",
        "lead",
        True,
    )
    assert [row["score"] for row in rows if row["kind"] == "blind"] == [5, 2, 3, 3]
    exporting.write(view.id, FEEDBACK, tmp_path / "feedback.jsonl", bench.lead)
    trained = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().splitlines()]
    assert [row["orig_score"] for row in trained] == ["4", "3"]
    pairs = bench.filled(1, Mode.PAIRWISE, name="Pairs", people_per_item=2)
    labelled(bench, pairs, ("A", "B"))
    (dispute,) = adjudicating.queue(pairs.id, bench.lead)
    adjudicating.decide(dispute.project_item_id, bench.lead, click(), "B", "Settled.")
    exporting.write(pairs.id, DPO, tmp_path / "dpo.jsonl", bench.lead)
    assert json.loads((tmp_path / "dpo.jsonl").read_text())["chosen"] == "Second 0."


def test_what_is_no_decision_is_refused(bench: ProjectBench, adjudicating: Adjudicating) -> None:
    item = 1
    bench.filled(1)
    for choice, reason, said in [
        ("6", "So.", "choose 1 to 5"),
        ("4", "  ", "reason is empty"),
        ("4", "x" * 10_001, "at most"),
    ]:
        with pytest.raises(InvalidInputError, match=said):
            adjudicating.decide(item, bench.lead, click(), choice, reason)
    with pytest.raises(NotFoundError, match="no item 99"):
        adjudicating.decide(99, bench.lead, click(), "4", "So.")
    once = click()
    adjudicating.decide(item, bench.lead, once, "4", "So.")
    bench.filled(1, name="Others")
    with pytest.raises(ConflictError, match="another decision"):
        adjudicating.decide(item + 1, bench.lead, once, "4", "So.")


def test_an_annotator_adjudicates_nothing(bench: ProjectBench, adjudicating: Adjudicating) -> None:
    view = bench.filled(1)
    for act in (
        lambda: adjudicating.queue(view.id, bench.ann),
        lambda: adjudicating.open(1, bench.ann),
        lambda: adjudicating.decide(1, bench.ann, click(), "4", "So."),
    ):
        with pytest.raises(NotAllowedError, match="only a lead or above may adjudicate"):
            act()
