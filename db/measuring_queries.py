"""What measuring looks up: what a judge has read of a set's prompts, and its measurements."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Judge, Measurement, ModelVersion, Reading

AT_ONCE = 500
"""Digests in one query; both databases bound the number of a query's parameters."""


class Said(NamedTuple):
    """What a reading says of the results, as columns of its row."""

    results: list[str]
    probabilities: list[float] | None
    parsed: str | None


def newest_readings(session: Session, judge_id: int, prompt_digests: Collection[str]) -> dict[str, Said]:
    """What the judge's newest reading of each prompt that it has read says, by the prompts' digests."""
    digests, found = list(prompt_digests), dict[str, Said]()
    for start in range(0, len(digests), AT_ONCE):
        readings = session.execute(
            select(Reading.prompt_digest, Reading.results, Reading.probabilities, Reading.parsed)
            .where(Reading.judge_id == judge_id, Reading.prompt_digest.in_(digests[start : start + AT_ONCE]))
            .order_by(Reading.attempt)
        )
        found.update((digest, Said(*said)) for digest, *said in readings)
    return found


def measurements(session: Session, judge_id: int, set_digest: str) -> Sequence[Measurement]:
    """The judge's figures on a set, in the order in which they were stored; empty if it was not measured on it."""
    wanted = (Measurement.judge_id == judge_id, Measurement.set_digest == set_digest)
    return session.scalars(select(Measurement).where(*wanted).order_by(Measurement.id)).all()


def judges_measured_on(session: Session, set_digests: Collection[str]) -> list[tuple[str, int]]:
    """The judges that have figures on every one of these sets, the oldest first: their model's name and their id."""
    query = (
        select(ModelVersion.name, Judge.id)
        .join(Judge, Judge.model_version_id == ModelVersion.id)
        .join(Measurement, Measurement.judge_id == Judge.id)
        .where(Measurement.set_digest.in_(set_digests))
        .group_by(ModelVersion.name, Judge.id)
        .having(func.count(Measurement.set_digest.distinct()) == len(set(set_digests)))
        .order_by(Judge.id)
    )
    return [(name, judge_id) for name, judge_id in session.execute(query)]


def model_at(session: Session, path: str) -> ModelVersion | None:
    """The model version that lies in this folder now."""
    wanted = (ModelVersion.path == path, ModelVersion.removed_at.is_(None))
    return session.scalar(select(ModelVersion).where(*wanted).order_by(ModelVersion.id.desc()).limit(1))


def newest_judge(session: Session, model_version_id: int, feedback: bool) -> int | None:
    """The judge of this model that was made last, of those that write feedback or of those that don't."""
    wanted = (Judge.model_version_id == model_version_id, Judge.feedback.is_(feedback))
    return session.scalar(select(Judge.id).where(*wanted).order_by(Judge.id.desc()).limit(1))


def newest_times(session: Session, judge_id: int, count: int) -> list[datetime]:
    """When the judge's newest readings were kept, the oldest first."""
    query = select(Reading.created_at).where(Reading.judge_id == judge_id).order_by(Reading.id.desc()).limit(count)
    return sorted(session.scalars(query))


def measured_sets(session: Session) -> list[tuple[str, str, datetime]]:
    """Every set that was ever measured on, as it was then: its name, its digest, and when it was measured last."""
    last = func.max(Measurement.created_at)
    query = select(Measurement.set_name, Measurement.set_digest, last).group_by(
        Measurement.set_name, Measurement.set_digest
    )
    return [(name, digest, when) for name, digest, when in session.execute(query.order_by(last.desc()))]


def verdict_only_judges(session: Session, model_digest: str, dtype: str | None) -> list[tuple[int, int]]:
    """The judges made of these weights that write no feedback, the newest first: their ids and their model's.

    dtype: that of the loaded weights; None takes all.
    """
    query = (
        select(Judge.id, Judge.model_version_id)
        .join(ModelVersion, ModelVersion.id == Judge.model_version_id)
        .where(ModelVersion.digest == model_digest, Judge.feedback.is_(False))
        .order_by(Judge.id.desc())
    )
    found = session.execute(query if dtype is None else query.where(Judge.dtype == dtype))
    return [(judge_id, model_version_id) for judge_id, model_version_id in found]


def merges(session: Session) -> Sequence[ModelVersion]:
    """Every merge that was ever written to disk, the newest first."""
    query = select(ModelVersion).where(ModelVersion.kind == "merge", ModelVersion.recipe.is_not(None))
    return session.scalars(query.order_by(ModelVersion.id.desc())).all()
