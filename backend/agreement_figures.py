"""Which figures a comparison has, computed from its columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from backend.agreement import ENOUGH, clustered
from backend.agreement.alternative import FEWEST_ITEMS, alternative_test
from backend.agreement.bootstrap import Floats, Integers
from backend.agreement.calibration import recalibration, reliability
from backend.agreement.ceiling import everybody
from backend.agreement.direct import compare_scores, with_wilson
from backend.agreement.pairs import compare_winners, longer_wins, position_bias
from backend.agreement.powered import PoweredMean, Stratum, Verdicts, powered_mean, stratified_mean
from backend.agreement.reliability import among
from backend.agreement.slices import quartiles, slices
from backend.agreement_report import Anchoring, Ceiling, Disagreement, Named, PoweredPart
from backend.agreement_rows import NONE, Kind, Labels, Rows
from backend.types import SCORES, Mode

MOST_RATERS = 24
"""In the heat map of everybody: more names can't be read."""
MOST_MODELS = 6
WORST = 10
Sum = tuple[int, float, float]
"""How many verdicts, the sum of what they expect, and of its square."""


@dataclass(frozen=True)
class Compared:
    """Rows and the choice of a model. beside: the verdict of each label. of_kind: labels of the chosen kind.

    sums: by rubric version, of all the model's verdicts. one_project: the selection is of one. audits: where it is not,
    the verdicts in each project with labels on its audit stream.
    """

    mode: Mode
    model: int
    kind: Kind
    rows: Rows
    beside: Integers
    of_kind: NDArray[numpy.bool_]
    sums: dict[int, Sum]
    rubrics: dict[int, str]
    people: dict[int, str]
    models: dict[int, str]
    one_project: bool = False
    audits: dict[int, Sum] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """(items,) labelled questions whose labels stand for all. n: labels of it. people: their mean. expected: by the
    verdict. rubric_version, source: as Labels have them. probabilities: with which they were drawn; None for all alike.
    """

    n: Floats
    people: Floats
    expected: Floats
    rubric_version: Integers
    source: Integers
    probabilities: Floats | None

    def mean(self, inside: NDArray[Any], sums: Sequence[Sum]) -> PoweredMean:
        """The powered mean of those that a mask chooses, among all the verdicts that are summed up."""
        expected = self.expected[inside]
        chances = None if self.probabilities is None else self.probabilities[inside]
        return powered_mean(self.people[inside], expected, others(expected, sums), probabilities=chances)


@dataclass(frozen=True)
class _Pairs:
    """Labels that have a verdict beside them. error: steps apart, or 1 where the winners differ."""

    labels: Labels
    model: Integers
    expected: Floats
    confidence: Floats
    length: Floats
    error: Floats


def figures(of: Compared) -> dict[str, Any]:
    """The fields of a Report that this selection has."""
    chosen = _pairs(of, of.of_kind & (of.beside != NONE))
    direct = of.mode is Mode.DIRECT
    labels = chosen.labels
    last = _last_of_each(of)
    found: dict[str, Any] = {
        "ceiling": _ceiling(of, last),
        **_alternative(of, last),
        "powered": _powered(of, chosen),
        "anchoring": _anchoring(of),
        "slices": _slices(of, chosen),
        "months": _months(chosen),
        "versions": _versions(of),
        "worst": _worst(of),
    }
    sure = ~numpy.isnan(chosen.confidence)
    if sure.any():
        found["reliability"] = reliability(chosen.confidence[sure], chosen.error[sure] == 0, labels.question[sure])
    if direct:
        found["scores"] = compare_scores(chosen.model, labels.value, labels.question)
        found["recalibration"] = recalibration(chosen.expected, labels.value.astype(float), labels.item)
        lean = (chosen.model - labels.value).astype(float)
    else:
        found["winners"] = compare_winners(chosen.model, labels.value, labels.question)
        found |= _pairwise(of)
        lean = points(chosen.model) - points(labels.value)
    known = ~numpy.isnan(chosen.length)
    found["verbosity"] = clustered.slope(chosen.length[known], lean[known], labels.question[known])
    return found


