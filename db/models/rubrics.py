"""What is judged by: rubrics and their versions."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now


class Rubric(Base):
    """A rubric's name and state; what it says is in its versions."""

    __tablename__ = "rubrics"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    in_library: Mapped[bool] = mapped_column(default=True)
    """False for a rubric written in place on the judge page and never saved to the library."""
    shipped_as: Mapped[str | None] = mapped_column(String(200), unique=True)
    """The name under which Assay ships it, whatever a person calls it since; null for a person's own."""
    archived_at: Mapped[datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    versions: Mapped[list["RubricVersion"]] = relationship(back_populates="rubric", order_by="RubricVersion.number")


class RubricVersion(Base):
    """A criterion and its five descriptions; never changed once a verdict or a label names it."""

    __tablename__ = "rubric_versions"
    __table_args__ = (UniqueConstraint("rubric_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    rubric_id: Mapped[int] = mapped_column(ForeignKey("rubrics.id"), index=True)
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64), index=True)
    criterion: Mapped[str]
    level_1: Mapped[str | None]
    level_2: Mapped[str | None]
    level_3: Mapped[str | None]
    level_4: Mapped[str | None]
    level_5: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    rubric: Mapped[Rubric] = relationship(back_populates="versions")
