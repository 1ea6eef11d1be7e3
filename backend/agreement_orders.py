"""Rankings: the orders that people gave beside the model's, and who wrote the better responses by both."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy
from sqlalchemy.orm import Session

from backend.agreement import ENOUGH, clustered, share
from backend.agreement.bootstrap import Floats, Integers
from backend.agreement.powered import Verdicts, powered_mean
from backend.agreement.rankings import RankedItem, implied_games, shares_won, tau_b
from backend.agreement.sources import Source, Sources, cycles, strengths
from backend.agreement_loading import source_names
from backend.agreement_report import Counts, RankingAgreement
from backend.agreement_rows import Kind, Selection, SourceNames, orders_of
from backend.agreement_sources import in_order_of_merit, tau_of_means
from backend.results import ranking_of, ranks_of, same_ranking
from db import agreement_queries as queries

Question = tuple[int, int]
"""An item under one rubric version."""


@dataclass(frozen=True)
class Said:
    """An order that a person gave. positions: the best first. seen: the verdict that they had seen; None: blind.

    drawn: as of Labels, None where its project has no streams.
    """

    question: Question
    positions: tuple[int, ...]
    seen: int | None
    project_item: int | None
    drawn: float | None

    @property
    def ranks(self) -> tuple[float, ...]:
        """By position, 1 the best."""
        return tuple(1.0 + self.positions.index(position) for position in range(len(self.positions)))


@dataclass(frozen=True)
class Given:
    """A ranking of a model."""

    question: Question
    model: int
    ranking: dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """Orders of one kind, each with the ranking that it is compared with; None where the model gave none."""

    kind: Kind
    pairs: tuple[tuple[Said, Given | None], ...]
    blind: int
    after: int

    @property
    def compared(self) -> list[tuple[Said, Given]]:
        return [(said, given) for said, given in self.pairs if given is not None]

    @property
    def counts(self) -> Counts:
        compared = [said for said, _ in self.compared]
        return Counts(
            blind=self.blind, after=self.after, imported=0, outside=0, between=0, compared=len(compared),
            unjudged=len(self.pairs) - len(compared),
            chosen=sum(said.drawn == 0 for said in compared),
            drawn=sum(bool(said.drawn) for said in compared),
        )  # fmt: skip


@dataclass(frozen=True)
class Orders:
    """The orders of a selection, and every model's rankings of what they order, by verdict."""

    said: tuple[Said, ...]
    given: dict[int, Given]

    def most_judged(self) -> int | None:
        """The model with the most rankings of these questions, of two the newer; None where there is none."""
        counts = Counter(one.model for one in self.given.values())
        return max(counts, key=lambda model: (counts[model], model), default=None)

    def beside(self, model: int, kind: Kind | None) -> Beside:
        """kind None: blind orders where enough items have them beside a ranking, else those given after."""
        newest = {one.question: one for one in self.given.values() if one.model == model}
        pairs = [(said, _beside(said, model, newest, self.given)) for said in self.said]
        if kind is None:
            enough = {said.question for said, given in pairs if said.seen is None and given is not None}
            kind = Kind.BLIND if len(enough) >= ENOUGH else Kind.AFTER
        blind = sum(said.seen is None for said in self.said)
        return Beside(kind, tuple(one for one in pairs if _is(one[0], kind)), blind, len(self.said) - blind)


def read_orders(session: Session, selection: Selection) -> Orders:
    """Orders that stand, in the order in which they were given."""
    wanted = orders_of(selection)
    said = tuple(
        Said((item, version), tuple(order), seen, project_item, drawn)
        for item, version, order, seen, project_item, drawn in session.execute(queries.orders(wanted))
    )
    given = {
        id: Given((item, version), model, ranking)
        for id, item, version, model, ranking in session.execute(queries.rankings(wanted))
    }
    return Orders(said, given)


def compare_orders(beside: Beside) -> RankingAgreement:
    taus, items, same = list[float](), list[int](), list[bool]()
    for said, given in beside.compared:
        tau = tau_b(said.positions, ranks_of(given.ranking))
        if tau is not None:
            taus.append(tau)
            items.append(said.question[0])
        same.append(same_ranking(said.positions, ranking_of(given.ranking).ranked))
    stat = clustered.mean(numpy.array(taus), numpy.array(items, dtype=numpy.int64))
    return RankingAgreement(tau=stat, same=share(sum(same), len(same)))


