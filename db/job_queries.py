"""What jobs ask of their table. Every change names the states that it starts from: of two, the first wins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, and_, func, literal, or_, select, update
from sqlalchemy.orm import Session

from db.models import Job, UtcDateTime


def newest_jobs(session: Session, kind: str | None, limit: int) -> list[Job]:
    """The newest jobs, of one kind or of all, the newest first."""
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    return list(session.scalars(query if kind is None else query.where(Job.kind == kind)))


def open_jobs(session: Session) -> Sequence[Job]:
    """Jobs that have not ended, the oldest first: queued, running, or cancelled and not yet stopped."""
    stopping = and_(Job.state == "cancelled", Job.finished_at.is_(None))
    return session.scalars(
        select(Job).where(or_(Job.state.in_(("queued", "running")), stopping)).order_by(Job.id)
    ).all()


def begin_job(session: Session, job_id: int, at: datetime) -> bool:
    """Mark a queued or interrupted job as running; False if it is neither. Its first beginning stays written."""
    first = func.coalesce(Job.started_at, literal(at, UtcDateTime()))
    return _changed(
        session,
        update(Job)
        .where(Job.id == job_id, Job.state.in_(("queued", "running")))
        .values(state="running", message="", started_at=first),
    )


def requeue_job(session: Session, job_id: int, message: str) -> bool:
    """Mark a running job as waiting to go on; False if it was cancelled meanwhile."""
    return _changed(
        session, update(Job).where(Job.id == job_id, Job.state == "running").values(state="queued", message=message)
    )


def cancel_job(session: Session, job_id: int, at: datetime) -> bool:
    """Cancel: a queued job has ended with it, a running one when it has stopped; False if it is neither."""
    queued = update(Job).where(Job.id == job_id, Job.state.in_(("queued", "paused")))
    if _changed(session, queued.values(state="cancelled", message="Cancelled while it waited.", finished_at=at)):
        return True
    return _changed(session, update(Job).where(Job.id == job_id, Job.state == "running").values(state="cancelled"))


def end_job(
    session: Session, job_id: int, *, state: str, message: str, result: dict[str, Any] | None, at: datetime
) -> bool:
    """Write how a job ended; False if it had ended before."""
    values: dict[str, Any] = {"state": state, "message": message, "result": result, "finished_at": at}
    if state == "done":
        values["fraction"] = 1.0
    unended = update(Job).where(Job.id == job_id, Job.finished_at.is_(None))
    if state == "cancelled":  # whoever stops because of a pause has not been cancelled
        unended = unended.where(Job.state != "paused")
    return _changed(session, unended.values(**values))


def pause_job(session: Session, job_id: int) -> bool:
    """Mark a job that waits or runs as paused; False if it does neither."""
    going = update(Job).where(Job.id == job_id, Job.state.in_(("queued", "running")))
    return _changed(session, going.values(state="paused", message="Paused; resume goes on where it was."))


def resume_job(session: Session, job_id: int) -> bool:
    """Mark a paused job as waiting to go on; False if it is not paused."""
    paused = update(Job).where(Job.id == job_id, Job.state == "paused")
    return _changed(session, paused.values(state="queued", message=""))


def keep_progress(session: Session, job_id: int, message: str, fraction: float | None) -> None:
    session.execute(
        update(Job).where(Job.id == job_id, Job.state == "running").values(message=message, fraction=fraction)
    )


def _changed(session: Session, statement: Any) -> bool:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount > 0