def _pairs(of: Compared, kept: NDArray[numpy.bool_]) -> _Pairs:
    labels, verdicts, places = of.rows.labels.only(kept), of.rows.verdicts, of.beside[kept]
    model = verdicts.value[places]
    direct = of.mode is Mode.DIRECT
    with numpy.errstate(divide="ignore", invalid="ignore"):
        length = numpy.log2(numpy.maximum(labels.length_a, 1))
        if not direct:
            length = length - numpy.log2(numpy.maximum(labels.length_b, 1))
    error = numpy.abs(model - labels.value) if direct else model != labels.value
    return _Pairs(
        labels, model, verdicts.expected[places], verdicts.confidence[places], length, error.astype(numpy.float64)
    )


def points(winners: Integers) -> Floats:
    """What A gets: 1, 0, or one half for a tie."""
    return numpy.array([1.0, 0.0, 0.5])[winners]


def _pairwise(of: Compared) -> dict[str, Any]:
    """Position bias over the judged questions, and the longer response over the labels."""
    verdicts = of.rows.verdicts
    newest = verdicts.newest(of.model, of.rows.questions)
    newest = newest[newest != NONE]
    both = newest[~numpy.isnan(verdicts.p_a_first[newest]) & ~numpy.isnan(verdicts.p_a_second[newest])]
    both_lengths = ~numpy.isnan(of.rows.labels.length_a) & ~numpy.isnan(of.rows.labels.length_b)
    kept = of.of_kind & (of.beside != NONE) & both_lengths
    labels = of.rows.labels.only(kept)
    return {
        "position": position_bias(verdicts.p_a_first[both], verdicts.p_a_second[both]),
        "longer": longer_wins(verdicts.value[of.beside[kept]], labels.value, labels.length_a, labels.length_b),
    }


def _last_of_each(of: Compared) -> Labels:
    """Labels of the chosen kind, of several by one person on one question the last."""
    labels = of.rows.labels.only(of.of_kind)
    persons, person = numpy.unique(labels.person, return_inverse=True)
    last = numpy.full(of.rows.questions * len(persons), NONE)
    last[labels.question * len(persons) + person] = numpy.arange(len(labels))
    return labels.only(last[last != NONE])


def _table(of: Compared, labels: Labels, raters: list[int]) -> Integers:
    """(questions, people) of values, NONE where there is none."""
    table = numpy.full((of.rows.questions, len(raters)), NONE)
    for column, rater in enumerate(raters):
        theirs = labels.person == rater
        table[labels.question[theirs], column] = labels.value[theirs]
    return table


def _raters(labels: Labels, most: int, fewest: int = 1) -> list[int]:
    """Whoever has the most labels, at most so many, at least with so many labels."""
    persons, counts = numpy.unique(labels.person, return_counts=True)
    order = numpy.argsort(-counts, kind="stable")[:most]
    return [int(persons[place]) for place in order if counts[place] >= fewest]


def _model_column(of: Compared, model: int) -> Integers:
    newest = of.rows.verdicts.newest(model, of.rows.questions)
    if not len(of.rows.verdicts.value):
        return newest
    return numpy.where(newest == NONE, NONE, of.rows.verdicts.value[newest])


def _ceiling(of: Compared, labels: Labels) -> Ceiling:
    direct = of.mode is Mode.DIRECT
    size, first = (len(SCORES), 1) if direct else (3, 0)
    model = _model_column(of, of.model)
    asked = numpy.flatnonzero(numpy.isin(numpy.arange(of.rows.questions), labels.question) & (model != NONE))
    questions = numpy.concatenate([labels.question, asked])
    values = numpy.concatenate([labels.value, model[asked]]) - first
    raters = _raters(labels, MOST_RATERS)
    others = [key for key in of.models if key != of.model and (_model_column(of, key) != NONE).sum() >= ENOUGH]
    models = [of.model, *others][:MOST_MODELS]
    columns = [_table(of, labels, raters), *(_model_column(of, key)[:, None] for key in models)]
    table = numpy.hstack(columns)
    together = everybody(numpy.where(table == NONE, NONE, table - first), size=size, ordinal=direct)
    names = [of.people.get(person, f"person {person}") for person in raters]
    names += [of.models.get(key, f"model {key}") + " (model)" for key in models]
    return Ceiling(
        people=among(labels.question, labels.value - first, size, ordinal=direct),
        with_model=among(questions, values, size, ordinal=direct),
        everybody=together,
        names=tuple(names[rater] for rater in together.raters),
    )


