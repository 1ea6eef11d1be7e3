"""The tables. One word for one thing: the names are those of DESIGN's word list, and of backend.types."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware on both sides: SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: Text,
    }


class User(Base):
    """A person. Local mode has one, the owner of this machine's store."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    """admin, lead or annotator."""
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """Argon2id with its salt and settings; null for who can't sign in, such as the local owner."""
    disabled_at: Mapped[datetime | None]
    """Since when they can't sign in any more; what they said stays theirs."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignIn(Base):
    """A browser or a program in which a person is signed in."""

    __tablename__ = "sign_ins"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of what the browser shows: who reads the database can't sign in with it."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class Rubric(Base):
    """A rubric's name and state; what it says is in its versions."""

    __tablename__ = "rubrics"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    in_library: Mapped[bool] = mapped_column(default=True)
    """False for a rubric written in place on the judge page and never saved to the library."""
    shipped_as: Mapped[str | None] = mapped_column(String(200), unique=True)
    """The name under which Assay ships it, whatever a person calls it since; null for a person's own."""
    archived_at: Mapped[datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    versions: Mapped[list["RubricVersion"]] = relationship(back_populates="rubric", order_by="RubricVersion.number")


class RubricVersion(Base):
    """A criterion and its five descriptions; never changed once a verdict or a label names it."""

    __tablename__ = "rubric_versions"
    __table_args__ = (UniqueConstraint("rubric_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    rubric_id: Mapped[int] = mapped_column(ForeignKey("rubrics.id"), index=True)
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64), index=True)
    criterion: Mapped[str]
    level_1: Mapped[str | None]
    level_2: Mapped[str | None]
    level_3: Mapped[str | None]
    level_4: Mapped[str | None]
    level_5: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    rubric: Mapped[Rubric] = relationship(back_populates="versions")


class Item(Base):
    """An instruction with its responses and reference; the same content is the same row."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    mode: Mapped[str] = mapped_column(String(20))
    instruction: Mapped[str]
    reference: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    responses: Mapped[list["Response"]] = relationship(order_by="Response.position")


class Response(Base):
    __tablename__ = "responses"
    __table_args__ = (UniqueConstraint("item_id", "position"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    position: Mapped[int]
    text: Mapped[str]


WITHOUT_FILES = ("live", "endpoint")
"""Kinds of models that have no files on this machine: merged in memory, or served by somebody else."""


class ModelVersion(Base):
    """One set of weights, known by its digest."""

    __tablename__ = "model_versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(300), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    """base, expert, merge, external, live: a merge that is only in memory, or endpoint: served by somebody else."""
    trained_on: Mapped[str | None] = mapped_column(String(20))
    """Of an expert: direct, pairwise, or joint."""
    path: Mapped[str]
    architecture: Mapped[str] = mapped_column(String(100))
    bytes: Mapped[int] = mapped_column(BigInteger)
    prompt_format: Mapped[str] = mapped_column(String(50))
    recipe: Mapped[dict[str, Any] | None]
    card: Mapped[str | None]
    """What it was made of, with which settings and how it did, as Markdown."""
    removed_at: Mapped[datetime | None]
    """When its files were deleted; the row stays, since verdicts name it."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    parents: Mapped[list["ModelParent"]] = relationship(
        order_by="ModelParent.id", foreign_keys="ModelParent.child_id", back_populates="child"
    )


