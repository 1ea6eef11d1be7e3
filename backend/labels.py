"""What people say of a verdict that they have seen: agree, override, undo. Appended, never overwritten."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from backend.accounts import Role, may
from backend.agreement import WINNERS
from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.results import Opinion, ranking_of, same_ranking
from backend.types import SCORES, Mode, Status, checked_text
from db import queries
from db.blind_queries import may_see
from db.models import Label, User, Verdict
from db.session import Store

AGREE = "agree"
OVERRIDE = "override"
MAX_NOTE_CHARACTERS = 10_000
MAX_CLIENT_ID_CHARACTERS = 50


@dataclass(frozen=True)
class LabelView:
    """One label event, to look at.

    kind: "agree", "override" or "withdrawn". opinion: what it says of the item, None for a withdrawal.
    agrees: whether that is what the verdict said, None for a withdrawal. current: it stands, nothing came
    after it. restores_id: the earlier label that an undo brought back with this event.
    """

    id: int
    verdict_id: int
    kind: str
    author_id: int
    author: str
    created_at: datetime
    opinion: Opinion | None
    agrees: bool | None
    note: str
    supersedes_id: int | None
    restores_id: int | None
    current: bool

    @property
    def words(self) -> str:
        return "withdrawn" if self.opinion is None else self.opinion.words


class Labels:
    """The labels of people who have seen the verdict.

    Each author's events on a verdict are one chain, where each supersedes the one before. The last of
    them stands, unless it is a withdrawal. Two tabs that label at once are taken one after the other,
    on the fresh state: the later one stands and both are kept. Saying again what already stands (the same
    kind, opinion and note) adds nothing, and a client_id that was seen before gives back its label: a
    click that arrives twice is one label.

    All raise InvalidInputError, NotFoundError, NotAllowedError for a verdict that the person may not see, or
    StoreError; then nothing was changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def agree(self, verdict_id: int, author_id: int, client_id: str, note: str = "") -> LabelView:
        """The author says the same as the verdict."""
        with self._labelling(verdict_id, author_id, client_id) as labelling:
            opinion = labelling.verdict_opinion
            if opinion is None:
                raise InvalidInputError(
                    f"Verdict {verdict_id} has no result to agree with: the judge's answer could not be read. "
                    "Override it with your own."
                )
            return labelling.say(AGREE, opinion, note)

    def override_score(self, verdict_id: int, author_id: int, client_id: str, score: int, note: str = "") -> LabelView:
        """The author's own score, 1..5, for a direct assessment. It may be the verdict's: then it agrees."""
        with self._labelling(verdict_id, author_id, client_id) as labelling:
            labelling.expect(Mode.DIRECT)
            if str(score) not in SCORES:
                raise InvalidInputError(f"The score is {score}; it must be a whole number from 1 to 5.")
            return labelling.say(OVERRIDE, Opinion(score=score), note)

    def override_winner(
        self, verdict_id: int, author_id: int, client_id: str, winner: str, note: str = ""
    ) -> LabelView:
        """The author's own winner, "A", "B" or "tie", for a pairwise ranking."""
        with self._labelling(verdict_id, author_id, client_id) as labelling:
            labelling.expect(Mode.PAIRWISE)
            if winner not in WINNERS:
                raise InvalidInputError(f"The winner is {winner!r}; it must be A, B or tie.")
            return labelling.say(OVERRIDE, Opinion(winner=winner), note)

    def override_ranking(
        self, verdict_id: int, author_id: int, client_id: str, order: Sequence[int], note: str = ""
    ) -> LabelView:
        """The author's own order for a ranking: positions of all the item's responses, best to worst."""
        with self._labelling(verdict_id, author_id, client_id) as labelling:
            labelling.expect(Mode.RANKING)
            if sorted(order) != list(range(labelling.responses)):
                raise InvalidInputError(
                    f"The order {list(order)} does not name each of the {labelling.responses} responses once. "
                    f"Give all positions from 0 to {labelling.responses - 1}, the best first."
                )
            return labelling.say(OVERRIDE, Opinion(order=tuple(order)), note)

    def undo(self, verdict_id: int, author_id: int, client_id: str, *, seen: int | None = None) -> LabelView | None:
        """Take back the author's current label. Returns the one that then stands, None if none does.

        What an undo restores: the author's labels on a verdict are a stack. A label is put on it, an undo
        takes the top one off, and what is then on top stands again. So after labels 1, 2 and an undo,
        1 stands; a second undo leaves none; labels 1, 2, undo, 3, undo leave 1. An undo can't be undone:
        label again instead.

        In the table an undo is a `withdrawn` event that supersedes the current label, and, if an earlier
        one stands again, a second event that says the same as that one and names it (restores_id). The
        last event alone therefore always tells what stands.

        seen: the id of the label that the author was looking at. ConflictError if another stands by now.
        """
        with self._labelling(verdict_id, author_id, client_id) as labelling:
            return labelling.withdraw(seen)

    def current(self, verdict_id: int, author_id: int) -> LabelView | None:
        """The author's label that stands."""
        own = [label for label in self.trail(verdict_id, author_id) if label.author_id == author_id]
        return own[-1] if own and own[-1].current else None

    def trail(self, verdict_id: int, viewer_id: int) -> list[LabelView]:
        """The label events of a verdict that this person may see, the oldest first; empty if there are none."""
        with self._store.read() as session:
            require_shown(session, verdict_id, viewer_id)
            return trail_for(session, verdict_id, viewer_id)

    @contextmanager
    def _labelling(self, verdict_id: int, author_id: int, client_id: str) -> Iterator["_Labelling"]:
        if not 1 <= len(client_id) <= MAX_CLIENT_ID_CHARACTERS:
            raise InvalidInputError(
                f"The client id has {len(client_id)} characters; it must have 1 to {MAX_CLIENT_ID_CHARACTERS}."
            )
        with self._store.write() as session:
            verdict = session.scalars(queries.verdict_to_label(verdict_id)).one_or_none()
            if verdict is None:
                raise NotFoundError(f"There is no verdict {verdict_id}. It may belong to another database.")
            author = session.get(User, author_id)
            if author is None:
                raise NotFoundError(f"There is no person with the id {author_id}.")
            require_shown(session, verdict_id, author_id)
            yield _Labelling(session, verdict, author, client_id)


