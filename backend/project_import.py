"""Takes rows into a project: looked at first, then all of them or none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.doubts import doubt_of
from backend.errors import ConflictError, InvalidInputError
from backend.project_rows import ColumnMapping, ImportedRow, guess_mapping, read_row
from backend.projects import ItemOrder, ProjectState, project_row
from backend.row_files import RawRow, Unreadable
from backend.rubrics import version_for
from backend.streams import Stream, doubt_key, shuffled_key, stream_of
from backend.table_files import table_rows
from backend.training_rows import RefusedRow
from backend.types import Mode, digest_of
from db import models as rows
from db import project_queries as queries
from db.session import Store
from db.stream_queries import newest_verdicts

PREVIEW_ROWS = 5
LOOKED_AT = 100
"""Rows whose fields are looked at to know the columns."""
CHUNK = 400
MAX_ROWS = 1_000_000
MAX_REFUSED = 1_000
"""Refused rows that are named; the others are counted."""


@dataclass(frozen=True)
class Preview:
    """The beginning of a file. mapping: what its columns seem to be. rows: the first few, as they are.

    read: the same rows understood, or why they can't be.
    """

    columns: tuple[str, ...]
    mapping: ColumnMapping
    rows: tuple[Mapping[str, Any], ...]
    read: tuple[ImportedRow | str, ...]


@dataclass(frozen=True)
class ImportReport:
    """What became of a file's rows. imported: items added; 0 if any row was refused, unless those were to be left out.

    duplicates: rows that say what an earlier row or the project says already. refused: the first of the rows that
    can't be used, each with its reason; refused_count: all of them.
    """

    imported: int
    duplicates: int
    refused: tuple[RefusedRow, ...]
    refused_count: int


class ProjectImport:
    """All raise StoreError where the database fails; then nothing was imported."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def preview(self, place: str, mode: Mode, mapping: ColumnMapping | None = None) -> Preview:
        """The first rows and what they would be. place: as backend.table_files.table_rows takes it.

        mapping: as a person chose it; None: as it is guessed. Raises InvalidInputError, DataFetchError.
        """
        first = list(islice(table_rows(place), LOOKED_AT))
        columns = _columns(first)
        used = mapping or guess_mapping(columns, mode)
        shown = [row for row in first if isinstance(row.value, Mapping)][:PREVIEW_ROWS]
        return Preview(
            columns, used, tuple(row.value for row in shown), tuple(_tried(row, used, mode) for row in shown)
        )

    def run(
        self,
        place: str,
        project_id: int,
        user_id: int,
        mapping: ColumnMapping | None = None,
        *,
        leave_out_refused: bool = False,
    ) -> ImportReport:
        """Import every row, or none if one of them can't be used. leave_out_refused: then all the others.

        Raises InvalidInputError, DataFetchError, NotFoundError, NotAllowedError, and ConflictError if the project
        is not open.
        """
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, "import items")
            project = _open_project(session, project_id)
            mode, has_rubric = Mode(project.mode), bool(project.rubrics)
        columns = _columns(islice(table_rows(place), LOOKED_AT))
        used = (mapping or guess_mapping(columns, mode)).checked(columns)
        checked = _Checked(used, mode, has_rubric)
        for _row in checked.usable(table_rows(place)):
            pass
        if checked.refused_count and not leave_out_refused:
            return ImportReport(0, checked.duplicates, tuple(checked.refused), checked.refused_count)
        again = _Checked(used, mode, has_rubric)
        with self._store.write() as session:
            project = _open_project(session, project_id, hold=True)
            taken = _Taken(session, project, user_id)
            for chunk in _chunks(again.usable(table_rows(place)), CHUNK):
                taken.add(chunk)
        return ImportReport(taken.added, again.duplicates + taken.duplicates, tuple(again.refused), again.refused_count)


class _Checked:
    """Goes through the rows, keeps what is wrong with them, and hands out the others."""

    def __init__(self, mapping: ColumnMapping, mode: Mode, has_rubric: bool) -> None:
        self._mapping = mapping
        self._mode = mode
        self._has_rubric = has_rubric
        self._seen: set[bytes] = set()
        self.refused: list[RefusedRow] = []
        self.refused_count = 0
        self.duplicates = 0

    def usable(self, found: Iterable[RawRow]) -> Iterator[ImportedRow]:
        for number, raw in enumerate(found, start=1):
            if number > MAX_ROWS:
                raise InvalidInputError(f"It has more than {MAX_ROWS:,} rows. Split it, and import one part at a time.")
            row = self._read(raw)
            if row is None:
                continue
            rubric = None if row.rubric is None else row.rubric.digest
            key = bytes.fromhex(digest_of(row.item.digest, rubric))[:16]
            if key in self._seen:
                self.duplicates += 1
                continue
            self._seen.add(key)
            yield row

    def _read(self, raw: RawRow) -> ImportedRow | None:
        try:
            if isinstance(raw.value, Unreadable):
                raise InvalidInputError(raw.value.reason)
            if not isinstance(raw.value, Mapping):
                raise InvalidInputError("It is not an object with fields.")
            row = read_row(raw.value, self._mapping, self._mode)
            if row.rubric is None and not self._has_rubric:
                raise InvalidInputError("It states no rubric, and the project has none. Choose one for the project.")
        except InvalidInputError as error:
            self.refused_count += 1
            if len(self.refused) < MAX_REFUSED:
                self.refused.append(RefusedRow(raw.where, str(error)))
            return None
        return row


