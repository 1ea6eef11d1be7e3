"""The rubric library: what people judge by, kept so that a verdict's rubric never changes under it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import ConflictError, NotFoundError
from backend.rubric_drafts import RubricDraft, folded, free_name, name_from, require_free
from backend.rubric_files import ImportReport, KnownRubric, RubricImport, draft_of_row, row_of, rows_of_file
from backend.types import SCORES, Rubric, digest_of
from db import models, rubric_queries
from db.models import now
from db.session import Store

SHIPPED = Path(__file__).with_name("rubric_library.json")


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
                draft = draft_of_row(row)
                if draft.name not in known:
                    name = free_name(draft.name, taken)
                    added = _add(session, name, draft.rubric(), author_id=None, shipped_as=draft.name)
                    taken[name] = added.rubric.id

    def search(self, text: str = "", *, include_archived: bool = False) -> list[RubricView]:
        """The library's rubrics, by name, in which every word of the text occurs; case makes no difference."""
        words = folded(text).split()
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
            require_free(checked.name, rubric_queries.names_in_use(session), own_id=None)
            return _view(session, _add(session, checked.name, checked.rubric(), author_id=author_id))

    def clone(self, draft: RubricDraft, author_id: int) -> RubricView:
        """A new rubric that says what the draft says, numbered if its name is taken. Raises InvalidInputError."""
        checked = draft.checked()
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            name = free_name(checked.name, rubric_queries.names_in_use(session))
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
            require_free(checked.name, rubric_queries.names_in_use(session), own_id=rubric_id)
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
            require_free(version.rubric.name, rubric_queries.names_in_use(session), own_id=rubric_id)
            version.rubric.archived_at = None
            return _view(session, version)

    def export_json(self, rubric_ids: Iterable[int] | None = None) -> str:
        """A JSON list in the published Prometheus field names: these rubrics, or all that are not archived."""
        views = self.search() if rubric_ids is None else [self.get(rubric_id) for rubric_id in rubric_ids]
        return json.dumps([row_of(view.name, view.rubric) for view in views], ensure_ascii=False, indent=2) + "\n"

    def import_json(self, content: bytes, author_id: int) -> ImportReport:
        """Add the rubrics of a file: a JSON list or object, or JSON Lines, in the Prometheus field names.

        A row without a name is named after its criterion. Raises InvalidInputError if the file as a
        whole can't be read; what is wrong with single rows is in the report.
        """
        rows = rows_of_file(content)
        with self._changing(author_id) as session:
            rubric_queries.hold_library(session)
            library = rubric_queries.library(session, include_archived=True)
            batch = RubricImport([_known(version) for version in library])
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
        name = name_from(rubric.criterion)
        found = _add(session, name, rubric, author_id=author_id, in_library=False)
    return found


def rubric_of(version: models.RubricVersion) -> Rubric:
    """What a version says."""
    levels = (version.level_1, version.level_2, version.level_3, version.level_4, version.level_5)
    return Rubric(version.criterion, tuple(level for level in levels if level is not None))


def _known(version: models.RubricVersion) -> KnownRubric:
    archived = version.rubric.archived_at is not None
    return KnownRubric(version.rubric.id, version.rubric.name, version.digest, archived)


def _has_all(words: list[str], version: models.RubricVersion) -> bool:
    said = folded("\n".join([version.rubric.name, version.criterion, *rubric_of(version).levels]))
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