def trail(session: Session, verdict_id: int) -> list[LabelView]:
    """All label events of a verdict, the oldest first."""
    rows = session.execute(queries.labels_of(verdict_id))
    views = [_view(label, author, verdict_id, current=False) for label, author in rows]
    superseded = {view.supersedes_id for view in views}
    return [replace(view, current=view.id not in superseded and view.opinion is not None) for view in views]


def trail_for(session: Session, verdict_id: int, viewer_id: int) -> list[LabelView]:
    """The same, for an annotator only their own."""
    narrow = not may(session, viewer_id, Role.LEAD)
    return [view for view in trail(session, verdict_id) if not narrow or view.author_id == viewer_id]


def require_shown(session: Session, verdict_id: int, viewer_id: int) -> None:
    """Raises NotAllowedError for an annotator who neither asked for the verdict nor was shown it."""
    if not may(session, viewer_id, Role.LEAD) and not may_see(session, verdict_id, viewer_id):
        raise NotAllowedError(
            f"Verdict {verdict_id} is not shown to you: its item waits for your own label in a blind project, or "
            "somebody else asked for it. Label the item first, or ask a lead."
        )


def label_opinion(label: Label) -> Opinion:
    """What a label says; not for withdrawals, which say nothing."""
    return Opinion(
        score=label.score, winner=label.winner, order=None if label.ranking is None else tuple(label.ranking)
    )


def say_of_seen(
    session: Session, verdict_id: int, author_id: int, client_id: str, opinion: Opinion, note: str
) -> LabelView:
    """What the author says after they saw the verdict, inside a transaction that is open already.

    It agrees where it is what the verdict said, else it overrides. Raises InvalidInputError, NotFoundError.
    """
    verdict = session.scalars(queries.verdict_to_label(verdict_id)).one_or_none()
    author = session.get(User, author_id)
    if verdict is None or author is None:
        raise NotFoundError(f"There is no verdict {verdict_id}, or no person with the id {author_id}.")
    labelling = _Labelling(session, verdict, author, client_id)
    return labelling.say(AGREE if labelling.agrees(opinion) else OVERRIDE, opinion, note)


