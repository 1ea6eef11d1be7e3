"""People and models compared, over any selection of labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.agreement import ENOUGH
from backend.agreement.bootstrap import Integers
from backend.agreement_figures import Compared, Sum, figures
from backend.agreement_loading import Columns, read, rows_of, source_names
from backend.agreement_orders import compare_order_sources, compare_orders, read_orders
from backend.agreement_people import compare_people
from backend.agreement_report import Counts, Report
from backend.agreement_rows import NONE, Kind, Labels, Rows, Selection, check_days
from backend.agreement_sources import SourceSum, compare_sources
from backend.errors import NotFoundError
from backend.recalibration import in_force
from backend.types import Mode
from db import agreement_queries as queries
from db.session import Store

TO_DO = "compare people and model"
MOST_REPORTS = 16
"""Of one mode that are kept; a page asks for the same one several times."""


@dataclass(frozen=True)
class _Sums:
    """Of a model's verdicts, by rubric version, and in a project by source."""

    by_rubric: dict[int, Sum]
    by_source: tuple[SourceSum, ...]

    def of(self, rubric_version: int | None) -> dict[int, Sum]:
        """Those of one rubric version, or of all."""
        return {key: found for key, found in self.by_rubric.items() if rubric_version in (None, key)}


@dataclass(frozen=True)
class Choices:
    """(id, name) of what a selection can name: models with verdicts of the mode, rubric versions and people with
    labels."""

    models: tuple[tuple[int, str], ...]
    rubrics: tuple[tuple[int, str], ...]
    people: tuple[tuple[int, str], ...]
    projects: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Model:
    id: int
    name: str
    digest: str


@dataclass(frozen=True)
class _Loaded:
    """A mode's columns and their rows, at a moment. sums: by model and project. reports: the last ones."""

    columns: Columns
    rows: Rows
    sums: dict[tuple[int, int | None], _Sums] = field(default_factory=dict)
    reports: dict[Any, Report] = field(default_factory=dict)


