"""Prediction-powered means: few labels and many verdicts together, with an interval that stays valid. Pure.

Sources: A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan, T. Zrnic, "Prediction-powered inference", Science 382
(2023) 669-674; Angelopoulos, Duchi, Zrnic, "PPI++: Efficient Prediction-Powered Inference" (2023), section 6 (lambda);
with sampling probabilities: T. Zrnic, E. J. Candes, "Active Statistical Inference" (2024), section 3, the correction
as Hajek's ratio (C.-E. Sarndal, B. Swensson, J. Wretman, "Model Assisted Survey Sampling", 1992, sections 5.7 and 6.5);
parts that were sampled each by itself as strata (there, section 3.7; A. Fisch, J. Maynez, R. A. Hofer, B. Dhingra,
A. Globerson, W. W. Cohen, "Stratified Prediction-Powered Inference for Hybrid Language Model Evaluation", 2024).
The intervals use Student's quantile with labels - 1 degrees, since labels are few; of strata with the degrees of
F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110-114.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from backend.agreement import ENOUGH
from backend.agreement.bootstrap import Floats, Stat
from backend.errors import InvalidInputError


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on items without a label, summed up. variance: of the population, 0 or more; both 0 where n is 0."""

    n: int
    mean: float
    variance: float


@dataclass(frozen=True)
class Stratum:
    """A part of all items that was sampled by itself, as powered_mean() takes it."""

    labels: Floats
    verdicts: Floats
    others: Verdicts
    probabilities: Floats | None = None

    @property
    def n(self) -> int:
        """Items, with a label or without."""
        return len(self.labels) + self.others.n

    @property
    def model(self) -> float | None:
        """The mean verdict of all."""
        return (float(self.verdicts.sum()) + self.others.n * self.others.mean) / self.n if self.n else None


@dataclass(frozen=True)
class PoweredMean:
    """Three answers to one question, what people would say on average of all items.

    powered: of labels and verdicts. people: of the labels alone. model: the mean verdict, which no label corrects and
    so no interval belongs to. trust: the weight of the verdicts, lambda; 0 where they tell nothing, 1 where they are
    taken whole; of strata its mean.
    """

    powered: Stat
    people: Stat
    model: float | None
    trust: float | None


@dataclass(frozen=True)
class _Mean:
    """variance: of the mean. degrees: of freedom of that."""

    value: float
    variance: float
    degrees: float


@dataclass(frozen=True)
class _Means:
    powered: _Mean
    people: _Mean
    trust: float


def powered_mean(
    labels: Floats, verdicts: Floats, others: Verdicts, *, probabilities: Floats | None = None
) -> PoweredMean:
    """The mean that people would give all items. labels, verdicts: (labelled items,), one mean label and one verdict
    each.

    others: the items without a label. probabilities: with which each labelled item was drawn for labelling, in (0, 1],
    as an audit stream draws: only their ratios count, so that a random part of what was drawn will do. Without them, or
    where all are alike, the labelled items must be a random sample of all. Raises InvalidInputError for a probability
    outside (0, 1].
    """
    n, stratum = len(labels), Stratum(labels, verdicts, others, probabilities)
    if n < ENOUGH:
        few = f"Needs at least {ENOUGH} labelled items; there {'is' if n == 1 else 'are'} {n}."
        return _lacking(n, few, stratum.model)
    found = _means(stratum)
    return PoweredMean(_stat(found.powered, n), _stat(found.people, n), stratum.model, found.trust)


def stratified_mean(strata: Sequence[Stratum]) -> PoweredMean:
    """The mean that people would give the items of all strata together, each counting as much as it has items.

    Of each stratum another share may be labelled, and by other probabilities: within it they must be as powered_mean()
    wants them. Strata with fewer labelled items than ENOUGH are no part of it. Raises InvalidInputError as it does.
    """
    kept = [one for one in strata if len(one.labels) >= ENOUGH]
    n = sum(len(one.labels) for one in kept)
    if not kept:
        return _lacking(n, f"Needs at least {ENOUGH} labelled items in one of them; no part has so many.", None)
    found, total = [_means(one) for one in kept], sum(one.n for one in kept)
    shares = [one.n / total for one in kept]

    def mean(of: Callable[[_Means], _Mean]) -> _Mean:
        return _together([of(one) for one in found], shares)

    model = sum(share * (one.model or 0.0) for share, one in zip(shares, kept, strict=True))
    trust = sum(share * one.trust for share, one in zip(shares, found, strict=True))
    return PoweredMean(_stat(mean(lambda one: one.powered), n), _stat(mean(lambda one: one.people), n), model, trust)


