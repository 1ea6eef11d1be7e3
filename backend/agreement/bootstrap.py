"""Figures with their bootstrap intervals, resampled by item, all resamples of all figures at once. Pure.

An item is a vector of counts, and a figure is a function of the sum of the items' vectors. Items with equal vectors are
interchangeable, so a resample of the items is one multinomial draw over the distinct vectors: with five scores there
are few, however many labels there are. The draws are seeded: the same labels give the same interval.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy
from numpy.typing import NDArray

from backend.agreement import ENOUGH, LEVEL, RESAMPLES

Floats = NDArray[numpy.float64]
Integers = NDArray[numpy.int64]
Statistic = Callable[[Floats], Floats]
"""(resamples, size of a vector) -> (resamples,); NaN where it is undefined."""
MOST_CELLS = 6_000_000
"""Resamples times distinct vectors: with more than 3,000 distinct vectors there are fewer resamples."""
FEWEST_RESAMPLES = 200
VARIES_TOO_LITTLE = "These labels vary too little for resampling to give an interval."


@dataclass(frozen=True)
class Stat:
    """A figure with its 95% interval. n: labels that count for it. items: how many items they are of.

    value is None where it is undefined; low and high also where there is no interval: missing then says why.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    items: int
    missing: str = ""


@dataclass(frozen=True)
class Distinct:
    """Items by their vectors. rows: (distinct, size), no two alike. counts: (distinct,) items of each."""

    rows: Floats
    counts: Integers

    @property
    def items(self) -> int:
        return int(self.counts.sum())


def item_counts(items: Integers, cells: Integers, size: int) -> Distinct:
    """Labels as vectors of counts. items, cells: (labels,), items numbered from 0 without large gaps; cells in
    0..size-1 say which count a label adds to."""
    if not len(items):
        return Distinct(numpy.zeros((0, size)), numpy.zeros(0, dtype=numpy.int64))
    vectors = numpy.bincount(items * size + cells, minlength=(int(items.max()) + 1) * size).reshape(-1, size)
    return distinct(vectors[vectors.any(1)].astype(numpy.float64))


def distinct(vectors: Floats) -> Distinct:
    """The distinct rows of (items, size). Equal rows are found by a random projection: sorting rows whole is slow."""
    if not len(vectors):
        return Distinct(vectors, numpy.zeros(0, dtype=numpy.int64))
    keys = (vectors * numpy.random.default_rng(1).random(vectors.shape[1])).sum(1)
    _, first, counts = numpy.unique(keys, return_index=True, return_counts=True)
    return Distinct(vectors[first], counts.astype(numpy.int64))


def bootstrap(sample: Distinct, statistics: Mapping[str, Statistic], why: Mapping[str, str], n: int) -> dict[str, Stat]:
    """Every figure with its bias-corrected and accelerated interval at 95%.

    why: what to say where a figure is undefined. n: labels behind the vectors. Source: B. Efron, "Better bootstrap
    confidence intervals", JASA 82 (1987) 171-185.
    """
    items = sample.items
    if items < ENOUGH:
        few = f"Needs at least {ENOUGH} labelled items; there {'is' if items == 1 else 'are'} {items}."
        return {name: Stat(None, None, None, n, items, few) for name in statistics}
    total = sample.counts @ sample.rows
    times = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_CELLS // len(sample.rows)))
    rng = numpy.random.default_rng(0)
    resampled = rng.multinomial(items, sample.counts / items, size=times) @ sample.rows
    without_one = total - sample.rows
    stats = {}
    for name, statistic in statistics.items():
        value = float(statistic(total[None])[0])
        if math.isnan(value):
            stats[name] = Stat(None, None, None, n, items, why.get(name, "Undefined on these labels."))
            continue
        interval = bca(value, statistic(resampled), statistic(without_one), sample.counts)
        stat = Stat(value, None, None, n, items, VARIES_TOO_LITTLE)
        stats[name] = stat if interval is None else replace(stat, low=interval[0], high=interval[1], missing="")
    return stats


def bca(value: float, resampled: Floats, without_one: Floats, counts: Integers) -> tuple[float, float] | None:
    """The bias-corrected and accelerated percentiles of the resamples (Efron 1987, sections 3 and 6).

    without_one: the figure without one item of each distinct vector, counts: how many there are of each. None where
    more than 1 in 20 resamples is undefined or all are equal.
    """
    defined = resampled[~numpy.isnan(resampled)]
    if len(defined) < LEVEL * len(resampled) or numpy.ptp(defined) < 1e-12 or numpy.isnan(without_one).any():
        return None
    normal = NormalDist()
    below = ((defined < value).mean() + (defined <= value).mean()) / 2
    bias = normal.inv_cdf(float(numpy.clip(below, 1 / len(defined), 1 - 1 / len(defined))))
    deviations = counts @ without_one / counts.sum() - without_one
    spread = (counts @ deviations**2) ** 1.5
    acceleration = float((counts @ deviations**3) / (6 * spread)) if spread else 0.0
    quantiles = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        z = bias + normal.inv_cdf(tail)
        quantiles.append(normal.cdf(bias + z / (1 - acceleration * z)))
    low, high = numpy.quantile(defined, quantiles)
    return float(low), float(high)
