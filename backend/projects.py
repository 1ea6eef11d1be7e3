"""Projects: items that several people label by the same rules, and how far each person is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.rubrics import rubric_of
from backend.streams import Foremost
from backend.types import Mode, Rubric, checked_text
from db import models as rows
from db import project_queries as queries
from db.adjudication_queries import decided_count
from db.session import Store

MAX_NAME_CHARACTERS = 200
MAX_GUIDELINE_CHARACTERS = 100_000
MAX_PEOPLE = 100
MAX_REPEATS = 1_000
LEASE_MINUTES = (1, 1_440)
AUDIT_SHARE = (0.01, 0.99)
RUSHED_SECONDS = 2.0
"""A label that came sooner is marked as rushed."""


class ProjectState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    ARCHIVED = "archived"


class ItemOrder(StrEnum):
    """How items are handed out: as they were imported, shuffled once for all, or in two streams: some that were drawn
    by chance, for estimates, and among them the others by how doubtful they are."""

    GIVEN = "given"
    RANDOM = "random"
    TWO_STREAMS = "two streams"


@dataclass(frozen=True)
class ProjectDraft:
    """A project as somebody describes it.

    mode: how many responses its items have. rubric_version_ids: each item that brings no rubric of its own is
    labelled once by each. blind: people label before they see the verdict. people_per_item: 1 to 100.
    repeats: how many items come back to each person, 0 to 1,000. lease_minutes: how long an item in hand is
    kept, 1 to 1,440. seed: of the random order, of the streams and of the sides. audit_share, foremost: of two streams
    alone: the probability with which each item is drawn for the audit stream, 0.01 to 0.99, and what comes first in
    the other one.
    """

    name: str
    mode: Mode
    rubric_version_ids: tuple[int, ...] = ()
    guidelines: str = ""
    blind: bool = True
    people_per_item: int = 1
    item_order: ItemOrder = ItemOrder.RANDOM
    repeats: int = 0
    lease_minutes: int = 30
    seed: int = 0
    audit_share: float = 0.3
    foremost: Foremost = Foremost.UNCERTAIN

    def checked(self) -> "ProjectDraft":
        """The same with a tidy name. Raises InvalidInputError."""
        name = " ".join(checked_text("The project's name", self.name).split())
        _within("The project's name", len(name), 1, MAX_NAME_CHARACTERS, "characters")
        checked_text("The guidelines", self.guidelines, required=False)
        _within("The guidelines", len(self.guidelines), 0, MAX_GUIDELINE_CHARACTERS, "characters")
        _within("People per item", self.people_per_item, 1, MAX_PEOPLE)
        _within("Repeats", self.repeats, 0, MAX_REPEATS)
        _within("The lease", self.lease_minutes, *LEASE_MINUTES, "minutes")
        _within("The seed", self.seed, 0, 2**32 - 1)
        if self.mode is Mode.RANKING and self.repeats:
            raise InvalidInputError("Rankings can't come back: leave repeats at 0, or make a project of pairs.")
        if not AUDIT_SHARE[0] <= self.audit_share <= AUDIT_SHARE[1]:
            raise InvalidInputError(
                f"The audit share is {self.audit_share:g}; it must lie between {AUDIT_SHARE[0]:g} and "
                f"{AUDIT_SHARE[1]:g}. Choose the order random to draw every item by chance."
            )
        enums = {"item_order": ItemOrder(self.item_order), "mode": Mode(self.mode), "foremost": Foremost(self.foremost)}
        changes = {**vars(self), "name": name, **enums}
        return ProjectDraft(**changes)


@dataclass(frozen=True)
class ProjectView:
    """A project as it is. rubrics: of its rubric_version_ids, in their order."""

    id: int
    draft: ProjectDraft
    state: ProjectState
    items: int
    rubrics: tuple[Rubric, ...]
    created_by_id: int
    created_at: datetime

    @property
    def name(self) -> str:
        return self.draft.name

    @property
    def mode(self) -> Mode:
        return self.draft.mode


@dataclass(frozen=True)
class PersonProgress:
    """What one person has done: items that have their label, of those rushed, changed after the reveal, and so on.

    seconds: the median time for a label, to 10 ms, None before the first. consistent: how many of their `repeated`
    items got the same label again.
    """

    name: str
    labels: int
    rushed: int
    overrides: int
    skipped: int
    flagged: int
    repeated: int
    consistent: int
    seconds: float | None


@dataclass(frozen=True)
class Progress:
    """How far a project is. complete: items with as many labels as wanted. judged: items with a verdict.

    decided: items on which a lead has decided.
    """

    items: int
    complete: int
    labels: int
    wanted: int
    judged: int
    failed: int
    decided: int
    people: tuple[PersonProgress, ...]


class Projects:
    """Makes and changes projects. All raise StoreError where the database fails; then nothing was changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, draft: ProjectDraft, user_id: int) -> ProjectView:
        """A lead's new project. Raises InvalidInputError, ConflictError for a name in use, NotAllowedError."""
        checked = draft.checked()
        with self._store.write() as session:
            require_role(session, user_id, Role.LEAD, "make a project")
            _require_free(session, checked.name, own_id=None)
            row = rows.Project(state=ProjectState.OPEN, created_by_id=user_id)
            _fill(session, row, checked)
            session.add(row)
            session.flush()
            project_id = row.id
        return self.get(project_id)

    def edit(self, project_id: int, draft: ProjectDraft, user_id: int) -> ProjectView:
        """Change it. With items in it, mode, rubrics, blind, order, streams and seed stay as they are.

        Raises InvalidInputError, NotFoundError, NotAllowedError, and ConflictError for what can't change any more.
        """
        checked = draft.checked()
        with self._store.write() as session:
            require_role(session, user_id, Role.LEAD, "change a project")
            row = project_row(session, project_id, hold=True)
            _require_free(session, checked.name, own_id=project_id)
            before = _draft(row)
            fixed = ["mode", "rubric_version_ids", "blind", "item_order", "seed"]
            if before.item_order is ItemOrder.TWO_STREAMS:
                fixed += ["audit_share", "foremost"]
            changed = [name for name in fixed if getattr(before, name) != getattr(checked, name)]
            if changed and queries.item_counts(session, [project_id]):
                raise ConflictError(
                    f"“{row.name}” has items already, so {', '.join(changed)} can't change. Make another project."
                )
            _fill(session, row, checked)
        return self.get(project_id)

    def set_state(self, project_id: int, state: ProjectState, user_id: int) -> ProjectView:
        """Close, reopen or archive it: only an open project takes labels. Nothing in it is lost.

        Raises NotFoundError and NotAllowedError.
        """
        with self._store.write() as session:
            require_role(session, user_id, Role.LEAD, "close, reopen or archive a project")
            project_row(session, project_id, hold=True).state = ProjectState(state)
        return self.get(project_id)

    def get(self, project_id: int) -> ProjectView:
        """Raises NotFoundError."""
        with self._store.read() as session:
            row = project_row(session, project_id)
            return _view(row, queries.item_counts(session, [project_id]).get(project_id, 0))

    def named(self, name: str) -> ProjectView:
        """The project of this name, whatever its case, or with this number. Raises NotFoundError."""
        with self._store.read() as session:
            found = queries.named(session, name)
        if found is None and name.isdecimal():
            return self.get(int(name))
        if found is None:
            raise NotFoundError(f"There is no project {name!r}. `launch.py project status` names all of them.")
        return self.get(found)

    def list(self, *, include_archived: bool = False) -> Sequence[ProjectView]:
        """All projects, by name."""
        with self._store.read() as session:
            found = queries.projects(session, include_archived=include_archived)
            counts = queries.item_counts(session, [row.id for row in found])
            return [_view(row, counts.get(row.id, 0)) for row in found]

    def progress(self, project_id: int) -> Progress:
        """Raises NotFoundError."""
        with self._store.read() as session:
            wanted = project_row(session, project_id).people_per_item
            counts = queries.people_counts(session, project_id)
            items = sum(counts.values())
            return Progress(
                items=items,
                complete=sum(count for people, count in counts.items() if people >= wanted),
                labels=sum(min(people, wanted) * count for people, count in counts.items()),
                wanted=items * wanted,
                judged=queries.judged_count(session, project_id),
                failed=queries.failure_count(session, project_id),
                decided=decided_count(session, project_id),
                people=_people(session, project_id),
            )


