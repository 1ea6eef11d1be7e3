"""Prediction-powered means: few labels and many verdicts together, with an interval that stays valid. Pure.

Sources: A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan, T. Zrnic, "Prediction-powered inference", Science 382
(2023) 669-674; Angelopoulos, Duchi, Zrnic, "PPI++: Efficient Prediction-Powered Inference" (2023), section 6 (lambda);
with sampling probabilities: T. Zrnic, E. J. Candes, "Active Statistical Inference" (2024), section 3, the correction
as Hajek's ratio (C.-E. Sarndal, B. Swensson, J. Wretman, "Model Assisted Survey Sampling", 1992, sections 5.7 and 6.5).
The intervals use Student's quantile with labels - 1 degrees, since labels are few.
"""

import math
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
class PoweredMean:
    """Three answers to one question, what people would say on average of all items.

    powered: of labels and verdicts. people: of the labels alone. model: the mean verdict, which no label corrects and
    so no interval belongs to. trust: the weight of the verdicts, lambda; 0 where they tell nothing, 1 where they are
    taken whole.
    """

    powered: Stat
    people: Stat
    model: float | None
    trust: float | None


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
    n = len(labels)
    total = n + others.n
    raw = (float(verdicts.sum()) + others.n * others.mean) / total if total else None
    if n < ENOUGH:
        few = f"Needs at least {ENOUGH} labelled items; there {'is' if n == 1 else 'are'} {n}."
        return PoweredMean(Stat(None, None, None, n, n, few), Stat(None, None, None, n, n, few), raw, None)
    if probabilities is not None:
        if not ((probabilities > 0) & (probabilities <= 1)).all():
            raise InvalidInputError(
                "A sampling probability lies outside of 0 to 1. Give the one each item was drawn with."
            )
        if numpy.ptp(probabilities) > 0:
            return _weighted(labels, verdicts, others, probabilities, raw)
    trust = _trust(labels, verdicts, others)
    rest = labels - trust * verdicts
    value = float(rest.mean()) + trust * others.mean
    variance = rest.var(ddof=1) / n + (trust**2 * others.variance / others.n if others.n else 0.0)
    people = _stat(float(labels.mean()), labels.var(ddof=1) / n, n)
    return PoweredMean(_stat(value, variance, n), people, raw, trust)


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


def _weighted(
    labels: Floats, verdicts: Floats, others: Verdicts, probabilities: Floats, raw: float | None
) -> PoweredMean:
    """The mean verdict of all, and the labels' weighted mean distance from it: trust * mean(f) + sum w (y - trust * f)
    / sum w, with w = 1 / p; its variance by Taylor's linearisation."""
    n, total = len(labels), len(labels) + others.n
    weight = 1 / probabilities
    weight /= weight.sum()
    centre = (float(verdicts.sum()) + others.n * others.mean) / total
    squares = float(((verdicts - centre) ** 2).sum()) + others.n * (others.variance + (others.mean - centre) ** 2)
    of_all = squares / total
    y, f = labels - (weight * labels).sum(), verdicts - (weight * verdicts).sum()
    few = n / (n - 1)
    spread = few * float((weight**2 * f**2).sum()) + of_all / total
    trust = float(numpy.clip(few * (weight**2 * y * f).sum() / spread, 0, 1)) if others.n and spread > 1e-12 else 0.0
    value = float((weight * (labels - trust * verdicts)).sum()) + trust * centre
    variance = few * float((weight**2 * (y - trust * f) ** 2).sum()) + trust**2 * of_all / total
    people = _stat(float((weight * labels).sum()), few * float((weight**2 * y**2).sum()), n)
    return PoweredMean(_stat(value, variance, n), people, raw, trust)


def _stat(value: float, variance: float, n: int) -> Stat:
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * math.sqrt(max(variance, 0.0))
    if half == 0:
        return Stat(value, None, None, n, n, "All labels are equal, so they can't say how far off their mean is.")
    return Stat(value, value - half, value + half, n, n)
