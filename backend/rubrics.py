"""The rubric library: what people judge by, kept so that a verdict's rubric never changes under it."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.types import SCORES, Rubric, checked_text, digest_of
from db import models, rubric_queries
from db.models import now
from db.session import Store

SHIPPED = Path(__file__).with_name("rubric_library.json")
NAME_CHARACTERS = 100
TEXT_CHARACTERS = 4_000
"""Longest criterion and longest description of a score in the library."""
IMPORT_BYTES = 20_000_000


@dataclass(frozen=True)
class RubricDraft:
    """A library rubric as somebody typed it, complete or not. levels: of the scores 1 to 5 in this order."""

    name: str
    criterion: str
    levels: tuple[str, ...]

    def checked(self) -> "RubricDraft":
        """The same without blanks around the texts. Raises InvalidInputError, which names every problem at once."""
        tidy = RubricDraft(" ".join(self.name.split()), self.criterion.strip(), tuple(t.strip() for t in self.levels))
        problems = [*_missing(tidy), *_unusable(tidy)]
        if problems:
            raise InvalidInputError(" ".join(problems))
        return tidy

    def rubric(self) -> Rubric:
        return Rubric(self.criterion, self.levels)


@dataclass(frozen=True)
class RubricView:
    """A rubric at one of its versions.

    number: of the version, from 1. uses: how many verdicts and labels name any version of the rubric;
    version_uses: how many name this one. created_at: when this version was written.
    """

    id: int
    name: str
    version_id: int
    number: int
    rubric: Rubric
    archived: bool
    shipped: bool
    in_library: bool
    uses: int
    version_uses: int
    created_at: datetime

    @property
    def revision(self) -> str:
        """Changes with everything about the rubric that a person can edit: what a form was filled from."""
        return digest_of("revision", self.id, self.name, self.version_id, self.rubric.digest)

    @property
    def draft(self) -> RubricDraft:
        return RubricDraft(self.name, self.rubric.criterion, self.rubric.levels)


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


class RubricLibrary:
    """Every change is one transaction, by a lead or an admin: NotAllowedError for anybody else.

    All methods raise StoreError when the database fails.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def seed(self) -> None:
        """Put in the shipped rubrics that this store has never had. What people did with the others stays."""
        rows = json.loads(SHIPPED.read_text(encoding="utf-8"))
        with self._store.write() as session:
            rubric_queries.hold_library(session)
            known = rubric_queries.shipped_names(session)
            taken = rubric_queries.names_in_use(session)
            for row in rows:
                draft = _draft(row)
                if draft.name not in known:
                    name = _free_name(draft.name, taken)
                    added = _add(session, name, draft.rubric(), author_id=None, shipped_as=draft.name)
                    taken[name] = added.rubric.id

    def search(self, text: str = "", *, include_archived: bool = False) -> list[RubricView]:
        """The library's rubrics, by name, in which every word of the text occurs; case makes no difference."""
        words = _folded(text).split()
        with self._store.read() as session:
            versions = rubric_queries.library(session, include_archived=include_archived)
            found = [version for version in versions if _has_all(words, version)]
            return _views(session, found)

    def get(self, rubric_id: int) -> RubricView:
        """The rubric at its latest version. Raises NotFoundError."""
        with self._store.read() as session:
            return _view(session, _latest(session, rubric_id))

    def get_version(self, version_id: int) -> RubricView:
        """The rubric as it was at this version. Raises NotFoundError."""
        with self._store.read() as session:
            version = session.get(models.RubricVersion, version_id)
            if version is None:
                raise NotFoundError(f"There is no rubric version {version_id} in this store. Choose another rubric.")
            return _view(session, version)

    def versions(self, rubric_id: int) -> list[RubricView]:
        """All its versions, the newest first. Raises NotFoundError."""
        with self._store.read() as session:
            _latest(session, rubric_id)
            return _views(session, rubric_queries.all_versions(session, rubric_id))

    def create(self, draft: RubricDraft, author_id: int) -> RubricView:
        """A new rubric. Raises InvalidInputError, and ConflictError if the name is taken."""
        checked = draft.checked()
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            _require_free(checked.name, rubric_queries.names_in_use(session), own_id=None)
            return _view(session, _add(session, checked.name, checked.rubric(), author_id=author_id))

    def clone(self, draft: RubricDraft, author_id: int) -> RubricView:
        """A new rubric that says what the draft says, numbered if its name is taken. Raises InvalidInputError."""
        checked = draft.checked()
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            name = _free_name(checked.name, rubric_queries.names_in_use(session))
            return _view(session, _add(session, name, checked.rubric(), author_id=author_id))

    def edit(self, rubric_id: int, revision: str, draft: RubricDraft, author_id: int) -> RubricView:
        """Change what a rubric says: in place while no verdict or label names it, else as a new version.

        revision: of the view that the person started from. Raises ConflictError if the rubric is no
        longer so, is archived, or the new name is taken; InvalidInputError; NotFoundError.
        """
        checked = draft.checked()
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            version = _latest(session, rubric_id, lock=True)
            before = _view(session, version)
            if before.archived:
                raise ConflictError(f"“{before.name}” is archived. Unarchive it first, or clone it. Nothing was saved.")
            if before.revision != revision:
                raise ConflictError(
                    f"“{before.name}” was changed since you opened it, in another tab or by someone else. What you "
                    "typed is still in the form: press Clone to keep it as a rubric of its own, or open "
                    f"“{before.name}” again to see the change. Nothing was saved."
                )
            _require_free(checked.name, rubric_queries.names_in_use(session), own_id=rubric_id)
            version.rubric.name = checked.name
            if checked.rubric() != before.rubric:
                version = _rewrite(session, version, checked.rubric(), author_id)
            return _view(session, version)

    def archive(self, rubric_id: int, user_id: int) -> RubricView:
        """Take it out of the lists; nothing that names it changes. Raises NotFoundError."""
        with self._changing(user_id) as session:
            version = _latest(session, rubric_id)
            version.rubric.archived_at = version.rubric.archived_at or now()
            return _view(session, version)

    def unarchive(self, rubric_id: int, user_id: int) -> RubricView:
        """Raises NotFoundError, and ConflictError if another rubric has taken the name meanwhile."""
        with self._changing(user_id) as session:
            rubric_queries.hold_library(session)
            version = _latest(session, rubric_id)
            _require_free(version.rubric.name, rubric_queries.names_in_use(session), own_id=rubric_id)
            version.rubric.archived_at = None
            return _view(session, version)

    def export_json(self, rubric_ids: Iterable[int] | None = None) -> str:
        """A JSON list in the published Prometheus field names: these rubrics, or all that are not archived."""
        views = self.search() if rubric_ids is None else [self.get(rubric_id) for rubric_id in rubric_ids]
        return json.dumps([_row(view) for view in views], ensure_ascii=False, indent=2) + "\n"

    def import_json(self, content: bytes, author_id: int) -> ImportReport:
        """Add the rubrics of a file: a JSON list or object, or JSON Lines, in the Prometheus field names.

        A row without a name is named after its criterion. Raises InvalidInputError if the file as a
        whole can't be read; what is wrong with single rows is in the report.
        """
        rows = _rows(content)
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            batch = _Import(rubric_queries.library(session, include_archived=True))
            for number, row in rows:
                batch.take(number, row)
            if not batch.refused:
                for name, rubric in batch.accepted:
                    _add(session, name, rubric, author_id=author_id)
            return batch.report()

    @contextmanager
    def _changing(self, user_id: int) -> Iterator[Session]:
        with self._store.write() as session:
            require_role(session, user_id, Role.LEAD, "change the rubric library")
            yield session

    def in_place(self, rubric: Rubric, author_id: int) -> int:
        """The id of a version that says exactly this: the library's, or one kept outside of it."""
        with self._store.write() as session:
            return version_for(session, rubric, author_id).id