class _Taken:
    """Adds rows to the project, inside one transaction."""

    def __init__(self, session: Session, project: rows.Project, user_id: int) -> None:
        self._session = session
        self._project = project
        self._user_id = user_id
        self._position = queries.next_position(session, project.id)
        self._shared = [one.rubric_version_id for one in project.rubrics]
        self._versions: dict[str, int] = {}
        self.added = 0
        self.duplicates = 0

    def add(self, chunk: Sequence[ImportedRow]) -> None:
        ids = self._item_ids(chunk)
        there = queries.there_already(self._session, self._project.id, list(ids.values()))
        new: list[dict[str, Any]] = []
        for row in chunk:
            wanted = [(ids[row.item.digest], version_id) for version_id in self._version_ids(row)]
            missing = [one for one in wanted if one not in there]
            self.duplicates += not missing
            there.update(missing)
            new += [self._project_item(row, *one) for one in missing]
        self._place(new)
        if new:
            self._session.execute(insert(rows.ProjectItem), new)
        self.added += len(new)

    def _item_ids(self, chunk: Sequence[ImportedRow]) -> dict[str, int]:
        items = {row.item.digest: row.item for row in chunk}
        known = queries.item_ids(self._session, list(items))
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
        queries.insert_missing(self._session, rows.Item, values)
        made = queries.item_ids(self._session, list(missing))
        responses = [
            {"item_id": made[digest], "position": position, "text": text}
            for digest, item in missing.items()
            for position, text in enumerate(item.responses)
        ]
        queries.insert_missing(self._session, rows.Response, responses)
        return known | made

    def _version_ids(self, row: ImportedRow) -> Sequence[int]:
        if row.rubric is None:
            return self._shared
        digest = row.rubric.digest
        if digest not in self._versions:
            self._versions[digest] = version_for(self._session, row.rubric, self._user_id).id
        return [self._versions[digest]]

    def _place(self, new: Sequence[dict[str, Any]]) -> None:
        """Items of the second stream by the doubt that is known of them: they may have verdicts already."""
        chosen = [one for one in new if one["stream"] is Stream.CHOSEN]
        verdicts = newest_verdicts(self._session, [(one["item_id"], one["rubric_version_id"]) for one in chosen])
        for one in chosen:
            doubt = doubt_of(self._project, verdicts.get((one["item_id"], one["rubric_version_id"])), ())
            one["order_key"] = doubt_key(self._project.seed, one["position"], doubt)

    def _project_item(self, row: ImportedRow, item_id: int, version_id: int) -> dict[str, Any]:
        position = self._position
        self._position += 1
        order, share = ItemOrder(self._project.item_order), self._project.audit_share
        stream = None if share is None else stream_of(self._project.seed, position, share)
        return {
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


def _open_project(session: Session, project_id: int, *, hold: bool = False) -> rows.Project:
    project = project_row(session, project_id, hold=hold)
    if project.state != ProjectState.OPEN:
        raise ConflictError(f"“{project.name}” is {project.state}. Reopen it first.")
    return project


def _columns(found: Iterable[RawRow]) -> tuple[str, ...]:
    """The rows' fields, and those of objects in them behind a dot."""
    names: dict[str, None] = {}
    for row in found:
        if isinstance(row.value, Mapping):
            names |= dict.fromkeys(map(str, row.value))
            for name, within in row.value.items():
                if isinstance(within, Mapping):
                    names |= dict.fromkeys(f"{name}.{key}" for key in within)
    if not names:
        raise InvalidInputError(
            'No row of it has fields. A row is an object such as {"instruction": …, "response": …}.'
        )
    return tuple(names)


def _tried(row: RawRow, mapping: ColumnMapping, mode: Mode) -> ImportedRow | str:
    try:
        return read_row(row.value, mapping, mode)
    except InvalidInputError as error:
        return str(error)


def _chunks(found: Iterable[ImportedRow], size: int) -> Iterator[list[ImportedRow]]:
    source = iter(found)
    while chunk := list(islice(source, size)):
        yield chunk
