"""Pairs taken apart: what is learned from a win, and what is not."""

from dataclasses import replace

import pytest

from backend.errors import InvalidInputError
from backend.pair_scores import LOST, TIED, WON, scores_of_pairs, weak_target
from backend.training_rows import TrainingRow
from backend.types import Item, Rubric

RUBRIC = Rubric("How helpful is the response?")
PAIR = Item("Say hello.", ("Hello!", "No."), "Hello, friend.")


def row(target: tuple[float, ...], item: Item = PAIR) -> TrainingRow:
    return TrainingRow("r1", "a set", "MIT", item, Rubric("Which is better?"), target, "A is warmer.")


def mean(target: tuple[float, ...]) -> float:
    return sum(score * share for score, share in enumerate(target, start=1))


@pytest.mark.parametrize(("won", "target"), [(1.0, WON), (0.5, TIED), (0.0, LOST)])
def test_a_win_a_tie_and_a_loss_have_their_targets(won: float, target: tuple[float, ...]) -> None:
    assert weak_target(won) == pytest.approx(target)


def test_the_surer_the_win_the_higher_the_score() -> None:
    targets = [weak_target(share / 6) for share in range(7)]
    means = [mean(target) for target in targets]
    assert means == sorted(means)
    assert len(set(means)) == 7
    assert all(sum(target) == pytest.approx(1) for target in targets)


def test_a_pair_becomes_a_row_of_each_response_without_the_comparing_feedback() -> None:
    first, second = scores_of_pairs([row((1.0, 0.0))], RUBRIC).rows
    assert (first.item, second.item) == (
        Item("Say hello.", ("Hello!",), "Hello, friend."),
        Item("Say hello.", ("No.",), "Hello, friend."),
    )
    assert (first.target, second.target) == (pytest.approx(WON), pytest.approx(LOST))
    assert {one.rubric for one in (first, second)} == {RUBRIC}
    assert {one.feedback for one in (first, second)} == {None}
    assert [one.id for one in (first, second)] == ["r1-a", "r1-b"]


def test_the_card_can_tell_them_from_scores_that_somebody_gave() -> None:
    [first, _] = scores_of_pairs([replace(row((1.0, 0.0)), source="a set:pairs.json")], RUBRIC).rows
    assert first.source == "a set (winners as scores):pairs.json"


def test_a_row_with_a_score_of_its_own_is_refused_and_the_pairs_are_kept() -> None:
    single = row((0, 0, 0, 1, 0), Item("Say hello.", ("Hello!",)))
    made = scores_of_pairs([single, row((0.5, 0.5))], RUBRIC)
    assert len(made.rows) == 2
    assert made.refused[0].reason == "It has one response and its own score already."


def test_no_pair_at_all_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="Name a set of pairs"):
        scores_of_pairs([], RUBRIC)