def compare_order_sources(session: Session, beside: Beside, model: int, selection: Selection) -> Sources | None:
    """Of a project's sources: how many of its pairs each wins, and its strength, by people and by the model.

    As with pairs, orders on items that were chosen for their doubt are left out, and where the project has an audit
    stream those outside of it. None where no source is known of what the model ranked, or no project is chosen.
    """
    if selection.project_id is None:
        return None
    judged = _judged(session, model, selection)
    names = sorted({name for _, sources in judged.values() for name in sources})
    if not names:
        return None
    number = {name: place for place, name in enumerate(names)}
    known = {item: tuple(number[name] for name in sources) for item, (_, sources) in judged.items()}
    drawn = _drawn(beside)
    by_people = implied_games(
        [RankedItem(said.project_item, known[said.project_item], said.ranks)
         for said in drawn if said.project_item in known]
    )  # fmt: skip
    by_model = implied_games([RankedItem(item, known[item], tuple(ranks)) for item, (ranks, _) in judged.items()])
    items = numpy.array(sorted(judged), dtype=numpy.int64)
    chances = {said.project_item: said.drawn for said in drawn}
    people, said_by_model = shares_won(by_people, items, len(names)), shares_won(by_model, items, len(names))
    of_people, of_model = strengths(by_people, len(names)), strengths(by_model, len(names))
    found = [
        _source(name, people[:, place], said_by_model[:, place], _chances(items, chances))
        for name, place in number.items()
    ]
    found = [
        Source(one.name, one.judged, one.mean, strength, other)
        for one, strength, other in zip(found, of_people, of_model, strict=True)
    ]
    return Sources(
        in_order_of_merit(found),
        tau_of_means([(one.value, other.value) for one, other in zip(of_people, of_model, strict=True)]),
        cycles(by_people, len(names)),
        cycles(by_model, len(names)),
    )


def _beside(said: Said, model: int, newest: dict[Question, Given], given: dict[int, Given]) -> Given | None:
    """An order given after a ranking is compared with that one, if it is this model's; a blind one with the newest."""
    if said.seen is None:
        return newest.get(said.question)
    seen = given.get(said.seen)
    return seen if seen is not None and seen.model == model else None


def _is(said: Said, kind: Kind) -> bool:
    match kind:
        case Kind.POOLED:
            return True
        case Kind.IMPORTED:
            return False
        case _:
            return (said.seen is None) == (kind is Kind.BLIND)


def _judged(session: Session, model: int, selection: Selection) -> dict[int, tuple[list[int], SourceNames]]:
    """The model's newest ranks of each project item of which the sources are known, and these."""
    assert selection.project_id is not None
    found = {}
    query = queries.ranked_sources(model, selection.project_id, selection.rubric_version_id)
    for item, text, ranking in session.execute(query):
        if names := source_names(text):
            found[item] = ranks_of(ranking), names
    return found


def _drawn(beside: Beside) -> list[Said]:
    """Orders that stand for more than themselves."""
    compared = [said for said, _ in beside.compared if said.drawn != 0]
    audit = [said for said in compared if said.drawn is not None]
    return audit or compared


def _chances(items: Integers, chances: dict[int | None, float | None]) -> Floats | None:
    known = numpy.array([chances.get(int(item)) or numpy.nan for item in items])
    return None if numpy.isnan(known).all() else known


def _source(name: str, people: Floats, model: Floats, chances: Floats | None) -> Source:
    """people, model: (items,) the share of its pairs that it wins, NaN where it has none. chances: of being drawn."""
    judged, labelled = ~numpy.isnan(model), ~numpy.isnan(people) & ~numpy.isnan(model)
    rest = model[judged & ~labelled]
    others = Verdicts(len(rest), float(rest.mean()), float(rest.var())) if len(rest) else Verdicts(0, 0.0, 0.0)
    probabilities = None if chances is None else chances[labelled]
    mean = powered_mean(people[labelled], model[labelled], others, probabilities=probabilities)
    return Source(name, int(judged.sum()), mean)