def version_for(session: Session, rubric: Rubric, author_id: int) -> models.RubricVersion:
    """A version that says exactly this, made if there is none; fixed until the session's transaction ends.

    Call it in the transaction that stores a verdict or label: an edit while the judge was at work may
    have changed, in place, the version that the rubric was read from.
    """
    digest = rubric.digest
    found = rubric_queries.version_with_digest(session, digest)
    if found is None:
        rubric_queries.hold_library(session)
        found = rubric_queries.version_with_digest(session, digest)
    if found is None:
        name = _name_from(rubric.criterion)
        found = _add(session, name, rubric, author_id=author_id, in_library=False)
    return found


def rubric_of(version: models.RubricVersion) -> Rubric:
    """What a version says."""
    levels = (version.level_1, version.level_2, version.level_3, version.level_4, version.level_5)
    return Rubric(version.criterion, tuple(level for level in levels if level is not None))


class _Import:
    """The rows of one file against the library and against each other."""

    def __init__(self, library: Sequence[models.RubricVersion]) -> None:
        self._names = {v.rubric.name: v.rubric.id for v in library if v.rubric.archived_at is None}
        self._known: dict[str, dict[str, str]] = {}
        for version in library:
            state = "" if version.rubric.archived_at is None else " (archived)"
            self._know(version.digest, version.rubric.name, version.rubric.name + state)
        self.accepted: list[tuple[str, Rubric]] = []
        self.refused: list[RefusedRow] = []
        self._duplicates: list[str] = []

    def take(self, number: int, row: Any) -> None:
        try:
            if isinstance(row, _Unreadable):
                raise InvalidInputError(row.reason)
            self._take(_draft(row))
        except (InvalidInputError, ConflictError) as error:
            self.refused.append(RefusedRow(number, str(error)))

    def report(self) -> ImportReport:
        imported = () if self.refused else tuple(name for name, _rubric in self.accepted)
        return ImportReport(imported, tuple(self._duplicates), tuple(self.refused))

    def _take(self, draft: RubricDraft) -> None:
        derived = not draft.name.strip()
        checked = RubricDraft(_name_from(draft.criterion), draft.criterion, draft.levels) if derived else draft
        checked = checked.checked()
        rubric = checked.rubric()
        same = self._known.get(rubric.digest, {})
        if same and (derived or _folded(checked.name) in same):
            self._duplicates.append(next(iter(same.values())) if derived else same[_folded(checked.name)])
            return
        if derived:
            checked = RubricDraft(_free_name(checked.name, self._names), checked.criterion, checked.levels)
        _require_free(checked.name, self._names, own_id=None)
        self._names[checked.name] = 0
        self._know(rubric.digest, checked.name, checked.name)
        self.accepted.append((checked.name, rubric))

    def _know(self, digest: str, name: str, shown: str) -> None:
        self._known.setdefault(digest, {}).setdefault(_folded(name), shown)


