"""What the making of training rows looks up, as SQLAlchemy expressions."""

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import joinedload, selectinload

from db.models import Item, Label, Project, ProjectItem, Verdict, VerdictReading
from db.queries import is_current, stands
from db.stream_queries import CHOSEN


def standing_labels() -> Select[Label]:
    """Every label that stands, in the order in which they were given, with the verdict that its author had seen."""
    verdict = joinedload(Label.verdict)
    return (
        select(Label)
        .where(is_current())
        .order_by(Label.id)
        .options(
            verdict.joinedload(Verdict.item).selectinload(Item.responses),
            verdict.joinedload(Verdict.rubric_version),
            verdict.options(selectinload(Verdict.readings).joinedload(VerdictReading.reading)),
        )
    )


def labels_in_project(project_id: int) -> Select[Label, ProjectItem]:
    """Every label of a project's first round that stands, in the order in which they were given, with its item."""
    item = selectinload(ProjectItem.item).selectinload(Item.responses)
    return (
        select(Label, ProjectItem)
        .join(ProjectItem, ProjectItem.id == Label.project_item_id)
        .where(ProjectItem.project_id == project_id, Label.round == 1, stands())
        .order_by(Label.id)
        .options(item, selectinload(ProjectItem.rubric_version))
    )


def project_named(name: str) -> Select[Project]:
    return select(Project).where(Project.name == name)


def blind_counts() -> Select[str, str, int, int]:
    """The projects with blind labels that stand: name, mode, and how many items have one; of two streams those that
    chance drew, and those that were chosen for their doubt."""
    chosen = func.count(case((ProjectItem.stream == CHOSEN, ProjectItem.id)).distinct())
    return (
        select(Project.name, Project.mode, func.count(ProjectItem.id.distinct()) - chosen, chosen)
        .join(ProjectItem, ProjectItem.project_id == Project.id)
        .join(Label, Label.project_item_id == ProjectItem.id)
        .where(Label.round == 1, Label.verdict_id.is_(None), stands())
        .group_by(Project.id, Project.name, Project.mode)
        .order_by(Project.name)
    )
