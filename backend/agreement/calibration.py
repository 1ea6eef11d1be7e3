"""Does the judge know how sure it may be, and can its score be set right? Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from backend.agreement import Share, clustered, share
from backend.agreement.bootstrap import Floats, Integers, Stat, bootstrap, item_counts

BINS = 10
FOLDS = 5
FEWEST_ITEMS = 50
"""Labelled items that a recalibration needs: each fold then fits on at least 40."""
Curve = tuple[tuple[float, float], ...]
"""(expected score, recalibrated score) at the steps, by rising expected score; straight lines between, flat beyond."""


@dataclass(frozen=True)
class Bin:
    """Verdicts of a confidence in low..high. confidence: their mean, 0..1. right: how often people said the same."""

    low: float
    high: float
    confidence: float
    right: Share


@dataclass(frozen=True)
class Reliability:
    """bins: those that hold verdicts, the least sure first. error: expected calibration error, 0..1."""

    bins: tuple[Bin, ...]
    error: Stat


@dataclass(frozen=True)
class Recalibration:
    """before, after: mean absolute error of the expected score, on labels that the curve was not fitted on.

    gain: before less after, paired. curves: for each fold of items the one that was fitted on the other folds. Empty,
    with missing, where labels are too few.
    """

    before: Stat
    after: Stat
    gain: Stat
    curves: tuple[Curve, ...]
    missing: str = ""


def reliability(confidence: Floats, right: NDArray[numpy.bool_], items: Integers) -> Reliability:
    """confidence: (labels,) probability 0..1 of the verdict's result. right: whether the person said the same.

    Ten bins of equal width (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2). The
    error's interval resamples items and holds each bin's mean confidence.
    """
    index = numpy.minimum((confidence * BINS).astype(numpy.int64), BINS - 1)
    n = numpy.bincount(index, minlength=BINS)
    means = numpy.bincount(index, weights=confidence, minlength=BINS) / numpy.maximum(n, 1)
    hits = numpy.bincount(index, weights=right.astype(float), minlength=BINS)
    bins = []
    for number in range(BINS):
        accuracy = share(int(hits[number]), int(n[number]))
        if accuracy is not None:
            bins.append(Bin(number / BINS, (number + 1) / BINS, float(means[number]), accuracy))

    def error(counts: Floats) -> Floats:
        cells = counts.reshape(-1, BINS, 2)
        gaps = numpy.abs(cells[:, :, 1] - cells.sum(2) * means)
        mean_gap: Floats = gaps.sum(1) / cells.sum((1, 2))
        return mean_gap

    sample = item_counts(items, index * 2 + right.astype(numpy.int64), BINS * 2)
    return Reliability(tuple(bins), bootstrap(sample, {"error": error}, {}, len(confidence))["error"])


def recalibration(expected: Floats, person: Floats, items: Integers) -> Recalibration:
    """Isotonic regression of people's scores on the judge's expected score, cross-fitted over five folds of whole
    items.

    (labels,) each, 1..5; items: whole numbers from 0. Source of the fit: R. E. Barlow et al., "Statistical Inference
    under Order Restrictions" (1972).
    """
    count = len(numpy.unique(items))
    fold = fold_of(items)
    if count < FEWEST_ITEMS or len(numpy.unique(fold)) < FOLDS:
        few = f"A recalibration needs at least {FEWEST_ITEMS} labelled items; there are {count}."
        none = Stat(None, None, None, len(expected), count, few)
        return Recalibration(none, none, none, (), few)
    held_out = numpy.empty(len(expected))
    curves = []
    for number in range(FOLDS):
        inside = fold == number
        x, y = isotonic(expected[~inside], person[~inside])
        held_out[inside] = numpy.interp(expected[inside], x, y)
        curves.append(_steps(x, y))
    before, after = numpy.abs(expected - person), numpy.abs(held_out - person)
    return Recalibration(
        before=clustered.mean(before, items),
        after=clustered.mean(after, items),
        gain=clustered.mean(before - after, items),
        curves=tuple(curves),
    )


def recalibrated(expected: float, item: int, curves: Sequence[Curve]) -> float:
    """The score that the curve gives which was fitted without this item."""
    curve = curves[int(fold_of(numpy.array([item]))[0])]
    return float(numpy.interp(expected, [x for x, _ in curve], [y for _, y in curve]))


def fold_of(items: Integers) -> Integers:
    """0..FOLDS-1, by the item's number alone, scrambled: neighbours may belong together, as one system's responses."""
    scrambled = items.astype(numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    folds: Integers = ((scrambled >> numpy.uint64(40)) % numpy.uint64(FOLDS)).astype(numpy.int64)
    return folds


def isotonic(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The rising step curve of least squares: distinct x in order, and the fitted value of each."""
    from scipy.optimize import isotonic_regression

    values, index = numpy.unique(x, return_inverse=True)
    counts = numpy.bincount(index)
    means = numpy.bincount(index, weights=y) / counts
    fitted: Floats = isotonic_regression(means, weights=counts).x
    return values, fitted


def _steps(x: Floats, y: Floats) -> Curve:
    """The ends of each level; what lies between two is on the line that joins them."""
    change = numpy.flatnonzero(numpy.diff(y) != 0)
    kept = numpy.unique(numpy.concatenate([[0], change, change + 1, [len(x) - 1]]))
    return tuple((float(x[place]), float(y[place])) for place in kept)
