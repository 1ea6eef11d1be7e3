"""From readings to verdicts: scores, winners in both orders, and Bradley-Terry rankings. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.types import SCORES, PairVerdict, RankedResponse, RankingVerdict, ScoreVerdict

TIE_MARGIN = 0.0
"""Below this |2p - 1| a pair is a tie. Zero: only an exact half. To be chosen on dev data with the experts."""
SIMULATIONS = 500
PRIOR_TIES = 1.0
"""One tie a pair: half a win for each side, the Jeffreys prior of a proportion. It keeps strengths finite."""


@dataclass(frozen=True)
class Comparison:
    """One reading of a pair: the response at `first` was shown as A, the one at `second` as B; p_first is P(A)."""

    first: int
    second: int
    p_first: float


def shares_of(
    results: Sequence[str], probabilities: Sequence[float] | None, parsed: str | None
) -> Sequence[float] | None:
    """A reading's probabilities; of a result that was parsed, all for this result; None where there is no result."""
    if probabilities is not None or parsed is None:
        return probabilities
    return [float(result == parsed) for result in results]


def score_verdict(probabilities: Sequence[float]) -> ScoreVerdict:
    """From the probabilities of the scores 1..5. The score is the most probable, the lower of two equal ones."""
    best = max(range(len(SCORES)), key=lambda i: probabilities[i])
    return ScoreVerdict(
        score=best + 1,
        expected=sum((i + 1) * probability for i, probability in enumerate(probabilities)),
        confidence=probabilities[best],
        distribution=tuple(probabilities),
    )


def pair_verdict(p_shown_first: float, p_shown_second: float, *, margin: float = TIE_MARGIN) -> PairVerdict:
    """A pair judged in both orders.

    p_shown_first: probability that A is better, read with A shown first. p_shown_second: the same, read
    with A shown second. The winner comes from their mean (DESIGN.md, decision 2).
    """
    p_a = (p_shown_first + p_shown_second) / 2
    lead = 2 * p_a - 1
    winner = "tie" if abs(lead) <= margin else "A" if lead > 0 else "B"
    return PairVerdict(
        winner=winner,
        p_a=p_a,
        p_a_first=p_shown_first,
        p_a_second=p_shown_second,
        order_sensitive=(p_shown_first > 0.5) != (p_shown_second > 0.5),
        margin=margin,
    )


def ranking_verdict(comparisons: Sequence[Comparison], expected_scores: Sequence[float | None]) -> RankingVerdict:
    """Rank the responses from their pairs, each judged in both orders: all pairs, or those of `tournament.py`.

    Strengths are Bradley and Terry's (Biometrika 39, 1952), by evalica: a reading with probability p is
    p of a win for one side and 1 - p for the other; every such pair also has PRIOR_TIES of a tie. On the log
    scale, mean 0. Intervals: the 2.5th and 97.5th percentile over SIMULATIONS tournaments in which every
    reading is one vote, drawn from its own probability (a parametric bootstrap, with a fixed seed).
    """
    import numpy as np

    count = len(expected_scores)
    weights = [comparison.p_first for comparison in comparisons]
    strengths = strengths_of(comparisons, weights, count)
    votes = np.random.default_rng(0).random((SIMULATIONS, len(comparisons))) < weights
    simulated = np.array([strengths_of(comparisons, vote.astype(float).tolist(), count) for vote in votes])
    low, high = np.percentile(simulated, [2.5, 97.5], axis=0)
    order = tuple(sorted(range(count), key=lambda position: (-round(strengths[position], 9), position)))
    ranked = tuple(
        RankedResponse(
            position=position,
            rank=1 + sum(round(other - strengths[position], 9) > 0 for other in strengths),
            strength=strengths[position],
            low=float(min(low[position], strengths[position])),
            high=float(max(high[position], strengths[position])),
            expected_score=expected_scores[position],
        )
        for position in order
    )
    flips = [verdict.order_sensitive for verdict in _pair_verdicts(comparisons)]
    return RankingVerdict(order=order, ranked=ranked, sensitive_pairs=sum(flips), pairs=len(flips))


def _pair_verdicts(comparisons: Sequence[Comparison]) -> list[PairVerdict]:
    shown = {(comparison.first, comparison.second): comparison.p_first for comparison in comparisons}
    return [pair_verdict(p, 1 - shown[second, first]) for (first, second), p in shown.items() if first < second]


def strengths_of(comparisons: Sequence[Comparison], p_first: Sequence[float], count: int) -> list[float]:
    """Bradley-Terry strengths of `count` responses, log scale, mean 0, from readings with these probabilities.

    The pairs that were judged must hang together: each response linked to each other one by some chain of them.
    """
    import numpy as np
    from evalica import Winner, bradley_terry

    pairs = sorted({(min(one.first, one.second), max(one.first, one.second)) for one in comparisons})
    firsts = [comparison.first for comparison in comparisons]
    seconds = [comparison.second for comparison in comparisons]
    result = bradley_terry(
        [*firsts, *firsts, *(i for i, _ in pairs)],
        [*seconds, *seconds, *(j for _, j in pairs)],
        [Winner.X] * len(firsts) + [Winner.Y] * len(firsts) + [Winner.Draw] * len(pairs),
        weights=[*p_first, *(1 - p for p in p_first), *[PRIOR_TIES] * len(pairs)],
        tolerance=1e-9,
        limit=10_000,
    )
    logs = np.log(result.scores.sort_index().to_numpy())
    return [float(value) for value in logs - logs.mean()]
