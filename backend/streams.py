"""Two streams of items: some drawn by chance, for estimates, and the others by how doubtful they are. Pure.

Sources: independent draws with a known probability are Poisson sampling, and the size-conditional view of its random
beginning is simple random sampling (C.-E. Särndal, B. Swensson, J. Wretman, "Model Assisted Survey Sampling", Springer
1992, sections 3.5 and 2.2). Why it is done so: docs/decisions/2026-11-28-two-streams.md.
"""

import math
import random
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations

from backend.results import Opinion

KEY_BITS = 40
DOUBT_STEPS = 1_000_000
"""Doubts that differ by less are one and the same; of such items chance decides which comes first."""


class Stream(StrEnum):
    """Where an item is served from: drawn by chance, or chosen for its doubt."""

    AUDIT = "audit"
    CHOSEN = "chosen"


class Foremost(StrEnum):
    """What makes an item of the second stream come first: a judge that is unsure, or people or orders that differ."""

    UNCERTAIN = "uncertain"
    DISPUTED = "disputed"


def stream_of(seed: int, position: int, share: float) -> Stream:
    """The stream of an item: an independent draw for each, the audit stream with probability `share`."""
    return Stream.AUDIT if _chance(f"{seed}:stream:{position}").random() < share else Stream.CHOSEN


def turn_of(seed: int, user_id: int, done: int, share: float) -> Stream:
    """The stream that a person's next item comes from, if it has one for them. done: items with their label."""
    return Stream.AUDIT if _chance(f"{seed}:turn:{user_id}:{done}").random() < share else Stream.CHOSEN


def shuffled_key(seed: int, position: int) -> int:
    """The place of an item in a random order, 0 to 2**62 - 1."""
    return _chance(f"{seed}:{position}").getrandbits(62)


def doubt_key(seed: int, position: int, doubt: float | None) -> int:
    """The place of an item in the second stream, 0 to 2**62 - 1: the greater its doubt the lower.

    doubt: 0 to 1; None: nothing is known of it, so it comes behind all others.
    """
    steps = DOUBT_STEPS + 1 if doubt is None else DOUBT_STEPS - round(min(max(doubt, 0.0), 1.0) * DOUBT_STEPS)
    return steps << KEY_BITS | shuffled_key(seed, position) >> (62 - KEY_BITS)


def entropy(probabilities: Sequence[float]) -> float:
    """Shannon's, as a share of the most that so many results can have: 0 (sure) to 1 (all alike)."""
    total = sum(probabilities)
    if len(probabilities) < 2 or total <= 0:
        return 0.0
    found = -sum(p / total * math.log(p / total) for p in probabilities if p > 0)
    return min(1.0, found / math.log(len(probabilities)))


def spread(opinions: Sequence[Opinion]) -> float:
    """How far the farthest two of these opinions are apart: 0 (all the same) to 1."""
    return max((_apart(one, other) for place, one in enumerate(opinions) for other in opinions[:place]), default=0.0)


def _apart(one: Opinion, other: Opinion) -> float:
    if one.score is not None and other.score is not None:
        return abs(one.score - other.score) / 4
    if one.winner is not None and other.winner is not None:
        return 0.0 if one.winner == other.winner else 0.5 if "tie" in (one.winner, other.winner) else 1.0
    if one.order is not None and other.order is not None:
        pairs = list(combinations(one.order, 2))
        return sum(other.order.index(above) > other.order.index(below) for above, below in pairs) / len(pairs)
    return 0.0


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - an order, no secret
