"""How far raters agree, always with the uncertainty that the number of labels leaves. Pure.

Here is what all of it shares; every other file is one question.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

WINNERS: tuple[str, ...] = ("A", "B", "tie")
LEVEL = 0.95
ENOUGH = 10
"""Fewest items for a figure: below it the interval spans most of the scale and its coverage is poor."""
RESAMPLES = 2_000

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Share:
    """count of n, with its Wilson score interval at 95%: low and high lie in 0..1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927) 209-212. Unlike the textbook interval it stays inside 0..1 and is right at 0 and n.
    """

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.n


def share(count: int, n: int) -> Share | None:
    """count of n as a share with its Wilson interval; None where n is 0."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    p = count / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Share(count=count, n=n, low=max(0.0, centre - half), high=min(1.0, centre + half))
