"""What the second of two streams looks up: where a question stands, what was said of it, and what is known of it."""

from collections.abc import Collection

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session, selectinload

from db.models import Label, Project, ProjectItem, Verdict, VerdictReading
from db.project_queries import stands

CHOSEN = "chosen"


def in_second_streams(session: Session, item_id: int, rubric_version_id: int) -> list[tuple[ProjectItem, Project]]:
    """Every place where this question is asked in a second stream, with its project."""
    query = select(ProjectItem, Project).join(Project, Project.id == ProjectItem.project_id)
    query = query.where(ProjectItem.item_id == item_id, ProjectItem.rubric_version_id == rubric_version_id)
    query = query.where(ProjectItem.stream == CHOSEN).order_by(ProjectItem.id)
    return [(item, project) for item, project in session.execute(query)]


def move(session: Session, project_item_id: int, order_key: int) -> None:
    """Nothing where the item was deleted meanwhile with its project, which who judges does not hold."""
    session.execute(update(ProjectItem).where(ProjectItem.id == project_item_id).values(order_key=order_key))


def newest_verdicts(session: Session, questions: Collection[tuple[int, int]]) -> dict[tuple[int, int], Verdict]:
    """Of each item and rubric version the newest verdict with a result, with its readings."""
    if not questions:
        return {}
    query = select(Verdict).where(tuple_(Verdict.item_id, Verdict.rubric_version_id).in_(questions))
    readings = selectinload(Verdict.readings).selectinload(VerdictReading.reading)
    found = session.scalars(query.where(Verdict.status == "read").options(readings).order_by(Verdict.id))
    return {(verdict.item_id, verdict.rubric_version_id): verdict for verdict in found}


def first_labels(session: Session, project_item_id: int) -> list[Label]:
    """Labels that stand, of the first round, and that were given before a verdict was seen."""
    query = select(Label).where(Label.project_item_id == project_item_id, Label.round == 1)
    return list(session.scalars(query.where(Label.verdict_id.is_(None), stands())))
