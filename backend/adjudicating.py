"""A lead settles what people, or people and model, disagree on: a decision with its reason, never overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.agreement.rankings import tau_b
from backend.batch_job import item_of
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.labelling import checked_click
from backend.labelling_desk import opinion_of
from backend.labels import MAX_NOTE_CHARACTERS, label_opinion
from backend.projects import project_row
from backend.results import Opinion, ranks_of
from backend.rubrics import rubric_of
from backend.types import Item, Mode, Rubric, checked_text
from db import adjudication_queries as queries
from db import models as rows
from db import project_queries
from db.session import Store

MOST_LISTED = 200
LEAST_TAU = 0.5
"""Of orders that are not in dispute: at least three quarters of the pairs stand as people put them."""
INSTRUCTION_CHARACTERS = 160


class Why(StrEnum):
    """Why an item is listed."""

    PEOPLE = "people"
    """Labels of one kind differ."""
    MODEL = "model"
    """People agree among each other, and not with the verdict: their mean score is a point or more away from its, or
    their winner another one; of rankings their winner is another one, or Kendall's tau of their order with its ranks
    lies below LEAST_TAU. Once nobody is waited for any more."""
    DECIDED = "decided"


@dataclass(frozen=True)
class Dispute:
    """An item of the queue. number: its own, from 1. instruction: its beginning. people: who labelled it."""

    project_item_id: int
    number: int
    instruction: str
    people: int


@dataclass(frozen=True)
class Side:
    """What one person says of the item. words: in its imported order. seen: after the verdict was shown to them."""

    label_id: int
    words: str
    note: str
    seen: bool
    author: str


@dataclass(frozen=True)
class Decision:
    """One decision on an item. words: what it says. stands: nothing supersedes it."""

    id: int
    words: str
    reason: str
    author: str
    at: datetime
    stands: bool


@dataclass(frozen=True)
class Case:
    """An item with everything that is known of it. verdict_id: of the newest verdict. decisions: the oldest first."""

    project_id: int
    project_item_id: int
    number: int
    mode: Mode
    item: Item
    rubric: Rubric
    sides: tuple[Side, ...]
    verdict_id: int | None
    decisions: tuple[Decision, ...]


class Adjudicating:
    """For leads. All raise NotFoundError, NotAllowedError, and StoreError where the database fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queue(self, project_id: int, user_id: int, why: Why = Why.PEOPLE) -> list[Dispute]:
        """The first MOST_LISTED items, the widest differences first; of those decided the last one first."""
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, "adjudicate")
            project = project_row(session, project_id)
            if why is Why.DECIDED:
                ids = queries.decided_items(session, project_id, MOST_LISTED)
                found = [(item_id, session.get_one(rows.ProjectItem, item_id).people) for item_id in ids]
            elif why is Why.MODEL and project.mode == Mode.RANKING:
                found = _against_the_model(queries.agreed_orders(session, project))[:MOST_LISTED]
            else:
                found = queries.disputed(session, project, model=why is Why.MODEL, limit=MOST_LISTED)
            return [_dispute(session, item_id, people) for item_id, people in found]

    def open(self, project_item_id: int, user_id: int) -> Case:
        """Everything of one item; sides in an order that does not tell who is who."""
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, "adjudicate")
            row = _item(session, project_item_id)
            return Case(
                project_id=row.project_id,
                project_item_id=row.id,
                number=row.position + 1,
                mode=Mode(row.item.mode),
                item=item_of(row),
                rubric=rubric_of(row.rubric_version),
                sides=_sides(session, row.id),
                verdict_id=project_queries.verdict_of(session, row.item_id, row.rubric_version_id),
                decisions=_decisions(session, row.id),
            )

    def decide(self, project_item_id: int, user_id: int, client_id: str, choice: str, reason: str) -> Decision:
        """The final decision on the item, in the place of an earlier one, which is kept.

        choice: "1" to "5"; "A", "B" or "tie"; or an order such as "B > A > C", in the imported order of responses.
        client_id: made by the page for this click; the same once more changes nothing. Raises InvalidInputError too.
        """
        checked_click(client_id)
        checked_text("The reason", reason)
        if len(reason) > MAX_NOTE_CHARACTERS:
            raise InvalidInputError(f"The reason has {len(reason):,} characters; at most {MAX_NOTE_CHARACTERS:,} fit.")
        with self._store.write() as session:
            require_role(session, user_id, Role.LEAD, "adjudicate")
            row = _item(session, project_item_id)
            project_row(session, row.project_id, hold=True)
            known = queries.of_click(session, client_id)
            if known is not None and (known.project_item_id, known.author_id) != (row.id, user_id):
                raise ConflictError(f"The client id {client_id} was used for another decision. Reload the page.")
            if known is None:
                _decide(session, row, user_id, client_id, choice, reason)
            return _decisions(session, row.id)[-1]


