"""What the registry looks up: model versions, their families, what was said by them and measured of them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from db.models import WITHOUT_FILES, Activation, Judge, Measurement, ModelParent, ModelVersion, Verdict


def versions() -> Select[ModelVersion]:
    """All model versions with their parents, the latest first."""
    parents = selectinload(ModelVersion.parents).joinedload(ModelParent.parent)
    return select(ModelVersion).options(parents).order_by(ModelVersion.id.desc())


def version_by_digest(session: Session, digest: str) -> ModelVersion | None:
    return session.scalar(select(ModelVersion).where(ModelVersion.digest == digest))


def locked_version(session: Session, model_version_id: int) -> ModelVersion | None:
    """The version as it is now; until the transaction ends nobody else changes it or makes a child of it."""
    query = select(ModelVersion).where(ModelVersion.id == model_version_id)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def versions_at(session: Session, path: str) -> Sequence[ModelVersion]:
    """What was in this folder when it was last looked at, and was not removed; the latest first."""
    here = (ModelVersion.path == path, ModelVersion.removed_at.is_(None), ModelVersion.kind.not_in(WITHOUT_FILES))
    return session.scalars(select(ModelVersion).where(*here).order_by(ModelVersion.id.desc())).all()


def made_versions(session: Session) -> Sequence[ModelVersion]:
    """Experts and merges that were not removed."""
    made = (ModelVersion.kind.in_(("expert", "merge")), ModelVersion.removed_at.is_(None))
    return session.scalars(select(ModelVersion).where(*made).options(selectinload(ModelVersion.parents))).all()


def children(session: Session, parent_id: int) -> Sequence[ModelVersion]:
    """The models on disk that name this one as a parent and were not removed, the latest first."""
    of_parent = select(ModelParent.child_id).where(ModelParent.parent_id == parent_id)
    query = select(ModelVersion).where(ModelVersion.id.in_(of_parent), *_kept())
    return session.scalars(query.order_by(ModelVersion.id.desc())).all()


def child_counts(session: Session) -> dict[int, int]:
    """How many models on disk each model is a parent of; without those that are of none."""
    query = (
        select(ModelParent.parent_id, func.count(ModelParent.child_id.distinct()))
        .join(ModelVersion, ModelVersion.id == ModelParent.child_id)
        .where(*_kept())
        .group_by(ModelParent.parent_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def verdict_counts(session: Session) -> dict[int, int]:
    """How many verdicts each model gave; without those that gave none."""
    by_judge = select(Verdict.judge_id, func.count().label("verdicts")).group_by(Verdict.judge_id).subquery()
    query = (
        select(Judge.model_version_id, func.sum(by_judge.c.verdicts))
        .join(by_judge, by_judge.c.judge_id == Judge.id)
        .group_by(Judge.model_version_id)
    )
    return {model_version_id: int(count) for model_version_id, count in session.execute(query)}


def measurements(session: Session) -> Sequence[Measurement]:
    """All of them with their judges, the latest first."""
    query = select(Measurement).options(joinedload(Measurement.judge))
    return session.scalars(query.order_by(Measurement.created_at.desc(), Measurement.id.desc())).all()


def has_judged(session: Session, model_version_id: int) -> bool:
    """Whether a judge of this model is stored: its recipe is then part of that judge's identity."""
    return bool(session.scalar(select(exists().where(Judge.model_version_id == model_version_id))))


def latest_activation(session: Session) -> int | None:
    """The id of the model that was put into service last."""
    return session.scalar(select(Activation.model_version_id).order_by(Activation.id.desc()).limit(1))


def _kept() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of a model that has files: merges in memory are as easily made again as they were made."""
    return ModelVersion.removed_at.is_(None), ModelVersion.kind.not_in(WITHOUT_FILES)
