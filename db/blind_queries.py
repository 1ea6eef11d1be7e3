"""What somebody who only labels may see of verdicts: theirs, and none of an item that waits for their own label."""

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, and_, exists, select, union_all
from sqlalchemy.orm import Session

from db.models import Asking, Item, Label, Project, ProjectItem, Reveal, Verdict


def visible_to(user_id: int) -> ColumnElement[bool]:
    """Verdicts that they asked for or were shown, or of a project that is not blind; none that is kept from them.

    What is theirs is looked up by its indexes once, not for each verdict of the store.
    """
    open_to_all = (
        select(Verdict.id)
        .join(ProjectItem, _asks_it())
        .join(Project, Project.id == ProjectItem.project_id)
        .where(Project.blind.is_(False))
    )
    theirs: CompoundSelect[Any] = union_all(
        select(Verdict.id).where(Verdict.created_by_id == user_id),
        select(Asking.verdict_id).where(Asking.user_id == user_id),
        select(Reveal.verdict_id).where(Reveal.user_id == user_id),
        select(Label.verdict_id).where(Label.author_id == user_id, Label.verdict_id.is_not(None)),
        open_to_all,
    )
    kept_back = exists().where(
        _asks_it(), Project.id == ProjectItem.project_id, Project.blind.is_(True), ~_revealed(user_id)
    )
    return and_(Verdict.id.in_(theirs), ~kept_back.correlate(Verdict))


def may_see(session: Session, verdict_id: int, user_id: int) -> bool:
    return session.scalar(select(Verdict.id).where(Verdict.id == verdict_id, visible_to(user_id))) is not None


def blind_project_asking(session: Session, instruction: str, user_id: int) -> str | None:
    """The name of a blind project with an item of this instruction whose verdict this person was not shown.

    By the instruction alone, since a person sees its responses in another order than they were imported in.
    """
    query = (
        select(Project.name)
        .join(ProjectItem, ProjectItem.project_id == Project.id)
        .join(Item, Item.id == ProjectItem.item_id)
        .where(Project.blind, Item.instruction == instruction, ~_revealed(user_id))
    )
    return session.scalar(query.limit(1))


def _asks_it() -> ColumnElement[bool]:
    """The project's item is what the verdict answers."""
    return and_(ProjectItem.item_id == Verdict.item_id, ProjectItem.rubric_version_id == Verdict.rubric_version_id)


def _revealed(user_id: int) -> ColumnElement[bool]:
    return exists().where(Reveal.project_item_id == ProjectItem.id, Reveal.user_id == user_id).correlate(ProjectItem)