def _alternative(of: Compared, labels: Labels) -> dict[str, Any]:
    raters = _raters(labels, MOST_RATERS, FEWEST_ITEMS)
    table = _table(of, labels, raters).astype(float)
    model = _model_column(of, of.model).astype(float)
    table[table == NONE], model[model == NONE] = numpy.nan, numpy.nan
    return {
        "alternative": alternative_test(model, table, ordinal=of.mode is Mode.DIRECT),
        "alternative_names": tuple(of.people.get(person, f"person {person}") for person in raters),
    }


def _powered(of: Compared, chosen: _Pairs) -> tuple[PoweredPart, ...]:
    """The mean of all, then that of each rubric version with enough labelled items."""
    if not len(chosen.labels):
        return ()
    items = drawn(of)
    parts = [PoweredPart("all", items.mean(numpy.ones(len(items.n), dtype=bool), list(of.sums.values())))]
    for key, total in of.sums.items():
        inside = items.rubric_version == key
        if len(of.sums) > 1 and inside.sum() >= ENOUGH:
            parts.append(PoweredPart(of.rubrics.get(key, f"rubric version {key}"), items.mean(inside, [total])))
    return (*parts, *_audits(of))


def _audits(of: Compared) -> tuple[PoweredPart, ...]:
    """The mean of all items of projects with an audit stream, where no project is chosen and several can be taken
    together; a project is a stratum, since of each another share of the stream is labelled."""
    strata = []
    for project, total in of.audits.items():
        items = drawn(of, project)
        if len(items.n) >= ENOUGH:
            strata.append(Stratum(items.people, items.expected, others(items.expected, [total]), items.probabilities))
    if not strata:
        return ()
    streams = "the audit stream of 1 project" if len(strata) == 1 else f"the audit streams of {len(strata)} projects"
    return (PoweredPart(streams, stratified_mean(strata), projects=len(strata)),)


def drawn(of: Compared, project: int | None = None) -> Drawn:
    """Labelled questions that have a verdict, without those that were chosen for their doubt: they stand for nobody but
    themselves. Of one project with an audit stream only what was drawn for it, with its probabilities. project: its
    labels alone."""
    kept = of.of_kind & (of.beside != NONE) & (of.rows.labels.drawn != 0)
    if project is not None:
        kept = kept & (of.rows.labels.project == project)
    known = kept & (of.rows.labels.drawn > 0)
    weighted = (of.one_project or project is not None) and bool(known.any())
    if weighted:
        kept = known
    labels = of.rows.labels.only(kept)
    value = labels.value.astype(float) if of.mode is Mode.DIRECT else points(labels.value)
    _, first, index, n = numpy.unique(labels.question, return_index=True, return_inverse=True, return_counts=True)
    return Drawn(
        n=n.astype(float),
        people=numpy.bincount(index, weights=value, minlength=len(n)) / n,
        expected=of.rows.verdicts.expected[of.beside[kept]][first],
        rubric_version=labels.rubric_version[first],
        source=labels.source[first],
        probabilities=labels.drawn[first] if weighted else None,
    )


def others(labelled: Floats, sums: Sequence[Sum]) -> Verdicts:
    """The verdicts on what is not labelled: all, less those on labelled items."""
    n = sum(one[0] for one in sums) - len(labelled)
    if n <= 0:
        return Verdicts(0, 0.0, 0.0)
    mean = (sum(one[1] for one in sums) - float(labelled.sum())) / n
    square = (sum(one[2] for one in sums) - float((labelled**2).sum())) / n
    return Verdicts(n, mean, max(0.0, square - mean**2))