class ModelParent(Base):
    """One step of a lineage. role: base (of an expert or a task vector), direct or pairwise (of a merge)."""

    __tablename__ = "model_parents"
    __table_args__ = (UniqueConstraint("child_id", "role"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    child_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    parent_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    child: Mapped[ModelVersion] = relationship(foreign_keys=child_id, back_populates="parents")
    parent: Mapped[ModelVersion] = relationship(foreign_keys=parent_id)


class Activation(Base):
    """A model that was put into service. Append-only: the last one serves."""

    __tablename__ = "activations"
    id: Mapped[int] = mapped_column(primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Job(Base):
    """Long work that survives a restart. spec: what was asked, enough to do it again."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    """merge, train, sweep or judge."""
    title: Mapped[str] = mapped_column(String(300))
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20), index=True)
    """queued, running, paused, done, failed or cancelled."""
    message: Mapped[str] = mapped_column(default="")
    fraction: Mapped[float | None]
    result: Mapped[dict[str, Any] | None]
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Measurement(Base):
    """How well a judge agreed with the labels of one set. The readings behind it are the judge's own."""

    __tablename__ = "measurements"
    __table_args__ = (UniqueConstraint("judge_id", "set_digest", "metric"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    set_name: Mapped[str] = mapped_column(String(200))
    set_digest: Mapped[str] = mapped_column(String(64))
    """Of the rows that were measured: a subset is another set."""
    mode: Mapped[str] = mapped_column(String(20))
    metric: Mapped[str] = mapped_column(String(50))
    value: Mapped[float | None]
    """None where it is undefined on these rows."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    """Rows that count for this metric."""
    total: Mapped[int]
    """Rows of the set, also those that the judge could not read."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    judge: Mapped["Judge"] = relationship()


class Judge(Base):
    """A maker of verdicts: a model version, a prompt format, an engine and a sampling."""

    __tablename__ = "judges"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    prompt_format: Mapped[str] = mapped_column(String(50))
    format_digest: Mapped[str] = mapped_column(String(64))
    engine: Mapped[str] = mapped_column(String(50))
    engine_version: Mapped[str] = mapped_column(String(200))
    device: Mapped[str] = mapped_column(String(50))
    dtype: Mapped[str] = mapped_column(String(20))
    temperature: Mapped[float]
    top_p: Mapped[float]
    seed: Mapped[int] = mapped_column(BigInteger)
    max_new_tokens: Mapped[int]
    feedback: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)
    model_version: Mapped[ModelVersion] = relationship()


class Reading(Base):
    """One pass of a judge over one prompt. attempt counts from 1; asking anew makes the next one."""

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("judge_id", "prompt_digest", "attempt"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    prompt_digest: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int] = mapped_column(default=1)
    status: Mapped[str] = mapped_column(String(20))
    results: Mapped[list[Any]]
    probabilities: Mapped[list[Any] | None]
    parsed: Mapped[str | None] = mapped_column(String(5))
    """The result that the text names, where the engine gave no probabilities."""
    feedback: Mapped[str]
    raw_text: Mapped[str]
    finish: Mapped[str] = mapped_column(String(20))
    prompt_tokens: Mapped[int]
    new_tokens: Mapped[int]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Verdict(Base):
    """What a judge said of an item. One row a question, a maker and an attempt."""

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("item_id", "rubric_version_id", "judge_id", "attempt"),
        Index("ix_verdicts_mode_created", "mode", "created_at"),
        Index("ix_verdicts_rubric_created", "rubric_version_id", "created_at"),
        Index("ix_verdicts_judge_created", "judge_id", "created_at"),
        Index("ix_verdicts_created", "created_at"),
        Index("ix_verdicts_created_by", "created_by_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"))
    attempt: Mapped[int] = mapped_column(default=1)
    mode: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    score: Mapped[int | None]
    expected_score: Mapped[float | None]
    confidence: Mapped[float | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    p_a: Mapped[float | None]
    p_a_first: Mapped[float | None]
    p_a_second: Mapped[float | None]
    order_sensitive: Mapped[bool | None]
    tie_margin: Mapped[float | None]
    ranking: Mapped[dict[str, Any] | None]
    """Of a ranking: {"ranked": [{position, rank, strength, low, high, expected_score}], "pairs", "sensitive_pairs"}."""
    seconds: Mapped[float]
    """Wall time that the judge worked for it; readings taken from the store cost none."""
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    item: Mapped[Item] = relationship()
    rubric_version: Mapped[RubricVersion] = relationship()
    judge: Mapped[Judge] = relationship()
    readings: Mapped[list["VerdictReading"]] = relationship(order_by="VerdictReading.id")
    labels: Mapped[list["Label"]] = relationship(order_by="Label.id", back_populates="verdict")


class Asking(Base):
    """A person asked what a verdict of somebody else's had answered already."""

    __tablename__ = "askings"
    __table_args__ = (UniqueConstraint("verdict_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class VerdictReading(Base):
    """Which readings a verdict is made of, and what each was asked."""

    __tablename__ = "verdict_readings"
    id: Mapped[int] = mapped_column(primary_key=True)
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"), index=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    first: Mapped[int]
    """Position on the item of the response that was judged, or shown first."""
    second: Mapped[int | None]
    """Position of the response that was shown second; null for a direct assessment."""
    reading: Mapped[Reading] = relationship()


class Label(Base):
    """What a person said of an item. Append-only: an edit or an undo is a row that supersedes."""

    __tablename__ = "labels"
    __table_args__ = (
        Index("ix_labels_verdict_author", "verdict_id", "author_id"),
        Index("ix_labels_project_item_author", "project_item_id", "author_id"),
        Index("ix_labels_author", "author_id"),
        Index("ix_labels_again", "project_item_id", sqlite_where=text("round = 2"), postgresql_where=text("round = 2")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    """Made by the page, so that a click that arrives twice is one label."""
    kind: Mapped[str] = mapped_column(String(20))
    """blind (given before a verdict was seen), agree or override (given after), or withdrawn (an undo)."""
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"), index=True)
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdicts.id"))
    """The verdict that its author had seen."""
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    score: Mapped[int | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    ranking: Mapped[list[Any] | None]
    """Positions from best to worst."""
    agrees: Mapped[bool | None]
    """Whether it says the same as the verdict seen; null for a withdrawal."""
    note: Mapped[str]
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"), unique=True)
    restores_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))
    """The earlier label that an undo made the current one again; this row says the same as that one."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    project_item_id: Mapped[int | None] = mapped_column(ForeignKey("project_items.id"))
    """Where it was given in a project."""
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    """2 where an item came back to measure how consistent its author is."""
    seconds: Mapped[float | None]
    """From when the page showed the item to when its author decided; null outside of projects."""
    shown_order: Mapped[list[Any] | None]
    """Positions of the responses in the order in which the page showed them."""
    stream: Mapped[str | None] = mapped_column(String(20))
    """From which its item was served; null where its project has no streams, and outside of projects."""
    sampling_probability: Mapped[float | None]
    """With which its item was drawn for that stream; null where none is known, as of an item chosen for its doubt."""
    verdict: Mapped[Verdict | None] = relationship(back_populates="labels")
    author: Mapped[User] = relationship()


class Project(Base):
    """Items that several people label by the same rules."""

    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    guidelines: Mapped[str]
    """Markdown for those who label."""
    mode: Mapped[str] = mapped_column(String(20))
    """direct, pairwise or ranking: of every item."""
    blind: Mapped[bool]
    """People label before they see the verdict."""
    people_per_item: Mapped[int]
    item_order: Mapped[str] = mapped_column(String(20))
    """given, random or two streams."""
    audit_share: Mapped[float | None]
    """Of two streams: the probability with which an item is drawn for the audit stream."""
    foremost: Mapped[str | None] = mapped_column(String(20))
    """Of two streams: which items of the second come first, uncertain or disputed."""
    repeats: Mapped[int]
    """How many items come back to each person, to measure their consistency."""
    lease_seconds: Mapped[int]
    """How long an item in hand is kept for its person."""
    seed: Mapped[int] = mapped_column(BigInteger)
    """Of the random order, of the streams and of the sides."""
    state: Mapped[str] = mapped_column(String(20))
    """open, closed or archived."""
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    rubrics: Mapped[list["ProjectRubric"]] = relationship(order_by="ProjectRubric.position")


class ProjectRubric(Base):
    """A rubric by which each item of the project is labelled that brings none of its own."""

    __tablename__ = "project_rubrics"
    __table_args__ = (UniqueConstraint("project_id", "rubric_version_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    rubric_version: Mapped[RubricVersion] = relationship()


class ProjectItem(Base):
    """An item to be labelled by one rubric in one project; never changed, but for `people` and `order_key`."""

    __tablename__ = "project_items"
    __table_args__ = (
        UniqueConstraint("project_id", "item_id", "rubric_version_id"),
        UniqueConstraint("project_id", "position"),
        Index("ix_project_items_order", "project_id", "order_key"),
        Index("ix_project_items_people", "project_id", "people", "order_key"),
        Index("ix_project_items_stream", "project_id", "stream", "order_key"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    """In the order of import, from 0."""
    order_key: Mapped[int] = mapped_column(BigInteger)
    """Items are handed out by it. In the second of two streams it follows what is known of the item's doubt."""
    stream: Mapped[str | None] = mapped_column(String(20))
    """audit or chosen; null where the project has no streams."""
    sampling_probability: Mapped[float | None]
    """With which it was drawn for the audit stream; null outside of it."""
    people: Mapped[int] = mapped_column(default=0)
    """How many people have a label on it that stands, of the first round."""
    external_id: Mapped[str | None] = mapped_column(String(300))
    sources: Mapped[list[Any] | None]
    """Who wrote each response, by position; null where that is not known."""
    extra: Mapped[dict[str, Any] | None]
    """The other fields of the imported row."""
    imported_labels: Mapped[list[Any] | dict[str, Any] | None] = mapped_column(JSON)
    """What people had said before the import: scores from 1 to 5, or A, B and tie; by their names where known."""
    item: Mapped[Item] = relationship()
    rubric_version: Mapped[RubricVersion] = relationship()


class StagedItem(Base):
    """A row of an import that is not finished: a ProjectItem to be. What a killed import left is removed later."""

    __tablename__ = "staged_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[str] = mapped_column(String(32), index=True)
    """Made for each import."""
    staged_at: Mapped[datetime] = mapped_column(default=now)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    rubric_version_id: Mapped[int] = mapped_column(ForeignKey("rubric_versions.id"))
    position: Mapped[int]
    order_key: Mapped[int] = mapped_column(BigInteger)
    stream: Mapped[str | None] = mapped_column(String(20))
    sampling_probability: Mapped[float | None]
    people: Mapped[int]
    external_id: Mapped[str | None] = mapped_column(String(300))
    sources: Mapped[list[Any] | None]
    extra: Mapped[dict[str, Any] | None]
    imported_labels: Mapped[list[Any] | dict[str, Any] | None] = mapped_column(JSON)


class Lease(Base):
    """An item in a person's hands, until it expires; one each."""

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    round: Mapped[int]
    taken_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class LabelDraft(Base):
    """What a person has entered of a label that is not given yet."""

    __tablename__ = "label_drafts"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    choice: Mapped[str] = mapped_column(String(100))
    note: Mapped[str]
    saved_at: Mapped[datetime]


class Skip(Base):
    """A person passed an item by; others still get it."""

    __tablename__ = "skips"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Flag(Base):
    """Something is wrong with an item, as a person says in their note."""

    __tablename__ = "flags"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    note: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Reveal(Base):
    """A person was shown a verdict on an item of a project: what they say from then on is not blind."""

    __tablename__ = "reveals"
    __table_args__ = (UniqueConstraint("project_item_id", "user_id"), Index("ix_reveals_user", "user_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdicts.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Adjudication(Base):
    """What a lead decided of an item on which people, or people and model, disagree. Append-only: one may supersede."""

    __tablename__ = "adjudications"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    score: Mapped[int | None]
    winner: Mapped[str | None] = mapped_column(String(5))
    ranking: Mapped[list[Any] | None]
    """Positions from best to worst."""
    reason: Mapped[str]
    label_ids: Mapped[list[Any]]
    """The labels that stood when it was decided."""
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("verdicts.id"))
    """The verdict that could be looked at then."""
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("adjudications.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[User] = relationship()


class BatchFailure(Base):
    """Why the last batch has no result for an item; gone when it has one."""

    __tablename__ = "batch_failures"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_item_id: Mapped[int] = mapped_column(ForeignKey("project_items.id"), unique=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Recalibration(Base):
    """A project's recalibrated score was switched on, or off. Append-only: the last one counts."""

    __tablename__ = "recalibrations"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    """Whose scores the curves set right; null for off, as all that follows."""
    curves: Mapped[list[Any] | None]
    """For each fold of items the curve that was fitted on the other folds: [expected score, recalibrated score] pairs
    at its steps, by rising expected score."""
    kind: Mapped[str | None] = mapped_column(String(20))
    """Of the labels that were fitted to: blind or imported."""
    labels: Mapped[int]
    items: Mapped[int]
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[User] = relationship()
