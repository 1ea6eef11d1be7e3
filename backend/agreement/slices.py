"""Where the judge fails: the error of each part of the labels beside the rest, the largest gaps first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy

from backend.agreement import clustered
from backend.agreement.bootstrap import Floats, Integers, Stat


@dataclass(frozen=True)
class Slice:
    """A part of the labels. by: what they were parted by. error: their mean error. gap: their mean less the others'."""

    by: str
    name: str
    error: Stat
    gap: Stat


def slices(errors: Floats, items: Integers, parts: Mapping[str, tuple[Integers, Sequence[str]]]) -> tuple[Slice, ...]:
    """errors: (labels,). parts: by what, then the number of each label's part (-1: of none) and the parts' names.

    A part that holds all labels is left out: it has no others. Parts whose gap's interval excludes 0 come first, the
    largest gap first of all.
    """
    found = []
    for by, (numbers, names) in parts.items():
        known = numbers >= 0
        for number, name in enumerate(names):
            inside = numbers == number
            if not inside.any() or not (known & ~inside).any():
                continue
            gap = clustered.difference(errors[known], inside[known], items[known])
            found.append(Slice(by, name, clustered.mean(errors[inside], items[inside]), gap))
    return tuple(sorted(found, key=_order))


def quartiles(values: Floats, words: str, *, digits: int) -> tuple[Integers, tuple[str, ...]]:
    """Four parts of about equal size by value, fewer where values are equal; NaN is in none.

    words: how a part is named by its range, as "{} characters".
    """
    known = ~numpy.isnan(values)
    if not known.any():
        return numpy.full(len(values), -1), ()
    edges = numpy.unique(numpy.quantile(values[known], [0.25, 0.5, 0.75]))
    numbers = numpy.where(known, numpy.searchsorted(edges, values, side="left"), -1)
    edge = [f"{value:,.{digits}f}" for value in edges]
    ranges = [f"up to {edge[0]}", *(f"{low} to {high}" for low, high in pairwise(edge)), f"above {edge[-1]}"]
    return numbers, tuple(words.format(each) for each in ranges)


def _order(part: Slice) -> tuple[bool, float]:
    gap = part.gap
    told = gap.low is not None and gap.high is not None and (gap.low > 0 or gap.high < 0)
    return not told, -abs(gap.value or 0.0)
