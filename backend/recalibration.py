"""A project's recalibrated score in force: whose it is, what it was fitted to, and what it makes of a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from backend.agreement.calibration import Curve, recalibrated
from backend.agreement_rows import Kind
from db import models as rows
from db import recalibration_queries as queries


@dataclass(frozen=True)
class InForce:
    """A recalibration that is switched on. model: the judge's whose score it sets right. labels, items: that it was
    fitted to, of this kind."""

    model: str
    kind: Kind
    labels: int
    items: int
    by: str
    since: datetime


@dataclass(frozen=True)
class RecalibratedScore:
    """1..5. No label of the item itself was among those that its curve was fitted to. labels: how many were."""

    score: float
    labels: int


def score_of(row: rows.Recalibration | None, verdict: rows.Verdict) -> RecalibratedScore | None:
    """row: the project's last switch."""
    if row is None or row.curves is None or verdict.expected_score is None:
        return None
    if verdict.judge.model_version_id != row.model_version_id:
        return None
    curves: Sequence[Curve] = [tuple((x, y) for x, y in curve) for curve in row.curves]
    return RecalibratedScore(recalibrated(verdict.expected_score, verdict.item_id, curves), row.labels)


def in_force(session: Session, project_id: int) -> InForce | None:
    """None where it is switched off."""
    row = queries.last(session, project_id)
    if row is None or row.curves is None:
        return None
    model = session.get_one(rows.ModelVersion, row.model_version_id).name
    by = session.get_one(rows.User, row.created_by_id).name
    return InForce(model, Kind(row.kind or Kind.BLIND), row.labels, row.items, by, row.created_at)
