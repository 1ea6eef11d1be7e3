"""What the comparison of people and models asks of the tables. Everything comes as numbers, to be many rows quickly."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, exists, extract, func, select

from db.models import (
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
from db.queries import stands

READ = "read"
DIRECT, PAIRWISE, RANKING = "direct", "pairwise", "ranking"


def said_of(
    mode: str,
    *,
    rubric_version_id: int | None = None,
    project_id: int | None = None,
    people: Sequence[int] = (),
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[ColumnElement[bool]]:
    """Labels that say something of this mode, by these people (none named: by all), in since <= t < before.

    Also those that no longer stand: that is the costly question, which `labels` and `rankings` alone ask.
    """
    column = {DIRECT: Label.score, PAIRWISE: Label.winner, RANKING: Label.ranking}[mode]
    wanted: list[ColumnElement[bool]] = [column.is_not(None)]
    if mode == RANKING:
        wanted.append(Label.item_id.in_(select(Item.id).where(Item.mode == RANKING)))
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


def labels(mode: str, wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Scores, or winners as 0 (A), 1 (B), 2 (tie), in the order they were given. day: as 20260131."""
    value = Label.score if mode == DIRECT else _winner(Label.winner)
    at = Label.created_at
    day = extract("year", at) * 10_000 + extract("month", at) * 100 + extract("day", at)
    return (
        select(
            Label.id, Label.item_id, Label.rubric_version_id, Label.author_id, value, Label.verdict_id, day,
            ProjectItem.project_id, ProjectItem.id, Label.seconds
        )
        .outerjoin(ProjectItem, ProjectItem.id == Label.project_item_id)
        .where(*wanted, stands())
        .order_by(Label.id)
    )  # fmt: skip


def verdicts(mode: str, wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Every model's verdicts that could be read, on the items of the wanted labels, the oldest first."""
    value = Verdict.score if mode == DIRECT else _winner(Verdict.winner)
    of_labels = select(Label.item_id).where(*wanted)
    return (
        select(
            Verdict.id, Verdict.item_id, Verdict.rubric_version_id, Judge.model_version_id, value,
            expected(mode), Verdict.confidence, Verdict.p_a_first, Verdict.p_a_second,
        )
        .join(Judge, Judge.id == Verdict.judge_id)
        .where(Verdict.mode == mode, Verdict.status == READ, Verdict.item_id.in_(of_labels))
        .order_by(Verdict.id)
    )  # fmt: skip


def verdict_sums(mode: str, model_version_id: int) -> Select[*tuple[Any, ...]]:
    """By rubric version: how many verdicts of this model could be read, the sum of what they expect, and of its
    square."""
    return (
        select(
            Verdict.rubric_version_id,
            func.count(),
            func.sum(expected(mode)),
            func.sum(expected(mode) * expected(mode)),
        )
        .join(Judge, Judge.id == Verdict.judge_id)
        .where(Verdict.mode == mode, Verdict.status == READ, Judge.model_version_id == model_version_id)
        .group_by(Verdict.rubric_version_id)
    )


def lengths(wanted: Sequence[ColumnElement[bool]]) -> Select[int, int, int]:
    """How long the first two responses of the labelled items are, in characters."""
    of_labels = select(Label.item_id).where(*wanted)
    return select(Response.item_id, Response.position, func.length(Response.text)).where(
        Response.item_id.in_(of_labels), Response.position < 2
    )


def newest() -> Select[int | None, int | None]:
    """The newest label and the newest verdict: both tables are only ever added to."""
    return select(select(func.max(Label.id)).scalar_subquery(), select(func.max(Verdict.id)).scalar_subquery())


def rankings(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Orders that people gave after they saw a ranking, beside it, and whose ranking it was."""
    return (
        select(Judge.model_version_id, Label.item_id, Label.ranking, Verdict.ranking, Label.agrees)
        .join(Verdict, Verdict.id == Label.verdict_id)
        .join(Judge, Judge.id == Verdict.judge_id)
        .where(*wanted, stands(), Verdict.status == READ)
        .order_by(Label.id)
    )


def sources() -> Select[int, str]:
    """Who wrote the responses of a project's item, as JSON, where that is known."""
    return select(ProjectItem.id, cast(ProjectItem.sources, Text)).where(
        ProjectItem.sources.is_not(None), ProjectItem.id.in_(select(Label.project_item_id))
    )


def projects() -> Select[int, str]:
    """Projects in which there is a label."""
    labelled = select(ProjectItem.project_id).join(Label, Label.project_item_id == ProjectItem.id)
    return select(Project.id, Project.name).where(Project.id.in_(labelled)).order_by(Project.name, Project.id)


def models(mode: str) -> Select[int, str, str]:
    """Models that gave verdicts of this mode, the newest first."""
    gave = exists().where(Verdict.judge_id == Judge.id, Verdict.mode == mode).correlate(Judge)
    judged = exists().where(Judge.model_version_id == ModelVersion.id, gave).correlate(ModelVersion)
    return (
        select(ModelVersion.id, ModelVersion.name, ModelVersion.digest).where(judged).order_by(ModelVersion.id.desc())
    )


def labelled_rubrics() -> Select[int, str, int]:
    """Rubric versions that labels name: id, the rubric's name, the version's number."""
    return (
        select(RubricVersion.id, Rubric.name, RubricVersion.number)
        .join(Rubric, Rubric.id == RubricVersion.rubric_id)
        .where(RubricVersion.id.in_(select(Label.rubric_version_id)))
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
