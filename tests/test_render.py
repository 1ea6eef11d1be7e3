"""What is shown of a verdict does not say what is not so."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.history import History, ReadingDetail, VerdictDetail
from backend.types import SCORES, SIDES, Finish, RankedResponse, RankingVerdict, Reading, Status
from db.session import Store
from tests.factories import Bench
from ui.render import chart_name, feedback_block, feedback_of, verdict_card

READING = Reading(Status.READ, "", "", SCORES, (0.1, 0.2, 0.4, 0.2, 0.1), Finish.MARKER, 90, 3, 0.5)


PAIR = replace(READING, feedback="Response A is clearer.", results=SIDES, probabilities=(0.7, 0.3))


def shown(reading: Reading, first: int = 0, second: int | None = None) -> str:
    return feedback_of(ReadingDetail(first, second, 1, datetime(2026, 1, 1, tzinfo=UTC), "d1ge57", reading))


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def opened(bench: Bench, verdict_id: int) -> VerdictDetail:
    return History(bench.store).open(verdict_id, bench.author_id)


@pytest.mark.parametrize("feedback", ["", " \n"])
def test_a_judge_that_wrote_nothing_was_asked_all_the_same(feedback: str) -> None:
    said = shown(replace(READING, feedback=feedback))
    assert "wrote no feedback" in said
    assert "was asked for" not in said


def test_a_verdict_without_feedback_says_that_none_was_asked_for() -> None:
    assert "no feedback was asked for" in shown(replace(READING, finish=Finish.NOT_ASKED))


def test_feedback_is_shown_as_text() -> None:
    said = shown(replace(READING, feedback="<b>Clear</b>"))
    assert "&lt;b&gt;Clear" in said
    assert "wrote no feedback" not in said


@pytest.mark.parametrize(("first", "second", "a", "b"), [(1, 0, "B", "A"), (2, 1, "C", "B"), (0, 2, "A", "C")])
def test_a_pairs_feedback_says_whose_letters_it_keeps(first: int, second: int, a: str, b: str) -> None:
    said = shown(PAIR, first, second)
    assert f"“Response A” is {a} and “Response B” is {b}" in said
    assert "Response A is clearer." in said


def test_letters_that_are_the_pages_own_are_not_explained() -> None:
    assert "under these names" not in shown(PAIR, 0, 1)
    assert "under these names" not in shown(replace(READING, feedback="Clear."), 2)


def test_letters_are_not_explained_where_nothing_was_written() -> None:
    assert "under these names" not in shown(replace(PAIR, feedback="", finish=Finish.NOT_ASKED), 1, 0)


def test_raw_text_without_a_result_says_whose_letters_it_keeps() -> None:
    unread = replace(PAIR, feedback="", raw_text="Response A?", probabilities=None, status=Status.UNPARSED)
    assert "“Response A” is B" in shown(unread, 1, 0)


def test_a_ranking_explains_the_letters_of_each_pair_but_the_first(bench: Bench) -> None:
    said = feedback_block(opened(bench, bench.ranking((2, 1, 3))))
    assert said.count("under these names") == 5
    assert "C shown first, B second → <strong>B</strong>" in said


def test_a_strength_of_nothing_has_no_minus(bench: Bench) -> None:
    detail = opened(bench, bench.ranking((1, 2, 3)))
    ranked = tuple(RankedResponse(place, place + 1, -0.001, -1.0, 1.0, None) for place in range(3))
    card = verdict_card(replace(detail, result=RankingVerdict((0, 1, 2), ranked, 0, 3)))
    assert "+0.00" in card
    assert "-0.00" not in card


def test_only_a_rankings_figure_is_called_strengths(bench: Bench) -> None:
    assert chart_name(opened(bench, bench.ranking((2, 1, 3)))) == "Strengths"
    assert chart_name(opened(bench, bench.direct(4))) == "Distribution"


def test_a_verdict_from_the_store_is_not_said_to_have_been_asked_anew(bench: Bench) -> None:
    detail = opened(bench, bench.direct(4, attempt=2))
    stored = verdict_card(detail, from_store=True)
    assert "answered it before, in attempt 2" in stored
    assert "asked anew" not in stored
    assert "Attempt 2" in verdict_card(detail)
    assert "From the store" not in verdict_card(detail)
