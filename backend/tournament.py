"""Which pairs of a ranking to judge next, so that few of them do. Pure.

All pairs of N responses are N(N-1)/2. Of more than ALL_PAIRS_UP_TO only some are judged, in rounds: first a
ring of neighbours by their own scores, then the pairs whose verdict is expected to say most, until every
response's strength is known well enough. The verdict comes from `ranking.py`, whichever pairs were judged.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.ranking import PRIOR_TIES, Comparison, strengths_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pair = tuple[int, int]

ALL_PAIRS_UP_TO = 6
"""Up to so many responses every pair is judged: there is little to be saved (docs/decisions)."""
WIDE = 2.0
"""Rounds end when the mean width of the strengths' 95% intervals is below this, in log-odds."""
READINGS_OF_A_PAIR = 2


def next_pairs(count: int, own_scores: Sequence[float], comparisons: Sequence[Comparison]) -> tuple[Pair, ...]:
    """The pairs to be judged in the next round, in both orders each; none: the ranking is done.

    count: of responses. own_scores: each one's expected score, 1..5. comparisons: all readings so far.

    A pair's worth is the gain in log-determinant of the information about the strengths (D-optimal design;
    Fedorov, Theory of Optimal Experiments, 1972): log(1 + w v), where w is the information that its verdict
    is expected to carry at the strengths as they are known, and v the variance of their difference.
    """
    import numpy as np

    judged = {(min(c.first, c.second), max(c.first, c.second)) for c in comparisons}
    open_pairs = [(i, j) for i in range(count) for j in range(i + 1, count) if (i, j) not in judged]
    if not judged:
        return _ring(own_scores)
    strengths = np.asarray(strengths_of(comparisons, [c.p_first for c in comparisons], count))
    odds = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    worth = (READINGS_OF_A_PAIR + PRIOR_TIES) * odds * (1 - odds)
    covariance = _covariance(worth, judged, count)
    if np.mean(2 * 1.96 * np.sqrt(np.diag(covariance))) < WIDE:
        return ()
    chosen: list[Pair] = []
    while open_pairs and len(chosen) < (count + 1) // 2:
        firsts, seconds = np.array(open_pairs).T
        variances = covariance[firsts, firsts] + covariance[seconds, seconds] - 2 * covariance[firsts, seconds]
        best = int(np.argmax(np.log1p(worth[firsts, seconds] * variances)))
        i, j = open_pairs.pop(best)
        chosen.append((i, j))
        column = covariance[:, i] - covariance[:, j]
        covariance = covariance - worth[i, j] * np.outer(column, column) / (1 + worth[i, j] * variances[best])
    return tuple(sorted(chosen))


def _ring(own_scores: Sequence[float]) -> tuple[Pair, ...]:
    """Each response beside the next better one, and the best beside the worst: so all hang together."""
    order = sorted(range(len(own_scores)), key=lambda position: (-own_scores[position], position))
    neighbours = zip(order, [*order[1:], order[0]], strict=True)
    return tuple(sorted((min(i, j), max(i, j)) for i, j in neighbours))


def _covariance(worth: "NDArray[np.float64]", judged: set[Pair], count: int) -> "NDArray[np.float64]":
    """Of the strengths, which sum to 0: the pseudo-inverse of their Fisher information, count x count."""
    import numpy as np

    information = np.zeros((count, count))
    for i, j in judged:
        information[i, j] = information[j, i] = -worth[i, j]
    np.fill_diagonal(information, -information.sum(axis=1))
    return np.linalg.pinv(information).astype(np.float64)
