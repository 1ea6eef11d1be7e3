"""What a project's long export says beyond its plain columns, so that the project can be restored from it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from backend.rubrics import rubric_of
from db import models as rows
from db import restoring_queries as queries

State = dict[str, Any]
READING = ("id", "judge_id")
VERDICT = ("id", "item_id", "rubric_version_id", "judge_id", "created_by_id", "created_at")
JUDGE = ("id", "model_version_id")
MODEL = ("id", "path", "removed_at")
PROJECT = ("id", "name", "created_by_id", "created_at")
"""Columns that belong to this store and no other, or stand in the export already."""


def policy_state(project: rows.Project) -> State:
    """The project's policy, its guidelines and its rubrics."""
    rubrics = [rubric_of(one.rubric_version) for one in project.rubrics]
    return {
        **columns_of(project, PROJECT),
        "rubrics": [{"criterion": one.criterion, "levels": list(one.levels)} for one in rubrics],
    }


def item_state(session: Session, row: rows.ProjectItem) -> State:
    """Its place in the order, and who has seen a verdict, skipped it or flagged it."""
    return {
        "order_key": row.order_key,
        "reveals": [[name, verdict_id] for name, verdict_id in queries.reveals(session, row.id)],
        "skips": queries.skips(session, row.id),
        "flags": [[name, note, at.isoformat()] for name, note, at in queries.flags(session, row.id)],
    }


def verdict_state(verdict: rows.Verdict, asked_by: str) -> State:
    """The verdict with its judge, the judge's model and its readings."""
    return {
        "asked_by": asked_by,
        "verdict": columns_of(verdict, VERDICT),
        "judge": columns_of(verdict.judge, JUDGE),
        "model": columns_of(verdict.judge.model_version, MODEL),
        "readings": [
            {"first": one.first, "second": one.second, **columns_of(one.reading, READING)} for one in verdict.readings
        ],
    }


def columns_of(row: rows.Base, without: Collection[str]) -> State:
    """A row's columns as JSON values; moments in ISO 8601."""
    names = [column.key for column in inspect(type(row)).columns if column.key not in without]
    found = {name: getattr(row, name) for name in names}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}