def project_row(session: Session, project_id: int, *, hold: bool = False, rubrics: bool = True) -> rows.Project:
    """Raises NotFoundError. hold, rubrics: as db.project_queries.project has them."""
    row = queries.project(session, project_id, hold=hold, rubrics=rubrics)
    if row is None:
        raise NotFoundError(f"There is no project {project_id}. Reload the page: it lists those there are.")
    return row


def _people(session: Session, project_id: int) -> tuple[PersonProgress, ...]:
    """Counted by the database: a project may have more labels than a page could wait for."""
    skipped = queries.person_counts(session, project_id, rows.Skip)
    flagged = queries.person_counts(session, project_id, rows.Flag)
    counts: dict[str, list[queries.LabelCount]] = {}
    for count in queries.label_counts(session, project_id, RUSHED_SECONDS):
        counts.setdefault(count.name, []).append(count)
    consistent = _consistent(session, project_id)
    people = []
    for name in sorted({*counts, *skipped, *flagged}):
        own = counts.get(name, [])
        people.append(
            PersonProgress(
                name=name,
                labels=sum(count.items for count in own),
                rushed=sum(count.rushed for count in own),
                overrides=sum(count.overrides for count in own),
                skipped=skipped.get(name, 0),
                flagged=flagged.get(name, 0),
                repeated=sum(count.again for count in own),
                consistent=consistent.get(name, 0),
                seconds=_median(own),
            )
        )
    return tuple(people)


