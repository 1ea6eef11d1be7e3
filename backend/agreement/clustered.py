"""Means, differences and slopes over labels of which several are of one item, with cluster-robust intervals. Pure.

The error of each is the root of the sum over items of the squared sum of their labels' influence (K.-Y. Liang and S. L.
Zeger, Biometrika 73 (1986) 13-22, without a small-sample factor); the interval is Student's with items - 1 degrees.
items: which item each label is of, as whole numbers from 0.
"""

import numpy
from numpy.typing import NDArray

from backend.agreement import ENOUGH
from backend.agreement.bootstrap import VARIES_TOO_LITTLE, Floats, Integers, Stat

Mask = NDArray[numpy.bool_]


def mean(values: Floats, items: Integers) -> Stat:
    """The mean of values (labels,)."""
    if not len(values):
        return Stat(None, None, None, 0, 0, "There are no labels.")
    value = float(values.mean())
    return _stat(value, (values - value) / len(values), items)


def difference(values: Floats, inside: Mask, items: Integers) -> Stat:
    """The mean inside less the mean outside. inside: (labels,). n and items are those inside."""
    n_in, n_out = int(inside.sum()), int((~inside).sum())
    of_inside = _count(items[inside])
    if not n_in or not n_out:
        return Stat(None, None, None, n_in, of_inside, "All labels are on one side; there is nothing to compare with.")
    mean_in, mean_out = float(values[inside].mean()), float(values[~inside].mean())
    influence = numpy.where(inside, (values - mean_in) / n_in, -(values - mean_out) / n_out)
    stat = _stat(mean_in - mean_out, influence, items)
    if of_inside < ENOUGH:
        few = f"Needs at least {ENOUGH} items; there {'is' if of_inside == 1 else 'are'} {of_inside}."
        return Stat(stat.value, None, None, n_in, of_inside, few)
    return Stat(stat.value, stat.low, stat.high, n_in, of_inside, stat.missing)


def slope(x: Floats, y: Floats, items: Integers) -> Stat:
    """By how much y rises when x rises by 1: least squares with an intercept. (labels,) each."""
    if not len(x) or numpy.ptp(x) < 1e-12:
        return Stat(None, None, None, len(x), _count(items), "Undefined: x is the same everywhere.")
    centred = x - x.mean()
    spread = float(centred @ centred)
    value = float(centred @ y) / spread
    residual = y - y.mean() - value * centred
    return _stat(value, centred * residual / spread, items)


def _count(items: Integers) -> int:
    return int((numpy.bincount(items) > 0).sum())


def _stat(value: float, influence: Floats, items: Integers) -> Stat:
    from scipy.special import stdtrit

    by_item = numpy.bincount(items, weights=influence)
    n, count = len(influence), _count(items)
    if count < ENOUGH:
        few = f"An interval needs at least {ENOUGH} items; there {'is' if count == 1 else 'are'} {count}."
        return Stat(value, None, None, n, count, few)
    error = float(numpy.sqrt((by_item**2).sum()))
    if error < 1e-12:
        return Stat(value, None, None, n, count, VARIES_TOO_LITTLE)
    half = float(stdtrit(count - 1, 0.975)) * error
    return Stat(value, value - half, value + half, n, count)
