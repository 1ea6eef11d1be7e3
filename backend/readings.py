"""A judge and its readings as rows: whoever asks a judge finds here what it has read already, and keeps the rest."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from backend.types import Finish, Maker, Reading, Status
from db import judging_queries as queries
from db import models as rows
from db.session import added


def judge_row_id(session: Session, maker: Maker, model_version_id: int) -> int:
    """The id of the judge's row, made if it is missing."""
    known = queries.judge_by_digest(session, maker.digest)
    if known is not None:
        return known
    judge = rows.Judge(
        digest=maker.digest,
        model_version_id=model_version_id,
        prompt_format=maker.prompt_format,
        format_digest=maker.format_digest,
        engine=maker.engine,
        engine_version=maker.engine_version,
        device=maker.device,
        dtype=maker.dtype,
        temperature=maker.sampling.temperature,
        top_p=maker.sampling.top_p,
        seed=maker.sampling.seed,
        max_new_tokens=maker.sampling.max_new_tokens,
        feedback=maker.sampling.feedback,
    )
    return judge.id if added(session, judge) else certain(queries.judge_by_digest(session, maker.digest))


def keep_reading(session: Session, judge_id: int, prompt_digest: str, reading: Reading) -> int:
    """The id of a new row for a further attempt at this prompt."""
    attempt = 1 + queries.reading_attempts(session, judge_id, prompt_digest)
    row = _row(judge_id, prompt_digest, attempt, reading)
    session.add(row)
    session.flush()
    return row.id


def keep_first_readings(session: Session, judge_id: int, readings: Mapping[str, Reading]) -> None:
    """Keep these readings, by their prompts' digests, of prompts that the judge has not read before.

    One that another process has kept meanwhile stays the only one: its prompt was read twice, and is there once.
    """
    known = queries.latest_readings(session, judge_id, list(readings))
    for digest, reading in readings.items():
        if digest not in known:
            added(session, _row(judge_id, digest, 1, reading))


def reading_of(row: rows.Reading) -> Reading:
    return Reading(
        status=Status(row.status),
        feedback=row.feedback,
        raw_text=row.raw_text,
        results=tuple(row.results),
        probabilities=None if row.probabilities is None else tuple(row.probabilities),
        finish=Finish(row.finish),
        prompt_tokens=row.prompt_tokens,
        new_tokens=row.new_tokens,
        seconds=row.seconds,
        parsed=row.parsed,
    )


def certain(found: int | None) -> int:
    assert found is not None, "a unique key was taken, so its row is there"
    return found


def _row(judge_id: int, prompt_digest: str, attempt: int, reading: Reading) -> rows.Reading:
    return rows.Reading(
        judge_id=judge_id,
        prompt_digest=prompt_digest,
        attempt=attempt,
        status=reading.status,
        results=list(reading.results),
        probabilities=None if reading.probabilities is None else list(reading.probabilities),
        feedback=reading.feedback,
        raw_text=reading.raw_text,
        finish=reading.finish,
        prompt_tokens=reading.prompt_tokens,
        new_tokens=reading.new_tokens,
        seconds=reading.seconds,
        parsed=reading.parsed,
    )
