"""The rows of one import on their way into a project: written in small transactions, taken in by one at the end."""

import contextlib
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Self

from sqlalchemy.orm import Session

from backend.doubts import doubt_of
from backend.errors import ConflictError
from backend.project_rows import ImportedRow
from backend.projects import ItemOrder, ProjectState, project_row
from backend.rubrics import version_for
from backend.streams import Stream, doubt_key, shuffled_key, stream_of
from backend.types import Item
from db import models as rows
from db import project_queries as queries
from db import staging_queries
from db.errors import StoreError
from db.session import Store
from db.stream_queries import newest_verdicts

LEFT_BEHIND = timedelta(hours=1)
"""An import that staged nothing for so long was killed; its rows are removed."""
REMOVED_AT_ONCE = 2_000
PAUSE_SECONDS = 0.01
"""Between two writes: SQLite does not queue, so who waits needs a moment in which nobody writes."""


class Staging:
    """Nothing of it is in the project until finish(), and then all. Use it in a `with`: what is left is removed.

    Other writers wait for one chunk at most, and for finish(). Items and rubrics are written for good: they are known
    by what they say, and are in no project by themselves. All raise StoreError.
    """

    def __init__(self, store: Store, project_id: int, user_id: int) -> None:
        self._store = store
        self._user_id = user_id
        self._import_id = uuid.uuid4().hex
        self._versions: dict[str, int] = {}
        self._staged_already: set[tuple[int, int]] = set()
        self.added = 0
        self.duplicates = 0
        with store.read() as session:
            self._project = open_project(session, project_id)
            self._shared = [one.rubric_version_id for one in self._project.rubrics]
            self._first = self._position = queries.next_position(session, project_id)

    def __enter__(self) -> Self:
        with self._store.read() as session:
            killed = staging_queries.left_behind(session, rows.now() - LEFT_BEHIND)
        for import_id in killed:
            self._remove(import_id)
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(StoreError):  # then a later import removes it
            self._remove(self._import_id)

    def add(self, chunk: Sequence[ImportedRow]) -> None:
        """Write rows, but for those that are there already."""
        with self._store.write() as session:
            ids = item_ids(session, [row.item for row in chunk])
            there = queries.there_already(session, self._project.id, list(ids.values()))
            new: list[dict[str, Any]] = []
            for row in chunk:
                wanted = [(ids[row.item.digest], version_id) for version_id in self._version_ids(session, row)]
                missing = [one for one in wanted if one not in there and one not in self._staged_already]
                self.duplicates += not missing
                self._staged_already.update(missing)
                new += [self._staged(row, *one) for one in missing]
            self._place(session, new)
            staging_queries.stage(session, new)
        self.added += len(new)
        time.sleep(PAUSE_SECONDS)

    def finish(self) -> None:
        """Take all of it into the project. Raises ConflictError if the project has changed; then nothing was."""
        with self._store.write() as session:
            project = open_project(session, self._project.id, hold=True)
            if queries.next_position(session, project.id) != self._first:
                raise ConflictError(
                    f"Another import added items to “{project.name}” meanwhile, so these were not. Import them again."
                )
            staging_queries.take(session, self._import_id)

    def _remove(self, import_id: str) -> None:
        more = True
        while more:
            with self._store.write() as session:
                more = staging_queries.remove(session, import_id, REMOVED_AT_ONCE)
            time.sleep(PAUSE_SECONDS)

    def _version_ids(self, session: Session, row: ImportedRow) -> Sequence[int]:
        if row.rubric is None:
            return self._shared
        digest = row.rubric.digest
        if digest not in self._versions:
            self._versions[digest] = version_for(session, row.rubric, self._user_id).id
        return [self._versions[digest]]

    def _staged(self, row: ImportedRow, item_id: int, version_id: int) -> dict[str, Any]:
        position = self._position
        self._position += 1
        order, share = ItemOrder(self._project.item_order), self._project.audit_share
        stream = None if share is None else stream_of(self._project.seed, position, share)
        return {
            "import_id": self._import_id,
            "staged_at": rows.now(),
            "project_id": self._project.id,
            "item_id": item_id,
            "rubric_version_id": version_id,
            "position": position,
            "order_key": position if order is ItemOrder.GIVEN else shuffled_key(self._project.seed, position),
            "stream": stream,
            "sampling_probability": share if stream is Stream.AUDIT else None,
            "people": 0,
            "external_id": row.external_id,
            "sources": row.sources,
            "extra": row.extra,
            "imported_labels": row.labels,
        }

    def _place(self, session: Session, new: Sequence[dict[str, Any]]) -> None:
        """Items of the second stream by the doubt that is known of them: they may have verdicts already."""
        chosen = [one for one in new if one["stream"] is Stream.CHOSEN]
        verdicts = newest_verdicts(session, [(one["item_id"], one["rubric_version_id"]) for one in chosen])
        for one in chosen:
            doubt = doubt_of(self._project, verdicts.get((one["item_id"], one["rubric_version_id"])), ())
            one["order_key"] = doubt_key(self._project.seed, one["position"], doubt)


def open_project(session: Session, project_id: int, *, hold: bool = False) -> rows.Project:
    """Raises NotFoundError, and ConflictError for one that is not open."""
    project = project_row(session, project_id, hold=hold)
    if project.state != ProjectState.OPEN:
        raise ConflictError(f"“{project.name}” is {project.state}. Reopen it first.")
    return project


def item_ids(session: Session, found: Iterable[Item]) -> dict[str, int]:
    """The ids of these items by their digests; those that are new are added."""
    items = {item.digest: item for item in found}
    known = queries.item_ids(session, list(items))
    missing = {digest: item for digest, item in items.items() if digest not in known}
    values = [
        {
            "digest": digest,
            "mode": item.mode,
            "instruction": item.instruction,
            "reference": item.reference,
            "created_at": rows.now(),
        }
        for digest, item in missing.items()
    ]
    queries.insert_missing(session, rows.Item, values)
    made = queries.item_ids(session, list(missing))
    responses = [
        {"item_id": made[digest], "position": position, "text": text}
        for digest, item in missing.items()
        for position, text in enumerate(item.responses)
    ]
    queries.insert_missing(session, rows.Response, responses)
    return known | made
