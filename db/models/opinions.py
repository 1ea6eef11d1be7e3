"""What judges and people say of items: readings, the verdicts made of them, and labels."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now
from db.models.items import Item
from db.models.judges import Judge
from db.models.people import User
from db.models.rubrics import RubricVersion


class Reading(Base):
    """One pass of a judge over one prompt. attempt counts from 1; asking anew makes the next one."""

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("judge_id", "prompt_digest", "attempt"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    prompt_digest: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int] = mapped_column(default=1)
    status: Mapped[str] = mapped_column(String(20))
    results: Mapped[list[Any]]
    probabilities: Mapped[list[Any] | None]
    parsed: Mapped[str | None] = mapped_column(String(5))
    """The result that the text names, where the engine gave no probabilities."""
    feedback: Mapped[str]
    raw_text: Mapped[str]
    finish: Mapped[str] = mapped_column(String(20))
    prompt_tokens: Mapped[int]
    new_tokens: Mapped[int]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Verdict(Base):
    """What a judge said of an item. One row a question, a maker and an attempt."""

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("item_id", "rubric_version_id", "judge_id", "attempt"),
        Index("ix_verdicts_mode_created", "mode", "created_at"),
        Index("ix_verdicts_rubric_created", "rubric_version_id", "created_at"),
        Index("ix_verdicts_judge_created", "judge_id", "created_at"),
        Index("ix_verdicts_created", "created_at"),
        Index("ix_verdicts_created_by", "created_by_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    attempt: Mapped[int] = mapped_column(default=1)
    mode: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    score: Mapped[int | None]
    expected_score: Mapped[float | None]
    confidence: Mapped[float | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    p_a: Mapped[float | None]
    p_a_first: Mapped[float | None]
    p_a_second: Mapped[float | None]
    order_sensitive: Mapped[bool | None]
    tie_margin: Mapped[float | None]
    ranking: Mapped[dict[str, Any] | None]
    """Of a ranking: {"ranked": [{position, rank, strength, low, high, expected_score}], "pairs", "sensitive_pairs"}."""
    seconds: Mapped[float]
    """Wall time that the judge worked for it; readings taken from the store cost none."""
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    item: Mapped[Item] = relationship()
    rubric_version: Mapped[RubricVersion] = relationship()
    judge: Mapped[Judge] = relationship()
    readings: Mapped[list["VerdictReading"]] = relationship(order_by="VerdictReading.id")
    labels: Mapped[list["Label"]] = relationship(order_by="Label.id", back_populates="verdict")


class Asking(Base):
    """A person asked what a verdict of somebody else's had answered already."""

    __tablename__ = "askings"
    __table_args__ = (UniqueConstraint("verdict_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class VerdictReading(Base):
    """Which readings a verdict is made of, and what each was asked."""

    __tablename__ = "verdict_readings"
    id: Mapped[int] = mapped_column(primary_key=True)
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"), index=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    first: Mapped[int]
    """Position on the item of the response that was judged, or shown first."""
    second: Mapped[int | None]
    """Position of the response that was shown second; null for a direct assessment."""
    reading: Mapped[Reading] = relationship()


class Label(Base):
    """What a person said of an item. Append-only: an edit or an undo is a row that supersedes."""

    __tablename__ = "labels"
    __table_args__ = (
        Index("ix_labels_verdict_author", "verdict_id", "author_id"),
        Index("ix_labels_project_item_author", "project_item_id", "author_id"),
        Index("ix_labels_author", "author_id"),
        Index("ix_labels_again", "project_item_id", sqlite_where=text("round = 2"), postgresql_where=text("round = 2")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    """Made by the page, so that a click that arrives twice is one label."""
    kind: Mapped[str] = mapped_column(String(20))
    """blind (given before a verdict was seen), agree or override (given after), or withdrawn (an undo)."""
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"), index=True)
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdicts.id"))
    """The verdict that its author had seen."""
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    score: Mapped[int | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    ranking: Mapped[list[Any] | None]
    """Positions from best to worst."""
    agrees: Mapped[bool | None]
    """Whether it says the same as the verdict seen; null for a withdrawal."""
    note: Mapped[str]
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"), unique=True)
    restores_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))
    """The earlier label that an undo made the current one again; this row says the same as that one."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    project_item_id: Mapped[int | None] = mapped_column(ForeignKey("project_items.id"))
    """Where it was given in a project."""
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    """2 where an item came back to measure how consistent its author is."""
    seconds: Mapped[float | None]
    """From when the page showed the item to when its author decided; null outside of projects."""
    shown_order: Mapped[list[Any] | None]
    """Positions of the responses in the order in which the page showed them."""
    stream: Mapped[str | None] = mapped_column(String(20))
    """From which its item was served; null where its project has no streams, and outside of projects."""
    sampling_probability: Mapped[float | None]
    """With which its item was drawn for that stream; null where none is known, as of an item chosen for its doubt."""
    verdict: Mapped[Verdict | None] = relationship(back_populates="labels")
    author: Mapped[User] = relationship()
