"""How far two raters agree, always with the uncertainty that the number of labels leaves. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from backend.errors import InvalidInputError
from backend.types import SCORES

if TYPE_CHECKING:
    import numpy

WINNERS: tuple[str, ...] = ("A", "B", "tie")
LEVEL = 0.95
ENOUGH = 10
"""Fewest items for a kappa: below it the interval spans most of the scale and its coverage is poor."""
RESAMPLES = 2_000

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Share:
    """count of n, with its Wilson score interval at 95%: low and high lie in 0..1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927) 209-212. Unlike the textbook interval it stays inside 0..1 and is right at 0 and n.
    """

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.n


@dataclass(frozen=True)
class Kappa:
    """A chance-corrected agreement, at most 1. missing: why the value or the interval is None, else ""."""

    value: float | None
    low: float | None
    high: float | None
    missing: str


@dataclass(frozen=True)
class ScoreAgreement:
    """Scores 1..5 compared. The shares are None where n is 0.

    matrix: 5 by 5 counts, a row for each score of the model, a column for each score of the person.
    """

    n: int
    exact: Share | None
    within_one: Share | None
    kappa: Kappa
    matrix: Matrix


@dataclass(frozen=True)
class WinnerAgreement:
    """Winners compared. with_ties: over all. without_ties: over those where neither said tie.

    matrix: 3 by 3 counts in the order of WINNERS, a row for the model, a column for the person.
    """

    n: int
    with_ties: Share | None
    without_ties: Share | None
    matrix: Matrix


def compare_scores(pairs: Sequence[tuple[int, int]], *, items: Sequence[Hashable] | None = None) -> ScoreAgreement:
    """Compare (model, person) scores.

    items: which item each pair is of, when some items were labelled more than once: such pairs are not
    independent, so the bootstrap draws whole items. The shares count every pair as one.
    Raises InvalidInputError for a score outside 1..5.
    """
    scores = [(_index(str(model), SCORES), _index(str(person), SCORES)) for model, person in pairs]
    n = len(scores)
    return ScoreAgreement(
        n=n,
        exact=share(sum(model == person for model, person in scores), n),
        within_one=share(sum(abs(model - person) <= 1 for model, person in scores), n),
        kappa=_quadratic_kappa(scores, range(n) if items is None else items),
        matrix=_matrix(scores, len(SCORES)),
    )


def compare_winners(pairs: Sequence[tuple[str, str]]) -> WinnerAgreement:
    """Compare (model, person) winners, each "A", "B" or "tie". Raises InvalidInputError for another."""
    winners = [(_index(model, WINNERS), _index(person, WINNERS)) for model, person in pairs]
    tie = WINNERS.index("tie")
    decided = [pair for pair in winners if tie not in pair]
    return WinnerAgreement(
        n=len(winners),
        with_ties=share(sum(model == person for model, person in winners), len(winners)),
        without_ties=share(sum(model == person for model, person in decided), len(decided)),
        matrix=_matrix(winners, len(WINNERS)),
    )


def share(count: int, n: int) -> Share | None:
    """count of n as a share with its Wilson interval; None where n is 0."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    p = count / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Share(count=count, n=n, low=max(0.0, centre - half), high=min(1.0, centre + half))


def _index(value: str, allowed: tuple[str, ...]) -> int:
    if value not in allowed:
        raise InvalidInputError(f"{value!r} can't be compared; only {', '.join(allowed)} can.")
    return allowed.index(value)


def _matrix(pairs: Sequence[tuple[int, int]], size: int) -> Matrix:
    counts = [[0] * size for _ in range(size)]
    for model, person in pairs:
        counts[model][person] += 1
    return tuple(tuple(row) for row in counts)


def _quadratic_kappa(pairs: Sequence[tuple[int, int]], items: Sequence[Hashable]) -> Kappa:
    """Cohen's kappa with quadratic weights, and its BCa bootstrap interval, resampled by item.

    Sources: J. Cohen, "Weighted kappa", Psychological Bulletin 70 (1968) 213-220; B. Efron, "Better
    bootstrap confidence intervals", JASA 82 (1987) 171-185. An item's pairs are one vector of 25 counts;
    items with equal vectors are interchangeable, so a resample is one multinomial draw over the distinct
    vectors. The draws are seeded: the same labels give the same interval.
    """
    import numpy

    of_item: dict[Hashable, list[int]] = {}
    size = len(SCORES)
    for (model, person), item in zip(pairs, items, strict=True):
        of_item.setdefault(item, [0] * size**2)[model * size + person] += 1
    n = len(of_item)
    if n < ENOUGH:
        return Kappa(None, None, None, f"Kappa needs at least {ENOUGH} labelled items; there are {n}.")
    vectors, counts = numpy.unique(numpy.array(list(of_item.values())), axis=0, return_counts=True)
    total = counts @ vectors
    value = float(_kappas(total[None])[0])
    if math.isnan(value):
        return Kappa(None, None, None, "Kappa is undefined: the model and the person gave one and the same score only.")
    draws = numpy.random.default_rng(0).multinomial(n, counts / n, size=RESAMPLES)
    resampled = _kappas(draws @ vectors)
    resampled = resampled[~numpy.isnan(resampled)]
    without_one = numpy.repeat(_kappas(total - vectors), counts)
    if len(resampled) < LEVEL * RESAMPLES or numpy.ptp(resampled) == 0 or numpy.isnan(without_one).any():
        return Kappa(value, None, None, "These labels vary too little for resampling to give kappa an interval.")
    low, high = _bca(value, resampled, without_one)
    return Kappa(value, low, high, "")


def _kappas(cells: numpy.ndarray) -> numpy.ndarray:
    """Quadratic weighted kappa of each row of 25 counts; NaN where chance alone would agree wholly."""
    import numpy

    size = len(SCORES)
    matrices = cells.reshape(-1, size, size)
    score = numpy.arange(size)
    weights = (score[:, None] - score[None, :]) ** 2
    by_chance = numpy.einsum("ri,ij,rj->r", matrices.sum(2), weights, matrices.sum(1))
    observed = (weights * matrices).sum((1, 2)) * matrices.sum((1, 2))
    kappas = numpy.full(len(matrices), numpy.nan)
    defined = by_chance > 0
    kappas[defined] = 1 - observed[defined] / by_chance[defined]
    return kappas


def _bca(value: float, resampled: numpy.ndarray, without_one: numpy.ndarray) -> tuple[float, float]:
    """The bias-corrected and accelerated percentiles of the resamples (Efron 1987, sections 3 and 6)."""
    import numpy

    normal = NormalDist()
    below = ((resampled < value).mean() + (resampled <= value).mean()) / 2
    bias = normal.inv_cdf(float(numpy.clip(below, 1 / len(resampled), 1 - 1 / len(resampled))))
    deviations = without_one.mean() - without_one
    spread = (deviations**2).sum() ** 1.5
    acceleration = float((deviations**3).sum() / (6 * spread)) if spread else 0.0
    quantiles = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        z = bias + normal.inv_cdf(tail)
        quantiles.append(normal.cdf(bias + z / (1 - acceleration * z)))
    low, high = numpy.quantile(resampled, quantiles)
    return float(low), float(high)
