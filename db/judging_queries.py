"""What judging looks up: judges and items by digest, verdicts and readings that are there already."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Asking, Item, Judge, Reading, Verdict


def judge_by_digest(session: Session, digest: str) -> int | None:
    return session.scalar(select(Judge.id).where(Judge.digest == digest))


def item_by_digest(session: Session, digest: str) -> int | None:
    return session.scalar(select(Item.id).where(Item.digest == digest))


def latest_verdict(session: Session, item_id: int, rubric_version_id: int, judge_id: int) -> int | None:
    """The id of the judge's newest verdict on the item by the rubric."""
    question = (Verdict.item_id == item_id, Verdict.rubric_version_id == rubric_version_id)
    return session.scalar(
        select(Verdict.id).where(*question, Verdict.judge_id == judge_id).order_by(Verdict.attempt.desc()).limit(1)
    )


def keep_asking(session: Session, verdict_id: int, user_id: int) -> None:
    """Remember that this person has asked what the verdict answers, unless they are who it was made for."""
    made_for = session.scalar(select(Verdict.created_by_id).where(Verdict.id == verdict_id))
    known = session.scalar(select(Asking.id).where(Asking.verdict_id == verdict_id, Asking.user_id == user_id))
    if made_for != user_id and known is None:
        session.add(Asking(verdict_id=verdict_id, user_id=user_id))


def attempts(session: Session, item_id: int, rubric_version_id: int, judge_id: int) -> int:
    """How many times the judge has been asked this."""
    question = (Verdict.item_id == item_id, Verdict.rubric_version_id == rubric_version_id)
    newest = session.scalar(select(func.max(Verdict.attempt)).where(*question, Verdict.judge_id == judge_id))
    return newest or 0


def latest_readings(session: Session, judge_id: int, prompt_digests: Collection[str]) -> dict[str, Reading]:
    """The judge's newest reading of each prompt it has read."""
    found = session.scalars(
        select(Reading)
        .where(Reading.judge_id == judge_id, Reading.prompt_digest.in_(prompt_digests))
        .order_by(Reading.attempt)
    )
    return {reading.prompt_digest: reading for reading in found}


def reading_attempts(session: Session, judge_id: int, prompt_digest: str) -> int:
    newest = session.scalar(
        select(func.max(Reading.attempt)).where(Reading.judge_id == judge_id, Reading.prompt_digest == prompt_digest)
    )
    return newest or 0