def _median(counts: Sequence[queries.LabelCount]) -> float | None:
    """Of the seconds, which rise: the middle one, or the mean of the two in the middle."""
    timed = [(count.seconds, count.labels) for count in counts if count.seconds is not None]
    total = sum(labels for _, labels in timed)
    if not total:
        return None
    places, middle, passed = ((total - 1) // 2, total // 2), [], 0
    for seconds, labels in timed:
        middle += [seconds for place in places if passed <= place < passed + labels]
        passed += labels
    return sum(middle) / 2


def _consistent(session: Session, project_id: int) -> Counter[str]:
    """How many of the items that came back to a person got the same label again."""
    first: dict[tuple[str, int], Any] = {}
    second: dict[tuple[str, int], Any] = {}
    for name, item_id, round, said in queries.repeated_opinions(session, project_id):
        (first if round == 1 else second)[name, item_id] = said
    return Counter(name for (name, item_id), said in second.items() if first.get((name, item_id)) == said)


def _fill(session: Session, row: rows.Project, draft: ProjectDraft) -> None:
    row.name, row.guidelines, row.mode, row.blind = draft.name, draft.guidelines, draft.mode, draft.blind
    row.people_per_item, row.item_order, row.repeats = draft.people_per_item, draft.item_order, draft.repeats
    row.lease_seconds, row.seed = draft.lease_minutes * 60, draft.seed
    streams = draft.item_order is ItemOrder.TWO_STREAMS
    row.audit_share, row.foremost = (draft.audit_share, draft.foremost) if streams else (None, None)
    if [one.rubric_version_id for one in row.rubrics] == list(draft.rubric_version_ids):
        return
    for old in row.rubrics:
        session.delete(old)
    session.flush()
    for version_id in draft.rubric_version_ids:
        if session.get(rows.RubricVersion, version_id) is None:
            raise NotFoundError(f"There is no rubric version {version_id}. Choose a rubric of the library.")
    if len(set(draft.rubric_version_ids)) < len(draft.rubric_version_ids):
        raise InvalidInputError("A rubric was chosen twice. Name each once.")
    row.rubrics = [
        rows.ProjectRubric(rubric_version_id=version_id, position=position)
        for position, version_id in enumerate(draft.rubric_version_ids)
    ]


def _draft(row: rows.Project) -> ProjectDraft:
    streams: dict[str, Any] = {}
    if row.audit_share is not None and row.foremost is not None:
        streams = {"audit_share": row.audit_share, "foremost": Foremost(row.foremost)}
    return ProjectDraft(
        name=row.name,
        mode=Mode(row.mode),
        rubric_version_ids=tuple(one.rubric_version_id for one in row.rubrics),
        guidelines=row.guidelines,
        blind=row.blind,
        people_per_item=row.people_per_item,
        item_order=ItemOrder(row.item_order),
        repeats=row.repeats,
        lease_minutes=row.lease_seconds // 60,
        seed=row.seed,
        **streams,
    )


def _view(row: rows.Project, items: int) -> ProjectView:
    return ProjectView(
        id=row.id,
        draft=_draft(row),
        state=ProjectState(row.state),
        items=items,
        rubrics=tuple(rubric_of(one.rubric_version) for one in row.rubrics),
        created_by_id=row.created_by_id,
        created_at=row.created_at,
    )


def _require_free(session: Session, name: str, *, own_id: int | None) -> None:
    if queries.named(session, name) not in (None, own_id):
        raise ConflictError(f"There is a project named “{name}” already. Choose another name.")


def _within(name: str, value: int, low: int, high: int, unit: str = "") -> None:
    if not low <= value <= high:
        unit = f" {unit}" if unit else ""
        raise InvalidInputError(f"{name}: {value:,}{unit}; it must lie between {low:,} and {high:,}.")
