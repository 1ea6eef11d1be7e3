"""One item at a time for one person: taken, labelled, and in a blind project only then compared with the verdict."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from backend.errors import ConflictError, InvalidInputError
from backend.labelling_desk import Desk, Given, Recent, Task, check_note, desk_of, require_short
from backend.labels import MAX_CLIENT_ID_CHARACTERS
from db import models as rows
from db import project_queries as queries
from db import queries as label_queries
from db.session import Store

RECENT = 10
"""Of a person's decisions the last, which can be reopened."""
MAX_SECONDS = 86_400.0
"""A label that took longer is kept as one that took a day: somebody had left the page open."""
MAX_CHOICE_CHARACTERS = 100


class Labelling:
    """What people do in an open project. Each call is one transaction, one at a time for each project.

    An item in hand is leased: others get it only as far as it needs more people, until the lease expires. All raise
    NotFoundError, ConflictError for a project that is not open or an item that is not theirs, and StoreError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()  # SQLite's own waiting is not fair: of many people at once some would starve

    def next(self, project_id: int, user_id: int) -> Task | None:
        """The item in hand, or the next one; None if nothing waits for this person."""
        with self._write() as session:
            desk = Desk(session, project_id, user_id)
            lease = queries.lease_of(session, project_id, user_id)
            if lease is not None and lease.expires_at > rows.now() and desk.may_have(lease.project_item_id):
                return desk.task(lease.project_item_id, lease.round)
            item_id, round = desk.free_item(), 1
            if item_id is None and queries.repeats_of(session, project_id, user_id) < desk.project.repeats:
                item_id, round = queries.item_to_repeat(session, project_id, user_id, apart=0), 2
            if item_id is None:
                desk.let_go()
                return None
            desk.take(item_id, round)
            return desk.task(item_id, round)

    def reopen(self, project_id: int, user_id: int, project_item_id: int, round: int = 1) -> Task:
        """One of the last ten decisions, to be changed; it stands until another is given.

        Raises ConflictError for any other item.
        """
        with self._write() as session:
            desk = Desk(session, project_id, user_id)
            if (project_item_id, round) not in queries.recent_items(session, project_id, user_id, RECENT):
                raise ConflictError(f"Item {project_item_id} is not among your last {RECENT} decisions.")
            desk.take(project_item_id, round)
            return desk.task(project_item_id, round)

    def recent(self, project_id: int, user_id: int) -> list[Recent]:
        """The last ten decisions, the newest first."""
        with self._store.read() as session:
            desk = Desk(session, project_id, user_id, hold=False)
            return desk.recent(queries.recent_items(session, project_id, user_id, RECENT))

    def done(self, project_id: int, user_id: int) -> int:
        """How many items of the project have this person's label."""
        with self._store.read() as session:
            return queries.done_count(session, project_id, user_id)

    def last_project(self, user_id: int) -> int | None:
        """The project in which this person has an item in hand, the one they took last."""
        with self._store.read() as session:
            return queries.last_leased_project(session, user_id)

    def keep_draft(self, project_item_id: int, user_id: int, choice: str, note: str) -> None:
        """What the person has entered so far, to be there after a refresh or a crash."""
        with self._write() as session:
            _item, desk = desk_of(session, project_item_id, user_id)
            check_note(note, required=False)
            require_short("The choice", choice, MAX_CHOICE_CHARACTERS)
            draft = queries.draft_of(session, project_item_id, desk.user.id)
            if draft is None:
                draft = rows.LabelDraft(project_item_id=project_item_id, user_id=desk.user.id)
                session.add(draft)
            draft.choice, draft.note, draft.saved_at = choice, note, rows.now()

    def submit(
        self, project_item_id: int, user_id: int, client_id: str, choice: str, note: str = "", *, seconds: float = 0.0
    ) -> Given:
        """The person's label on the item in their hands. choice: as a Task has it, in the letters that were shown.

        client_id: made by the page for this click; the same once more changes nothing. seconds: since the item was
        shown, by the page's own steady clock. Raises InvalidInputError too.
        """
        checked_click(client_id)
        if not math.isfinite(seconds):
            raise InvalidInputError(f"The time is {seconds} seconds; it must be a number from 0.")
        seconds = min(max(seconds, 0.0), MAX_SECONDS)
        with self._write() as session:
            item, desk = desk_of(session, project_item_id, user_id)
            known = session.scalars(label_queries.label_of_click(client_id)).one_or_none()
            if known is not None:
                if (known.project_item_id, known.author_id) != (item.id, user_id):
                    raise ConflictError(f"The client id {client_id} was used for another label. Reload the page.")
                return desk.given(item, known)
            return desk.label(item, client_id, choice, note, seconds)

    def skip(self, project_item_id: int, user_id: int) -> None:
        """Pass the item by; others still get it."""
        with self._write() as session:
            _item, desk = desk_of(session, project_item_id, user_id)
            if queries.skip_of(session, project_item_id, user_id) is None:
                session.add(rows.Skip(project_item_id=project_item_id, user_id=user_id))
            desk.let_go()

    def flag(self, project_item_id: int, user_id: int, client_id: str, note: str) -> None:
        """Tell the lead what is wrong with the item; it stays in hand. The same client_id once more changes nothing."""
        checked_click(client_id)
        check_note(note, required=True)
        with self._write() as session:
            desk_of(session, project_item_id, user_id)
            if queries.flag_of_click(session, client_id) is None:
                session.add(rows.Flag(client_id=client_id, project_item_id=project_item_id, user_id=user_id, note=note))

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._turn, self._store.write() as session:
            yield session


def checked_click(client_id: str) -> None:
    """Raises InvalidInputError for a client id that no page makes."""
    if not 1 <= len(client_id) <= MAX_CLIENT_ID_CHARACTERS:
        raise InvalidInputError(
            f"The client id has {len(client_id)} characters; it must have 1 to {MAX_CLIENT_ID_CHARACTERS}."
        )
