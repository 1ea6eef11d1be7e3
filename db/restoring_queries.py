"""What exports and restored projects look up: who saw, skipped or flagged an item, and what the store has."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Flag, Reading, Reveal, Skip, User, Verdict


def reveals(session: Session, project_item_id: int) -> list[tuple[str, int]]:
    query = select(User.name, Reveal.verdict_id).join(User, User.id == Reveal.user_id)
    found = session.execute(query.where(Reveal.project_item_id == project_item_id).order_by(Reveal.id))
    return [(name, verdict_id) for name, verdict_id in found]


def skips(session: Session, project_item_id: int) -> list[str]:
    query = select(User.name).join(Skip, Skip.user_id == User.id)
    return list(session.scalars(query.where(Skip.project_item_id == project_item_id).order_by(Skip.id)))


def flags(session: Session, project_item_id: int) -> list[tuple[str, str, datetime]]:
    query = select(User.name, Flag.note, Flag.created_at).join(User, User.id == Flag.user_id)
    found = session.execute(query.where(Flag.project_item_id == project_item_id).order_by(Flag.id))
    return [(name, note, at) for name, note, at in found]


def name_of(session: Session, user_id: int) -> str:
    return session.get_one(User, user_id).name


def reading_of(session: Session, judge_id: int, prompt_digest: str, attempt: int) -> Reading | None:
    same = (Reading.judge_id == judge_id, Reading.prompt_digest == prompt_digest, Reading.attempt == attempt)
    return session.scalar(select(Reading).where(*same))


def verdict_with(session: Session, item_id: int, rubric_version_id: int, judge_id: int, attempt: int) -> Verdict | None:
    question = (Verdict.item_id == item_id, Verdict.rubric_version_id == rubric_version_id)
    return session.scalar(select(Verdict).where(*question, Verdict.judge_id == judge_id, Verdict.attempt == attempt))
