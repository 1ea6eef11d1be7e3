"""What judges: models with their lineage, the judges made of them, and how well those did on labelled sets."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now

WITHOUT_FILES = ("live", "endpoint")
"""Kinds of models that have no files on this machine: merged in memory, or served by somebody else."""


class ModelVersion(Base):
    """One set of weights, known by its digest."""

    __tablename__ = "model_versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(300), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    """base, expert, merge, external, live: a merge that is only in memory, or endpoint: served by somebody else."""
    trained_on: Mapped[str | None] = mapped_column(String(20))
    """Of an expert: direct, pairwise, or joint."""
    path: Mapped[str]
    architecture: Mapped[str] = mapped_column(String(100))
    bytes: Mapped[int] = mapped_column(BigInteger)
    prompt_format: Mapped[str] = mapped_column(String(50))
    recipe: Mapped[dict[str, Any] | None]
    card: Mapped[str | None]
    """What it was made of, with which settings and how it did, as Markdown."""
    removed_at: Mapped[datetime | None]
    """When its files were deleted; the row stays, since verdicts name it."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    parents: Mapped[list["ModelParent"]] = relationship(
        order_by="ModelParent.id", foreign_keys="ModelParent.child_id", back_populates="child"
    )


class ModelParent(Base):
    """One step of a lineage. role: base (of an expert or a task vector), direct or pairwise (of a merge)."""

    __tablename__ = "model_parents"
    __table_args__ = (UniqueConstraint("child_id", "role"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    child_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    parent_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    child: Mapped[ModelVersion] = relationship(foreign_keys=child_id, back_populates="parents")
    parent: Mapped[ModelVersion] = relationship(foreign_keys=parent_id)


class Activation(Base):
    """A model that was put into service. Append-only: the last one serves."""

    __tablename__ = "activations"
    id: Mapped[int] = mapped_column(primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Judge(Base):
    """A maker of verdicts: a model version, a prompt format, an engine and a sampling."""

    __tablename__ = "judges"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    prompt_format: Mapped[str] = mapped_column(String(50))
    format_digest: Mapped[str] = mapped_column(String(64))
    engine: Mapped[str] = mapped_column(String(50))
    engine_version: Mapped[str] = mapped_column(String(200))
    device: Mapped[str] = mapped_column(String(50))
    dtype: Mapped[str] = mapped_column(String(20))
    temperature: Mapped[float]
    top_p: Mapped[float]
    seed: Mapped[int] = mapped_column(BigInteger)
    max_new_tokens: Mapped[int]
    feedback: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)
    model_version: Mapped[ModelVersion] = relationship()


class Measurement(Base):
    """How well a judge agreed with the labels of one set. The readings behind it are the judge's own."""

    __tablename__ = "measurements"
    __table_args__ = (UniqueConstraint("judge_id", "set_digest", "metric"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    set_name: Mapped[str] = mapped_column(String(200))
    set_digest: Mapped[str] = mapped_column(String(64))
    """Of the rows that were measured: a subset is another set."""
    mode: Mapped[str] = mapped_column(String(20))
    metric: Mapped[str] = mapped_column(String(50))
    value: Mapped[float | None]
    """None where it is undefined on these rows."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    """Rows that count for this metric."""
    total: Mapped[int]
    """Rows of the set, also those that the judge could not read."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    judge: Mapped["Judge"] = relationship()