@dataclass(frozen=True)
class _Unreadable:
    """A line that is no JSON."""

    reason: str


def _rows(content: bytes) -> list[tuple[int, Any]]:
    """The file's rows with their numbers from 1."""
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


def _draft(row: Any) -> RubricDraft:
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


def _row(view: RubricView) -> dict[str, str]:
    levels = dict(zip(_level_fields(), view.rubric.levels, strict=False))
    return {"name": view.name, "criteria": view.rubric.criterion, **levels}


def _level_fields() -> list[str]:
    return [f"score{score}_description" for score in SCORES]


def _missing(draft: RubricDraft) -> list[str]:
    problems = []
    if not draft.name:
        problems.append("The name is empty.")
    if not draft.criterion:
        problems.append("The criterion is empty.")
    levels = dict(zip(SCORES, draft.levels, strict=False))
    empty = [score for score in SCORES if not levels.get(score)]
    if len(empty) == 1:
        problems.append(f"The description of score {empty[0]} is empty.")
    elif empty:
        problems.append(f"The descriptions of scores {', '.join(empty[:-1])} and {empty[-1]} are empty.")
    return [*problems, "Fill in what is empty."] if problems else []


def _unusable(draft: RubricDraft) -> list[str]:
    texts = [("The name", draft.name, NAME_CHARACTERS), ("The criterion", draft.criterion, TEXT_CHARACTERS)]
    for score, level in zip(SCORES, draft.levels, strict=False):
        texts.append((f"The description of score {score}", level, TEXT_CHARACTERS))
    problems = []
    for what, text, limit in texts:
        try:
            checked_text(what, text, required=False)
        except InvalidInputError as error:
            problems.append(str(error))
        if len(text) > limit:
            problems.append(f"{what} has {len(text):,} characters; at most {limit:,} are accepted. Shorten it.")
    return problems


