"""The people of a comparison: how each labels, and how near each, and the model, is to what leads decided."""

from dataclasses import dataclass, replace

import numpy

from backend.agreement import tables as of_tables
from backend.agreement.bootstrap import Integers, Stat, bootstrap, item_counts
from backend.agreement.people import Person, people
from backend.agreement_figures import Compared, points
from backend.agreement_rows import NONE
from backend.types import SCORES, Mode

ONE_VALUE = "Undefined: one and the same everywhere."


@dataclass(frozen=True)
class PeopleFound:
    """people: the most labels first. model_gold: the model's kappa with what leads decided, as each person has one."""

    people: tuple[Person, ...]
    model_gold: Stat | None


def compare_people(of: Compared) -> PeopleFound:
    """Gold is compared where there is any: quadratic kappa of scores, plain kappa of winners."""
    labels = of.rows.labels.only(of.of_kind)
    value = labels.value.astype(float) if of.mode is Mode.DIRECT else points(labels.value)
    found = people(labels.person, labels.question, value, labels.seconds)
    decided = labels.gold != NONE
    if not decided.any():
        return PeopleFound(found, None)
    with_gold = []
    for one in found:
        mine = decided & (labels.person == one.key)
        gold = _kappa(of.mode, labels.value[mine], labels.gold[mine], labels.question[mine])
        with_gold.append(replace(one, gold=gold))
    judged = decided & (of.beside[of.of_kind] != NONE)
    _, first = numpy.unique(labels.question[judged], return_index=True)
    places = of.beside[of.of_kind][judged][first]
    said = of.rows.verdicts.value[places]
    return PeopleFound(
        tuple(with_gold), _kappa(of.mode, said, labels.gold[judged][first], labels.question[judged][first])
    )


def _kappa(mode: Mode, said: Integers, gold: Integers, items: Integers) -> Stat:
    """With its bootstrap interval by item."""
    direct = mode is Mode.DIRECT
    size, first = (len(SCORES), 1) if direct else (3, 0)
    figure = of_tables.quadratic_kappa if direct else of_tables.nominal_kappa
    sample = item_counts(items, (said - first) * size + gold - first, size * size)
    statistics = {"kappa": lambda cells: figure(cells.reshape(-1, size, size))}
    return bootstrap(sample, statistics, {"kappa": ONE_VALUE}, len(said))["kappa"]