def _anchoring(of: Compared) -> Anchoring:
    """Over blind labels and those given after, each beside a verdict."""
    both = _pairs(of, of.rows.labels.of(Kind.POOLED) & (of.beside != NONE))
    same, blind = (both.error == 0).astype(float), both.labels.of(Kind.BLIND)
    question = both.labels.question
    return Anchoring(
        blind=with_wilson(clustered.mean(same[blind], question[blind])),
        after=with_wilson(clustered.mean(same[~blind], question[~blind])),
        gap=clustered.difference(same, ~blind, question),
    )


def _slices(of: Compared, chosen: _Pairs) -> Any:
    labels = chosen.labels
    words, digits = ("{} characters", 0) if of.mode is Mode.DIRECT else ("length A/B {}", 2)
    return slices(
        chosen.error,
        labels.question,
        {
            "rubric": _named(labels.rubric_version, of.rubrics),
            "source": (labels.source, tuple(" against ".join(names) for names in of.rows.sources)),
            "person": _named(labels.person, of.people),
            "length": quartiles(2**chosen.length, words, digits=digits),
            "confidence": quartiles(chosen.confidence, "confidence {}", digits=2),
        },
    )


def _named(keys: Integers, names: dict[int, str]) -> tuple[Integers, tuple[str, ...]]:
    unique, numbers = numpy.unique(keys, return_inverse=True)
    return numbers, tuple(names.get(int(key), str(key)) for key in unique)


def _months(chosen: _Pairs) -> tuple[Named, ...]:
    """The mean error by the month of the label; imported ones have none."""
    found = []
    months = chosen.labels.day.astype("datetime64[D]").astype("datetime64[M]")
    dated = chosen.labels.day != NONE
    for month in numpy.unique(months[dated]):
        inside = dated & (months == month)
        found.append(Named(str(month), clustered.mean(chosen.error[inside], chosen.labels.question[inside])))
    return tuple(found)


def _versions(of: Compared) -> tuple[Named, ...]:
    """The error of each other model less this one's, on the same labels that no verdict was seen for: blind ones, or
    those that were imported. Below 0 where the other is nearer."""
    unseen = Kind.IMPORTED if of.kind is Kind.IMPORTED else Kind.BLIND
    labels = of.rows.labels.only(of.rows.labels.of(unseen))
    own = _model_column(of, of.model)[labels.question]
    found = []
    for key, name in of.models.items():
        other = _model_column(of, key)[labels.question]
        both = (own != NONE) & (other != NONE)
        if key == of.model or not both.any():
            continue
        value = labels.value[both]
        if of.mode is Mode.DIRECT:
            lead = numpy.abs(other[both] - value) - numpy.abs(own[both] - value)
        else:
            lead = (other[both] != value).astype(int) - (own[both] != value).astype(int)
        found.append(Named(name, clustered.mean(lead.astype(float), labels.question[both])))
    return tuple(found)


def _worst(of: Compared) -> tuple[Disagreement, ...]:
    chosen = _pairs(of, of.of_kind & (of.beside != NONE))
    value = chosen.labels.value.astype(float) if of.mode is Mode.DIRECT else points(chosen.labels.value)
    places = of.beside[of.of_kind & (of.beside != NONE)]
    distance = numpy.abs(chosen.expected - value)
    order = numpy.argsort(-distance, kind="stable")[:WORST]
    return tuple(
        Disagreement(
            verdict_id=int(of.rows.verdicts.id[places[row]]),
            person=of.people.get(int(chosen.labels.person[row]), f"person {chosen.labels.person[row]}"),
            said=int(chosen.labels.value[row]),
            model=float(chosen.expected[row]),
            distance=float(distance[row]),
        )
        for row in order
        if distance[row] > 0
    )
