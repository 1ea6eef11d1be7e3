"""How each person labels: against the others, against themselves. Pure."""

from dataclasses import dataclass

import numpy

from backend.agreement import Share, clustered, share
from backend.agreement.bootstrap import Floats, Integers, Stat

RUSHED = 0.25
"""Share of everybody's median time below which a label counts as rushed."""


@dataclass(frozen=True)
class Person:
    """key: whose labels. n: how many. severity: their score less the mean of the others' on the same question, so below
    0 is stricter. consistency: how often a second label on the same question said the same as the one before.
    median_seconds: of their labels that were timed. rushed: those below a quarter of everybody's median time.
    gold: kappa with what leads decided, None where they decided nothing."""

    key: int
    n: int
    severity: Stat
    consistency: Share | None
    median_seconds: float | None
    rushed: Share | None
    gold: Stat | None = None


def people(keys: Integers, questions: Integers, values: Floats, seconds: Floats) -> tuple[Person, ...]:
    """(labels,) each, in the order they were given. questions: an item under one rubric version. The most labels
    first."""
    _, index = numpy.unique(questions, return_inverse=True)
    persons, by_person = numpy.unique(keys, return_inverse=True)
    if not len(persons):
        return ()
    cell = index * len(persons) + by_person
    _, first, inverse = numpy.unique(cell, return_index=True, return_inverse=True)
    own = numpy.bincount(inverse, weights=values) / numpy.bincount(inverse)
    question, person = index[first], by_person[first]
    sums = numpy.bincount(question, weights=own, minlength=int(index.max()) + 1)
    raters = numpy.bincount(question, minlength=int(index.max()) + 1)
    shared = raters[question] > 1
    others = (sums[question] - own) / numpy.maximum(raters[question] - 1, 1)
    same, repeats = _repeats(cell, values, by_person, len(persons))
    known = seconds[~numpy.isnan(seconds)]
    hasty = RUSHED * float(numpy.median(known)) if len(known) else 0.0
    found = []
    for number, key in enumerate(persons):
        mine = (person == number) & shared
        severity = clustered.mean((own - others)[mine], question[mine])
        if not mine.any():
            severity = Stat(None, None, None, 0, 0, "Nobody else labelled the same items.")
        consistency = share(int(same[number]), int(repeats[number]))
        timed = seconds[(by_person == number) & ~numpy.isnan(seconds)]
        found.append(
            Person(
                key=int(key),
                n=int((by_person == number).sum()),
                severity=severity,
                consistency=consistency,
                median_seconds=float(numpy.median(timed)) if len(timed) else None,
                rushed=share(int((timed < hasty).sum()), len(timed)),
            )
        )
    return tuple(sorted(found, key=lambda person: (-person.n, person.key)))


def _repeats(cell: Integers, values: Floats, by_person: Integers, persons: int) -> tuple[Integers, Integers]:
    """By person: second and later labels on one question that repeat the one before, and all of them."""
    order = numpy.argsort(cell, kind="stable")
    again = cell[order][1:] == cell[order][:-1]
    equal = values[order][1:] == values[order][:-1]
    whose = by_person[order][1:]
    same = numpy.bincount(whose[again & equal], minlength=persons)
    return same, numpy.bincount(whose[again], minlength=persons)
