"""Everybody beside everybody, people and models: what agreement a judge could reach at all. Pure."""

from dataclasses import dataclass

import numpy

from backend.agreement import ENOUGH
from backend.agreement import tables as of
from backend.agreement.bootstrap import Floats, Integers


@dataclass(frozen=True)
class Everybody:
    """raters: their numbers, those who agree side by side. agreement: a row and a column each, quadratic kappa of
    scores or share of equal winners; None with fewer than 10 items in common or where it is undefined. n: items in
    common."""

    raters: tuple[int, ...]
    agreement: tuple[tuple[float | None, ...], ...]
    n: tuple[tuple[int, ...], ...]


def everybody(ratings: Integers, *, size: int, ordinal: bool) -> Everybody:
    """ratings: (questions, raters), 0..size-1, -1 where there is none."""
    count = ratings.shape[1]
    values: list[list[float | None]] = [[None] * count for _ in range(count)]
    common = [[0] * count for _ in range(count)]
    for one in range(count):
        for other in range(one + 1, count):
            both = (ratings[:, one] >= 0) & (ratings[:, other] >= 0)
            n = int(both.sum())
            common[one][other] = common[other][one] = n
            if n < ENOUGH:
                continue
            cells = ratings[both, one] * size + ratings[both, other]
            table = numpy.bincount(cells, minlength=size * size).reshape(1, size, size).astype(float)
            figure = float((of.quadratic_kappa if ordinal else of.exact)(table)[0])
            values[one][other] = values[other][one] = None if numpy.isnan(figure) else figure
    order = _clustered(values)
    return Everybody(
        raters=tuple(order),
        agreement=tuple(tuple(values[row][column] for column in order) for row in order),
        n=tuple(tuple(common[row][column] for column in order) for row in order),
    )


def _clustered(values: list[list[float | None]]) -> list[int]:
    """An order in which those who agree stand together: average linkage, pairs without a value at the mean distance."""
    count = len(values)
    if count < 3:
        return list(range(count))
    from scipy.cluster.hierarchy import leaves_list, linkage

    distances: Floats = numpy.array(
        [
            1 - value if (value := values[i][j]) is not None else numpy.nan
            for i in range(count)
            for j in range(i + 1, count)
        ]
    )
    if numpy.isnan(distances).all():
        return list(range(count))
    distances[numpy.isnan(distances)] = numpy.nanmean(distances)
    return [int(place) for place in leaves_list(linkage(distances, "average"))]
