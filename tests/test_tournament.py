"""Which pairs of many responses are judged: enough to rank them, far from all."""

import math

import numpy
import pytest
from scipy.stats import kendalltau

from backend.passes import Pass, next_passes, passes_of, verdict_row
from backend.ranking import Comparison, strengths_of
from backend.tournament import ALL_PAIRS_UP_TO, next_pairs
from backend.types import Finish, Item, Mode, Reading, Status, letter

NOTHING_SAID = [3.0] * 64


def p_first(strengths: list[float], i: int, j: int, bias: float = 0.8) -> float:
    return 1 / (1 + math.exp(strengths[j] - strengths[i] - bias))


def played(strengths: list[float], own: list[float]) -> list[Comparison]:
    """All readings of a ranking, round by round."""
    found: list[Comparison] = []
    while pairs := next_pairs(len(strengths), own, found):
        assert len(set(pairs)) == len(pairs)
        assert not {(c.first, c.second) for c in found} & set(pairs), "a pair was asked twice"
        found += [Comparison(a, b, p_first(strengths, a, b)) for i, j in pairs for a, b in ((i, j), (j, i))]
    return found


def test_the_first_round_links_all_responses_by_their_own_scores() -> None:
    assert next_pairs(4, [1.0, 5.0, 3.0, 2.0], []) == ((0, 1), (0, 3), (1, 2), (2, 3))


@pytest.mark.parametrize(("count", "share", "least"), [(8, 0.95, 0.85), (16, 0.55, 0.85), (32, 0.30, 0.9)])
def test_few_pairs_give_nearly_the_order_of_all(count: int, share: float, least: float) -> None:
    strengths = numpy.random.default_rng(count).normal(0, 1.5, count).tolist()
    readings = played(strengths, NOTHING_SAID[:count])
    assert len(readings) / 2 < share * count * (count - 1) / 2
    got = strengths_of(readings, [c.p_first for c in readings], count)
    assert kendalltau(strengths, got).statistic > least


def test_pairs_whose_outcome_is_plain_are_left_out() -> None:
    """Two groups far apart: what lies between them is known without asking it all."""
    strengths = [*numpy.linspace(-4.2, -3.8, 6), *numpy.linspace(3.8, 4.2, 6)]
    readings = played(strengths, NOTHING_SAID[:12])
    across = sum((c.first < 6) != (c.second < 6) for c in readings)
    assert 0 < across < len(readings) / 3, "36 of all 66 pairs lie across"


def test_a_judge_that_is_never_unsure_still_ends() -> None:
    readings: list[Comparison] = []
    while pairs := next_pairs(10, NOTHING_SAID[:10], readings):
        readings += [Comparison(a, b, float(a < b)) for i, j in pairs for a, b in ((i, j), (j, i))]
    assert len(readings) <= 90
    got = strengths_of(readings, [c.p_first for c in readings], 10)
    assert got == sorted(got, reverse=True)


# By passes: what a run asks of the engine


def item(count: int) -> Item:
    return Item("Say hello.", tuple(f"Response number {n}" for n in range(count)))


def reading(results: tuple[str, ...], probabilities: tuple[float, ...] | None) -> Reading:
    status = Status.UNPARSED if probabilities is None else Status.READ
    return Reading(status, "", "", results, probabilities, Finish.MARKER, 1, 0, 0.1)


def answer(one: Pass) -> Reading:
    if one.second is None:
        return reading(("1", "2", "3", "4", "5"), (0.2, 0.2, 0.2, 0.2, 0.2))
    p = p_first([n / 2 for n in range(32)], one.first, one.second)
    return reading(("A", "B"), (p, 1 - p))


@pytest.mark.parametrize("count", [1, 2, 3, ALL_PAIRS_UP_TO])
def test_few_responses_are_asked_everything_at_once(count: int) -> None:
    assert next_passes(item(count), {}) == passes_of(item(count))
    assert next_passes(item(count), {one: answer(one) for one in passes_of(item(count))}) == ()


def test_many_responses_are_asked_their_scores_and_then_pairs_in_both_orders() -> None:
    read: dict[Pass, Reading] = {}
    rounds = []
    while asked := next_passes(item(9), read):
        rounds.append(asked)
        read |= {one: answer(one) for one in asked}
    assert rounds[0] == tuple(Pass(n) for n in range(9))
    for asked in rounds[1:]:
        assert {(one.second, one.first) for one in asked} == {(one.first, one.second) for one in asked}
    verdict = verdict_row(item(9), read)
    assert verdict.mode is Mode.RANKING
    assert [one["position"] for one in verdict.ranking["ranked"]] == list(range(8, -1, -1))
    assert verdict.ranking["pairs"] == (len(read) - 9) // 2 < 36


def test_the_order_in_which_readings_came_changes_nothing() -> None:
    read: dict[Pass, Reading] = {}
    while asked := next_passes(item(7), read):
        read |= {one: answer(one) for one in asked}
    assert verdict_row(item(7), dict(reversed(read.items()))).ranking == verdict_row(item(7), read).ranking


def test_a_reading_without_a_result_ends_the_rounds_and_makes_no_ranking() -> None:
    read = {one: answer(one) for one in next_passes(item(7), {})}
    read[Pass(3)] = reading(("1", "2", "3", "4", "5"), None)
    assert next_passes(item(7), read) == ()
    verdict = verdict_row(item(7), read)
    assert (verdict.status, verdict.ranking) == (Status.UNPARSED, None)


def test_responses_beyond_z_have_names_of_two_letters() -> None:
    assert [letter(n) for n in (0, 25, 26, 27, 31)] == ["A", "Z", "AA", "AB", "AF"]
