"""Long work that survives a restart."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, now


class Job(Base):
    """Long work that survives a restart. spec: what was asked, enough to do it again."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    """merge, train, sweep or judge."""
    title: Mapped[str] = mapped_column(String(300))
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20), index=True)
    """queued, running, paused, done, failed or cancelled."""
    message: Mapped[str] = mapped_column(default="")
    fraction: Mapped[float | None]
    result: Mapped[dict[str, Any] | None]
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
