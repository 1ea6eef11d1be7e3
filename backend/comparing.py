"""People and models compared, over any selection of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
from sqlalchemy.orm import Session

from backend.agreement import ENOUGH, clustered, share
from backend.agreement.rankings import tau_b
from backend.agreement_figures import Compared, figures
from backend.agreement_report import Counts, RankingAgreement, Report
from backend.agreement_rows import NONE, Kind, Selection, load, response_lengths, wanted
from backend.errors import NotFoundError
from backend.results import ranking_of
from backend.types import Mode
from db import agreement_queries as queries
from db.session import Store


@dataclass(frozen=True)
class Choices:
    """(id, name) of what a selection can name: models with verdicts of the mode, rubric versions and people with
    labels."""

    models: tuple[tuple[int, str], ...]
    rubrics: tuple[tuple[int, str], ...]
    people: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Model:
    id: int
    name: str
    digest: str


class Comparing:
    """Reads only. All raise StoreError when the database fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def choices(self, mode: Mode) -> Choices:
        with self._store.read() as session:
            return Choices(
                models=tuple((model.id, model.name) for model in _models(session, mode)),
                rubrics=tuple(_rubrics(session).items()),
                people=tuple(_people(session).items()),
            )

    def report(self, selection: Selection) -> Report:
        """Every figure of the selection, with what is missing said in words.

        Raises NotFoundError for a model without verdicts of this mode, InvalidInputError for days in the wrong order.
        """
        with self._store.read() as session:
            model = _chosen(_models(session, selection.mode), selection)
            rubrics, people = _rubrics(session), _people(session)
            if selection.rubric_version_id is None:
                rubric = "all rubrics"
            else:
                rubric = rubrics.get(selection.rubric_version_id, f"rubric version {selection.rubric_version_id}")
            empty = Report(
                selection=selection,
                kind=selection.kind or Kind.AFTER,
                model=model.name,
                model_digest=model.digest,
                rubric=rubric,
                counts=Counts(0, 0, 0, 0, 0),
                person_names=people,
            )
            if selection.mode is Mode.RANKING:
                return replace(empty, **_rankings(session, selection, model.id))
            rows = load(session, selection)
            beside = rows.beside(model.id)
            blind = rows.labels.blind
            enough = len(numpy.unique(rows.labels.question[blind & (beside != NONE)])) >= ENOUGH
            kind = selection.kind or (Kind.BLIND if enough else Kind.AFTER)
            of_kind = {Kind.BLIND: blind, Kind.AFTER: ~blind, Kind.POOLED: numpy.ones(len(blind), dtype=bool)}[kind]
            counts = Counts(
                blind=int(blind.sum()),
                after=int((~blind).sum()),
                compared=int((of_kind & (beside != NONE)).sum()),
                unjudged=int((of_kind & (beside == NONE)).sum()),
                outside=rows.labels.outside,
            )
            sums = session.execute(queries.verdict_sums(selection.mode, model.id, selection.rubric_version_id)).all()
            lengths = response_lengths(session, selection, rows.labels.item)
            names = {one.id: one.name for one in _models(session, selection.mode)}
        compared = Compared(
            mode=selection.mode,
            model=model.id,
            rows=rows,
            beside=beside,
            of_kind=of_kind,
            lengths=lengths,
            sums={int(version): (int(n), float(total), float(squares)) for version, n, total, squares in sums},
            rubrics=rubrics,
            people=people,
            models=names,
        )
        return replace(empty, kind=kind, counts=counts, **figures(compared))


def _models(session: Session, mode: Mode) -> list[_Model]:
    return [_Model(*row) for row in session.execute(queries.models_by_labels(mode))]


def _chosen(models: Sequence[_Model], selection: Selection) -> _Model:
    if selection.model_version_id is None:
        return models[0] if models else _Model(NONE, "no model yet", "")
    for model in models:
        if model.id == selection.model_version_id:
            return model
    raise NotFoundError(
        f"Model {selection.model_version_id} gave no verdict of the mode {selection.mode}. "
        f"Those that did: {', '.join(f'{model.id} ({model.name})' for model in models) or 'none'}."
    )


def _rubrics(session: Session) -> dict[int, str]:
    rows = session.execute(queries.labelled_rubrics())
    return {key: f"{name}, version {number}" for key, name, number in rows}


def _people(session: Session) -> dict[int, str]:
    return {row.id: row.name for row in session.execute(queries.labelling_people())}


def _rankings(session: Session, selection: Selection, model: int) -> dict[str, Any]:
    """Orders given after the ranking was seen; blind orders are not compared."""
    rows = session.execute(queries.rankings(wanted(selection), model)).all()
    taus, items, same = [], [], 0
    for item, order, ranking, agrees in rows:
        ranks = {response.position: response.rank for response in ranking_of(ranking).ranked}
        tau = tau_b(order, [ranks[position] for position in range(len(order))])
        if tau is not None:
            taus.append(tau)
            items.append(item)
        same += bool(agrees)
    stat = clustered.mean(numpy.array(taus), numpy.array(items, dtype=numpy.int64))
    return {
        "kind": Kind.AFTER,
        "counts": Counts(blind=0, after=len(rows), compared=len(rows), unjudged=0, outside=0),
        "rankings": RankingAgreement(tau=stat, same=share(same, len(rows))),
    }
