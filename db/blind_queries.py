"""What somebody who only labels may see of verdicts: theirs, and none of an item that waits for their own label."""

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from db.models import Asking, Item, Label, Project, ProjectItem, Reveal, Verdict


def visible_to(user_id: int) -> ColumnElement[bool]:
    """Verdicts that they asked for or were shown, or of a project that is not blind; none that is kept from them."""
    asked = or_(
        Verdict.created_by_id == user_id,
        exists().where(Asking.verdict_id == Verdict.id, Asking.user_id == user_id).correlate(Verdict),
    )
    shown = or_(
        exists().where(Reveal.verdict_id == Verdict.id, Reveal.user_id == user_id).correlate(Verdict),
        exists().where(Label.verdict_id == Verdict.id, Label.author_id == user_id).correlate(Verdict),
        _in_project(Project.blind.is_(False)),
    )
    return and_(or_(asked, shown), ~_in_project(Project.blind.is_(True), ~_revealed(user_id)))


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


def _in_project(*wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    """The verdict answers what a project asks."""
    same = (ProjectItem.item_id == Verdict.item_id, ProjectItem.rubric_version_id == Verdict.rubric_version_id)
    return exists().where(*same, Project.id == ProjectItem.project_id, *wanted).correlate(Verdict)


def _revealed(user_id: int) -> ColumnElement[bool]:
    return exists().where(Reveal.project_item_id == ProjectItem.id, Reveal.user_id == user_id).correlate(ProjectItem)
