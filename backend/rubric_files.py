"""Rubrics as files, in the published Prometheus field names: what is in one, and what of it can be imported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import ConflictError, InvalidInputError
from backend.rubric_drafts import RubricDraft, folded, free_name, name_from, require_free
from backend.types import SCORES, Rubric

IMPORT_BYTES = 20_000_000


@dataclass(frozen=True)
class RefusedRow:
    """A row that can't be imported. number: its place in a JSON list, or its line in JSON Lines, from 1."""

    number: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: names imported, names that were there already, and the rows refused.

    If any row is refused, nothing is imported.
    """

    imported: tuple[str, ...]
    duplicates: tuple[str, ...]
    refused: tuple[RefusedRow, ...]


@dataclass(frozen=True)
class KnownRubric:
    """A rubric of the library, which a file is compared with. digest: of what it says."""

    id: int
    name: str
    digest: str
    archived: bool


class RubricImport:
    """The rows of one file against the library and against each other."""

    def __init__(self, library: Sequence[KnownRubric]) -> None:
        self._names = {known.name: known.id for known in library if not known.archived}
        self._known: dict[str, dict[str, str]] = {}
        for known in library:
            self._know(known.digest, known.name, known.name + (" (archived)" if known.archived else ""))
        self.accepted: list[tuple[str, Rubric]] = []
        self.refused: list[RefusedRow] = []
        self._duplicates: list[str] = []

    def take(self, number: int, row: Any) -> None:
        """One of rows_of_file(); what can't be imported is kept in refused."""
        try:
            if isinstance(row, _Unreadable):
                raise InvalidInputError(row.reason)
            self._take(draft_of_row(row))
        except (InvalidInputError, ConflictError) as error:
            self.refused.append(RefusedRow(number, str(error)))

    def report(self) -> ImportReport:
        imported = () if self.refused else tuple(name for name, _rubric in self.accepted)
        return ImportReport(imported, tuple(self._duplicates), tuple(self.refused))

    def _take(self, draft: RubricDraft) -> None:
        derived = not draft.name.strip()
        checked = RubricDraft(name_from(draft.criterion), draft.criterion, draft.levels) if derived else draft
        checked = checked.checked()
        rubric = checked.rubric()
        same = self._known.get(rubric.digest, {})
        if same and (derived or folded(checked.name) in same):
            self._duplicates.append(next(iter(same.values())) if derived else same[folded(checked.name)])
            return
        if derived:
            checked = RubricDraft(free_name(checked.name, self._names), checked.criterion, checked.levels)
        require_free(checked.name, self._names, own_id=None)
        self._names[checked.name] = 0
        self._know(rubric.digest, checked.name, checked.name)
        self.accepted.append((checked.name, rubric))

    def _know(self, digest: str, name: str, shown: str) -> None:
        self._known.setdefault(digest, {}).setdefault(folded(name), shown)


@dataclass(frozen=True)
class _Unreadable:
    """A line that is no JSON."""

    reason: str


def rows_of_file(content: bytes) -> list[tuple[int, Any]]:
    """The file's rows with their numbers from 1. Raises InvalidInputError where the file as a whole can't be read."""
    if len(content) > IMPORT_BYTES:
        raise InvalidInputError(
            f"The file has {len(content):,} bytes; at most {IMPORT_BYTES:,} are accepted. Split it. "
            "Nothing was imported."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"The file is not UTF-8 text (byte {error.start + 1:,}). Save it as JSON in UTF-8. Nothing was imported."
        ) from error
    if not text.strip():
        raise InvalidInputError("The file is empty. Choose a JSON file of rubrics. Nothing was imported.")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _lines(text, error)
    rows = whole if isinstance(whole, list) else [whole]
    if not rows:
        raise InvalidInputError("The file holds an empty list: there is no rubric in it. Nothing was imported.")
    return list(enumerate(rows, start=1))


def _lines(text: str, error: Exception) -> list[tuple[int, Any]]:
    rows = [(number, _line(line)) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if isinstance(rows[0][1], _Unreadable):
        raise InvalidInputError(
            f"The file is neither JSON nor JSON Lines: {_cause(error)}. Mend the file there. Nothing was imported."
        ) from error
    return rows


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Unreadable(f"The line is not JSON: {_cause(error)}.")


def _cause(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at line {error.lineno}, column {error.colno}"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(error)


def draft_of_row(row: Any) -> RubricDraft:
    """One row in the published field names. Raises InvalidInputError if it is no such thing at all."""
    if not isinstance(row, dict):
        raise InvalidInputError(
            "It is not an object with the fields criteria and score1_description to score5_description."
        )
    fields = ["name", "criteria", *_level_fields()]
    wrong = [field for field in fields if not isinstance(row.get(field) or "", str)]
    if wrong:
        raise InvalidInputError(f"Not text: {', '.join(wrong)}.")
    name, criterion, *levels = (row.get(field) or "" for field in fields)
    return RubricDraft(name, criterion, tuple(levels))


def row_of(name: str, rubric: Rubric) -> dict[str, str]:
    """A rubric in the published field names."""
    levels = dict(zip(_level_fields(), rubric.levels, strict=False))
    return {"name": name, "criteria": rubric.criterion, **levels}


def _level_fields() -> list[str]:
    return [f"score{score}_description" for score in SCORES]
