"""What projects look up: items, who has them in hand, what is labelled, and how far everybody is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased, selectinload

from db.models import (
    Adjudication,
    BatchFailure,
    Flag,
    Item,
    Judge,
    Label,
    LabelDraft,
    Lease,
    Project,
    ProjectItem,
    ProjectRubric,
    Response,
    Reveal,
    Skip,
    User,
    Verdict,
    VerdictReading,
)

BLIND = "blind"
WITHDRAWN = "withdrawn"


def projects(session: Session, *, include_archived: bool) -> list[Project]:
    """By name."""
    query = select(Project).options(*_with_rubrics()).order_by(func.lower(Project.name), Project.id)
    return list(session.scalars(query if include_archived else query.where(Project.state != "archived")))


def project(session: Session, project_id: int, *, hold: bool = False, rubrics: bool = True) -> Project | None:
    """hold: be the only one who changes what belongs to it until the transaction ends, on PostgreSQL as on SQLite.

    rubrics: with them, for who will look at them.
    """
    query = select(Project).options(*(_with_rubrics() if rubrics else ())).where(Project.id == project_id)
    return session.scalars(query.with_for_update(key_share=True) if hold else query).one_or_none()


def named(session: Session, name: str) -> int | None:
    """Names that differ in case alone are the same name."""
    return session.scalar(select(Project.id).where(func.lower(Project.name) == name.lower()))


def item_counts(session: Session, project_ids: Collection[int]) -> dict[int, int]:
    query = select(ProjectItem.project_id, func.count()).where(ProjectItem.project_id.in_(project_ids))
    return dict(session.execute(query.group_by(ProjectItem.project_id)).all())


def next_position(session: Session, project_id: int) -> int:
    last = session.scalar(select(func.max(ProjectItem.position)).where(ProjectItem.project_id == project_id))
    return 0 if last is None else last + 1


def first_position(session: Session, project_id: int) -> int | None:
    return session.scalar(select(func.min(ProjectItem.position)).where(ProjectItem.project_id == project_id))


def item_ids(session: Session, digests: Collection[str]) -> dict[str, int]:
    found = session.execute(select(Item.digest, Item.id).where(Item.digest.in_(digests)))
    return dict(found.all())


def there_already(session: Session, project_id: int, ids: Collection[int]) -> set[tuple[int, int]]:
    """Of these items the ones that the project has, each with its rubric's version."""
    query = select(ProjectItem.item_id, ProjectItem.rubric_version_id)
    found = session.execute(query.where(ProjectItem.project_id == project_id, ProjectItem.item_id.in_(ids)))
    return {(item_id, version_id) for item_id, version_id in found}


