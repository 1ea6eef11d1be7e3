"""What the recalibrated score of a project looks up."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ModelVersion, Recalibration


def last(session: Session, project_id: int) -> Recalibration | None:
    """The project's last switch, on or off."""
    query = select(Recalibration).where(Recalibration.project_id == project_id)
    return session.scalar(query.order_by(Recalibration.id.desc()).limit(1))


def model_of(session: Session, digest: str) -> int:
    return session.scalars(select(ModelVersion.id).where(ModelVersion.digest == digest)).one()