def _against_the_model(agreed: Sequence[queries.AgreedOrder]) -> list[tuple[int, int]]:
    """Those whose verdict has another winner, or orders them otherwise, each with its people, the lowest tau first."""
    apart = []
    for one in agreed:
        ranks = ranks_of(one.ranking)
        tau = tau_b(one.order, ranks)
        if tau is not None and (tau < LEAST_TAU or ranks[one.order[0]] > min(ranks)):
            apart.append((tau, one))
    return [(one.project_item_id, one.people) for _, one in sorted(apart, key=lambda found: found[0])]


def _decide(session: Session, row: rows.ProjectItem, user_id: int, client_id: str, choice: str, reason: str) -> None:
    opinion = opinion_of(choice, Mode(row.item.mode), range(len(row.item.responses)))
    before = queries.chain_of(session, row.id)
    session.add(
        rows.Adjudication(
            client_id=client_id,
            project_item_id=row.id,
            author_id=user_id,
            score=opinion.score,
            winner=opinion.winner,
            ranking=None if opinion.order is None else list(opinion.order),
            reason=reason,
            label_ids=[side.label_id for side in _sides(session, row.id)],
            verdict_id=project_queries.verdict_of(session, row.item_id, row.rubric_version_id),
            supersedes_id=before[-1].id if before else None,
        )
    )
    session.flush()


def decision_opinion(row: rows.Adjudication) -> Opinion:
    return Opinion(score=row.score, winner=row.winner, order=None if row.ranking is None else tuple(row.ranking))


def _item(session: Session, project_item_id: int) -> rows.ProjectItem:
    row = project_queries.whole_item(session, project_item_id)
    if row is None:
        raise NotFoundError(f"There is no item {project_item_id} in any project. Reload the page.")
    return row


def _dispute(session: Session, project_item_id: int, people: int) -> Dispute:
    row = session.get_one(rows.ProjectItem, project_item_id)
    return Dispute(row.id, row.position + 1, row.item.instruction[:INSTRUCTION_CHARACTERS], people)


def _sides(session: Session, project_item_id: int) -> tuple[Side, ...]:
    """The labels of the first round that stand, by what they say."""
    found = project_queries.labels_of_item(session, project_item_id)
    sides = [
        Side(label.id, label_opinion(label).words, label.note, label.verdict_id is not None, author)
        for label, author, stands in found
        if stands and label.round == 1
    ]
    return tuple(sorted(sides, key=lambda side: (side.seen, side.words, side.note, side.label_id)))


def _decisions(session: Session, project_item_id: int) -> tuple[Decision, ...]:
    found: Sequence[tuple[rows.Adjudication, str]] = queries.with_authors(session, project_item_id)
    last = found[-1][0].id if found else None
    return tuple(
        Decision(row.id, decision_opinion(row).words, row.reason, author, row.created_at, row.id == last)
        for row, author in found
    )
