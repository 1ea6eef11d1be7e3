"""What is judged: an instruction with its responses."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models.base import Base, now


class Item(Base):
    """An instruction with its responses and reference; the same content is the same row."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    mode: Mapped[str] = mapped_column(String(20))
    instruction: Mapped[str]
    reference: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    responses: Mapped[list["Response"]] = relationship(order_by="Response.position")


class Response(Base):
    __tablename__ = "responses"
    __table_args__ = (UniqueConstraint("item_id", "position"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    position: Mapped[int]
    text: Mapped[str]
