"""Orders that people gave beside the ranks that a model gave: Kendall's tau of each item. Pure."""

import math
from collections.abc import Sequence


def tau_b(order: Sequence[int], ranks: Sequence[int]) -> float | None:
    """Kendall's tau-b between a strict order (positions, best first) and ranks by position, where equal ranks tie.

    -1..1; None where all ranks are equal. Source: M. G. Kendall, Biometrika 33 (1945) 239-251.
    """
    difference = untied = 0
    pairs = 0
    for above in range(len(order)):
        for below in range(above + 1, len(order)):
            step = ranks[order[below]] - ranks[order[above]]
            difference += (step > 0) - (step < 0)
            untied += step != 0
            pairs += 1
    return difference / math.sqrt(pairs * untied) if untied else None
