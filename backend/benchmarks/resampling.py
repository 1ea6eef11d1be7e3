"""Bootstrap resamples as rows of counts, and correlations of all of them at once. Pure.

A resample is how often each row was drawn. They are drawn from a fixed seed and used a block at a time, so that a block
stays in the processor's cache: 10,000 rows in 2,000 resamples would be 160 MB.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from backend.agreement import LEVEL

Floats = NDArray[numpy.float64]
Integers = NDArray[numpy.int64]
Statistic = Callable[[Floats], Floats]
"""Counts (resamples, n) to the figure of each resample (resamples,); NaN where it is undefined."""
BLOCK_CELLS = 1_000_000
"""Resamples times rows in a block: 8 MB of counts."""
FEW_VALUES = 32
"""Distinct values up to which Kendall's counts are made value by value; above it every pair is looked at."""
NO_SPREAD = 1e-12
"""Variance, of values scaled to about 1, that is only rounding."""


def in_blocks(n: int, count: int, of: Callable[[Floats], Floats]) -> Floats:
    """of(counts), a block of resamples after the other. of: (resamples, n) to (figures, resamples). The result:
    (figures, count).
    """
    rng = numpy.random.default_rng(0)
    size = max(1, BLOCK_CELLS // n)
    found = [of(drawn(rng, n, min(size, count - start))) for start in range(0, count, size)]
    return numpy.concatenate(found, axis=1)


def drawn(rng: numpy.random.Generator, n: int, count: int) -> Floats:
    """How often each of n rows is drawn in each of count resamples: (count, n), every row sums to n."""
    cells = rng.integers(n, size=(count, n)) + n * numpy.arange(count)[:, None]
    return numpy.bincount(cells.ravel(), minlength=count * n).reshape(count, n).astype(numpy.float64)


def interval(values: Floats) -> tuple[float, float] | None:
    """The percentiles that hold the middle 95%; None where more than 1 in 20 resamples is undefined."""
    defined = values[~numpy.isnan(values)]
    if len(defined) < LEVEL * len(values):
        return None
    low, high = numpy.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def pearson(said: Floats, label: Floats) -> Statistic:
    """Pearson's r of each resample, from its five sums. said, label: (n,)."""
    x, y = (said - said.mean()) / said.std(), (label - label.mean()) / label.std()
    columns = numpy.stack([x, y, x * y, x * x, y * y], axis=1) / len(x)

    def of(weights: Floats) -> Floats:
        sx, sy, sxy, sxx, syy = (weights @ columns).T
        return quotient(sxy - sx * sy, sxx - sx * sx, syy - sy * sy)

    return of


def spearman(said: Floats, label: Floats) -> Statistic:
    """Pearson's r of the ranks within each resample; equal values share the mean of their ranks. said, label: (n,)."""
    cells = _cells(said, label)
    n = len(said)

    def of(weights: Floats) -> Floats:
        counts = cells.counts(weights)
        in_x, in_y = cells.by_x(counts), cells.by_y(counts, weights)
        x, y = _middle_ranks(in_x, n), _middle_ranks(in_y, n)
        sxy = (counts * numpy.take(x, cells.x, axis=1) * numpy.take(y, cells.y, axis=1)).sum(1)
        return quotient(sxy / n**3, (in_x * x * x).sum(1) / n**3, (in_y * y * y).sum(1) / n**3)

    return of


def kendall(said: Floats, label: Floats) -> Statistic:
    """Kendall's tau-b of each resample (M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33
    (1945) 239-251): (concordant - discordant) / sqrt((pairs - tied in x) * (pairs - tied in y)). said, label: (n,).
    """
    cells = _cells(said, label)
    if len(numpy.unique(said)) < len(numpy.unique(label)):
        cells = _cells(label, said)
    n = len(said)
    concordant = _by_value if cells.y.max() < FEW_VALUES else _by_pair

    def of(weights: Floats) -> Floats:
        counts = cells.counts(weights)
        untied_x = n * n - (cells.by_x(counts) ** 2).sum(1)
        untied_y = n * n - (cells.by_y(counts, weights) ** 2).sum(1)
        return quotient(2 * concordant(cells, counts) / n**2, untied_x / n**2, untied_y / n**2)

    return of


@dataclass(frozen=True)
class _Cells:
    """Rows with the same two values are one cell: with few values there are few, however many rows there are.

    x, y: (cells,) the numbers of their values from 0, sorted by x and then by y. row_cell, row_y: (n,) of each row.
    starts: (values of x,) where its cells begin.
    """

    x: Integers
    y: Integers
    row_cell: Integers
    row_y: Integers
    starts: Integers

    def counts(self, weights: Floats) -> Floats:
        """(resamples, n) to (resamples, cells)."""
        return _sums(weights, self.row_cell, len(self.x))

    def by_x(self, counts: Floats) -> Floats:
        """(resamples, cells) to (resamples, values of x)."""
        if len(self.starts) == len(self.x):
            return counts
        summed: Floats = numpy.add.reduceat(counts, self.starts, axis=1)
        return summed

    def by_y(self, counts: Floats, weights: Floats) -> Floats:
        """(resamples, cells) to (resamples, values of y)."""
        size = int(self.y.max()) + 1
        if size <= FEW_VALUES:
            return _sums(counts, self.y, size)
        return _sums(weights, self.row_y, size)


def _cells(said: Floats, label: Floats) -> _Cells:
    row_x, row_y = numpy.unique(said, return_inverse=True)[1], numpy.unique(label, return_inverse=True)[1]
    size = int(row_y.max()) + 1
    codes, row_cell = numpy.unique(row_x * size + row_y, return_inverse=True)
    x = codes // size
    return _Cells(x, codes % size, row_cell, row_y, numpy.searchsorted(x, numpy.arange(int(x.max()) + 1)))


def _sums(weights: Floats, group: Integers, size: int) -> Floats:
    """The weights of each group: (resamples, members) to (resamples, size)."""
    if size <= FEW_VALUES:
        members: Floats = weights @ (group[:, None] == numpy.arange(size)).astype(numpy.float64)
        return members
    order = numpy.argsort(group, kind="stable")
    ordered = numpy.take(weights, order, axis=1)
    if size == len(group):
        return ordered
    summed: Floats = numpy.add.reduceat(ordered, numpy.searchsorted(group[order], numpy.arange(size)), axis=1)
    return summed


def _middle_ranks(counts: Floats, n: int) -> Floats:
    """The rank of each value less the mean of all n ranks: (resamples, values)."""
    return numpy.cumsum(counts, axis=1) - (counts + n) / 2


def _by_value(cells: _Cells, counts: Floats) -> Floats:
    """Concordant less discordant pairs of each resample: of every row, how many with a lower x have a lower y, less how
    many have a higher one; for y of few values.
    """
    below = cells.starts[cells.x]
    difference = numpy.zeros(len(counts))
    sums = numpy.zeros((len(counts), len(cells.x) + 1))
    for one in range(int(cells.y.max()) + 1):
        here = numpy.flatnonzero(cells.y == one)
        numpy.cumsum(counts * numpy.sign(one - cells.y), axis=1, out=sums[:, 1:])
        difference += (counts[:, here] * sums[:, below[here]]).sum(1)
    return difference


def _by_pair(cells: _Cells, counts: Floats) -> Floats:
    """The same for any number of values. The counts are whole numbers below 2^24, so float32 holds them exactly."""
    size = len(cells.x)
    single = counts.astype(numpy.float32)
    difference = numpy.zeros(len(counts))
    block = max(1, 4_000_000 // size)
    for start in range(0, size, block):
        part = slice(start, min(start + block, size))
        signs = numpy.sign(cells.x[part, None] - cells.x) * numpy.sign(cells.y[part, None] - cells.y)
        against = single @ signs.T.astype(numpy.float32)
        difference += numpy.einsum("rn,rn->r", against, counts[:, part])
    return difference / 2


def quotient(covariance: Floats, spread_x: Floats, spread_y: Floats) -> Floats:
    """covariance / sqrt(spread_x * spread_y), within -1..1; NaN where one of them has no spread, but for rounding."""
    values = numpy.full(len(covariance), numpy.nan)
    defined = (spread_x > NO_SPREAD) & (spread_y > NO_SPREAD)
    quotient = covariance[defined] / numpy.sqrt(spread_x[defined] * spread_y[defined])
    values[defined] = numpy.clip(quotient, -1, 1)
    return values
