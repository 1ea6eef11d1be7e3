"""Orders that people gave beside the ranks that a model gave, and the pairs that orders imply. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from backend.agreement.bootstrap import Floats, Integers
from backend.agreement.sources import Games
from backend.ranking import PRIOR_TIES


@dataclass(frozen=True)
class RankedItem:
    """One order of an item's responses. sources: the number of who wrote each, by position. ranks: by position, 1 the
    best; equal ranks tie."""

    item: int
    sources: tuple[int, ...]
    ranks: tuple[float, ...]


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


def implied_games(orders: Sequence[RankedItem]) -> Games:
    """Every pair of an order as a game of 2 / (N (N - 1)) labels, so that an order of N responses counts as one label.

    Taking all pairs, and not only neighbours, is what makes Bradley-Terry strengths consistent where orders follow the
    model of Plackett and Luce (H. Azari Soufiani, W. Chen, D. C. Parkes, L. Xia, "Generalized Method-of-Moments for
    Rank Aggregation", NIPS 2013, on full breaking). Pairs of an order depend on each other, so they are one item's: the
    weighted sum of their log-likelihoods is a composite one, with a sandwich interval over items (C. Varin, N. Reid,
    D. Firth, Statistica Sinica 21 (2011) 5-42, section 2.3). Two responses of one source are no game; the order's
    other pairs share its weight. The tie that is added to every pair has an average pair's weight.
    """
    parts = [numpy.zeros((0, 5))]
    for size in sorted({len(one.ranks) for one in orders}):
        parts.append(_pairs([one for one in orders if len(one.ranks) == size], size))
    item, first, second, n, points = numpy.concatenate(parts).T
    return Games(
        _whole(first), _whole(second), n, points, numpy.ones(len(n)), _whole(item),
        tie=PRIOR_TIES * float(n.mean()) if len(n) else PRIOR_TIES,
    )  # fmt: skip


def shares_won(games: Games, items: Integers, count: int) -> Floats:
    """(items, sources): the share of its pairs that each source wins in each of these items, a tie being half; NaN
    where it has none. items: rising numbers, all that the games have among them."""
    place = numpy.searchsorted(items, games.item if games.item is not None else numpy.arange(len(games.n)))
    won, met = numpy.zeros((len(items), count)), numpy.zeros((len(items), count))
    for side, points in ((games.first, games.points), (games.second, games.n - games.points)):
        numpy.add.at(won, (place, side), points)
        numpy.add.at(met, (place, side), games.n)
    with numpy.errstate(invalid="ignore"):
        shares: Floats = won / met
    return shares


def _pairs(orders: Sequence[RankedItem], size: int) -> Floats:
    """(pairs, 5): item, first, second, weight, and what the first gets of it."""
    one, other = numpy.triu_indices(size, 1)
    sources, ranks = numpy.array([each.sources for each in orders]), numpy.array([each.ranks for each in orders])
    first, second = sources[:, one], sources[:, other]
    points = (ranks[:, one] < ranks[:, other]) + (ranks[:, one] == ranks[:, other]) / 2
    apart = first != second
    weight = apart / numpy.maximum(apart.sum(1, keepdims=True), 1)
    item = numpy.broadcast_to(numpy.array([each.item for each in orders])[:, None], first.shape)
    columns: Floats = numpy.stack([item, first, second, weight, points * weight], axis=-1)[apart]
    return columns


def _whole(column: Floats) -> Integers:
    return column.astype(numpy.int64)
