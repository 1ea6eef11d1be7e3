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


def quartiles(values: Floats, unit: str) -> tuple[Integers, tuple[str, ...]]:
    """Four parts of about equal size by value (fewer where values are equal), named by their range; NaN is in none."""
    known = ~numpy.isnan(values)
    if not known.any():
        return numpy.full(len(values), -1), ()
    edges = numpy.unique(numpy.quantile(values[known], [0.25, 0.5, 0.75]))
    numbers = numpy.where(known, numpy.searchsorted(edges, values, side="left"), -1)
    names = [f"up to {edges[0]:,.4g} {unit}".strip()]
    names += [f"{low:,.4g} to {high:,.4g} {unit}".strip() for low, high in pairwise(edges)]
    names.append(f"above {edges[-1]:,.4g} {unit}".strip())
    return numbers, tuple(names)


def _order(part: Slice) -> tuple[bool, float]:
    gap = part.gap
    told = gap.low is not None and gap.high is not None and (gap.low > 0 or gap.high < 0)
    return not told, -abs(gap.value or 0.0)
