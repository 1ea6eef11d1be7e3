"""The questions that the services ask of the tables, as SQLAlchemy expressions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, selectinload

from db.models import (
    Item,
    Judge,
    Label,
    ModelVersion,
    Reading,
    Response,
    Rubric,
    RubricVersion,
    User,
    Verdict,
    VerdictReading,
)

WITHDRAWN = "withdrawn"


def newest_verdict_ids(wanted: Sequence[ColumnElement[bool]], limit: int) -> Select[int]:
    """The newest verdicts that are all of what is wanted. The indexes on created_at give the order."""
    return select(Verdict.id).where(*wanted).order_by(Verdict.created_at.desc(), Verdict.id.desc()).limit(limit)


def by_model(model_version_id: int) -> ColumnElement[bool]:
    return Verdict.judge_id.in_(select(Judge.id).where(Judge.model_version_id == model_version_id))


def by_rubric(rubric_id: int) -> ColumnElement[bool]:
    return Verdict.rubric_version_id.in_(select(RubricVersion.id).where(RubricVersion.rubric_id == rubric_id))


def of_mode(mode: str) -> ColumnElement[bool]:
    return Verdict.mode == mode


def agreed() -> ColumnElement[bool]:
    """Somebody's current label says the same as the verdict, and nobody's says otherwise."""
    return and_(Verdict.id.in_(_labelled(agrees=True)), Verdict.id.not_in(_labelled(agrees=False)))


def overridden() -> ColumnElement[bool]:
    """Somebody's current label says otherwise than the verdict."""
    return Verdict.id.in_(_labelled(agrees=False))


def unlabelled() -> ColumnElement[bool]:
    return ~exists().where(Label.verdict_id == Verdict.id, is_current()).correlate(Verdict)


def mentioning(text: str) -> ColumnElement[bool]:
    """The text stands in the instruction, a response, the reference or the feedback, in any case of letters.

    Both databases fold the case of ASCII letters by themselves only, so other text is also looked for in
    lower case, in capitals and with a capital first.
    """
    forms = {text} if text.isascii() else {text, text.lower(), text.upper(), text.capitalize()}

    def holds(column: Any) -> ColumnElement[bool]:
        return or_(*(column.icontains(form, autoescape=True) for form in sorted(forms)))

    in_item = exists().where(Item.id == Verdict.item_id, or_(holds(Item.instruction), holds(Item.reference)))
    in_response = exists().where(Response.item_id == Verdict.item_id, holds(Response.text))
    in_feedback = exists().where(
        VerdictReading.verdict_id == Verdict.id, Reading.id == VerdictReading.reading_id, holds(Reading.feedback)
    )
    return or_(in_item.correlate(Verdict), in_response.correlate(Verdict), in_feedback.correlate(Verdict))


def is_current() -> ColumnElement[bool]:
    """A label on a verdict that stands."""
    return and_(Label.verdict_id.is_not(None), stands())


def stands() -> ColumnElement[bool]:
    """Nothing supersedes the label, and it is no withdrawal."""
    successor = aliased(Label)
    superseded = exists().where(successor.supersedes_id == Label.id).correlate(Label)
    return and_(Label.kind != WITHDRAWN, ~superseded)


def _labelled(*, agrees: bool) -> Select[int | None]:
    return select(Label.verdict_id).where(is_current(), Label.agrees.is_(agrees))


def verdict_summaries(ids: Sequence[int], instruction_characters: int) -> Select[*tuple[Any, ...]]:
    """What a table shows of these verdicts, the newest first; of the instruction only its beginning."""
    return (
        select(
            Verdict.id,
            Verdict.created_at,
            Verdict.mode,
            Verdict.status,
            Verdict.score,
            Verdict.winner,
            Verdict.ranking,
            Verdict.confidence,
            Verdict.order_sensitive,
            func.substr(Item.instruction, 1, instruction_characters).label("instruction"),
            Rubric.name.label("rubric_name"),
            RubricVersion.number.label("rubric_number"),
            ModelVersion.name.label("model_name"),
        )
        .join(Item, Item.id == Verdict.item_id)
        .join(RubricVersion, RubricVersion.id == Verdict.rubric_version_id)
        .join(Rubric, Rubric.id == RubricVersion.rubric_id)
        .join(Judge, Judge.id == Verdict.judge_id)
        .join(ModelVersion, ModelVersion.id == Judge.model_version_id)
        .where(Verdict.id.in_(ids))
        .order_by(Verdict.created_at.desc(), Verdict.id.desc())
    )


def current_labels(verdict_ids: Sequence[int]) -> Select[Label, str]:
    """The labels that stand on these verdicts, with their authors' names."""
    return (
        select(Label, User.name)
        .join(User, User.id == Label.author_id)
        .where(Label.verdict_id.in_(verdict_ids), is_current())
        .order_by(Label.id)
    )


def labels_of(verdict_id: int) -> Select[Label, str]:
    """Every label event of a verdict, the oldest first, with its author's name."""
    return (
        select(Label, User.name)
        .join(User, User.id == Label.author_id)
        .where(Label.verdict_id == verdict_id)
        .order_by(Label.id)
    )


def label_of_click(client_id: str) -> Select[Label]:
    return select(Label).where(Label.client_id == client_id)


def verdict_to_label(verdict_id: int) -> Select[Verdict]:
    """The verdict, held until the transaction ends: on PostgreSQL its labels are written one at a time.

    SQLite, which knows no such lock, has one writer at a time anyway.
    """
    return select(Verdict).where(Verdict.id == verdict_id).with_for_update(key_share=True)


def response_count(item_id: int) -> Select[int]:
    return select(func.count()).select_from(Response).where(Response.item_id == item_id)


def whole_verdict(verdict_id: int) -> Select[Verdict]:
    """A verdict with everything that hangs on it."""
    return (
        select(Verdict)
        .where(Verdict.id == verdict_id)
        .options(
            selectinload(Verdict.item).selectinload(Item.responses),
            selectinload(Verdict.rubric_version).selectinload(RubricVersion.rubric),
            selectinload(Verdict.judge).selectinload(Judge.model_version),
            selectinload(Verdict.readings).selectinload(VerdictReading.reading),
        )
    )


def models_with_verdicts() -> Select[int, str]:
    has_verdict = exists().where(Verdict.judge_id == Judge.id)
    has_judge = exists().where(Judge.model_version_id == ModelVersion.id, has_verdict)
    return select(ModelVersion.id, ModelVersion.name).where(has_judge).order_by(ModelVersion.name, ModelVersion.id)


def rubrics_with_verdicts() -> Select[int, str]:
    has_verdict = exists().where(Verdict.rubric_version_id == RubricVersion.id)
    has_version = exists().where(RubricVersion.rubric_id == Rubric.id, has_verdict)
    return select(Rubric.id, Rubric.name).where(has_version).order_by(Rubric.name, Rubric.id)


def user_named(session: Session, name: str) -> User | None:
    """Names that differ in case alone are the same name."""
    return session.scalar(select(User).where(func.lower(User.name) == name.lower()))
