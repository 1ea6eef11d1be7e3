"""What the rubric library asks of the tables, in one place, for SQLite and PostgreSQL alike."""

from collections.abc import Iterable

from sqlalchemy import exists, func, select, text
from sqlalchemy.orm import Session, aliased, contains_eager

from db.models import Label, Rubric, RubricVersion, Verdict


def hold_library(session: Session) -> None:
    """Be the only writer of rubrics until this transaction ends, so that a name can't be taken twice.

    SQLite's write lock, taken when the transaction began, is that already.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE rubrics IN SHARE ROW EXCLUSIVE MODE"))


def library(session: Session, *, include_archived: bool) -> list[RubricVersion]:
    """The latest version of each rubric of the library, by name."""
    newer = aliased(RubricVersion)
    superseded = exists().where(newer.rubric_id == RubricVersion.rubric_id, newer.number > RubricVersion.number)
    query = (
        select(RubricVersion)
        .join(RubricVersion.rubric)
        .options(contains_eager(RubricVersion.rubric))
        .where(Rubric.in_library, ~superseded)
        .order_by(func.lower(Rubric.name), Rubric.id)
    )
    if not include_archived:
        query = query.where(Rubric.archived_at.is_(None))
    return list(session.scalars(query))


def latest_version(session: Session, rubric_id: int, *, lock: bool = False) -> RubricVersion | None:
    """The rubric's newest version. lock: wait for, and then hold off, whoever is about to name it."""
    query = select(RubricVersion).where(RubricVersion.rubric_id == rubric_id)
    query = query.order_by(RubricVersion.number.desc()).limit(1)
    return session.scalars(query.with_for_update() if lock else query).first()


def all_versions(session: Session, rubric_id: int) -> list[RubricVersion]:
    """Every version of one rubric, the newest first."""
    query = select(RubricVersion).where(RubricVersion.rubric_id == rubric_id)
    return list(session.scalars(query.order_by(RubricVersion.number.desc())))


def version_with_digest(session: Session, digest: str) -> RubricVersion | None:
    """A version that says exactly this: one of the library's in use first, then the oldest.

    Until the transaction ends nobody can change what it says.
    """
    query = (
        select(RubricVersion)
        .join(RubricVersion.rubric)
        .where(RubricVersion.digest == digest)
        .order_by(Rubric.in_library.desc(), Rubric.archived_at.is_not(None), RubricVersion.id)
        .limit(1)
        .with_for_update(read=True, key_share=True, of=RubricVersion)
    )
    return session.scalars(query).first()


def is_used(session: Session, version_id: int) -> bool:
    """Whether a verdict or a label names the version."""
    by_verdict = exists().where(Verdict.rubric_version_id == version_id)
    by_label = exists().where(Label.rubric_version_id == version_id)
    return bool(session.scalar(select(by_verdict | by_label)))


def uses(session: Session, rubric_ids: Iterable[int]) -> dict[int, dict[int, int]]:
    """By rubric and by version: how many verdicts and labels name it; those with none are left out."""
    ids = list(rubric_ids)
    counts: dict[int, dict[int, int]] = {}
    for table in (Verdict, Label):
        query = (
            select(RubricVersion.rubric_id, RubricVersion.id, func.count())
            .join(table, table.rubric_version_id == RubricVersion.id)
            .where(RubricVersion.rubric_id.in_(ids))
            .group_by(RubricVersion.rubric_id, RubricVersion.id)
        )
        for rubric_id, version_id, count in session.execute(query):
            versions = counts.setdefault(rubric_id, {})
            versions[version_id] = versions.get(version_id, 0) + count
    return counts


def shipped_names(session: Session) -> set[str | None]:
    """The names under which shipped rubrics have been put into this store."""
    return set(session.scalars(select(Rubric.shipped_as).where(Rubric.shipped_as.is_not(None))))


def names_in_use(session: Session) -> dict[str, int]:
    """The names of the library's rubrics that are not archived, with their ids."""
    query = select(Rubric.name, Rubric.id).where(Rubric.in_library, Rubric.archived_at.is_(None))
    return dict(session.execute(query).all())
