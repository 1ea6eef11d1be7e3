"""What the comparison of people and models asks of the tables. Everything comes as numbers, to be many rows quickly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    extract,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from db.adjudication_queries import standing
from db.models import (
    Adjudication,
    Item,
    Judge,
    Label,
    ModelVersion,
    Project,
    ProjectItem,
    Response,
    Rubric,
    RubricVersion,
    User,
    Verdict,
)
from db.queries import WITHDRAWN, stands

READ, CHOSEN = "read", "chosen"
DIRECT, PAIRWISE, RANKING = "direct", "pairwise", "ranking"


def orders_of(
    *,
    rubric_version_id: int | None = None,
    project_id: int | None = None,
    people: Sequence[int] = (),
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[ColumnElement[bool]]:
    """Labels of rankings, by these people (none named: by all), in since <= t < before; also those that no longer
    stand."""
    wanted: list[ColumnElement[bool]] = [
        Label.ranking.is_not(None),
        Label.item_id.in_(select(Item.id).where(Item.mode == RANKING)),
    ]
    if rubric_version_id is not None:
        wanted.append(Label.rubric_version_id == rubric_version_id)
    if project_id is not None:
        of_project = select(ProjectItem.id).where(ProjectItem.project_id == project_id)
        wanted.append(Label.project_item_id.in_(of_project))
    if people:
        wanted.append(Label.author_id.in_(people))
    if since is not None:
        wanted.append(Label.created_at >= since)
    if before is not None:
        wanted.append(Label.created_at < before)
    return wanted


@dataclass(frozen=True)
class Newest:
    """The last id of each table that is only ever added to; 0 where it is empty."""

    label: int = 0
    verdict: int = 0
    project_item: int = 0
    adjudication: int = 0


def newest(session: Session) -> Newest:
    tables = (Label, Verdict, ProjectItem, Adjudication)
    last = [select(func.coalesce(func.max(table.id), 0)).scalar_subquery() for table in tables]
    return Newest(*session.execute(select(*last)).one())


def labels(mode: str, after: Newest) -> Select[*tuple[Any, ...]]:
    """Scores, or winners as 0 (A), 1 (B), 2 (tie), and whatever supersedes a label, in the order they were given.

    at: seconds since 1970 in UTC. Whether a label stands is seen from all of them. The last column is the probability
    with which its item was drawn; 0 where it was chosen for its doubt, so that there is none.
    """
    value = Label.score if mode == DIRECT else _winner(Label.winner)
    return (
        select(
            Label.id, Label.item_id, Label.rubric_version_id, Label.author_id, value, Label.verdict_id,
            extract("epoch", Label.created_at), ProjectItem.project_id, ProjectItem.id, Label.seconds,
            Label.supersedes_id, case((Label.kind == WITHDRAWN, 1), else_=0),
            case((Label.stream == CHOSEN, 0.0), else_=Label.sampling_probability),
        )
        .outerjoin(ProjectItem, ProjectItem.id == Label.project_item_id)
        .where(Label.id > after.label, or_(value.is_not(None), Label.supersedes_id.is_not(None)))
        .order_by(Label.id)
    )  # fmt: skip


def verdicts(mode: str, after: Newest) -> Select[*tuple[Any, ...]]:
    """Every model's verdicts that could be read, on items that somebody labelled, the oldest first.

    Those after this moment, and the older ones on items that were labelled after it.
    """
    value = Verdict.score if mode == DIRECT else _winner(Verdict.winner)
    of_labels: ColumnElement[bool] = Verdict.item_id.in_(_labelled_items(mode, Newest()))
    if after != Newest():
        of_labels = or_(and_(Verdict.id > after.verdict, of_labels), Verdict.item_id.in_(_labelled_items(mode, after)))
    return (
        select(
            Verdict.id, Verdict.item_id, Verdict.rubric_version_id, Judge.model_version_id, value,
            expected(mode), Verdict.confidence, Verdict.p_a_first, Verdict.p_a_second,
        )
        .join(Judge, Judge.id == Verdict.judge_id)
        .where(Verdict.mode == mode, Verdict.status == READ, of_labels)
        .order_by(Verdict.id)
    )  # fmt: skip


def lengths(mode: str, after: Newest) -> Select[int, int, int]:
    """How long the first two responses are, in characters, of the items that were labelled after this moment."""
    return select(Response.item_id, Response.position, func.length(Response.text)).where(
        Response.item_id.in_(_labelled_items(mode, after)), Response.position < 2
    )


def imported(mode: str, after: Newest) -> Select[*tuple[Any, ...]]:
    """What came with a project's items: id, project, item, rubric version, and the labels as JSON."""
    return (
        select(
            ProjectItem.id, ProjectItem.project_id, ProjectItem.item_id, ProjectItem.rubric_version_id,
            cast(ProjectItem.imported_labels, Text),
        )
        .join(Project, Project.id == ProjectItem.project_id)
        .where(Project.mode == mode, ProjectItem.id > after.project_item, *_stated(ProjectItem.imported_labels))
        .order_by(ProjectItem.id)
    )  # fmt: skip


