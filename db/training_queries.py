"""What the making of training rows looks up, as SQLAlchemy expressions."""

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import joinedload, selectinload

from db.models import Item, Label, Project, ProjectItem, RubricVersion, Verdict, VerdictReading
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


def blind_labels() -> Select[Label, ProjectItem, str]:
    """Every label of projects' first rounds that stands and was given before a verdict was seen, in the order in which
    they were given, with its item and its project's name."""
    in_order = _first_round().where(Label.verdict_id.is_(None))
    return in_order.join(Project, Project.id == ProjectItem.project_id).add_columns(Project.name)


def labels_in_project(project_id: int) -> Select[Label, ProjectItem]:
    """Every label of a project's first round that stands, in the order in which they were given, with its item."""
    return _first_round().where(ProjectItem.project_id == project_id)


def _first_round() -> Select[Label, ProjectItem]:
    item = selectinload(ProjectItem.item).selectinload(Item.responses)
    return (
        select(Label, ProjectItem)
        .join(ProjectItem, ProjectItem.id == Label.project_item_id)
        .where(Label.round == 1, stands())
        .order_by(Label.id)
        .options(item, selectinload(ProjectItem.rubric_version))
    )


def after_counts() -> Select[str, int]:
    """Of each mode how many items, each by each rubric, somebody's label on a verdict stands on."""
    asked = (
        select(Item.mode, Label.item_id, RubricVersion.digest)
        .join(Item, Item.id == Label.item_id)
        .join(RubricVersion, RubricVersion.id == Label.rubric_version_id)
        .where(is_current())
        .distinct()
        .subquery()
    )
    return select(asked.c.mode, func.count()).group_by(asked.c.mode)


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
