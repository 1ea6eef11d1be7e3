"""Scores, winners in both orders, and rankings, from probabilities."""

import itertools
import math

import pytest

from backend.ranking import Comparison, pair_verdict, ranking_verdict, score_verdict


def tournament(strengths: list[float], bias: float = 0.0) -> list[Comparison]:
    """All pairs in both orders, with Bradley-Terry's own probabilities and a bias to what is shown first."""
    return [
        Comparison(i, j, 1 / (1 + math.exp(strengths[j] - strengths[i] - bias)))
        for i, j in itertools.permutations(range(len(strengths)), 2)
    ]


def test_a_score_is_the_most_probable_and_the_expected_score_is_the_mean() -> None:
    verdict = score_verdict([0.1, 0.1, 0.2, 0.5, 0.1])
    assert verdict.score == 4
    assert verdict.confidence == 0.5
    assert verdict.expected == pytest.approx(0.1 + 0.2 + 0.6 + 2.0 + 0.5)


def test_a_winner_comes_from_the_mean_of_both_orders() -> None:
    verdict = pair_verdict(0.9, 0.4)
    assert verdict.p_a == pytest.approx(0.65)
    assert verdict.winner == "A"
    assert verdict.order_sensitive
    assert verdict.confidence == pytest.approx(0.65)


def test_orders_that_agree_are_not_sensitive() -> None:
    verdict = pair_verdict(0.2, 0.3)
    assert verdict.winner == "B"
    assert not verdict.order_sensitive
    assert verdict.confidence == pytest.approx(0.75)


def test_a_judge_that_only_likes_the_first_place_makes_a_tie() -> None:
    assert pair_verdict(0.75, 0.25).winner == "tie"


def test_a_margin_makes_small_leads_ties() -> None:
    assert pair_verdict(0.54, 0.54, margin=0.1).winner == "tie"
    assert pair_verdict(0.56, 0.56, margin=0.1).winner == "A"


def test_a_ranking_orders_by_strength_whatever_the_position_bias() -> None:
    strengths = [0.3, 1.2, -0.9, 0.0]
    verdict = ranking_verdict(tournament(strengths, bias=0.8), [None] * 4)
    assert verdict.order == (1, 0, 3, 2)
    assert [response.rank for response in verdict.ranked] == [1, 2, 3, 4]
    assert sum(response.strength for response in verdict.ranked) == pytest.approx(0, abs=1e-6)


def test_intervals_hold_the_strengths() -> None:
    verdict = ranking_verdict(tournament([0.0, 0.5, 2.0]), [None] * 3)
    for response in verdict.ranked:
        assert response.low <= response.strength <= response.high
        assert math.isfinite(response.low)
        assert math.isfinite(response.high)


def test_certain_readings_still_give_finite_strengths() -> None:
    certain = [Comparison(i, j, 1.0 if i < j else 0.0) for i, j in itertools.permutations(range(3), 2)]
    verdict = ranking_verdict(certain, [5.0, 3.0, 1.0])
    assert verdict.order == (0, 1, 2)
    assert all(math.isfinite(response.strength) for response in verdict.ranked)
    assert [response.expected_score for response in verdict.ranked] == [5.0, 3.0, 1.0]


def test_responses_that_nothing_tells_apart_share_a_rank() -> None:
    verdict = ranking_verdict([Comparison(i, j, 0.5) for i, j in itertools.permutations(range(3), 2)], [None] * 3)
    assert [response.rank for response in verdict.ranked] == [1, 1, 1]
    assert verdict.order == (0, 1, 2)


def test_pairs_whose_orders_disagree_are_counted() -> None:
    verdict = ranking_verdict(tournament([0.0, 0.1, 5.0], bias=1.0), [None] * 3)
    assert verdict.pairs == 3
    assert verdict.sensitive_pairs == 1


def test_the_same_readings_give_the_same_intervals() -> None:
    readings = tournament([0.0, 0.5, 2.0])
    assert ranking_verdict(readings, [None] * 3) == ranking_verdict(readings, [None] * 3)


def test_strengths_agree_with_a_plain_maximum_likelihood_fit() -> None:
    """The same likelihood (with its prior ties), climbed by scipy instead of evalica."""
    from scipy.optimize import minimize

    readings = tournament([0.4, -0.2, 1.0, -1.2], bias=0.5)
    pairs = list(itertools.combinations(range(4), 2))

    def loss(strengths: list[float]) -> float:
        def log_p(i: int, j: int) -> float:
            return -math.log1p(math.exp(strengths[j] - strengths[i]))

        votes = sum(r.p_first * log_p(r.first, r.second) + (1 - r.p_first) * log_p(r.second, r.first) for r in readings)
        return -votes - sum(0.5 * log_p(i, j) + 0.5 * log_p(j, i) for i, j in pairs)

    fitted = minimize(loss, [0.0] * 4, tol=1e-10).x
    fitted -= fitted.mean()
    got = {response.position: response.strength for response in ranking_verdict(readings, [None] * 4).ranked}
    assert [got[position] for position in range(4)] == pytest.approx(list(fitted), abs=1e-3)