class Comparing:
    """Reads only. All raise StoreError when the database fails, and NotAllowedError for who is no lead: it tells what
    each person said, also in blind projects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[Mode, _Loaded] = {}

    def _loaded(self, session: Session, mode: Mode) -> _Loaded:
        """The labels of a mode, kept in memory; what was added since is read."""
        last = self._last.get(mode)
        columns = read(session, last.columns if last else Columns(mode))
        if last is None or columns is not last.columns:
            judged = last is not None and _judged(last.columns) == _judged(columns)
            last = self._last[mode] = _Loaded(columns, rows_of(columns), last.sums if last and judged else {})
        return last

    def choices(self, mode: Mode, user_id: int) -> Choices:
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, TO_DO)
            return Choices(
                models=tuple((model.id, model.name) for model in _models(session, mode)),
                rubrics=tuple(_rubrics(session).items()),
                people=tuple(_people(session).items()),
                projects=tuple((row.id, row.name) for row in session.execute(queries.projects(mode))),
            )

    def report(self, selection: Selection, user_id: int) -> Report:
        """Every figure of the selection, with what is missing said in words.

        Raises NotFoundError for a model without verdicts of this mode, InvalidInputError for days in the wrong order.
        """
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, TO_DO)
            check_days(selection)
            models, rubrics, people = _models(session, selection.mode), _rubrics(session), _people(session)
            _check(models, selection)
            project, named, switched = selection.project_id, "", None
            if project is not None:
                named = session.scalar(queries.project_name(project)) or f"number {project}"
                switched = in_force(session, project)
            if selection.mode is Mode.RANKING:
                return replace(_ranking_report(session, selection, models, rubrics, people), project=named)
            loaded = self._loaded(session, selection.mode)
            key = (selection, named, switched, tuple(models), tuple(rubrics.items()), tuple(people.items()))
            report = loaded.reports.get(key)
            if report is None:
                report = replace(
                    _compared(session, loaded, selection, models, rubrics, people), recalibrated=switched, project=named
                )
                while len(loaded.reports) >= MOST_REPORTS:
                    loaded.reports.pop(next(iter(loaded.reports)), None)
                loaded.reports[key] = report
            return report


def _judged(columns: Columns) -> tuple[int, int]:
    """What the sums of verdicts depend on."""
    return columns.newest.verdict, columns.newest.project_item


def _compared(
    session: Session,
    loaded: _Loaded,
    selection: Selection,
    models: Sequence[_Model],
    rubrics: dict[int, str],
    people: dict[int, str],
) -> Report:
    rows, rubric = loaded.rows.chosen(selection), selection.rubric_version_id
    labels = rows.labels
    model = _chosen(models, selection, rows.most_judged())

    def sums_of(project: int | None) -> _Sums:
        key = (model.id, project)
        if key not in loaded.sums:
            loaded.sums[key] = _sums(session, selection.mode, *key)
        return loaded.sums[key]

    sums = sums_of(selection.project_id)
    beside = rows.beside(model.id)
    kind = selection.kind or _kind(rows, beside)
    of_kind = labels.of(kind)
    drawn = of_kind & (beside != NONE) & (labels.drawn > 0)
    audits = _audited(labels.only(drawn)) if selection.project_id is None else ()
    people = people | rows.rater_names()
    compared = Compared(
        mode=selection.mode,
        model=model.id,
        kind=kind,
        one_project=selection.project_id is not None,
        rows=rows,
        beside=beside,
        of_kind=of_kind,
        sums=sums.of(rubric),
        audits={project: _total(sums_of(project).of(rubric).values()) for project in audits},
        rubrics=rubrics,
        people=people,
        models={one.id: one.name for one in models},
    )
    whose = compare_people(compared)
    found = figures(compared) | {
        "sources": compare_sources(compared, [one for one in sums.by_source if rubric in (None, one.rubric_version)]),
        "people": whose.people,
        "model_gold": whose.model_gold,
    }
    return _report(
        selection, model, rubrics, people, kind=kind, counts=_counts(labels, of_kind, beside, drawn), **found
    )


def _counts(labels: Labels, of_kind: NDArray[numpy.bool_], beside: Integers, drawn: NDArray[numpy.bool_]) -> Counts:
    """of_kind, beside: (labels,) each, as of the comparison. drawn: (labels,), those of an audit stream in it."""
    compared = of_kind & (beside != NONE)
    return Counts(
        blind=int(labels.of(Kind.BLIND).sum()),
        after=int(labels.of(Kind.AFTER).sum()),
        imported=int(labels.of(Kind.IMPORTED).sum()),
        compared=int(compared.sum()),
        unjudged=int((of_kind & (beside == NONE)).sum()),
        outside=labels.outside,
        between=labels.between,
        chosen=int((compared & (labels.drawn == 0)).sum()),
        drawn=int(drawn.sum()),
    )


def _audited(drawn: Labels) -> list[int]:
    """The projects in which enough items are labelled. drawn: labels on items of audit streams."""
    size = drawn.question.max(initial=0) + 1
    projects, counts = numpy.unique(numpy.unique(drawn.project * size + drawn.question) // size, return_counts=True)
    return [int(project) for project in projects[counts >= ENOUGH]]


def _total(sums: Iterable[Sum]) -> Sum:
    found = list(sums)
    return sum(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


def _kind(rows: Rows, beside: Integers) -> Kind:
    """Blind labels where enough items have them, else imported ones, else those given after."""
    for kind in (Kind.BLIND, Kind.IMPORTED):
        judged = rows.labels.of(kind) & (beside != NONE)
        if len(numpy.unique(rows.labels.question[judged])) >= ENOUGH:
            return kind
    return Kind.AFTER


def _report(
    selection: Selection, model: _Model, rubric_names: dict[int, str], person_names: dict[int, str], **found: Any
) -> Report:
    version = selection.rubric_version_id
    rubric = "all rubrics" if version is None else rubric_names.get(version, f"rubric version {version}")
    return Report(
        selection=selection,
        model=model.name,
        model_digest=model.digest,
        rubric=rubric,
        person_names=person_names,
        **found,
    )


def _models(session: Session, mode: Mode) -> list[_Model]:
    return [_Model(*row) for row in session.execute(queries.models(mode))]


def _check(models: Sequence[_Model], selection: Selection) -> None:
    wanted = selection.model_version_id
    if wanted is not None and all(model.id != wanted for model in models):
        raise NotFoundError(
            f"Model {wanted} gave no verdict of the mode {selection.mode}. "
            f"Those that did: {', '.join(f'{model.id} ({model.name})' for model in models) or 'none'}."
        )


def _chosen(models: Sequence[_Model], selection: Selection, most_judged: int | None) -> _Model:
    wanted = selection.model_version_id or most_judged
    found = [model for model in models if model.id == wanted] or models
    return found[0] if found else _Model(NONE, "no model yet", "")


def _sums(session: Session, mode: Mode, model: int, project: int | None) -> _Sums:
    """Several verdicts on one question count once, the newest; to look for it costs as much as the sums."""

    def asked(*, newest_only: bool) -> Sequence[Any]:
        query = queries.verdict_sums(mode, model, project_id=project, newest_only=newest_only)
        return session.execute(query).all()

    newest_only = session.scalar(queries.judge_count(model)) != 1
    found = asked(newest_only=newest_only)
    if not newest_only and any(attempts > 1 for *_, attempts in found):
        newest_only, found = True, asked(newest_only=True)
    by_rubric = {int(key): (int(n), float(total), float(squares)) for key, n, total, squares, _ in found}
    by_source = []
    if project is not None:
        query = queries.source_sums(mode, model, project_id=project, newest_only=newest_only)
        for version, text, n, total, squares, a_won, ties in session.execute(query):
            sum_ = (int(n), float(total), float(squares))
            by_source.append(SourceSum(int(version), source_names(text), sum_, a_won, ties))
    return _Sums(by_rubric, tuple(one for one in by_source if one.names))


def _rubrics(session: Session) -> dict[int, str]:
    rows = session.execute(queries.labelled_rubrics())
    return {key: f"{name}, version {number}" for key, name, number in rows}


def _people(session: Session) -> dict[int, str]:
    return {row.id: row.name for row in session.execute(queries.labelling_people())}


def _ranking_report(
    session: Session, selection: Selection, models: Sequence[_Model], rubrics: dict[int, str], people: dict[int, str]
) -> Report:
    orders = read_orders(session, selection)
    model = _chosen(models, selection, orders.most_judged())
    beside = orders.beside(model.id, selection.kind)
    return _report(
        selection, model, rubrics, people, kind=beside.kind, counts=beside.counts, rankings=compare_orders(beside),
        sources=compare_order_sources(session, beside, model.id, selection),
    )  # fmt: skip
