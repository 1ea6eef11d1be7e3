"""What adjudication looks up: items on which people, or people and model, disagree, and what was decided of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, String, Subquery, and_, cast, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.models import Adjudication, Label, Project, ProjectItem, User, Verdict
from db.project_queries import stands


def disputed(session: Session, project: Project, *, model: bool, limit: int) -> list[tuple[int, int]]:
    """Items without a decision on which labels of one kind differ, each with how many people labelled it.

    model: those on which people agree among each other and not with the newest verdict, once nobody is waited for.
    The widest differences come first.
    """
    said = _said(project)
    differ = _differ(said)
    spread: ColumnElement[Any] = func.max(said.c.score) - func.min(said.c.score)
    query = (
        select(ProjectItem.id, func.count())
        .join(said, said.c.project_item_id == ProjectItem.id)
        .where(~_decided())
        .group_by(ProjectItem.id, ProjectItem.position)
    )
    if model:
        verdict = aliased(Verdict)
        otherwise = or_(
            func.abs(func.avg(said.c.score) - func.min(verdict.score)) >= 1,
            func.min(said.c.winner) != func.min(verdict.winner),
        )
        query = query.join(verdict, verdict.id == _newest()).where(ProjectItem.people >= project.people_per_item)
        spread = func.abs(func.avg(said.c.score) - func.min(verdict.score))
        query = query.having(and_(~differ, otherwise))
    else:
        query = query.having(differ)
    order = (func.coalesce(spread, 0).desc(), ProjectItem.position)
    return [(item_id, people) for item_id, people in session.execute(query.order_by(*order).limit(limit))]


@dataclass(frozen=True)
class AgreedOrder:
    """An item of rankings on which people agree, and the newest verdict. order: positions from best to worst. ranking:
    as the verdict's column has it."""

    project_item_id: int
    people: int
    order: Sequence[int]
    ranking: dict[str, Any]


def agreed_orders(session: Session, project: Project) -> list[AgreedOrder]:
    """Items without a decision whose orders of one kind are all the same, once nobody is waited for, as imported."""
    said, verdict = _said(project), aliased(Verdict)
    query = (
        select(ProjectItem.id, func.count(), func.min(said.c.ranking), verdict.ranking)
        .join(said, said.c.project_item_id == ProjectItem.id)
        .join(verdict, verdict.id == _newest())
        .where(~_decided(), ProjectItem.people >= project.people_per_item, said.c.ranking.is_not(None))
        .group_by(ProjectItem.id, ProjectItem.position, verdict.id)
        .having(~_differ(said))
        .order_by(ProjectItem.position)
    )
    found = session.execute(query)
    return [AgreedOrder(item_id, people, json.loads(order), ranking) for item_id, people, order, ranking in found]


def decided_items(session: Session, project_id: int, limit: int) -> list[int]:
    """Items with a decision, the last decided first."""
    query = select(ProjectItem.id).join(Adjudication, Adjudication.project_item_id == ProjectItem.id)
    query = query.where(ProjectItem.project_id == project_id, standing()).order_by(Adjudication.id.desc())
    return list(session.scalars(query.limit(limit)))


def decided_count(session: Session, project_id: int) -> int:
    query = select(func.count()).select_from(ProjectItem).where(ProjectItem.project_id == project_id, _decided())
    return session.scalar(query) or 0


def chain_of(session: Session, project_item_id: int) -> list[Adjudication]:
    """Every decision on the item, the oldest first; the last one stands."""
    query = select(Adjudication).where(Adjudication.project_item_id == project_item_id)
    return list(session.scalars(query.order_by(Adjudication.id)))


def with_authors(session: Session, project_item_id: int) -> list[tuple[Adjudication, str]]:
    query = select(Adjudication, User.name).join(User, User.id == Adjudication.author_id)
    found = session.execute(query.where(Adjudication.project_item_id == project_item_id).order_by(Adjudication.id))
    return [(one, name) for one, name in found]


def of_click(session: Session, client_id: str) -> Adjudication | None:
    return session.scalar(select(Adjudication).where(Adjudication.client_id == client_id))


def gold(session: Session, project_id: int) -> Sequence[Adjudication]:
    """The decisions of a project that stand, one an item."""
    query = select(Adjudication).join(ProjectItem, ProjectItem.id == Adjudication.project_item_id)
    return session.scalars(query.where(ProjectItem.project_id == project_id, standing())).all()


def standing() -> ColumnElement[bool]:
    """Nothing supersedes the decision."""
    successor = aliased(Adjudication)
    return ~exists().where(successor.supersedes_id == Adjudication.id).correlate(Adjudication)


def _decided() -> ColumnElement[bool]:
    return exists().where(Adjudication.project_item_id == ProjectItem.id).correlate(ProjectItem)


def _differ(said: Subquery) -> ColumnElement[bool]:
    """The labels of one item differ."""
    columns = (said.c.score, said.c.winner, said.c.ranking)
    return or_(*(func.min(one).is_distinct_from(func.max(one)) for one in columns))


def _newest() -> ScalarSelect[int | None]:
    """The id of the newest verdict on an item that could be read."""
    query = select(func.max(Verdict.id)).where(
        Verdict.item_id == ProjectItem.item_id, Verdict.rubric_version_id == ProjectItem.rubric_version_id
    )
    return query.where(Verdict.status == "read").correlate(ProjectItem).scalar_subquery()


def _said(project: Project) -> Subquery:
    """Labels of the first round that stand, of the one kind that the project collects."""
    kind = Label.verdict_id.is_(None) if project.blind else Label.verdict_id.is_not(None)
    return (
        select(Label.project_item_id, Label.score, Label.winner, cast(Label.ranking, String).label("ranking"))
        .join(ProjectItem, ProjectItem.id == Label.project_item_id)
        .where(ProjectItem.project_id == project.id, Label.round == 1, kind, stands())
        .subquery()
    )
