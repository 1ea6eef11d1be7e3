"""The alternative annotator test: may the judge stand in for one of the people? Pure.

Source: N. Calderon, R. Reichart, R. Dror, "The Alternative Annotator Test for LLM-as-a-Judge: How to Statistically
Justify Replacing Human Annotators with LLMs" (2025), section 3. Each person in turn is left out. On every item that
they and somebody else labelled, is the model, or is the person, nearer to the others? The model wins against the
person if its share of such items is not below the person's by epsilon or more (one-sided t test, corrected by
Benjamini and Yekutieli).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy

from backend.agreement.bootstrap import Floats

EPSILON = 0.2
"""What a person costs more than a model, as a share of items: the paper's value for experts (.15 skilled, .1 crowd)."""
FALSE_DISCOVERIES = 0.05
FEWEST_ITEMS = 30
"""Items of a person below which the paper holds the t test for invalid."""
FEWEST_PEOPLE = 3
POWER = 0.8


@dataclass(frozen=True)
class Against:
    """The model against one person. model_better, person_better: share of items where it (they) is at least as near to
    the others. more: items still to be labelled until the test would tell with 80% power; None where none would."""

    person: int
    n: int
    model_better: float
    person_better: float
    p_value: float
    wins: bool
    more: int | None


@dataclass(frozen=True)
class AlternativeTest:
    """winning_rate: share of people that the model wins against; from .5 it may stand in. advantage: mean share of
    items where it is at least as good as a person left out. None where missing says what the test needs."""

    winning_rate: float | None
    advantage: float | None
    people: tuple[Against, ...]
    missing: str = ""


def alternative_test(model: Floats, people: Floats, *, ordinal: bool, epsilon: float = EPSILON) -> AlternativeTest:
    """model: (items,). people: (items, people), NaN where somebody gave no label; columns number the people.

    ordinal: nearness is minus the root mean squared difference to the others; else the share of the others that are
    met.
    """
    tested = [(person, *_nearness(model, people, person, ordinal=ordinal)) for person in range(people.shape[1])]
    tested = [one for one in tested if len(one[1]) >= FEWEST_ITEMS]
    if len(tested) < FEWEST_PEOPLE:
        return AlternativeTest(
            None,
            None,
            (),
            f"The test needs at least {FEWEST_PEOPLE} people who each labelled at least {FEWEST_ITEMS} items that "
            f"somebody else labelled too; there {'is' if len(tested) == 1 else 'are'} {len(tested)}.",
        )
    lags = [_lag(of_model, of_person) for _, of_model, of_person in tested]
    p_values = [_p_value(lag, epsilon) for lag in lags]
    wins = benjamini_yekutieli(p_values, FALSE_DISCOVERIES)
    against = tuple(
        Against(
            person=person,
            n=len(lag),
            model_better=float((of_model >= of_person).mean()),
            person_better=float((of_person >= of_model).mean()),
            p_value=p_value,
            wins=won,
            more=None if won else _more(lag, epsilon, len(tested)),
        )
        for (person, of_model, of_person), lag, p_value, won in zip(tested, lags, p_values, wins, strict=True)
    )
    return AlternativeTest(
        winning_rate=sum(wins) / len(wins),
        advantage=sum(one.model_better for one in against) / len(against),
        people=against,
    )


def benjamini_yekutieli(p_values: list[float], level: float) -> list[bool]:
    """Which hypotheses are rejected with the false discovery rate held at level, however the tests depend on each
    other.

    Source: Y. Benjamini and D. Yekutieli, Annals of Statistics 29 (2001) 1165-1188.
    """
    count = len(p_values)
    harmonic = sum(1 / rank for rank in range(1, count + 1))
    order = sorted(range(count), key=lambda index: p_values[index])
    last = max((rank for rank, i in enumerate(order, 1) if p_values[i] <= rank * level / (count * harmonic)), default=0)
    rejected = set(order[:last])
    return [index in rejected for index in range(count)]


def _nearness(model: Floats, people: Floats, person: int, *, ordinal: bool) -> tuple[Floats, Floats]:
    """How near the model and the person are to the others, on the items that can tell: (items,) each."""
    labelled = ~numpy.isnan(people[:, person]) & ~numpy.isnan(model)
    model, own = model[labelled], people[labelled, person]
    others = numpy.delete(people[labelled], person, axis=1)
    usable = (~numpy.isnan(others)).any(1)
    others = others[usable]

    def near(said: Floats) -> Floats:
        if ordinal:
            score: Floats = -numpy.sqrt(numpy.nanmean((others - said[:, None]) ** 2, axis=1))
        else:
            score = numpy.nanmean(numpy.where(numpy.isnan(others), numpy.nan, others == said[:, None]), axis=1)
        rounded: Floats = numpy.round(score, 12)
        return rounded

    return near(model[usable]), near(own[usable])


def _lag(of_model: Floats, of_person: Floats) -> Floats:
    lag: Floats = (of_person >= of_model).astype(float) - (of_model >= of_person).astype(float)
    return lag


def _p_value(lag: Floats, epsilon: float) -> float:
    """Of the hypothesis that the model lags by epsilon or more."""
    from scipy.special import stdtr

    n, spread = len(lag), float(lag.std(ddof=1))
    if spread == 0:
        return 0.0 if lag[0] < epsilon else 1.0
    return float(stdtr(n - 1, (lag.mean() - epsilon) / (spread / math.sqrt(n))))


def _more(lag: Floats, epsilon: float, people: int) -> int | None:
    """By the normal approximation, at the level that the correction leaves the first of the tests."""
    ahead, spread = epsilon - float(lag.mean()), float(lag.std(ddof=1))
    if ahead <= 0:
        return None
    level = FALSE_DISCOVERIES / (people * sum(1 / rank for rank in range(1, people + 1)))
    z = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(POWER)
    return max(1, math.ceil((z * spread / ahead) ** 2) - len(lag))
