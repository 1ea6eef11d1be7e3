"""Figures of agreement as functions of a table of counts, for many tables at once. Pure.

A table has a row for each value that the first rater gave (the model), and a column for each of the second (the
person); values are 0..k-1 in the order of the scale. Every function takes (tables, k, k) and returns (tables,), NaN
where it is undefined.
"""

import numpy

from backend.agreement.bootstrap import Floats

NO_SPREAD = 1e-9


def exact(tables: Floats) -> Floats:
    """Share of equal values, 0..1."""
    return _mean(tables, numpy.eye(tables.shape[1]))


def within_one(tables: Floats) -> Floats:
    """Share that lies at most one step apart, 0..1."""
    return _mean(tables, (_distance(tables.shape[1]) <= 1).astype(float))


def mean_absolute_error(tables: Floats) -> Floats:
    """Mean distance in steps of the scale, 0..k-1."""
    return _mean(tables, _distance(tables.shape[1]))


def bias(tables: Floats) -> Floats:
    """Mean of first minus second: above 0 where the model gives more than the person."""
    value = numpy.arange(tables.shape[1])
    return _mean(tables, (value[:, None] - value[None, :]).astype(float))


def quadratic_kappa(tables: Floats) -> Floats:
    """Weighted kappa (J. Cohen, Psychological Bulletin 70 (1968) 213-220), a miss by two counting four times."""
    return _kappa(tables, _distance(tables.shape[1]) ** 2)


def linear_kappa(tables: Floats) -> Floats:
    """Weighted kappa (Cohen 1968), a miss by two counting twice."""
    return _kappa(tables, _distance(tables.shape[1]))


def nominal_kappa(tables: Floats) -> Floats:
    """Kappa (J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46): every miss counts the same."""
    return _kappa(tables, 1 - numpy.eye(tables.shape[1]))


def ordinal_alpha(tables: Floats) -> Floats:
    """Krippendorff's alpha for ordinal data, of two raters without missing cells."""
    return alpha(tables + tables.transpose(0, 2, 1), ordinal=True)


def nominal_alpha(tables: Floats) -> Floats:
    """Krippendorff's alpha for nominal data, of two raters without missing cells."""
    return alpha(tables + tables.transpose(0, 2, 1), ordinal=False)


def alpha(coincidences: Floats, *, ordinal: bool) -> Floats:
    """Krippendorff's alpha of coincidence matrices (tables, k, k), at most 1.

    1 - n_pairs-weighted observed over expected disagreement; the ordinal difference of two values is how many
    ratings lie between their middles. Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).
    """
    totals = coincidences.sum(2)
    if ordinal:
        middle = numpy.cumsum(totals, axis=1) - totals / 2
        differences = (middle[:, :, None] - middle[:, None, :]) ** 2
    else:
        differences = numpy.broadcast_to(1 - numpy.eye(totals.shape[1]), coincidences.shape)
    observed = (coincidences * differences).sum((1, 2))
    expected = numpy.einsum("ri,rij,rj->r", totals, differences, totals)
    return 1 - _divided(observed * (totals.sum(1) - 1), expected)


def ac2(tables: Floats) -> Floats:
    """Gwet's AC2 with quadratic weights, of two raters without missing cells (see ac2_of_sums)."""
    n = tables.sum((1, 2))
    share = (tables.sum(1) + tables.sum(2)) / (2 * n[:, None])
    return ac2_of_sums(_mean(tables, agreement_weights(tables.shape[1])), share)


def ac2_of_sums(agreed: Floats, share: Floats) -> Floats:
    """AC2 from the weighted agreement (tables,) and the mean share of each value (tables, k), quadratic weights.

    Chance agreement is T / (k (k - 1)) * sum of share (1 - share), T the sum of all weights. Source: K. L. Gwet,
    "Handbook of Inter-Rater Reliability", 4th ed. (2014), chapter 5.
    """
    size = share.shape[1]
    by_chance = agreement_weights(size).sum() / (size * (size - 1)) * (share * (1 - share)).sum(1)
    return _divided(agreed - by_chance, 1 - by_chance)


def agreement_weights(size: int) -> Floats:
    """1 for equal values, falling with the square of the distance to 0 for the ends of the scale."""
    return 1 - (_distance(size) / (size - 1)) ** 2


def pearson(tables: Floats) -> Floats:
    """Pearson's r of the values."""
    value = numpy.broadcast_to(numpy.arange(tables.shape[1], dtype=float), tables.shape[:2])
    return _correlation(tables, value, value)


def spearman(tables: Floats) -> Floats:
    """Pearson's r of the ranks; equal values share the mean of their ranks."""
    return _correlation(tables, _ranks(tables.sum(2)), _ranks(tables.sum(1)))


def kendall(tables: Floats) -> Floats:
    """Tau-b (M. G. Kendall, Biometrika 33 (1945) 239-251): concordant less discordant pairs, ties accounted for."""
    n = tables.sum((1, 2))
    difference = _concordant(tables) - _concordant(tables[:, :, ::-1])
    pairs = n * (n - 1) / 2
    rows, columns = tables.sum(2), tables.sum(1)
    untied_rows = pairs - (rows * (rows - 1) / 2).sum(1)
    untied_columns = pairs - (columns * (columns - 1) / 2).sum(1)
    return _divided(difference, numpy.sqrt(numpy.maximum(untied_rows, 0) * numpy.maximum(untied_columns, 0)))


def _distance(size: int) -> Floats:
    value = numpy.arange(size, dtype=float)
    return numpy.abs(value[:, None] - value[None, :])


def _mean(tables: Floats, of: Floats) -> Floats:
    return _divided((tables * of).sum((1, 2)), tables.sum((1, 2)))


def _kappa(tables: Floats, disagreement: Floats) -> Floats:
    by_chance = numpy.einsum("ri,ij,rj->r", tables.sum(2), disagreement, tables.sum(1))
    observed = (disagreement * tables).sum((1, 2)) * tables.sum((1, 2))
    return 1 - _divided(observed, by_chance)


def _ranks(counts: Floats) -> Floats:
    return numpy.cumsum(counts, axis=1) - (counts - 1) / 2


def _correlation(tables: Floats, x: Floats, y: Floats) -> Floats:
    n = tables.sum((1, 2))
    rows, columns = tables.sum(2), tables.sum(1)
    x = x - ((rows * x).sum(1) / n)[:, None]
    y = y - ((columns * y).sum(1) / n)[:, None]
    covariance = numpy.einsum("ri,rij,rj->r", x, tables, y)
    spread = numpy.sqrt((rows * x * x).sum(1) * (columns * y * y).sum(1))
    return numpy.clip(_divided(covariance, spread), -1, 1)


def _concordant(tables: Floats) -> Floats:
    beyond = tables[:, ::-1, ::-1].cumsum(1).cumsum(2)[:, ::-1, ::-1]
    concordant: Floats = (tables[:, :-1, :-1] * beyond[:, 1:, 1:]).sum((1, 2))
    return concordant


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    quotient = numpy.full(len(numerator), numpy.nan)
    numpy.divide(numerator, denominator, out=quotient, where=denominator > NO_SPREAD)
    return quotient
