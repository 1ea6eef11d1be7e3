"""How far any number of raters agree among themselves, with missing cells: the ceiling for a judge. Pure."""

import numpy

from backend.agreement import tables as of
from backend.agreement.bootstrap import Distinct, Floats, Integers, Stat, bootstrap, item_counts

NOBODY_TWICE = "No item was rated by two raters, so nothing can be compared."
ONE_VALUE = "Undefined: everybody gave one and the same value everywhere."


def among(items: Integers, values: Integers, size: int, *, ordinal: bool) -> dict[str, Stat]:
    """Krippendorff's alpha, and for ordinal values Gwet's AC2 too. (ratings,) each, values 0..size-1.

    One rating of each rater and item. Items with one rating count for AC2's shares only. Sources: K. Krippendorff,
    "Computing Krippendorff's Alpha-Reliability" (2011); K. L. Gwet, "Handbook of Inter-Rater Reliability", 4th ed.
    (2014), section 5.3.
    """
    counted = item_counts(items, values, size)
    paired = counted.counts[counted.rows.sum(1) > 1].sum() if len(counted.rows) else 0
    names = ("alpha", "ac2") if ordinal else ("alpha",)
    if not paired:
        return {name: Stat(None, None, None, len(items), 0, NOBODY_TWICE) for name in names}
    sample = Distinct(_sums(counted.rows), counted.counts)
    cells = size * size

    def alpha(sums: Floats) -> Floats:
        return of.alpha(sums[:, :cells].reshape(-1, size, size), ordinal=ordinal)

    def ac2(sums: Floats) -> Floats:
        with numpy.errstate(invalid="ignore", divide="ignore"):
            agreed = sums[:, cells] / sums[:, cells + 1]
            shares = sums[:, cells + 3 :] / sums[:, cells + 2 : cells + 3]
        return of.ac2_of_sums(agreed, shares)

    statistics = {"alpha": alpha, "ac2": ac2} if ordinal else {"alpha": alpha}
    return bootstrap(sample, statistics, {"alpha": ONE_VALUE}, len(items))


def _sums(counts: Floats) -> Floats:
    """What an item adds: its coincidences, weighted agreement, 1 if it is paired, 1, and its share of each value."""
    size = counts.shape[1]
    ratings = counts.sum(1)
    paired = (ratings > 1).astype(float)
    partners = numpy.maximum(ratings - 1, 1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * numpy.eye(size)
    coincidences = pairs / partners[:, None, None]
    agreed = (counts * (counts @ of.agreement_weights(size) - 1)).sum(1) / (ratings * partners) * paired
    columns = [coincidences.reshape(len(counts), -1), agreed[:, None], paired[:, None], numpy.ones((len(counts), 1))]
    return numpy.hstack([*columns, counts / ratings[:, None]])
