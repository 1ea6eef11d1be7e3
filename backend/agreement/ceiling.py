"""Everybody beside everybody, people and models: what agreement a judge could reach at all. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from backend.agreement import ENOUGH
from backend.agreement import tables as of
from backend.agreement.bootstrap import Integers


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
    order = side_by_side(values)
    return Everybody(
        raters=tuple(order),
        agreement=tuple(tuple(values[row][column] for column in order) for row in order),
        n=tuple(tuple(common[row][column] for column in order) for row in order),
    )


def side_by_side(values: Sequence[Sequence[float | None]]) -> list[int]:
    """An order in which those who agree stand together: the two groups that agree best on average join side by side,
    until all are one. Pairs without a value count as the mean."""
    count = len(values)
    if count < 3:
        return list(range(count))
    found = numpy.array([[numpy.nan if value is None else value for value in row] for row in values])
    if numpy.isnan(found).all():
        return list(range(count))
    found[numpy.isnan(found)] = numpy.nanmean(found)
    groups = [[rater] for rater in range(count)]
    while len(groups) > 1:
        near = {
            (one, other): float(found[numpy.ix_(groups[one], groups[other])].mean())
            for one in range(len(groups))
            for other in range(one + 1, len(groups))
        }
        one, other = max(near, key=lambda pair: near[pair])
        groups[one] += groups.pop(other)
    return groups[0]