class _Labelling:
    """One author's labelling of one verdict, inside one write transaction."""

    def __init__(self, session: Session, verdict: Verdict, author: User, client_id: str) -> None:
        self._session = session
        self._verdict = verdict
        self._author = author
        self._client_id = client_id
        self._events = [view for view in trail(session, verdict.id) if view.author_id == author.id]

    @property
    def responses(self) -> int:
        return self._session.scalars(queries.response_count(self._verdict.item_id)).one()

    @property
    def verdict_opinion(self) -> Opinion | None:
        verdict = self._verdict
        if verdict.status != Status.READ:
            return None
        if verdict.ranking is not None:
            return Opinion(order=ranking_of(verdict.ranking).order)
        return Opinion(score=verdict.score, winner=verdict.winner)

    def expect(self, mode: Mode) -> None:
        if self._verdict.mode != mode:
            wanted = {Mode.DIRECT: "a score", Mode.PAIRWISE: "a winner", Mode.RANKING: "an order"}
            raise InvalidInputError(
                f"Verdict {self._verdict.id} is overridden with {wanted[Mode(self._verdict.mode)]}, not {wanted[mode]}."
            )

    def say(self, kind: str, opinion: Opinion, note: str) -> LabelView:
        known = self._known_click()
        if known is not None:
            return known
        checked_text("The note", note, required=False)
        if len(note) > MAX_NOTE_CHARACTERS:
            raise InvalidInputError(
                f"The note has {len(note):,} characters; at most {MAX_NOTE_CHARACTERS:,} are accepted. Shorten it."
            )
        standing = self._standing()
        if standing is not None and (standing.kind, standing.opinion, standing.note) == (kind, opinion, note):
            return standing
        return self._append(kind, opinion, note, self._client_id)

    def withdraw(self, seen: int | None) -> LabelView | None:
        if self._known_click() is not None:
            return self._standing()
        standing = self._standing()
        if standing is None:
            raise InvalidInputError(f"You have no label on verdict {self._verdict.id} that could be undone.")
        if seen is not None and seen != standing.id:
            raise ConflictError(
                f"Your label on verdict {self._verdict.id} has changed in another tab: it is now {standing.words}. "
                "Open the verdict again, and undo if you still want to. Nothing was changed."
            )
        stack = self._stack()
        self._append(queries.WITHDRAWN, None, "", self._client_id)
        if len(stack) == 1:
            return None
        before = stack[-2]
        return self._append(
            before.kind, before.opinion, before.note, f"{self._client_id}:restored", restores_id=before.id
        )

    def _standing(self) -> LabelView | None:
        return self._events[-1] if self._events and self._events[-1].current else None

    def _stack(self) -> list[LabelView]:
        """The labels that undos would go back through, as they were first said; the last one stands."""
        stack: list[LabelView] = []
        for event in self._events:
            if event.opinion is None:
                stack.pop()
            elif event.restores_id is None:
                stack.append(event)
        return stack

    def _known_click(self) -> LabelView | None:
        label = self._session.scalars(queries.label_of_click(self._client_id)).one_or_none()
        if label is None:
            return None
        if (label.verdict_id, label.author_id) != (self._verdict.id, self._author.id):
            raise ConflictError(
                f"The client id {self._client_id} was used for another label. Open the verdict again and retry."
            )
        return next(event for event in self._events if event.id == label.id)

    def _append(
        self, kind: str, opinion: Opinion | None, note: str, client_id: str, *, restores_id: int | None = None
    ) -> LabelView:
        opinion_or_none = opinion or Opinion()
        label = Label(
            client_id=client_id,
            kind=kind,
            item_id=self._verdict.item_id,
            rubric_version_id=self._verdict.rubric_version_id,
            verdict_id=self._verdict.id,
            author_id=self._author.id,
            score=opinion_or_none.score,
            winner=opinion_or_none.winner,
            ranking=None if opinion_or_none.order is None else list(opinion_or_none.order),
            agrees=None if opinion is None else self.agrees(opinion),
            note=note,
            supersedes_id=self._events[-1].id if self._events else None,
            restores_id=restores_id,
        )
        self._session.add(label)
        self._session.flush()
        view = _view(label, self._author.name, self._verdict.id, current=opinion is not None)
        self._events.append(view)
        return view

    def agrees(self, opinion: Opinion) -> bool:
        """Whether it says what the verdict said; where that has no result, any opinion says otherwise."""
        if opinion.order is not None and self._verdict.ranking is not None:
            return same_ranking(opinion.order, ranking_of(self._verdict.ranking).ranked)
        return opinion == self.verdict_opinion


def _view(label: Label, author: str, verdict_id: int, *, current: bool) -> LabelView:
    return LabelView(
        id=label.id,
        verdict_id=verdict_id,
        kind=label.kind,
        author_id=label.author_id,
        author=author,
        created_at=label.created_at,
        opinion=None if label.kind == queries.WITHDRAWN else label_opinion(label),
        agrees=label.agrees,
        note=label.note,
        supersedes_id=label.supersedes_id,
        restores_id=label.restores_id,
        current=current,
    )