def insert_missing(session: Session, table: type[Item] | type[Response], rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose unique key is not taken, whoever takes it in this moment."""
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


@dataclass(frozen=True)
class LabelCount:
    """Of a person's labels that stand and took about so long (to 10 ms; None: not timed): how many there are, on how
    many items for the first time, sooner than rushed, overrides, and on items that came back."""

    name: str
    seconds: float | None
    labels: int
    items: int
    rushed: int
    overrides: int
    again: int


def label_counts(session: Session, project_id: int, rushed: float) -> list[LabelCount]:
    """By person, by rising seconds. In one pass over the labels: a project may have more than a page could wait for."""
    first, time = Label.round == 1, func.round(Label.seconds * 100)
    override = and_(first, Label.kind == "override", Label.agrees.is_(False))
    counts = (
        func.count().label("labels"),
        func.count(case((and_(first, ~_said_after_own_blind()), 1))).label("items"),
        func.count(case((Label.seconds < rushed, 1))).label("rushed"),
        func.count(case((override, 1))).label("overrides"),
        func.count(case((Label.round == 2, 1))).label("again"),
    )
    by_author = _standing_in(project_id, Label.author_id, time.label("time"), *counts).group_by(Label.author_id, time)
    found = by_author.subquery()
    query = select(User.name, found.c.time / 100, *list(found.c)[2:]).join(User, User.id == found.c.author_id)
    return [LabelCount(*row) for row in session.execute(query.order_by(User.name, found.c.time))]


def _said_after_own_blind() -> ColumnElement[bool]:
    """A label that its author gave after the verdict was seen, beside a blind one of theirs that stands too."""
    blind, successor = aliased(Label), aliased(Label)
    superseded = exists().where(successor.supersedes_id == blind.id).correlate(blind)
    same = and_(blind.project_item_id == Label.project_item_id, blind.author_id == Label.author_id, blind.round == 1)
    stands = and_(blind.verdict_id.is_(None), blind.kind != WITHDRAWN, ~superseded)
    return and_(Label.verdict_id.is_not(None), exists().where(same, stands).correlate(Label))


def repeated_opinions(session: Session, project_id: int) -> list[tuple[str, int, int, Any]]:
    """What people say of items that came back to them, before they saw a verdict: name, item, round and opinion."""
    again = aliased(Label)
    pairs = select(again.project_item_id, again.author_id).distinct().join(ProjectItem)
    came_back = pairs.where(again.round == 2, ProjectItem.project_id == project_id).subquery()
    same = and_(came_back.c.project_item_id == Label.project_item_id, came_back.c.author_id == Label.author_id)
    query = select(User.name, Label.project_item_id, Label.round, Label.score, Label.winner, Label.ranking)
    query = query.select_from(came_back).join(Label, same).join(User, User.id == Label.author_id)
    found = session.execute(query.where(Label.verdict_id.is_(None), stands()).order_by(Label.id))
    return [(name, item_id, round, said) for name, item_id, round, *said in found]


def _standing_in(project_id: int, *columns: Any) -> Select[Any]:
    """Columns of every label in the project that stands."""
    query = select(*columns).select_from(Label).join(ProjectItem, ProjectItem.id == Label.project_item_id)
    return query.where(ProjectItem.project_id == project_id, stands())


def person_counts(session: Session, project_id: int, table: type[Skip] | type[Flag]) -> dict[str, int]:
    query = (
        select(User.name, func.count())
        .select_from(table)
        .join(ProjectItem, ProjectItem.id == table.project_item_id)
        .join(User, User.id == table.user_id)
        .where(ProjectItem.project_id == project_id)
        .group_by(User.name)
    )
    return dict(session.execute(query).all())


def people_counts(session: Session, project_id: int) -> dict[int, int]:
    """How many items have how many people's labels."""
    query = select(ProjectItem.people, func.count()).where(ProjectItem.project_id == project_id)
    return dict(session.execute(query.group_by(ProjectItem.people)).all())


def judged_count(session: Session, project_id: int) -> int:
    """How many items have a verdict with a result."""
    query = select(func.count()).select_from(ProjectItem).where(ProjectItem.project_id == project_id, _is_judged())
    return session.scalar(query) or 0


def failures(session: Session, project_id: int, limit: int) -> list[tuple[ProjectItem, BatchFailure]]:
    query = (
        select(ProjectItem, BatchFailure)
        .join(BatchFailure, BatchFailure.project_item_id == ProjectItem.id)
        .where(ProjectItem.project_id == project_id)
        .order_by(ProjectItem.position)
        .limit(limit)
    )
    return [(item, failure) for item, failure in session.execute(query)]


def failure_count(session: Session, project_id: int) -> int:
    query = select(func.count()).select_from(BatchFailure).join(ProjectItem).where(ProjectItem.project_id == project_id)
    return session.scalar(query) or 0


def failure_of(session: Session, project_item_id: int) -> BatchFailure | None:
    return session.scalar(select(BatchFailure).where(BatchFailure.project_item_id == project_item_id))


def items_to_judge(session: Session, project_id: int, *, failed_only: bool) -> list[int]:
    """All items' ids, those whose prompts begin alike next to each other. failed_only: those that have a failure."""
    query = select(ProjectItem.id).join(Item, Item.id == ProjectItem.item_id)
    if failed_only:
        query = query.join(BatchFailure, BatchFailure.project_item_id == ProjectItem.id)
    order = (ProjectItem.rubric_version_id, Item.instruction, Item.reference, ProjectItem.position)
    return list(session.scalars(query.where(ProjectItem.project_id == project_id).order_by(*order)))


def whole_items(session: Session, ids: Sequence[int]) -> list[ProjectItem]:
    """With their responses and rubrics, in the order of the ids."""
    query = select(ProjectItem).where(ProjectItem.id.in_(ids)).options(*_whole())
    found = {row.id: row for row in session.scalars(query)}
    return [found[one] for one in ids]


def whole_item(session: Session, project_item_id: int) -> ProjectItem | None:
    return session.scalars(select(ProjectItem).where(ProjectItem.id == project_item_id).options(*_whole())).first()


def items_in_order(session: Session, project_id: int, after: int, limit: int) -> list[ProjectItem]:
    """Whole, by position, from the one behind `after`."""
    query = select(ProjectItem).where(ProjectItem.project_id == project_id, ProjectItem.position > after)
    return list(session.scalars(query.options(*_whole()).order_by(ProjectItem.position).limit(limit)))


def verdict_of(session: Session, item_id: int, rubric_version_id: int) -> int | None:
    """The id of the newest verdict with a result."""
    query = select(Verdict.id).where(Verdict.item_id == item_id, Verdict.rubric_version_id == rubric_version_id)
    return session.scalar(query.where(Verdict.status == "read").order_by(Verdict.id.desc()).limit(1))


def labels_of_item(session: Session, project_item_id: int) -> list[tuple[Label, str, bool]]:
    """Every label event with its author's name and whether it stands, the oldest first."""
    query = select(Label, User.name, stands()).join(User, User.id == Label.author_id)
    found = session.execute(query.where(Label.project_item_id == project_item_id).order_by(Label.id))
    return [(label, name, bool(standing)) for label, name, standing in found]


def verdicts_of_item(session: Session, item_id: int, rubric_version_id: int) -> list[Verdict]:
    """Every verdict with its judge and readings, the oldest first."""
    query = select(Verdict).where(Verdict.item_id == item_id, Verdict.rubric_version_id == rubric_version_id)
    judge = selectinload(Verdict.judge).selectinload(Judge.model_version)
    readings = selectinload(Verdict.readings).selectinload(VerdictReading.reading)
    return list(session.scalars(query.options(judge, readings).order_by(Verdict.id)))


# Labelling


def stands() -> ColumnElement[bool]:
    """A label that nothing supersedes, and that is no withdrawal."""
    successor = aliased(Label)
    superseded = exists().where(successor.supersedes_id == Label.id).correlate(Label)
    return and_(Label.kind != WITHDRAWN, ~superseded)


def free_item(
    session: Session, project_id: int, user_id: int, people_per_item: int, at: datetime, *, stream: str | None = None
) -> int | None:
    """The first item in order that still needs somebody, and that this person has neither labelled nor skipped.

    stream: of this one alone.

    Items that a lead has decided on need nobody any more.
    """
    in_hand = (
        select(func.count())
        .select_from(Lease)
        .where(Lease.project_item_id == ProjectItem.id, Lease.expires_at > at, Lease.round == 1)
        .where(Lease.user_id != user_id)
        .correlate(ProjectItem)
        .scalar_subquery()
    )
    query = (
        select(ProjectItem.id)
        .where(ProjectItem.project_id == project_id, ProjectItem.people < people_per_item)
        .where(ProjectItem.people + in_hand < people_per_item)
        .where(~_labelled_by(user_id), ~_skipped_by(user_id), ~_decided())
        .order_by(ProjectItem.order_key, ProjectItem.id)
        .limit(1)
    )
    return session.scalar(query if stream is None else query.where(ProjectItem.stream == stream))


def is_free(session: Session, item: ProjectItem, user_id: int, people_per_item: int, at: datetime) -> bool:
    """Whether the item still needs this person beside those who labelled it or have it in hand."""
    in_hand = session.scalar(
        select(func.count())
        .select_from(Lease)
        .where(Lease.project_item_id == item.id, Lease.expires_at > at, Lease.round == 1, Lease.user_id != user_id)
    )
    return item.people + (in_hand or 0) < people_per_item


def repeats_of(session: Session, project_id: int, user_id: int) -> int:
    """How many items this person has labelled a second time."""
    query = select(func.count(Label.project_item_id.distinct())).join(ProjectItem)
    return session.scalar(query.where(*_own(project_id, user_id), Label.round == 2, stands())) or 0


def item_to_repeat(session: Session, project_id: int, user_id: int, *, apart: int) -> int | None:
    """The first item that this person labelled once, and at least `apart` others since."""
    again = aliased(Label)
    repeated = exists().where(
        again.project_item_id == Label.project_item_id, again.author_id == user_id, again.round == 2
    )
    query = select(Label.project_item_id).join(ProjectItem)
    query = query.where(*_own(project_id, user_id), Label.round == 1, stands(), Label.kind == BLIND, ~repeated)
    labelled = list(session.scalars(query.order_by(Label.id)))
    return labelled[0] if len(labelled) > apart else None


def lease_of(session: Session, project_id: int, user_id: int) -> Lease | None:
    return session.scalar(select(Lease).where(Lease.project_id == project_id, Lease.user_id == user_id))


def last_leased_project(session: Session, user_id: int) -> int | None:
    return session.scalar(
        select(Lease.project_id).where(Lease.user_id == user_id).order_by(Lease.taken_at.desc()).limit(1)
    )


def done_count(session: Session, project_id: int, user_id: int) -> int:
    query = select(func.count(Label.project_item_id.distinct())).join(ProjectItem)
    return session.scalar(query.where(*_own(project_id, user_id), stands())) or 0


def draft_of(session: Session, project_item_id: int, user_id: int) -> LabelDraft | None:
    own = (LabelDraft.project_item_id == project_item_id, LabelDraft.user_id == user_id)
    return session.scalar(select(LabelDraft).where(*own))


def skip_of(session: Session, project_item_id: int, user_id: int) -> Skip | None:
    return session.scalar(select(Skip).where(Skip.project_item_id == project_item_id, Skip.user_id == user_id))


def reveal_of(session: Session, project_item_id: int, user_id: int) -> Reveal | None:
    return session.scalar(select(Reveal).where(Reveal.project_item_id == project_item_id, Reveal.user_id == user_id))


def flag_of_click(session: Session, client_id: str) -> Flag | None:
    return session.scalar(select(Flag).where(Flag.client_id == client_id))


def blind_chain(session: Session, project_item_id: int, user_id: int, round: int) -> list[Label]:
    """This person's labels from before the verdict was seen, and their withdrawals, the oldest first."""
    own = (Label.project_item_id == project_item_id, Label.author_id == user_id, Label.round == round)
    return list(session.scalars(select(Label).where(*own, Label.verdict_id.is_(None)).order_by(Label.id)))


def own_labels(session: Session, project_item_id: int, user_id: int, round: int) -> list[Label]:
    """This person's labels that stand, the oldest first: one from before the verdict was seen, and one from after."""
    own = (Label.project_item_id == project_item_id, Label.author_id == user_id, Label.round == round)
    return list(session.scalars(select(Label).where(*own, stands()).order_by(Label.id)))


def standing_of_person(session: Session, ids: Collection[int], user_id: int) -> dict[tuple[int, int], Label]:
    """What this person says of these items now, by item and round: their override, else their blind label."""
    query = select(Label).where(Label.project_item_id.in_(ids), Label.author_id == user_id, stands())
    found = session.scalars(query.order_by(Label.id))
    return {(label.project_item_id, label.round): label for label in found if label.project_item_id is not None}


def recent_items(session: Session, project_id: int, user_id: int, limit: int) -> list[tuple[int, int]]:
    """The items that this person decided last, each with its round, the newest decision first."""
    newest = func.max(Label.id)
    query = select(Label.project_item_id, Label.round).join(ProjectItem).where(*_own(project_id, user_id))
    found = session.execute(query.group_by(Label.project_item_id, Label.round).order_by(newest.desc()).limit(limit))
    return [(item_id, round) for item_id, round in found if item_id is not None]


def _own(project_id: int, user_id: int) -> tuple[ColumnElement[bool], ...]:
    return (ProjectItem.project_id == project_id, Label.author_id == user_id)


def _labelled_by(user_id: int) -> ColumnElement[bool]:
    successor = aliased(Label)
    superseded = exists().where(successor.supersedes_id == Label.id).correlate(Label)
    return exists().where(
        Label.project_item_id == ProjectItem.id, Label.author_id == user_id, Label.kind != WITHDRAWN, ~superseded
    )


def _decided() -> ColumnElement[bool]:
    """A lead has decided on the item, so it needs nobody else."""
    return exists().where(Adjudication.project_item_id == ProjectItem.id)


def _skipped_by(user_id: int) -> ColumnElement[bool]:
    return exists().where(Skip.project_item_id == ProjectItem.id, Skip.user_id == user_id)


def _is_judged() -> ColumnElement[bool]:
    return exists().where(
        Verdict.item_id == ProjectItem.item_id,
        Verdict.rubric_version_id == ProjectItem.rubric_version_id,
        Verdict.status == "read",
    )


def _with_rubrics() -> tuple[Any, ...]:
    return (selectinload(Project.rubrics).selectinload(ProjectRubric.rubric_version),)


def _whole() -> tuple[Any, ...]:
    return (
        selectinload(ProjectItem.item).selectinload(Item.responses),
        selectinload(ProjectItem.rubric_version),
    )
