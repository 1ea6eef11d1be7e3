"""Who goes with whom, who says what how often, and who is right where: counted by hand on small sets."""

import numpy
import pytest

from backend.benchmarks.opinions import MOST_CATEGORIES, Opinions, categories, parts, spreads, together
from backend.types import Mode

PEOPLE = (1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 3.0)


def direct(*judges: tuple[float | None, ...], raters: tuple[str, ...]) -> Opinions:
    scores = tuple(tuple(None if value is None else round(value) for value in judge) for judge in judges)
    rows = len(PEOPLE)
    return Opinions(
        Mode.DIRECT, tuple(map(str, range(rows))), ("x",) * 7 + ("y",) * 4 + ("",), PEOPLE, raters,
        (PEOPLE, *judges), scores,
    )  # fmt: skip


def pairwise(labels: tuple[str, ...], p_a: tuple[float | None, ...]) -> Opinions:
    return Opinions(
        Mode.PAIRWISE, tuple(map(str, range(len(labels)))), ("z",) * len(labels), labels, ("people", "judge"),
        (tuple({"A": 1.0, "B": 0.0, "tie": 0.5}[label] for label in labels), p_a), ((None,) * len(labels),),
    )  # fmt: skip


def test_everybody_is_compared_on_the_rows_that_both_rated_and_those_who_agree_stand_together() -> None:
    like_people = tuple(value + (0.1 if place % 2 else -0.1) for place, value in enumerate(PEOPLE))
    against = (*tuple(6 - value for value in PEOPLE[:11]), None)
    near = tuple(None if value is None else value + 0.2 for value in against)
    found = together(direct(against, like_people, near, raters=("people", "against", "like", "near")))
    places = {name: place for place, name in enumerate(found.raters)}
    assert abs(places["people"] - places["like"]) == abs(places["against"] - places["near"]) == 1
    figure = found.pearson[places["people"]][places["against"]]
    assert figure == pytest.approx(numpy.corrcoef(PEOPLE[:11], against[:11])[0, 1])
    assert found.n[places["people"]][places["against"]] == 11
    assert found.pearson[places["people"]][places["like"]] == found.pearson[places["like"]][places["people"]]


def test_a_judge_that_says_one_thing_or_rated_few_rows_has_no_correlation() -> None:
    few = (*PEOPLE[:9], None, None, None)
    found = together(direct((3.0,) * 12, few, raters=("people", "same", "few")))
    assert all(value is None for row in found.pearson for value in row)


def test_shares_of_what_is_said_are_of_the_most_probable_scores() -> None:
    judge = (1.2, 1.4, 4.6, 4.6, 4.6, 4.6, None, None, None, None, None, None)
    said = spreads(direct(judge, raters=("people", "judge")))
    assert parts(Mode.DIRECT) == ("1", "2", "3", "4", "5")
    assert said[0].shares == pytest.approx((2 / 12, 2 / 12, 4 / 12, 2 / 12, 2 / 12))
    assert (said[1].rater, said[1].n) == ("judge", 6)
    assert said[1].shares == pytest.approx((2 / 6, 0, 0, 0, 4 / 6))


def test_of_pairs_the_probability_of_a_is_counted_in_fifths() -> None:
    said = spreads(pairwise(("A", "B", "tie", "A"), (0.0, 0.19, 0.2, 1.0)))
    assert parts(Mode.PAIRWISE)[-1] == "0.8 to 1"
    assert said[1].shares == pytest.approx((0.5, 0.25, 0, 0, 0.25))
    assert said[0].shares == pytest.approx((0.25, 0, 0.25, 0, 0.5))


def test_each_category_counts_its_own_rows_and_leaves_ties_out() -> None:
    judge = tuple(value + 2 if place < 3 else value for place, value in enumerate(PEOPLE))
    x, y = categories(direct(judge, raters=("people", "judge")))
    assert (x.name, x.size, x.right[0].count, x.right[0].n) == ("x", 7, 4, 7)
    assert (y.name, y.right[0].count, y.right[0].n) == ("y", 4, 4)
    (z,) = categories(pairwise(("A", "B", "tie", "A"), (0.9, 0.9, 0.5, None)))
    assert (z.size, z.right[0].count, z.right[0].n) == (4, 1, 2)


def test_only_the_largest_categories_are_shown() -> None:
    many = tuple(f"c{n % 15}" for n in range(30)) + ("big",) * 3
    opinions = Opinions(
        Mode.PAIRWISE, tuple(map(str, range(33))), many, ("A",) * 33, ("judge",), ((0.9,) * 33,), ((None,) * 33,)
    )
    found = categories(opinions)
    assert len(found) == MOST_CATEGORIES
    assert (found[0].name, found[0].size) == ("big", 3)
