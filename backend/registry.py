"""The models of this store: what each is made of, what it has said, how well it agreed, and which one serves."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import ConflictError, ModelFilesError, NotFoundError
from backend.lineage import Lineage, lineage_of
from backend.manifests import card_text, is_ours, made_in, manifest_text
from backend.model_views import DIGITS, NOWHERE, ModelView, Presence, model_views
from backend.models import ModelFiles, find_model
from backend.starter import Report
from backend.types import checked_text
from db import job_queries
from db import model_queries as queries
from db.models import WITHOUT_FILES, Activation, ModelParent, ModelVersion, now
from db.session import Store, added

log = logging.getLogger(__name__)

REMOVED = ".removed-"
"""How the name of a folder begins whose model was removed, until its files are gone."""

InUse = Callable[[], Mapping[int, str]]
"""The models that something needs right now, by their ids, and in a sentence or two why, and what to do about it."""


@dataclass(frozen=True)
class Registration:
    """A model that was registered. note: what became of it, in words."""

    id: int
    note: str


class Registry:
    """The model versions that this store has seen. home: the folder that holds what Assay makes, in home/models."""

    def __init__(self, store: Store, home: Path, in_use: InUse = dict) -> None:
        self._store = store
        self._home = home
        self._in_use = in_use

    def record(
        self,
        files: ModelFiles,
        *,
        trained_on: str | None = None,
        card: str | None = None,
        parents: Mapping[str, int] | None = None,
    ) -> int:
        """The id of the row with this digest, made if it is missing; its path becomes where the files are now.

        A merge that came out as a model that is there already, as at the ends of a curve, is that model: nothing of it
        is changed. trained_on, card, parents (ids by role): by what the model's folder says of itself unless given.
        What a verdict's maker names (recipe, prompt format) stays as it was first recorded. Raises StoreError, and
        ModelFilesError for a damaged manifest.
        """
        without_files = files.kind in WITHOUT_FILES
        made = None if without_files else made_in(files.path, self._home)
        with self._store.write() as session:
            row, is_new = _row_of(session, files)
            if not is_new and _is_copy(files, row):
                return row.id
            if not without_files:
                for other in queries.versions_at(session, str(files.path)):
                    other.path = NOWHERE
                card = card or card_text(files.path)
            row.path, row.removed_at = str(files.path), None
            row.kind = files.kind if row.kind == "external" else row.kind
            row.trained_on = trained_on or (made.trained_on if made else None) or row.trained_on
            row.card = card or row.card
            if row.recipe is None and files.recipe is not None and not queries.has_judged(session, row.id):
                row.recipe = files.recipe
            _add_parents(session, row, parents or {})
            if made is not None:
                _add_parents(session, row, _known(session, made.parents))
            if is_new:
                self._add_children(session, row)
            return row.id

    def list(self) -> Sequence[ModelView]:
        """All of them, the latest first."""
        with self._store.read() as session:
            return model_views(session)

    def get(self, model_version_id: int) -> ModelView:
        """Raises NotFoundError."""
        for view in self.list():
            if view.id == model_version_id:
                return view
        raise _unknown(model_version_id)

    def register(self, place: str, report: Report) -> Registration:
        """Take a model into the store: a local folder, a hub name ("organisation/name"), or "starter-base".

        Raises InvalidInputError, StoreError, and what find_model raises.
        """
        place = checked_text("The folder or hub name", place).strip()
        files = find_model(place, self._home, prompt_format=None, report=report)
        with self._store.read() as session:
            known = queries.version_by_digest(session, files.digest)
            before = [row for row in queries.versions_at(session, str(files.path)) if row.digest != files.digest]
        registered = self.record(files)
        return Registration(registered, _note(files, known, before))

    def remove(self, model_version_id: int, user_id: int) -> None:
        """Delete the files, if they lie where Assay puts what it makes; any other folder is only forgotten.

        The row and all verdicts stay. user_id: who asked. Raises ConflictError while something needs the model,
        ModelFilesError if its files can't be deleted, NotAllowedError and NotFoundError.
        """
        self._finish_removals()
        hidden: Path | None = None
        folder: Path | None = None
        try:
            with self._store.write() as session:
                require_role(session, user_id, Role.ADMIN, "delete models")
                row = queries.locked_version(session, model_version_id)
                if row is None:
                    raise _unknown(model_version_id)
                self._require_free(session, row)
                row.removed_at = now()
                folder = self._own_folder(row)
                hidden = None if folder is None else _hide(folder, row.id)
        except BaseException:
            if hidden is not None and folder is not None:
                hidden.rename(folder)
            raise
        log.info("model %d (%s) was removed by user %d", model_version_id, row.digest[:DIGITS], user_id)
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)

    def activate(self, model_version_id: int, user_id: int) -> None:
        """Write down that this model was put into service: the next start serves it too.

        Raises ConflictError for a model that was removed, and NotFoundError.
        """
        with self._store.write() as session:
            row = queries.locked_version(session, model_version_id)
            if row is None:
                raise _unknown(model_version_id)
            if row.removed_at is not None:
                raise ConflictError(f"{row.name} was deleted meanwhile. Activate another model.")
            session.add(Activation(model_version_id=model_version_id, created_by_id=user_id))

    def active(self) -> int | None:
        """The id of the model that was put into service last; None before the first time."""
        with self._store.read() as session:
            return queries.latest_activation(session)

    def lineage(self, model_version_id: int) -> Lineage:
        """What the model was made of and what was made of it. Raises NotFoundError."""
        views = self.list()
        if all(view.id != model_version_id for view in views):
            raise _unknown(model_version_id)
        return lineage_of(model_version_id, views)

    def owns_files(self, view: ModelView) -> bool:
        """Whether deleting the model deletes its files too: they lie where Assay puts what it makes."""
        return view.kind not in WITHOUT_FILES and view.path != NOWHERE and is_ours(Path(view.path), self._home)

    def manifest(self, model_version_id: int) -> str | None:
        """What was written down when the model was made, as JSON; None where nothing was. Raises NotFoundError."""
        view = self.get(model_version_id)
        return manifest_text(Path(view.path)) if view.presence is Presence.HERE else None

    def _add_children(self, session: Session, row: ModelVersion) -> None:
        """Models that were recorded before their parent was: their manifests name it."""
        for child in queries.made_versions(session):
            with contextlib.suppress(ModelFilesError):  # of another model; whoever loads that one is told
                made = made_in(Path(child.path), self._home)
                roles = [] if made is None else [role for role, digest in made.parents.items() if digest == row.digest]
                _add_parents(session, child, dict.fromkeys(roles, row.id))

    def _require_free(self, session: Session, row: ModelVersion) -> None:
        if row.removed_at is not None:
            raise ConflictError(f"{row.name} was deleted already.")
        reason = self._in_use().get(row.id)
        if reason is not None:
            raise ConflictError(f"{row.name} can't be deleted: {reason}")
        for job in job_queries.open_jobs(session):
            if row.path in _texts(job.spec):
                raise ConflictError(
                    f"{row.name} can't be deleted: job {job.id} ({job.title}) needs it. Wait for it, or cancel it."
                )
        if queries.latest_activation(session) == row.id:
            raise ConflictError(
                f"{row.name} can't be deleted: it was put into service last, so the next start would look for it. "
                "Activate another model first."
            )
        children = queries.children(session, row.id)
        if children:
            names = ", ".join(f"{child.name} ({child.digest[:DIGITS]})" for child in children[:3])
            more = f" and {len(children) - 3} more" if len(children) > 3 else ""
            raise ConflictError(
                f"{row.name} can't be deleted: {names}{more} {'was' if len(children) == 1 else 'were'} made of it and "
                f"could not be made again without it. Delete {'that' if len(children) == 1 else 'those'} first."
            )

    def _own_folder(self, row: ModelVersion) -> Path | None:
        """The folder to delete with this model, if it is one of ours."""
        folder = Path(row.path)
        if row.kind in WITHOUT_FILES or row.path == NOWHERE or not is_ours(folder, self._home):
            return None
        return folder if folder.is_dir() else None

    def _finish_removals(self) -> None:
        """What a killed process left: its folder is deleted if its model was removed, and else put back."""
        gone = []
        with self._store.write() as session:
            for hidden in sorted((self._home / "models").glob(f"{REMOVED}*")):
                number, _, name = hidden.name.removeprefix(REMOVED).partition("-")
                row = queries.locked_version(session, int(number)) if number.isdecimal() else None
                if row is not None and row.removed_at is None and not hidden.with_name(name).exists():
                    hidden.rename(hidden.with_name(name))
                else:
                    gone.append(hidden)
        for hidden in gone:
            shutil.rmtree(hidden, ignore_errors=True)


def _unknown(model_version_id: int) -> NotFoundError:
    return NotFoundError(f"There is no model {model_version_id}. It may belong to another database.")


def _row_of(session: Session, files: ModelFiles) -> tuple[ModelVersion, bool]:
    """The row with this digest, locked, and whether it was made now."""
    row = queries.version_by_digest(session, files.digest)
    is_new = row is None
    if row is None:
        row = ModelVersion(
            digest=files.digest,
            name=files.name,
            kind=files.kind,
            path=str(files.path),
            architecture=files.architecture,
            bytes=files.bytes,
            prompt_format=files.prompt_format,
            recipe=files.recipe,
        )
        if not added(session, row):
            row, is_new = queries.version_by_digest(session, files.digest), False
    assert row is not None, "a unique key was taken, so its row is there"
    locked = queries.locked_version(session, row.id)
    assert locked is not None, "rows of models are never deleted"
    return locked, is_new


def _is_copy(files: ModelFiles, row: ModelVersion) -> bool:
    """Whether this merge has the very weights of a model that was not merged and still lies elsewhere."""
    elsewhere = row.path not in (NOWHERE, str(files.path)) and Path(row.path).is_dir()
    return files.kind == "merge" and row.kind != "merge" and row.removed_at is None and elsewhere


def _known(session: Session, digests: Mapping[Any, str]) -> dict[str, int]:
    """The ids of those parents that are in the store."""
    rows = {str(role): queries.version_by_digest(session, digest) for role, digest in digests.items()}
    return {role: row.id for role, row in rows.items() if row is not None}


def _add_parents(session: Session, row: ModelVersion, parents: Mapping[str, int]) -> None:
    """Append the steps that are not there; a step that is there stays as it is."""
    session.flush()
    roles = {parent.role for parent in row.parents}
    for role, parent_id in parents.items():
        if role not in roles and parent_id != row.id:
            row.parents.append(ModelParent(parent_id=parent_id, role=role))
    session.flush()


def _hide(folder: Path, model_version_id: int) -> Path:
    """Rename the folder so that no listing finds it: at once gone, though its files take a while."""
    hidden = folder.with_name(f"{REMOVED}{model_version_id}-{folder.name}")
    try:
        return folder.rename(hidden)
    except OSError as error:
        raise ModelFilesError(
            f"The folder {folder} can't be deleted: {error.strerror or error}. Give this user write access to "
            f"{folder.parent}, and try again. Nothing was changed."
        ) from error


def _note(files: ModelFiles, known: ModelVersion | None, before: Sequence[ModelVersion]) -> str:
    """What registering these files meant. known: the row with their digest. before: what their folder held earlier."""
    digest = files.digest[:DIGITS]
    if known is not None and known.removed_at is not None:
        return f"{known.name} ({digest}) was deleted once and is back, with every verdict it gave."
    if known is not None and known.path == str(files.path):
        return f"{known.name} ({digest}) is registered already: nothing was changed."
    if known is not None:
        return f"These are the weights of {known.name} ({digest}), which is registered already: only its place changed."
    if before:
        return (
            f"The files in {files.path} have changed since they were registered as {before[0].name} "
            f"({before[0].digest[:DIGITS]}): this is another model version, {digest}. What the earlier one said stays "
            "its own."
        )
    return f"{files.name} ({digest}) is registered."


def _texts(document: Any) -> Iterator[str]:
    """All texts in a document of JSON values, the names of its fields aside."""
    match document:
        case str():
            yield document
        case dict():
            for value in document.values():
                yield from _texts(value)
        case list():
            for value in document:
                yield from _texts(value)
