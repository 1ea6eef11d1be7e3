"""The store's own labels as training rows: whose word counts, and which feedback goes with it."""

from pathlib import Path

from backend.labels import Labels
from backend.own_rows import own_rows
from backend.types import Mode
from db.models import Reading, Verdict
from db.session import Store
from tests.conftest import add_user
from tests.factories import LEVELS, Bench
from tests.project_bench import ProjectBench, label_items
from tests.training_forms import only


def test_a_label_is_a_row_with_the_feedback_it_agrees_with(any_store: Store) -> None:
    bench = Bench(any_store)
    Labels(any_store).agree(bench.direct(4), bench.author_id, "c1")
    row = only(own_rows(any_store))
    assert row.result == "4"
    assert row.feedback == "It answers the question and gives amounts, but does not say to rinse afterwards."
    assert row.rubric.levels == LEVELS


def test_an_override_is_a_row_without_the_feedback_it_contradicts(any_store: Store) -> None:
    bench = Bench(any_store)
    Labels(any_store).override_score(bench.direct(4), bench.author_id, "c1", 2)
    row = only(own_rows(any_store))
    assert (row.result, row.feedback) == ("2", None)


def test_labels_that_were_undone_or_replaced_are_no_rows(any_store: Store) -> None:
    bench, labels = Bench(any_store), Labels(any_store)
    undone, replaced = bench.direct(4), bench.direct(4)
    labels.agree(undone, bench.author_id, "c1")
    labels.undo(undone, bench.author_id, "c2")
    labels.agree(replaced, bench.author_id, "c3")
    labels.override_score(replaced, bench.author_id, "c4", 1)
    assert only(own_rows(any_store)).result == "1"


def test_several_people_on_one_item_give_their_shares(any_store: Store) -> None:
    bench, labels = Bench(any_store), Labels(any_store)
    verdict = bench.pairwise("A")
    labels.agree(verdict, bench.author_id, "c1")
    labels.override_winner(verdict, add_user(any_store, "ann", "lead"), "c2", "B")
    labels.override_winner(verdict, add_user(any_store, "ben", "lead"), "c3", "tie")
    row = only(own_rows(any_store))
    assert (row.target, row.feedback) == ((0.5, 0.5), None)


def test_one_persons_labels_on_two_judges_count_once(any_store: Store) -> None:
    bench, labels = Bench(any_store), Labels(any_store)
    labels.agree(bench.direct(4, instruction="How?", feedback="Old words."), bench.author_id, "c1")
    other_judge = bench.judge("another")
    labels.agree(
        bench.direct(5, instruction="How?", feedback="New words.", judge_id=other_judge), bench.author_id, "c2"
    )
    row = only(own_rows(any_store))
    assert (row.result, row.feedback) == ("5", "New words.")


def test_a_pairs_feedback_is_the_one_written_for_the_order_shown(store: Store) -> None:
    bench = Bench(store)
    Labels(store).agree(bench.pairwise("A"), bench.author_id, "c1")
    assert only(own_rows(store)).feedback == "Response A names the city correctly; Response B guesses."


def test_a_feedback_that_argued_for_the_other_one_is_left_out(store: Store) -> None:
    bench = Bench(store)
    verdict = bench.pairwise("A", p_a_first=0.4, p_a_second=0.9)
    Labels(store).agree(verdict, bench.author_id, "c1")
    assert only(own_rows(store)).feedback is None


def test_a_feedback_that_was_cut_off_is_left_out(store: Store) -> None:
    bench = Bench(store)
    verdict_id = bench.direct(4)
    with store.write() as session:
        for part in session.get_one(Verdict, verdict_id).readings:
            session.get_one(Reading, part.reading_id).finish = "token_limit"
    Labels(store).agree(verdict_id, bench.author_id, "c1")
    assert only(own_rows(store)).feedback is None


def test_what_a_person_said_of_an_unparsed_verdict_is_a_row(store: Store) -> None:
    bench = Bench(store)
    Labels(store).override_score(bench.unparsed(), bench.author_id, "c1", 3)
    row = only(own_rows(store))
    assert (row.result, row.feedback) == ("3", None)


def test_blind_labels_of_projects_are_rows_of_their_own_source(any_store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(any_store, tmp_path)
    label_items(bench, bench.filled(3), bench.ann, "124")
    loaded = own_rows(any_store)
    assert [row.result for row in loaded.rows] == ["1", "2", "4"]
    assert loaded.forms == {"labels given before the verdict was seen, in this store": 3}
    assert {row.feedback for row in loaded.rows} == {None}


def test_labels_from_before_and_after_are_one_row_that_says_they_are_pooled(store: Store, tmp_path: Path) -> None:
    bench, seen = ProjectBench(store, tmp_path), Bench(store)
    verdict = seen.direct(4, instruction="Question 0?", response="Answer 0.", reference=None)
    with store.write() as session:
        session.get_one(Verdict, verdict).rubric_version_id = bench.rubric_version_id
    label_items(bench, bench.filled(1), bench.ann, "2")
    Labels(store).agree(verdict, seen.author_id, "c1")
    row = only(own_rows(store))
    assert row.target == (0, 0.5, 0, 0.5, 0)
    assert row.source == "labels given before and after the verdict was seen, pooled, in this store"


def test_an_item_that_came_back_to_its_person_is_no_second_opinion(store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(store, tmp_path)
    label_items(bench, bench.filled(1, repeats=1), bench.ann, "25")
    assert only(own_rows(store)).result == "2"


def test_orders_of_a_project_are_listed_by_their_item(store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(store, tmp_path)
    label_items(bench, bench.filled(1, Mode.RANKING), bench.ann, ["B > A > C"])
    loaded = own_rows(store)
    assert (loaded.rows, loaded.refused[0].where) == ((), "item 1 of the project Kettles")


def test_rankings_are_listed_as_refused(store: Store) -> None:
    bench = Bench(store)
    verdict = bench.ranking()
    Labels(store).override_ranking(verdict, bench.author_id, "c1", (1, 0, 2))
    loaded = own_rows(store)
    assert (loaded.rows, loaded.refused[0].where) == ((), f"verdict {verdict}")