def verdict_sums(
    mode: str, model_version_id: int, *, project_id: int | None, newest_only: bool
) -> Select[*tuple[Any, ...]]:
    """By rubric version: how many verdicts of this model could be read, the sum of what they expect, that of its
    square, and the most attempts at one question. newest_only: of several on one question the newest alone."""
    value = expected(mode)
    query = (
        select(
            Verdict.rubric_version_id, func.count(), func.sum(value), func.sum(value * value), func.max(Verdict.attempt)
        )
        .where(*_given(mode, model_version_id))
        .group_by(Verdict.rubric_version_id)
    )
    if newest_only:
        query = query.where(_is_newest(mode, model_version_id))
    return query if project_id is None else query.where(_asked_in(project_id))


def gold(mode: str) -> Select[int, Any]:
    """What leads decided of items, the last decision of each, by project item."""
    value = Adjudication.score if mode == DIRECT else _winner(Adjudication.winner)
    query = select(Adjudication.project_item_id, value).where(standing(), value.is_not(None))
    return query.order_by(Adjudication.project_item_id)


def source_sums(mode: str, model_version_id: int, *, project_id: int, newest_only: bool) -> Select[*tuple[Any, ...]]:
    """By rubric version and by who wrote the responses, as JSON: how many verdicts of this model could be read in the
    project, the sum of what they expect, that of its square, and of pairs how many A won and how many neither.
    """
    value = expected(mode)
    sources = cast(ProjectItem.sources, Text)
    same = and_(
        ProjectItem.item_id == Verdict.item_id,
        ProjectItem.rubric_version_id == Verdict.rubric_version_id,
        ProjectItem.project_id == project_id,
    )
    query = (
        select(
            Verdict.rubric_version_id, sources, func.count(), func.sum(value), func.sum(value * value),
            func.sum(case((Verdict.winner == "A", 1), else_=0)), func.sum(case((Verdict.winner == "tie", 1), else_=0)),
        )
        .select_from(ProjectItem)
        .join(Verdict, same)
        .where(*_given(mode, model_version_id), *_stated(ProjectItem.sources))
        .group_by(Verdict.rubric_version_id, sources)
        .order_by(Verdict.rubric_version_id, sources)
    )  # fmt: skip
    return query.where(_is_newest(mode, model_version_id)) if newest_only else query


def judge_count(model_version_id: int) -> Select[int]:
    """Judges of one model differ in how it is asked."""
    return select(func.count()).select_from(Judge).where(Judge.model_version_id == model_version_id)


def _given(mode: str, model_version_id: int) -> tuple[ColumnElement[bool], ...]:
    return Verdict.mode == mode, Verdict.status == READ, Verdict.judge_id.in_(_judges(model_version_id))


def _judges(model_version_id: int) -> Select[int]:
    return select(Judge.id).where(Judge.model_version_id == model_version_id)


def _is_newest(mode: str, model_version_id: int) -> ColumnElement[bool]:
    newer = aliased(Verdict)
    same_question = and_(newer.item_id == Verdict.item_id, newer.rubric_version_id == Verdict.rubric_version_id)
    readable = and_(newer.status == READ, newer.judge_id.in_(_judges(model_version_id)))
    return ~exists().where(same_question, readable, newer.id > Verdict.id).correlate(Verdict)


def _asked_in(project_id: int) -> ColumnElement[bool]:
    """The project asks for a verdict on this item by this rubric."""
    of_project = select(ProjectItem.item_id, ProjectItem.rubric_version_id).where(ProjectItem.project_id == project_id)
    return tuple_(Verdict.item_id, Verdict.rubric_version_id).in_(of_project)


