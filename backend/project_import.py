"""Takes rows into a project: looked at first, then all of them or none."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backend.accounts import Role, require_role
from backend.errors import InvalidInputError
from backend.project_restore import Restored, restore
from backend.project_rows import ColumnMapping, ImportedRow, guess_mapping, read_row
from backend.project_staging import Staging, open_project
from backend.row_files import RawRow, Unreadable
from backend.table_files import table_rows
from backend.training_rows import RefusedRow
from backend.types import Mode, digest_of
from db.session import Store

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
        is not open, or if another import added to it meanwhile.
        """
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, "import items")
            project = open_project(session, project_id)
            mode, has_rubric = Mode(project.mode), bool(project.rubrics)
        columns = _columns(islice(table_rows(place), LOOKED_AT))
        used = (mapping or guess_mapping(columns, mode)).checked(columns)
        checked = _Checked(used, mode, has_rubric)
        for _row in checked.usable(table_rows(place)):
            pass
        if checked.refused_count and not leave_out_refused:
            return ImportReport(0, checked.duplicates, tuple(checked.refused), checked.refused_count)
        again = _Checked(used, mode, has_rubric)
        with Staging(self._store, project_id, user_id) as staging:
            for chunk in _chunks(again.usable(table_rows(place)), CHUNK):
                staging.add(chunk)
            staging.finish()
        duplicates = again.duplicates + staging.duplicates
        return ImportReport(staging.added, duplicates, tuple(again.refused), again.refused_count)

    def restore(self, place: str, name: str, user_id: int) -> Restored:
        """A new project from a long export, as backend.project_restore.restore does it, with its errors."""
        return restore(self._store, place, name, user_id)


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
