"""What people do with the items of a project, but for their labels."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now
from db.models.people import User


class Lease(Base):
    """An item in a person's hands, until it expires; one each."""

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    round: Mapped[int]
    taken_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class LabelDraft(Base):
    """What a person has entered of a label that is not given yet."""

    __tablename__ = "label_drafts"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    choice: Mapped[str] = mapped_column(String(100))
    note: Mapped[str]
    saved_at: Mapped[datetime]


class Skip(Base):
    """A person passed an item by; others still get it."""

    __tablename__ = "skips"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Flag(Base):
    """Something is wrong with an item, as a person says in their note."""

    __tablename__ = "flags"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    note: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Reveal(Base):
    """A person was shown a verdict on an item of a project: what they say from then on is not blind."""

    __tablename__ = "reveals"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"), Index("ix_reveals_user", "user_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Adjudication(Base):
    """What a lead decided of an item on which people, or people and model, disagree. Append-only: one may supersede."""

    __tablename__ = "adjudications"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    score: Mapped[int | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    ranking: Mapped[list[Any] | None]
    """Positions from best to worst."""
    reason: Mapped[str]
    label_ids: Mapped[list[Any]]
    """The labels that stood when it was decided."""
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdicts.id"))
    """The verdict that could be looked at then."""
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("adjudications.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[User] = relationship()
