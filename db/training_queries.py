"""What the making of training rows looks up, as SQLAlchemy expressions."""

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload, selectinload

from db.models import Item, Label, Verdict, VerdictReading
from db.queries import is_current


def standing_labels() -> Select[Label]:
    """Every label that stands, in the order in which they were given, with the verdict that its author had seen."""
    verdict = joinedload(Label.verdict)
    return (
        select(Label)
        .where(is_current())
        .order_by(Label.id)
        .options(
            verdict.joinedload(Verdict.item).selectinload(Item.responses),
            verdict.joinedload(Verdict.rubric_version),
            verdict.options(selectinload(Verdict.readings).joinedload(VerdictReading.reading)),
        )
    )
