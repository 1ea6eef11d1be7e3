"""Each response source of a project by people, by the model, and by both: out of the columns of a comparison."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy

from backend.agreement.bootstrap import Floats
from backend.agreement.powered import powered_mean
from backend.agreement.sources import Games, Source, Sources, cycles, rank_tau, strengths
from backend.agreement_figures import Compared, Drawn, Sum, drawn, others
from backend.agreement_rows import NONE, SourceNames
from backend.types import Mode


@dataclass(frozen=True)
class SourceSum:
    """The model's verdicts by one rubric version on responses of these sources. sum: of what it expects. a_won, ties:
    of pairs."""

    rubric_version: int
    names: SourceNames
    sum: Sum
    a_won: int
    ties: int


def compare_sources(of: Compared, sums: Sequence[SourceSum]) -> Sources | None:
    """None where no source is known of what the model judged."""
    size = 1 if of.mode is Mode.DIRECT else 2
    sums = [one for one in sums if len(one.names) == size and len(set(one.names)) == size]
    names = sorted({name for one in sums for name in one.names})
    if not names:
        return None
    items = drawn(of)
    found = [_source(of, name, items, sums) for name in names]
    if of.mode is Mode.DIRECT:
        return Sources(
            in_order_of_merit(found), tau_of_means([(one.mean.people.value, one.mean.model) for one in found])
        )
    by_people, by_model = _people_games(of, items, names), _model_games(sums, names)
    people, model = strengths(by_people, len(names)), strengths(by_model, len(names))
    found = [
        replace(source, strength_by_people=of_people, strength_by_model=of_model)
        for source, of_people, of_model in zip(found, people, model, strict=True)
    ]
    return Sources(
        in_order_of_merit(found),
        tau_of_means([(one.value, other.value) for one, other in zip(people, model, strict=True)]),
        cycles(by_people, len(names)),
        cycles(by_model, len(names)),
    )


def in_order_of_merit(found: Sequence[Source]) -> tuple[Source, ...]:
    """The best by labels and verdicts first, then those of too few labels by verdicts alone."""

    def key(source: Source) -> tuple[bool, float, str]:
        few = source.mean.powered.value is None
        return few, -((source.mean.model if few else source.mean.powered.value) or 0.0), source.name

    return tuple(sorted(found, key=key))


def tau_of_means(both: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Kendall's tau between two ways to order the sources, by what both know."""
    known = [(one, other) for one, other in both if one is not None and other is not None]
    return rank_tau([one for one, _ in known], [other for _, other in known])


def _source(of: Compared, name: str, items: Drawn, sums: Sequence[SourceSum]) -> Source:
    """Its responses as A, and as B, where what A gets is turned round."""
    labels, verdicts, chances, own = [], [], [], []
    for place in (0,) if of.mode is Mode.DIRECT else (0, 1):
        inside = numpy.isin(items.source, [n for n, names in enumerate(of.rows.sources) if _at(names, place) == name])
        labels.append(_turned(items.people[inside], place))
        verdicts.append(_turned(items.expected[inside], place))
        chances += [] if items.probabilities is None else [items.probabilities[inside]]
        own += [_turned_sum(one.sum, place) for one in sums if _at(one.names, place) == name]
    expected = numpy.concatenate(verdicts)
    probabilities = numpy.concatenate(chances) if chances else None
    mean = powered_mean(numpy.concatenate(labels), expected, others(expected, own), probabilities=probabilities)
    return Source(name, sum(n for n, _, _ in own), mean)


def _at(names: SourceNames, place: int) -> str | None:
    """None where both responses are of one source: it can't win against itself."""
    return names[place] if place < len(names) and len(set(names)) == len(names) else None


def _turned(shares: Floats, place: int) -> Floats:
    return 1 - shares if place else shares


def _turned_sum(of: Sum, place: int) -> Sum:
    n, total, squares = of
    return (n, n - total, n - 2 * total + squares) if place else of


def _people_games(of: Compared, items: Drawn, names: Sequence[str]) -> Games:
    number = {name: place for place, name in enumerate(names)}
    sides = numpy.array(
        [[number.get(_at(pair, place) or "", NONE) for place in (0, 1)] for pair in of.rows.sources] or [[NONE, NONE]]
    )[items.source]
    known = (sides != NONE).all(1) & (items.source != NONE)
    n = items.n[known]
    return Games(sides[known, 0], sides[known, 1], n, items.people[known] * n, numpy.ones(len(n)))


def _model_games(sums: Sequence[SourceSum], names: Sequence[str]) -> Games:
    rows = list(_outcomes(sums, {name: place for place, name in enumerate(names)}))
    table = numpy.array(rows, dtype=numpy.float64).reshape(-1, 4)
    first, second = table[:, 0].astype(numpy.int64), table[:, 1].astype(numpy.int64)
    return Games(first, second, numpy.ones(len(table)), table[:, 2], table[:, 3])


def _outcomes(sums: Sequence[SourceSum], number: dict[str, int]) -> Iterator[tuple[int, int, float, int]]:
    for one in sums:
        first, second = (number[name] for name in one.names)
        for what_a_gets, times in ((1.0, one.a_won), (0.5, one.ties), (0.0, one.sum[0] - one.a_won - one.ties)):
            if times:
                yield first, second, what_a_gets, times