def _require_free(name: str, taken: Mapping[str, int], *, own_id: int | None) -> None:
    for other, rubric_id in taken.items():
        if _folded(other) == _folded(name) and rubric_id != own_id:
            raise ConflictError(
                f"Another rubric is named “{other}”. Choose another name, or rename or archive that one."
            )


def _free_name(name: str, taken: Mapping[str, int]) -> str:
    """The name, or if it is taken the first free one of "name (2)", "name (3)" ..."""
    folded = {_folded(other) for other in taken}
    if _folded(name) not in folded:
        return name
    stem = re.sub(r" \(\d+\)$", "", name)
    suffixes = (f" ({number})" for number in count(2))
    candidates = (stem[: NAME_CHARACTERS - len(suffix)] + suffix for suffix in suffixes)
    return next(candidate for candidate in candidates if _folded(candidate) not in folded)


def _name_from(criterion: str) -> str:
    """A name for a rubric that came without one: the beginning of its criterion."""
    line = " ".join(criterion.split())
    return line if len(line) <= 60 else line[:60].rsplit(" ", 1)[0] + "…"


def _folded(text: str) -> str:
    """For comparing without regard to case or to how characters are composed."""
    return unicodedata.normalize("NFKC", text).casefold()


def _has_all(words: list[str], version: models.RubricVersion) -> bool:
    said = _folded("\n".join([version.rubric.name, version.criterion, *rubric_of(version).levels]))
    return all(word in said for word in words)


def _latest(session: Session, rubric_id: int, *, lock: bool = False) -> models.RubricVersion:
    version = rubric_queries.latest_version(session, rubric_id, lock=lock)
    if version is None:
        raise NotFoundError(f"There is no rubric {rubric_id} in this store. Choose another one from the list.")
    return version


def _add(
    session: Session,
    name: str,
    rubric: Rubric,
    *,
    author_id: int | None,
    in_library: bool = True,
    shipped_as: str | None = None,
) -> models.RubricVersion:
    parent = models.Rubric(name=name, in_library=in_library, shipped_as=shipped_as, created_by_id=author_id)
    return _add_version(session, parent, 1, rubric, author_id)


def _rewrite(session: Session, version: models.RubricVersion, rubric: Rubric, author_id: int) -> models.RubricVersion:
    if rubric_queries.is_used(session, version.id):
        return _add_version(session, version.rubric, version.number + 1, rubric, author_id)
    _write_text(version, rubric)
    version.created_by_id, version.created_at = author_id, now()
    return version


def _add_version(
    session: Session, parent: models.Rubric, number: int, rubric: Rubric, author_id: int | None
) -> models.RubricVersion:
    version = models.RubricVersion(rubric=parent, number=number, created_by_id=author_id)
    _write_text(version, rubric)
    session.add(version)
    session.flush()
    return version


def _write_text(version: models.RubricVersion, rubric: Rubric) -> None:
    levels = rubric.levels or (None,) * len(SCORES)
    version.level_1, version.level_2, version.level_3, version.level_4, version.level_5 = levels
    version.criterion, version.digest = rubric.criterion, rubric.digest


def _levels(version: models.RubricVersion) -> tuple[str, ...]:
    levels = (version.level_1, version.level_2, version.level_3, version.level_4, version.level_5)
    return tuple(level for level in levels if level is not None)


def _view(session: Session, version: models.RubricVersion) -> RubricView:
    return _views(session, [version])[0]


def _views(session: Session, versions: Sequence[models.RubricVersion]) -> list[RubricView]:
    uses = rubric_queries.uses(session, {version.rubric_id for version in versions})
    return [
        RubricView(
            id=version.rubric_id,
            name=version.rubric.name,
            version_id=version.id,
            number=version.number,
            rubric=rubric_of(version),
            archived=version.rubric.archived_at is not None,
            shipped=version.rubric.shipped_as is not None,
            in_library=version.rubric.in_library,
            uses=sum(uses.get(version.rubric_id, {}).values()),
            version_uses=uses.get(version.rubric_id, {}).get(version.id, 0),
            created_at=version.created_at,
        )
        for version in versions
    ]
