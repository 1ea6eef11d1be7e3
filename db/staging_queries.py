"""Rows of imports that are not finished: kept, taken into their project, and removed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db.models import ProjectItem, StagedItem

COLUMNS = (
    "project_id", "item_id", "rubric_version_id", "position", "order_key", "stream", "sampling_probability", "people",
    "external_id", "sources", "extra", "imported_labels",
)  # fmt: skip


def stage(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(StagedItem), rows)


def take(session: Session, import_id: str) -> None:
    """Make them items of their project, in one statement."""
    columns = [getattr(StagedItem, name) for name in COLUMNS]
    found = select(*columns).where(StagedItem.import_id == import_id).order_by(StagedItem.id)
    session.execute(insert(ProjectItem).from_select(COLUMNS, found, include_defaults=False))


def left_behind(session: Session, before: datetime) -> list[str]:
    """Imports that staged nothing since that moment."""
    query = select(StagedItem.import_id).group_by(StagedItem.import_id)
    return list(session.scalars(query.having(func.max(StagedItem.staged_at) < before)))


def remove(session: Session, import_id: str, limit: int) -> bool:
    """Remove at most so many rows of an import; whether there may be more."""
    ids = list(session.scalars(select(StagedItem.id).where(StagedItem.import_id == import_id).limit(limit)))
    session.execute(delete(StagedItem).where(StagedItem.id.in_(ids)))
    return len(ids) == limit
