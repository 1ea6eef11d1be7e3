"""What is known of a model, as a value: rows in, views out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from db import model_queries as queries
from db.models import Judge, Measurement, ModelVersion

DIGITS = 12
"""Of a digest, where it stands for people to tell two models apart."""
NOWHERE = ""
"""The path of a model whose folder holds another model by now."""


class Presence(StrEnum):
    """Whether a model's files are where they were."""

    HERE = "here"
    MISSING = "missing"
    REPLACED = "replaced"
    """The folder holds another model version by now."""
    REMOVED = "removed"
    IN_MEMORY = "in memory"
    """A merge that was never written to disk."""
    ELSEWHERE = "elsewhere"
    """Behind an endpoint that somebody else serves."""


@dataclass(frozen=True)
class ParentView:
    """What a model was made of. role: base, direct or pairwise."""

    role: str
    id: int
    name: str
    digest: str


@dataclass(frozen=True)
class MeasurementView:
    """How well the model agreed with the labels of one set. value: None where it is undefined.

    low, high: the 95% interval. n: rows that count. total: rows of the set. feedback: the judge wrote it before
    each verdict. engine: what the judge ran on.
    """

    set_name: str
    set_digest: str
    mode: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    total: int
    feedback: bool
    engine: str
    created_at: datetime


@dataclass(frozen=True)
class ModelView:
    """A model version as it was recorded, and what became of it.

    bytes: of the weights. children: models that were made of it and not removed. verdicts: that it gave.
    active: it was put into service last, so the next start serves it. measurements: the latest first.
    """

    id: int
    name: str
    kind: str
    trained_on: str | None
    path: str
    digest: str
    architecture: str
    bytes: int
    prompt_format: str
    recipe: dict[str, Any] | None
    card: str | None
    created_at: datetime
    removed_at: datetime | None
    presence: Presence
    parents: tuple[ParentView, ...]
    children: int
    verdicts: int
    active: bool
    measurements: tuple[MeasurementView, ...]


def model_views(session: Session) -> Sequence[ModelView]:
    """Every model version, the latest first."""
    rows = session.scalars(queries.versions()).all()
    active = queries.latest_activation(session)
    children, verdicts = queries.child_counts(session), queries.verdict_counts(session)
    measured: dict[int, list[MeasurementView]] = {}
    for one in queries.measurements(session):
        measured.setdefault(one.judge.model_version_id, []).append(_measurement(one, one.judge))
    return [
        ModelView(
            id=row.id,
            name=row.name,
            kind=row.kind,
            trained_on=row.trained_on,
            path=row.path,
            digest=row.digest,
            architecture=row.architecture,
            bytes=row.bytes,
            prompt_format=row.prompt_format,
            recipe=row.recipe,
            card=row.card,
            created_at=row.created_at,
            removed_at=row.removed_at,
            presence=_presence(row),
            parents=tuple(
                ParentView(step.role, step.parent_id, step.parent.name, step.parent.digest) for step in row.parents
            ),
            children=children.get(row.id, 0),
            verdicts=verdicts.get(row.id, 0),
            active=row.id == active,
            measurements=tuple(measured.get(row.id, ())),
        )
        for row in rows
    ]


def _presence(row: ModelVersion) -> Presence:
    if row.removed_at is not None:
        return Presence.REMOVED
    if row.kind == "live":
        return Presence.IN_MEMORY
    if row.kind == "endpoint":
        return Presence.ELSEWHERE
    if row.path == NOWHERE:
        return Presence.REPLACED
    return Presence.HERE if Path(row.path).is_dir() else Presence.MISSING


def _measurement(row: Measurement, judge: Judge) -> MeasurementView:
    return MeasurementView(
        set_name=row.set_name,
        set_digest=row.set_digest,
        mode=row.mode,
        metric=row.metric,
        value=row.value,
        low=row.low,
        high=row.high,
        n=row.n,
        total=row.total,
        feedback=judge.feedback,
        engine=f"{judge.engine} on {judge.device}, {judge.dtype}",
        created_at=row.created_at,
    )
