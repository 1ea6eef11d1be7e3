"""Who wrote the better responses, by people, by the model, and by both together. Pure.

A source is whoever wrote a response. Scores give each source a mean; winners, and the pairs that orders imply, give
it a win rate, a tie being half a win, and a Bradley-Terry strength.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy

from backend.agreement import ENOUGH
from backend.agreement.bootstrap import Floats, Integers, Stat
from backend.agreement.powered import PoweredMean
from backend.ranking import PRIOR_TIES

NOT_LINKED = "Undefined: some sources were never compared with the others, not even by a chain of pairs."


@dataclass(frozen=True)
class Source:
    """One source. mean: of scores 1..5, or its win rate. judged: the model's verdicts on it. strength: on the log
    scale, the mean of all sources being 0; None for scores."""

    name: str
    judged: int
    mean: PoweredMean
    strength_by_people: Stat | None = None
    strength_by_model: Stat | None = None


@dataclass(frozen=True)
class Sources:
    """The best by labels and verdicts first. tau: Kendall's, between the orders that people and the model put the
    sources in, -1..1; None where it is undefined. cycles: triples of sources that beat each other in a circle, by most
    labels and by most verdicts; None for scores."""

    found: tuple[Source, ...]
    tau: float | None
    cycles_of_people: int | None = None
    cycles_of_model: int | None = None


@dataclass(frozen=True)
class Games:
    """Pairs that were decided, each row of one item. first, second: (rows,) numbers of the sources of A and B. n:
    labels of the item. points: of A, 0..n. times: how many items the row stands for, all with equal numbers. item: the
    number of the row's item, where several rows are of one; None where each is of its own. tie: the weight of the tie
    that is added to every pair that was compared, in labels."""

    first: Integers
    second: Integers
    n: Floats
    points: Floats
    times: Floats
    item: Integers | None = None
    tie: float = PRIOR_TIES

    @property
    def items(self) -> int:
        return int(self.times.sum()) if self.item is None else len(numpy.unique(self.item))


def strengths(games: Games, count: int) -> tuple[Stat, ...]:
    """Bradley-Terry strengths of `count` sources, each with a 95% interval that is robust to several labels of one
    item.

    R. A. Bradley and M. E. Terry, Biometrika 39 (1952) 324-345, by Newton's method, with one tie added to every pair
    that was compared, as rankings have (it keeps strengths finite). The covariance is the sandwich of the Fisher
    information and the items' squared scores (P. J. Huber 1967; Liang and Zeger 1986).
    """
    labels, items = round(float((games.n * games.times).sum())), games.items
    if items < ENOUGH:
        few = f"Needs at least {ENOUGH} items; there {'is' if items == 1 else 'are'} {items}."
        return (Stat(None, None, None, labels, items, few),) * count
    met = numpy.zeros((count, count))
    numpy.add.at(met, (games.first, games.second), games.n * games.times)
    wins = numpy.zeros((count, count))
    numpy.add.at(wins, (games.first, games.second), games.points * games.times)
    numpy.add.at(wins, (games.second, games.first), (games.n - games.points) * games.times)
    met = met + met.T
    if not _linked(met > 0):
        return (Stat(None, None, None, labels, items, NOT_LINKED),) * count
    compared = (met > 0) * games.tie
    strength = _fitted(wins + compared / 2, met + compared)
    chance = _chance(strength)
    squares = _squared_scores(games, chance)
    bread = numpy.linalg.pinv(_information(chance, met + compared))
    errors = numpy.sqrt(numpy.maximum(numpy.diag(bread @ squares @ bread), 0))
    return tuple(
        _stat(float(value), float(error), labels, items) for value, error in zip(strength, errors, strict=True)
    )


def cycles(games: Games, count: int) -> int:
    """Triples of sources of which each beats the next by more than half of its points. A tied pair beats nobody."""
    lead = numpy.zeros((count, count))
    numpy.add.at(lead, (games.first, games.second), (games.points - games.n / 2) * games.times)
    ahead = lead - lead.T > 1e-9
    return sum(
        bool((ahead[a, b] and ahead[b, c] and ahead[c, a]) or (ahead[b, a] and ahead[c, b] and ahead[a, c]))
        for a, b, c in combinations(range(count), 3)
    )


def rank_tau(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's tau-b between two ways to order the same sources; None with fewer than two or where all are equal."""
    from scipy.stats import kendalltau

    if len(one) < 2:
        return None
    tau = float(kendalltau(one, other).statistic)
    return None if numpy.isnan(tau) else tau


def _linked(compared: "numpy.typing.NDArray[numpy.bool_]") -> bool:
    reached = {0}
    edge = [0]
    while edge:
        following = {int(one) for one in numpy.flatnonzero(compared[edge.pop()])} - reached
        reached |= following
        edge += following
    return len(reached) == len(compared)


def _fitted(wins: Floats, met: Floats) -> Floats:
    strength = numpy.zeros(len(wins))
    for _ in range(100):
        chance = _chance(strength)
        step = numpy.linalg.pinv(_information(chance, met)) @ (wins - met * chance).sum(1)
        strength = strength + numpy.clip(step, -1, 1)
        if numpy.abs(step).max() < 1e-10:
            break
    centred: Floats = strength - strength.mean()
    return centred


def _chance(strength: Floats) -> Floats:
    """(sources, sources): how likely the source of the row beats that of the column."""
    chance: Floats = 1 / (1 + numpy.exp(strength[None, :] - strength[:, None]))
    return chance


def _squared_scores(games: Games, chance: Floats) -> Floats:
    """(sources, sources): the sum of the items' scores, each times itself."""
    residual = games.points - games.n * chance[games.first, games.second]
    direction = numpy.eye(len(chance))[games.first] - numpy.eye(len(chance))[games.second]
    scores, times = direction * residual[:, None], games.times
    if games.item is not None:
        _, place = numpy.unique(games.item, return_inverse=True)
        by_item = numpy.zeros((games.items, len(chance)))
        numpy.add.at(by_item, place, scores)
        scores, times = by_item, numpy.ones(len(by_item))
    squares: Floats = (scores * times[:, None]).T @ scores
    return squares


def _information(chance: Floats, met: Floats) -> Floats:
    weight = met * chance * (1 - chance)
    information: Floats = numpy.diag(weight.sum(1)) - weight
    return information


def _stat(value: float, error: float, labels: int, items: int) -> Stat:
    from scipy.special import stdtrit

    half = float(stdtrit(items - 1, 0.975)) * error
    return Stat(value, value - half, value + half, labels, items)