def _together(means: Sequence[_Mean], shares: Sequence[float]) -> _Mean:
    parts = [share**2 * one.variance for share, one in zip(shares, means, strict=True)]
    variance = sum(parts)
    spread = sum(part**2 / one.degrees for part, one in zip(parts, means, strict=True))
    degrees = variance**2 / spread if spread else means[0].degrees
    return _Mean(sum(share * one.value for share, one in zip(shares, means, strict=True)), variance, degrees)


def _means(of: Stratum) -> _Means:
    if of.probabilities is not None:
        if not ((of.probabilities > 0) & (of.probabilities <= 1)).all():
            raise InvalidInputError(
                "A sampling probability lies outside of 0 to 1. Give the one each item was drawn with."
            )
        if numpy.ptp(of.probabilities) > 0:
            return _weighted(of, of.probabilities)
    labels, verdicts, others, n = of.labels, of.verdicts, of.others, len(of.labels)
    trust = _trust(labels, verdicts, others)
    rest = labels - trust * verdicts
    value = float(rest.mean()) + trust * others.mean
    variance = rest.var(ddof=1) / n + (trust**2 * others.variance / others.n if others.n else 0.0)
    people = _Mean(float(labels.mean()), labels.var(ddof=1) / n, n - 1)
    return _Means(_Mean(value, variance, n - 1), people, trust)


def _trust(labels: Floats, verdicts: Floats, others: Verdicts) -> float:
    """Lambda of least variance, within 0..1 (PPI++, example 6.1)."""
    n = len(labels)
    if not others.n:
        return 0.0
    pooled = (n * verdicts.var() + others.n * others.variance) / (n + others.n)
    if pooled < 1e-12:
        return 0.0
    covariance = float(((labels - labels.mean()) * (verdicts - verdicts.mean())).sum()) / (n - 1)
    return float(numpy.clip(covariance / ((1 + n / others.n) * pooled), 0, 1))


def _weighted(of: Stratum, probabilities: Floats) -> _Means:
    """The mean verdict of all, and the labels' weighted mean distance from it: trust * mean(f) + sum w (y - trust * f)
    / sum w, with w = 1 / p; its variance by Taylor's linearisation."""
    labels, verdicts, others, n = of.labels, of.verdicts, of.others, len(of.labels)
    weight = 1 / probabilities
    weight /= weight.sum()
    centre = (float(verdicts.sum()) + others.n * others.mean) / of.n
    squares = float(((verdicts - centre) ** 2).sum()) + others.n * (others.variance + (others.mean - centre) ** 2)
    of_all = squares / of.n
    y, f = labels - (weight * labels).sum(), verdicts - (weight * verdicts).sum()
    few = n / (n - 1)
    spread = few * float((weight**2 * f**2).sum()) + of_all / of.n
    trust = float(numpy.clip(few * (weight**2 * y * f).sum() / spread, 0, 1)) if others.n and spread > 1e-12 else 0.0
    value = float((weight * (labels - trust * verdicts)).sum()) + trust * centre
    variance = few * float((weight**2 * (y - trust * f) ** 2).sum()) + trust**2 * of_all / of.n
    people = _Mean(float((weight * labels).sum()), few * float((weight**2 * y**2).sum()), n - 1)
    return _Means(_Mean(value, variance, n - 1), people, trust)


def _lacking(n: int, why: str, model: float | None) -> PoweredMean:
    return PoweredMean(Stat(None, None, None, n, n, why), Stat(None, None, None, n, n, why), model, None)


def _stat(mean: _Mean, n: int) -> Stat:
    from scipy.special import stdtrit

    half = float(stdtrit(mean.degrees, 0.975)) * math.sqrt(max(mean.variance, 0.0))
    if half == 0:
        return Stat(mean.value, None, None, n, n, "All labels are equal, so they can't say how far off their mean is.")
    return Stat(mean.value, mean.value - half, mean.value + half, n, n)
