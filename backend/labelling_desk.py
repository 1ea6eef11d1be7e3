"""One person at one project inside one transaction: what they are handed, shown, and have said."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.batch_job import item_of
from backend.doubts import place
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.labels import MAX_NOTE_CHARACTERS, label_opinion, say_of_seen
from backend.projects import RUSHED_SECONDS, ProjectState, project_row
from backend.results import Opinion, order_words, parse_order
from backend.rubrics import rubric_of
from backend.streams import Foremost, Stream, turn_of
from backend.types import SCORES, Mode, Rubric, checked_text, letter
from db import adjudication_queries
from db import models as rows
from db import project_queries as queries


@dataclass(frozen=True)
class Task:
    """An item in a person's hands. responses: in the order in which they are shown; letters name them in it.

    choice, note: what they have entered so far, or said before. choice: "1" to "5"; "A", "B" or "tie"; or an order
    such as "B > A > C". round: 2 where the item came back. reopened: they have a label on it. verdict_id: what they
    may see now: None before their label in a blind project.
    """

    project_id: int
    project_item_id: int
    round: int
    mode: Mode
    instruction: str
    responses: tuple[str, ...]
    reference: str | None
    rubric: Rubric
    choice: str
    note: str
    reopened: bool
    verdict_id: int | None


@dataclass(frozen=True)
class Given:
    """A label that is stored. words: what it says of the item as it was imported. rushed: within two seconds.

    verdict_id: what the person may see now; None if there is nothing, or it is not shown. kind: blind, agree, override.
    decided: a lead has decided on the item meanwhile; the label is kept beside the decision.
    """

    label_id: int
    project_item_id: int
    kind: str
    words: str
    rushed: bool
    verdict_id: int | None
    decided: bool


@dataclass(frozen=True)
class Recent:
    """A decision that can be reopened. instruction: its beginning. words: the choice as it was shown then."""

    project_item_id: int
    round: int
    instruction: str
    words: str


def opinion_of(choice: str, mode: Mode, order: Sequence[int]) -> Opinion:
    """Of what was chosen among the responses as they were shown. Raises InvalidInputError."""
    match mode:
        case Mode.DIRECT:
            if choice not in SCORES:
                raise InvalidInputError(f"The score is {choice[:40]!r}; choose 1 to 5.")
            return Opinion(score=int(choice))
        case Mode.PAIRWISE:
            if choice not in ("A", "B", "tie"):
                raise InvalidInputError(f"The winner is {choice[:40]!r}; choose A, B or tie.")
            return Opinion(winner="tie" if choice == "tie" else letter(order["AB".index(choice)]))
        case Mode.RANKING:
            return Opinion(order=tuple(order[place] for place in parse_order(choice, len(order))))


class Desk:
    """One person at one project, inside one transaction. hold: keep others from the project until it ends.

    Raises ConflictError, where it is held, if the project is not open.
    """

    def __init__(self, session: Session, project_id: int, user_id: int, *, hold: bool = True) -> None:
        self._session = session
        self.user = require_role(session, user_id, Role.ANNOTATOR, "label")
        self.project = project_row(session, project_id, hold=hold, rubrics=False)
        self.people_per_item = self.project.people_per_item
        if hold and self.project.state != ProjectState.OPEN:
            raise ConflictError(
                f"“{self.project.name}” is {self.project.state}, so it takes no labels. Your earlier labels are kept."
            )

    def free_item(self) -> int | None:
        """The next item for this person: of two streams from the one whose turn it is, if that has one for them."""
        share, wanted = self.project.audit_share, (self.project.id, self.user.id, self.people_per_item, rows.now())
        if share is None:
            return queries.free_item(self._session, *wanted)
        done = queries.done_count(self._session, self.project.id, self.user.id)
        turn = turn_of(self.project.seed, self.user.id, done, share)
        for stream in (turn, *(one for one in Stream if one is not turn)):
            found = queries.free_item(self._session, *wanted, stream=stream)
            if found is not None:
                return found
        return None

    def take(self, project_item_id: int, round: int) -> None:
        lease = queries.lease_of(self._session, self.project.id, self.user.id)
        if lease is None:
            lease = rows.Lease(project_id=self.project.id, user_id=self.user.id)
            self._session.add(lease)
        lease.project_item_id, lease.round, lease.taken_at = project_item_id, round, rows.now()
        lease.expires_at = rows.now() + timedelta(seconds=self.project.lease_seconds)
        self._session.flush()

    def let_go(self) -> None:
        lease = queries.lease_of(self._session, self.project.id, self.user.id)
        if lease is not None:
            self._session.delete(lease)

    def may_have(self, project_item_id: int) -> bool:
        """Whether the item is this person's to label: labelled by them, or in need of one more."""
        item = self._session.get_one(rows.ProjectItem, project_item_id)
        if self._has_label(item):
            return True
        return queries.is_free(self._session, item, self.user.id, self.people_per_item, rows.now())

    def task(self, project_item_id: int, round: int) -> Task:
        row = queries.whole_item(self._session, project_item_id)
        assert row is not None, "it was found in this transaction"
        item = item_of(row)
        order = self._order(row, round)
        standing = self._standing(row, round)
        draft = queries.draft_of(self._session, row.id, self.user.id)
        choice, note = ("", "") if standing is None else (_choice(label_opinion(standing), order), standing.note)
        if draft is not None:
            choice, note = draft.choice, draft.note
        return Task(
            project_id=self.project.id,
            project_item_id=row.id,
            round=round,
            mode=Mode(self.project.mode),
            instruction=item.instruction,
            responses=tuple(item.responses[position] for position in order),
            reference=item.reference,
            rubric=rubric_of(row.rubric_version),
            choice=choice,
            note=note,
            reopened=standing is not None,
            verdict_id=self._seen(row) if round == 1 else None,
        )

    def recent(self, found: Sequence[tuple[int, int]]) -> list[Recent]:
        """Of items with their rounds; in few questions to the database, since every label on the page asks for it."""
        ids = [item_id for item_id, _round in found]
        whole = {row.id: row for row in queries.whole_items(self._session, list(dict.fromkeys(ids)))}
        standing = queries.standing_of_person(self._session, ids, self.user.id)
        decisions = []
        for item_id, round in found:
            label, row = standing.get((item_id, round)), whole[item_id]
            words = "withdrawn" if label is None else _choice(label_opinion(label), self._order(row, round))
            decisions.append(Recent(item_id, round, row.item.instruction[:200], words))
        return decisions

    def label(self, item: rows.ProjectItem, client_id: str, choice: str, note: str, seconds: float) -> Given:
        check_note(note, required=False)
        lease = queries.lease_of(self._session, self.project.id, self.user.id)
        mine = lease is not None and lease.project_item_id == item.id
        round = lease.round if lease is not None and mine else 1
        if not self.may_have(item.id):
            raise ConflictError(
                f"Item {item.position + 1} was given to somebody else while you had it for longer than "
                f"{self.project.lease_seconds // 60} minutes, and they have labelled it. Take the next one."
            )
        order = self._order(item, round)
        first = not self._has_label(item)
        label = self._say(item, round, client_id, opinion_of(choice, Mode(self.project.mode), order), note)
        if label.client_id == client_id:
            label.project_item_id, label.seconds, label.shown_order = item.id, seconds, list(order)
            label.stream, label.sampling_probability = item.stream, item.sampling_probability
        if first:
            item.people += 1
        self._forget_draft(item)
        if mine:
            self.let_go()
        self._session.flush()
        if item.stream == Stream.CHOSEN and self.project.foremost == Foremost.DISPUTED:
            place(self._session, self.project, item)
        self._reveal(item)
        return self.given(item, label)

    def given(self, item: rows.ProjectItem, label: rows.Label) -> Given:
        return Given(
            label_id=label.id,
            project_item_id=item.id,
            kind=label.kind,
            words=label_opinion(label).words,
            rushed=label.seconds is not None and label.seconds < RUSHED_SECONDS,
            verdict_id=self._seen(item) if label.round == 1 else None,
            decided=bool(adjudication_queries.chain_of(self._session, item.id)),
        )

    def _say(self, item: rows.ProjectItem, round: int, client_id: str, opinion: Opinion, note: str) -> rows.Label:
        """The label that now stands: a new one, or the one that said the same already."""
        seen = self._seen(item) if round == 1 else None
        if seen is None:
            return self._say_blind(item, round, client_id, opinion, note)
        view = say_of_seen(self._session, seen, self.user.id, client_id, opinion, note)
        return self._session.get_one(rows.Label, view.id)

    def _say_blind(self, item: rows.ProjectItem, round: int, client_id: str, opinion: Opinion, note: str) -> rows.Label:
        chain = queries.blind_chain(self._session, item.id, self.user.id, round)
        if chain and chain[-1].kind == queries.BLIND and (label_opinion(chain[-1]), chain[-1].note) == (opinion, note):
            return chain[-1]
        label = rows.Label(
            client_id=client_id,
            kind=queries.BLIND,
            item_id=item.item_id,
            rubric_version_id=item.rubric_version_id,
            project_item_id=item.id,
            author_id=self.user.id,
            score=opinion.score,
            winner=opinion.winner,
            ranking=None if opinion.order is None else list(opinion.order),
            note=note,
            round=round,
            supersedes_id=chain[-1].id if chain else None,
        )
        self._session.add(label)
        self._session.flush()
        return label

    def _forget_draft(self, item: rows.ProjectItem) -> None:
        draft = queries.draft_of(self._session, item.id, self.user.id)
        if draft is not None:
            self._session.delete(draft)

    def _reveal(self, item: rows.ProjectItem) -> None:
        """From now on this person may see the verdict. Where items come back it stays hidden, or they would know it."""
        if self.project.repeats or queries.reveal_of(self._session, item.id, self.user.id) is not None:
            return
        verdict_id = queries.verdict_of(self._session, item.item_id, item.rubric_version_id)
        if verdict_id is not None:
            self._session.add(rows.Reveal(project_item_id=item.id, user_id=self.user.id, verdict_id=verdict_id))
            self._session.flush()

    def _seen(self, item: rows.ProjectItem) -> int | None:
        """The verdict that this person may see, or has seen."""
        reveal = queries.reveal_of(self._session, item.id, self.user.id)
        if reveal is not None:
            return reveal.verdict_id
        if self.project.blind:
            return None
        return queries.verdict_of(self._session, item.item_id, item.rubric_version_id)

    def _standing(self, item: rows.ProjectItem, round: int) -> rows.Label | None:
        """What this person says of the item now: their override if there is one, else their blind label."""
        found = queries.own_labels(self._session, item.id, self.user.id, round)
        return found[-1] if found else None

    def _has_label(self, item: rows.ProjectItem) -> bool:
        return self._standing(item, 1) is not None

    def _order(self, item: rows.ProjectItem, round: int) -> tuple[int, ...]:
        """Positions of the responses in the order in which this person sees them; the same whenever they do."""
        order = list(range(len(item.item.responses)))
        seed = f"{self.project.seed}:{item.position}:{self.user.id}:{round}"
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
        return tuple(order)


def desk_of(session: Session, project_item_id: int, user_id: int) -> tuple[rows.ProjectItem, Desk]:
    """The item, read once its project is held, so that nobody changes it meanwhile. Raises NotFoundError."""
    item = session.get(rows.ProjectItem, project_item_id)
    if item is None:
        raise NotFoundError(f"There is no item {project_item_id} in any project. Reload the page.")
    desk = Desk(session, item.project_id, user_id)
    session.refresh(item)
    return item, desk


def _choice(opinion: Opinion, order: Sequence[int]) -> str:
    """The inverse of opinion_of."""
    if opinion.score is not None:
        return str(opinion.score)
    if opinion.winner is not None:
        return "tie" if opinion.winner == "tie" else letter(order.index("AB".index(opinion.winner)))
    return order_words([order.index(position) for position in opinion.order or ()])


def check_note(note: str, *, required: bool) -> None:
    checked_text("The note", note, required=required)
    require_short("The note", note, MAX_NOTE_CHARACTERS)


def require_short(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidInputError(f"{name} has {len(text):,} characters; at most {most:,} are accepted. Shorten it.")