def orders(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Orders that stand: item, rubric version, positions from best to worst, the verdict that was seen, project item,
    and with which probability that was drawn, as of labels()."""
    drawn = case((Label.stream == CHOSEN, 0.0), else_=Label.sampling_probability)
    return (
        select(Label.item_id, Label.rubric_version_id, Label.ranking, Label.verdict_id, Label.project_item_id, drawn)
        .where(*wanted, stands())
        .order_by(Label.id)
    )


def rankings(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Every model's rankings that could be read of the items of these orders, the oldest first."""
    return (
        select(Verdict.id, Verdict.item_id, Verdict.rubric_version_id, Judge.model_version_id, Verdict.ranking)
        .join(Judge, Judge.id == Verdict.judge_id)
        .where(
            Verdict.mode == RANKING, Verdict.status == READ, Verdict.item_id.in_(select(Label.item_id).where(*wanted))
        )
        .order_by(Verdict.id)
    )


def ranked_sources(model_version_id: int, project_id: int, rubric_version_id: int | None) -> Select[*tuple[Any, ...]]:
    """A model's rankings of a project's items, the oldest first: project item, its sources as JSON, and the ranking."""
    same = and_(
        ProjectItem.item_id == Verdict.item_id,
        ProjectItem.rubric_version_id == Verdict.rubric_version_id,
        ProjectItem.project_id == project_id,
    )
    query = (
        select(ProjectItem.id, cast(ProjectItem.sources, Text), Verdict.ranking)
        .select_from(ProjectItem)
        .join(Verdict, same)
        .where(*_given(RANKING, model_version_id), *_stated(ProjectItem.sources))
        .order_by(Verdict.id)
    )
    return query if rubric_version_id is None else query.where(ProjectItem.rubric_version_id == rubric_version_id)


def sources(after: Newest) -> Select[int, str]:
    """Who wrote the responses of a project's item, as JSON, where that is known and the item was labelled."""
    labelled = or_(
        ProjectItem.id.in_(select(Label.project_item_id).where(Label.id > after.label)),
        and_(ProjectItem.id > after.project_item, *_stated(ProjectItem.imported_labels)),
    )
    return select(ProjectItem.id, cast(ProjectItem.sources, Text)).where(*_stated(ProjectItem.sources), labelled)


def projects(mode: str) -> Select[int, str]:
    """Projects of this mode in which there is a label, or whose items came with some."""
    labelled = select(ProjectItem.project_id).join(Label, Label.project_item_id == ProjectItem.id)
    came = select(ProjectItem.project_id).where(*_stated(ProjectItem.imported_labels))
    any_of = or_(Project.id.in_(labelled), Project.id.in_(came))
    return select(Project.id, Project.name).where(Project.mode == mode, any_of).order_by(Project.name, Project.id)


def project_name(project_id: int) -> Select[str]:
    return select(Project.name).where(Project.id == project_id)


def models(mode: str) -> Select[int, str, str]:
    """Models that gave verdicts of this mode, the newest first."""
    gave = exists().where(Verdict.judge_id == Judge.id, Verdict.mode == mode).correlate(Judge)
    judged = exists().where(Judge.model_version_id == ModelVersion.id, gave).correlate(ModelVersion)
    return (
        select(ModelVersion.id, ModelVersion.name, ModelVersion.digest).where(judged).order_by(ModelVersion.id.desc())
    )


def labelled_rubrics() -> Select[int, str, int]:
    """Rubric versions that labels name, or imported ones are by: id, the rubric's name, the version's number."""
    came = select(ProjectItem.rubric_version_id).where(*_stated(ProjectItem.imported_labels))
    return (
        select(RubricVersion.id, Rubric.name, RubricVersion.number)
        .join(Rubric, Rubric.id == RubricVersion.rubric_id)
        .where(or_(RubricVersion.id.in_(select(Label.rubric_version_id)), RubricVersion.id.in_(came)))
        .order_by(Rubric.name, RubricVersion.number)
    )


def labelling_people() -> Select[int, str]:
    return select(User.id, User.name).where(User.id.in_(select(Label.author_id))).order_by(User.name, User.id)


def expected(mode: str) -> ColumnElement[Any]:
    """The judge's expected score; of a pair, its probability that A is better. Without a distribution, what it said."""
    if mode == DIRECT:
        return func.coalesce(Verdict.expected_score, Verdict.score)
    said = case((Verdict.winner == "A", 1.0), (Verdict.winner == "B", 0.0), else_=0.5)
    return func.coalesce(Verdict.p_a, said)


def _winner(column: Any) -> ColumnElement[Any]:
    return case((column == "A", 0), (column == "B", 1), (column == "tie", 2))


def _labelled_items(mode: str, after: Newest) -> CompoundSelect[int]:
    """Items that were labelled after this moment, here or before they were imported."""
    column = Label.score if mode == DIRECT else Label.winner
    came = (
        select(ProjectItem.item_id)
        .join(Project, Project.id == ProjectItem.project_id)
        .where(Project.mode == mode, ProjectItem.id > after.project_item, *_stated(ProjectItem.imported_labels))
    )
    return select(Label.item_id).where(Label.id > after.label, column.is_not(None)).union_all(came)


def _stated(column: Any) -> tuple[ColumnElement[bool], ...]:
    """JSON that is there: what was not stated is the JSON null."""
    return column.is_not(None), cast(column, Text) != "null"
