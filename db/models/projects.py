"""Items for many people: projects with their rubrics and items, and what was decided or failed for a whole one."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now
from db.models.items import Item
from db.models.people import User
from db.models.rubrics import RubricVersion


class Project(Base):
    """Items that several people label by the same rules."""

    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    guidelines: Mapped[str]
    """Markdown for those who label."""
    mode: Mapped[str] = mapped_column(String(20))
    """direct, pairwise or ranking: of every item."""
    blind: Mapped[bool]
    """People label before they see the verdict."""
    people_per_item: Mapped[int]
    item_order: Mapped[str] = mapped_column(String(20))
    """given, random or two streams."""
    audit_share: Mapped[float | None]
    """Of two streams: the probability with which an item is drawn for the audit stream."""
    foremost: Mapped[str | None] = mapped_column(String(20))
    """Of two streams: which items of the second come first, uncertain or disputed."""
    repeats: Mapped[int]
    """How many items come back to each person, to measure their consistency."""
    lease_seconds: Mapped[int]
    """How long an item in hand is kept for its person."""
    seed: Mapped[int] = mapped_column(BigInteger)
    """Of the random order, of the streams and of the sides."""
    state: Mapped[str] = mapped_column(String(20))
    """open, closed or archived."""
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    rubrics: Mapped[list["ProjectRubric"]] = relationship(order_by="ProjectRubric.position")


class ProjectRubric(Base):
    """A rubric by which each item of the project is labelled that brings none of its own."""

    __tablename__ = "project_rubrics"
    __table_args__ = (UniqueConstraint("project_id", "rubric_version_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    rubric_version: Mapped[RubricVersion] = relationship()


class ProjectItem(Base):
    """An item to be labelled by one rubric in one project; never changed, but for `people` and `order_key`."""

    __tablename__ = "project_items"
    __table_args__ = (
        UniqueConstraint("project_id", "item_id", "rubric_version_id"),
        UniqueConstraint("project_id", "position"),
        Index("ix_project_items_order", "project_id", "order_key"),
        Index("ix_project_items_people", "project_id", "people", "order_key"),
        Index("ix_project_items_stream", "project_id", "stream", "order_key"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    """In the order of import, from 0."""
    order_key: Mapped[int] = mapped_column(BigInteger)
    """Items are handed out by it. In the second of two streams it follows what is known of the item's doubt."""
    stream: Mapped[str | None] = mapped_column(String(20))
    """audit or chosen; null where the project has no streams."""
    sampling_probability: Mapped[float | None]
    """With which it was drawn for the audit stream; null outside of it."""
    people: Mapped[int] = mapped_column(default=0)
    """How many people have a label on it that stands, of the first round."""
    external_id: Mapped[str | None] = mapped_column(String(300))
    sources: Mapped[list[Any] | None]
    """Who wrote each response, by position; null where that is not known."""
    extra: Mapped[dict[str, Any] | None]
    """The other fields of the imported row."""
    imported_labels: Mapped[list[Any] | dict[str, Any] | None] = mapped_column(JSON)
    """What people had said before the import: scores from 1 to 5, or A, B and tie; by their names where known."""
    item: Mapped[Item] = relationship()
    rubric_version: Mapped[RubricVersion] = relationship()


class StagedItem(Base):
    """A row of an import that is not finished: a ProjectItem to be. What a killed import left is removed later."""

    __tablename__ = "staged_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[str] = mapped_column(String(32), index=True)
    """Made for each import."""
    staged_at: Mapped[datetime] = mapped_column(default=now)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    order_key: Mapped[int] = mapped_column(BigInteger)
    stream: Mapped[str | None] = mapped_column(String(20))
    sampling_probability: Mapped[float | None]
    people: Mapped[int]
    external_id: Mapped[str | None] = mapped_column(String(300))
    sources: Mapped[list[Any] | None]
    extra: Mapped[dict[str, Any] | None]
    imported_labels: Mapped[list[Any] | dict[str, Any] | None] = mapped_column(JSON)


class BatchFailure(Base):
    """Why the last batch has no result for an item; gone when it has one."""

    __tablename__ = "batch_failures"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), unique=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Recalibration(Base):
    """A project's recalibrated score was switched on, or off. Append-only: the last one counts."""

    __tablename__ = "recalibrations"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    """Whose scores the curves set right; null for off, as all that follows."""
    curves: Mapped[list[Any] | None]
    """For each fold of items the curve that was fitted on the other folds: [expected score, recalibrated score] pairs
    at its steps, by rising expected score."""
    kind: Mapped[str | None] = mapped_column(String(20))
    """Of the labels that were fitted to: blind or imported."""
    labels: Mapped[int]
    items: Mapped[int]
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[User] = relationship()
