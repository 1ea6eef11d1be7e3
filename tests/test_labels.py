"""What people say of a verdict is appended, superseded and undone by exact rules."""

import threading
import uuid

import pytest
from sqlalchemy import select

from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.labels import Labels
from backend.results import Opinion, order_words, parse_order
from backend.users import owner
from db.models import Label, User
from db.session import Store
from tests.conftest import add_user
from tests.factories import Bench


@pytest.fixture
def bench(any_store: Store) -> Bench:
    return Bench(any_store)


@pytest.fixture
def labels(bench: Bench) -> Labels:
    return Labels(bench.store)


def click() -> str:
    return uuid.uuid4().hex


def label_rows(store: Store) -> list[Label]:
    with store.read() as session:
        return list(session.scalars(select(Label).order_by(Label.id)))


def test_the_owner_is_made_once_and_is_an_admin(any_store: Store) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(owner(any_store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with any_store.read() as session:
        user = session.scalars(select(User)).one()
    assert found == [user.id] * 8
    assert user.role == "admin"


def test_agreeing_says_what_the_verdict_said(bench: Bench, labels: Labels) -> None:
    direct = labels.agree(bench.direct(4), bench.author_id, click(), "well put")
    pair = labels.agree(bench.pairwise("B"), bench.author_id, click())
    ranking = labels.agree(bench.ranking((2, 1, 3)), bench.author_id, click())
    assert [label.opinion for label in (direct, pair, ranking)] == [
        Opinion(score=4),
        Opinion(winner="B"),
        Opinion(order=(1, 0, 2)),
    ]
    assert all(label.agrees and label.kind == "agree" for label in (direct, pair, ranking))
    assert direct.note == "well put"


def test_an_override_says_otherwise(bench: Bench, labels: Labels) -> None:
    direct = labels.override_score(bench.direct(4), bench.author_id, click(), 2)
    pair = labels.override_winner(bench.pairwise("A"), bench.author_id, click(), "tie")
    ranking = labels.override_ranking(bench.ranking((2, 1, 3)), bench.author_id, click(), (0, 1, 2))
    assert [label.words for label in (direct, pair, ranking)] == ["2 of 5", "Tie", "A > B > C"]
    assert not any(label.agrees for label in (direct, pair, ranking))


def test_an_override_with_the_verdicts_own_result_is_an_override_that_agrees(bench: Bench, labels: Labels) -> None:
    label = labels.override_score(bench.direct(4), bench.author_id, click(), 4)
    assert (label.kind, label.agrees) == ("override", True)


def test_an_order_agrees_with_equal_ranks_either_way(bench: Bench, labels: Labels) -> None:
    verdict = bench.ranking((1, 2, 2))
    assert labels.override_ranking(verdict, bench.author_id, click(), (0, 2, 1)).agrees
    assert labels.override_ranking(verdict, bench.author_id, click(), (0, 1, 2)).agrees
    assert not labels.override_ranking(verdict, bench.author_id, click(), (1, 0, 2)).agrees


def test_a_label_names_the_verdict_that_was_seen(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    labels.override_score(verdict, bench.author_id, click(), 3)
    (row,) = label_rows(bench.store)
    assert row.verdict_id == verdict
    assert row.rubric_version_id == bench.rubric_version_id


def test_a_new_label_supersedes_the_current_one_and_both_are_kept(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    first = labels.agree(verdict, bench.author_id, click())
    second = labels.override_score(verdict, bench.author_id, click(), 2)
    assert second.supersedes_id == first.id
    assert [(view.words, view.current) for view in labels.trail(verdict, bench.author_id)] == [
        ("4 of 5", False),
        ("2 of 5", True),
    ]
    assert labels.current(verdict, bench.author_id) == second


def test_people_label_the_same_verdict_beside_each_other(bench: Bench, labels: Labels) -> None:
    verdict, other = bench.direct(4), add_user(bench.store, "Ada", "lead")
    labels.agree(verdict, bench.author_id, click())
    labels.override_score(verdict, other, click(), 1)
    labels.undo(verdict, bench.author_id, click())
    assert labels.current(verdict, bench.author_id) is None
    assert labels.current(verdict, other).words == "1 of 5"
    assert [view.author for view in labels.trail(verdict, bench.author_id)] == ["owner", "Ada", "owner"]


def test_the_same_click_twice_is_one_label(bench: Bench, labels: Labels) -> None:
    verdict, once = bench.direct(4), click()
    first = labels.override_score(verdict, bench.author_id, once, 2)
    assert labels.override_score(verdict, bench.author_id, once, 2) == first
    assert len(label_rows(bench.store)) == 1


def test_a_click_that_arrives_late_does_not_undo_what_came_after_it(bench: Bench, labels: Labels) -> None:
    verdict, late = bench.direct(4), click()
    labels.override_score(verdict, bench.author_id, late, 2)
    labels.override_score(verdict, bench.author_id, click(), 3)
    again = labels.override_score(verdict, bench.author_id, late, 2)
    assert (again.words, again.current) == ("2 of 5", False)
    assert labels.current(verdict, bench.author_id).words == "3 of 5"


def test_a_click_of_one_verdict_is_refused_for_another(bench: Bench, labels: Labels) -> None:
    once = click()
    labels.agree(bench.direct(4), bench.author_id, once)
    with pytest.raises(ConflictError, match=once):
        labels.agree(bench.direct(3), bench.author_id, once)


def test_saying_again_what_stands_adds_nothing(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    first = labels.override_score(verdict, bench.author_id, click(), 2, "because")
    assert labels.override_score(verdict, bench.author_id, click(), 2, "because") == first
    labels.override_score(verdict, bench.author_id, click(), 2, "for another reason")
    assert len(label_rows(bench.store)) == 2


def test_undo_brings_back_the_label_before(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    first = labels.override_score(verdict, bench.author_id, click(), 2, "first thought")
    labels.override_score(verdict, bench.author_id, click(), 5)
    back = labels.undo(verdict, bench.author_id, click())
    assert (back.words, back.note, back.restores_id) == ("2 of 5", "first thought", first.id)
    assert labels.current(verdict, bench.author_id) == back
    assert [view.kind for view in labels.trail(verdict, bench.author_id)] == [
        "override",
        "override",
        "withdrawn",
        "override",
    ]


def test_undoing_twice_leaves_none(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    labels.agree(verdict, bench.author_id, click())
    labels.override_score(verdict, bench.author_id, click(), 5)
    labels.undo(verdict, bench.author_id, click())
    assert labels.undo(verdict, bench.author_id, click()) is None
    assert labels.current(verdict, bench.author_id) is None


def test_three_labels_are_undone_one_by_one(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    for score in (1, 2, 3):
        labels.override_score(verdict, bench.author_id, click(), score)
    left = [labels.undo(verdict, bench.author_id, click()) for _ in range(3)]
    assert [None if label is None else label.words for label in left] == ["2 of 5", "1 of 5", None]


def test_a_label_after_an_undo_is_undone_to_what_the_undo_had_left(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    labels.override_score(verdict, bench.author_id, click(), 1)
    labels.override_score(verdict, bench.author_id, click(), 2)
    labels.undo(verdict, bench.author_id, click())
    labels.override_score(verdict, bench.author_id, click(), 3)
    assert labels.undo(verdict, bench.author_id, click()).words == "1 of 5"
    assert labels.undo(verdict, bench.author_id, click()) is None
    labels.override_score(verdict, bench.author_id, click(), 5)
    assert labels.undo(verdict, bench.author_id, click()) is None


def test_undo_without_a_label_says_so(bench: Bench, labels: Labels) -> None:
    with pytest.raises(InvalidInputError, match="no label"):
        labels.undo(bench.direct(4), bench.author_id, click())


def test_the_same_undo_twice_is_one(bench: Bench, labels: Labels) -> None:
    verdict, once = bench.direct(4), click()
    for score in (1, 2, 3):
        labels.override_score(verdict, bench.author_id, click(), score)
    assert labels.undo(verdict, bench.author_id, once) == labels.undo(verdict, bench.author_id, once)
    assert labels.current(verdict, bench.author_id).words == "2 of 5"


def test_undo_in_a_stale_tab_is_refused_and_changes_nothing(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    seen = labels.override_score(verdict, bench.author_id, click(), 1)
    labels.override_score(verdict, bench.author_id, click(), 2)
    with pytest.raises(ConflictError, match="now 2 of 5"):
        labels.undo(verdict, bench.author_id, click(), seen=seen.id)
    assert labels.current(verdict, bench.author_id).words == "2 of 5"


def test_tabs_that_label_at_once_leave_one_chain(bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)

    def label(score: int) -> None:
        labels.override_score(verdict, bench.author_id, click(), score)

    threads = [threading.Thread(target=label, args=(score,)) for score in (1, 2, 3, 4, 5, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = label_rows(bench.store)
    assert [row.supersedes_id for row in rows] == [None, *(row.id for row in rows[:-1])]
    assert [view.current for view in labels.trail(verdict, bench.author_id)].count(True) == 1


def test_there_is_nothing_to_agree_with_where_no_result_was_read(bench: Bench, labels: Labels) -> None:
    verdict = bench.unparsed()
    with pytest.raises(InvalidInputError, match="no result to agree with"):
        labels.agree(verdict, bench.author_id, click())
    assert labels.override_score(verdict, bench.author_id, click(), 3).agrees is False


@pytest.mark.parametrize("score", [0, 6, -1, 2.5])
def test_a_score_outside_one_to_five_is_refused(bench: Bench, labels: Labels, score: int) -> None:
    with pytest.raises(InvalidInputError, match=str(score)):
        labels.override_score(bench.direct(4), bench.author_id, click(), score)
    assert label_rows(bench.store) == []


def test_a_winner_that_is_neither_a_side_nor_a_tie_is_refused(bench: Bench, labels: Labels) -> None:
    with pytest.raises(InvalidInputError, match="'C'"):
        labels.override_winner(bench.pairwise("A"), bench.author_id, click(), "C")


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (0, 1, 3), (0, 1, 2, 3), ()])
def test_an_order_that_does_not_name_each_response_once_is_refused(
    bench: Bench, labels: Labels, order: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInputError, match="each of the 3 responses once"):
        labels.override_ranking(bench.ranking((2, 1, 3)), bench.author_id, click(), order)


def test_an_override_must_be_of_the_verdicts_own_kind(bench: Bench, labels: Labels) -> None:
    with pytest.raises(InvalidInputError, match="with a score, not a winner"):
        labels.override_winner(bench.direct(4), bench.author_id, click(), "A")
    with pytest.raises(InvalidInputError, match="with a winner, not a score"):
        labels.override_score(bench.pairwise("A"), bench.author_id, click(), 3)
    with pytest.raises(InvalidInputError, match="with an order, not a winner"):
        labels.override_winner(bench.ranking((1, 2, 3)), bench.author_id, click(), "A")


def test_an_unknown_verdict_or_person_is_named(bench: Bench, labels: Labels) -> None:
    with pytest.raises(NotFoundError, match="99"):
        labels.agree(99, bench.author_id, click())
    with pytest.raises(NotFoundError, match="77"):
        labels.agree(bench.direct(4), 77, click())


@pytest.mark.parametrize("note", ["a\x00b", "a\ud800b", "x" * 10_001])
def test_a_note_that_cannot_be_kept_is_refused(bench: Bench, labels: Labels, note: str) -> None:
    with pytest.raises(InvalidInputError, match="The note"):
        labels.agree(bench.direct(4), bench.author_id, click(), note)
    assert label_rows(bench.store) == []


@pytest.mark.parametrize("note", ["<script>alert(1)</script>", "שלום 👍🏽 {braces}", "x" * 10_000])
def test_a_note_comes_back_as_it_was_written(bench: Bench, labels: Labels, note: str) -> None:
    verdict = bench.direct(4)
    labels.agree(verdict, bench.author_id, click(), note)
    assert labels.current(verdict, bench.author_id).note == note


@pytest.mark.parametrize("client_id", ["", "x" * 51])
def test_a_client_id_of_the_wrong_length_is_refused(bench: Bench, labels: Labels, client_id: str) -> None:
    with pytest.raises(InvalidInputError, match="client id"):
        labels.agree(bench.direct(4), bench.author_id, client_id)


@pytest.mark.parametrize("text", ["B > A > C", "b>a>c", "B, A, C", "  B>A ,C "])
def test_an_order_is_read_as_people_write_it(text: str) -> None:
    assert parse_order(text, 3) == (1, 0, 2)


@pytest.mark.parametrize("text", ["", "B > A", "B > A > A", "B > A > D", "B > A > C > C", "B = A > C", "BAC"])
def test_an_order_that_cannot_be_read_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInputError, match="A > B > C"):
        parse_order(text, 3)


def test_orders_survive_writing_and_reading() -> None:
    order = (7, 0, 3, 1, 2, 6, 5, 4)
    assert parse_order(order_words(order), 8) == order
