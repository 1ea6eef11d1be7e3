"""A project made again from its long export: items, policy, every label, decision and verdict, as they were."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, inspect
from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.errors import ConflictError, InvalidInputError
from backend.project_staging import item_ids
from backend.projects import ItemOrder, ProjectDraft, ProjectState
from backend.results import Opinion, ranking_of
from backend.rubrics import version_for
from backend.streams import Foremost
from backend.table_files import table_rows
from backend.types import SCORES, Item, Mode, Rubric, Status, checked_text
from db import models as rows
from db import project_queries
from db import restoring_queries as queries
from db.judging_queries import judge_by_digest
from db.model_queries import version_by_digest
from db.queries import user_named
from db.session import Store

TEXTS = frozenset(
    ("project", "external_id", "mode", "kind", "instruction", "reference", "criterion", "annotator", "stream", "note",
     "winner", "status", "feedback", "feedback_on", "judge", "judge_digest", "model_digest", "format_digest", "engine",
     "at",
     *(f"level_{score}" for score in SCORES))
)  # fmt: skip
"""Columns of the long form that are text as they stand; of a file of text alone the others are JSON."""
LABELS = frozenset(("blind", "agree", "override", "withdrawn"))
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Restored:
    """What the new project holds. new_people: made without a password, since nobody of their name was here."""

    project_id: int
    items: int
    labels: int
    decisions: int
    verdicts: int
    new_people: tuple[str, ...]


def restore(store: Store, place: str, name: str, user_id: int) -> Restored:
    """A new project from a file of the form long, all of it or nothing, in one transaction: others wait meanwhile.

    name: of the new project; empty: as it was. Labels are given in the names of those who gave them, so it is an
    admin's. Models that are not in this store are known to it afterwards as removed ones. Raises InvalidInputError for
    a file that is no such export, ConflictError for a name in use, NotAllowedError, StoreError.
    """
    with store.write() as session:
        require_role(session, user_id, Role.ADMIN, "restore a project")
        work = _Restoring(session, name, user_id)
        for number, raw in enumerate(table_rows(place), start=1):
            try:
                work.add({key: _value(key, value) for key, value in dict(raw.value).items()})
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidInputError(
                    f"Row {number} can't be restored: {error!r:.200}. Export the project again, in the form long."
                ) from error
        return work.done()


def _value(name: str, value: Any) -> Any:
    if value is None or (value == "" and name != "note"):
        return None
    return json.loads(value) if isinstance(value, str) and name not in TEXTS else value


class _Restoring:
    """Rows come item by item: the item's own, then its labels, decisions and verdicts, as an export writes them."""

    def __init__(self, session: Session, name: str, user_id: int) -> None:
        self._session = session
        self._name = name
        self._user_id = user_id
        self._project: rows.Project | None = None
        self._kept: list[Row] = []
        self._new_people: list[str] = []
        self._counts = {"items": 0, "labels": 0, "decisions": 0, "verdicts": 0}

    def add(self, row: Row) -> None:
        if row["kind"] == "item":
            self._finish_item()
        elif not self._kept:
            raise InvalidInputError("The file does not begin with an item. Restore a whole export of the form long.")
        self._kept.append(row)

    def done(self) -> Restored:
        self._finish_item()
        if self._project is None:
            raise InvalidInputError("The file holds no item. Restore a whole export of the form long.")
        return Restored(self._project.id, **self._counts, new_people=tuple(self._new_people))

    def _finish_item(self) -> None:
        if not self._kept:
            return
        first, *others = self._kept
        self._kept = []
        project = self._project or self._make_project(first)
        item = self._item(project, first)
        verdicts = {row["verdict_id"]: self._verdict(item, row) for row in others if row["kind"] == "verdict"}
        labels: dict[int, int] = {}
        decisions: dict[int, int] = {}
        for row in others:
            if row["kind"] in LABELS:
                labels[row["label_id"]] = self._label(project, item, row, labels, verdicts)
            elif row["kind"] == "adjudication":
                decisions[row["label_id"]] = self._decision(project, item, row, labels, decisions, verdicts)
            elif row["kind"] != "verdict":
                raise InvalidInputError(f"A row is of the kind {str(row['kind'])[:40]!r}, which no export has.")
        for person, seen in first["state"]["reveals"]:
            self._session.add(
                rows.Reveal(project_item_id=item.id, user_id=self._person(person), verdict_id=verdicts[seen])
            )
        for person in first["state"]["skips"]:
            self._session.add(rows.Skip(project_item_id=item.id, user_id=self._person(person)))
        for number, (person, note, at) in enumerate(first["state"]["flags"]):
            self._session.add(
                rows.Flag(
                    client_id=f"restored-{item.id}-{number}", project_item_id=item.id, user_id=self._person(person),
                    note=checked_text("A flag's note", note), created_at=datetime.fromisoformat(at),
                )
            )  # fmt: skip
        standing = [row for row in others if row["kind"] in LABELS and row["stands"] and row["round"] == 1]
        item.people = len({row["annotator"] for row in standing if row["kind"] != "withdrawn"})
        self._session.flush()
        self._session.expunge_all()  # a large project is not held in memory
        self._counts["items"] += 1
        self._counts["labels"] += len(labels)
        self._counts["decisions"] += len(decisions)
        self._counts["verdicts"] += len(verdicts)

    def _make_project(self, row: Row) -> rows.Project:
        policy = (row.get("state") or {}).get("project")
        if policy is None:
            raise InvalidInputError(
                "The file does not say what the project's policy was. Export it again with this version, or make a "
                "project and import its items."
            )
        rubrics = tuple(self._version(one["criterion"], one["levels"]) for one in policy["rubrics"])
        streams: dict[str, Any] = {}
        if policy["audit_share"] is not None:
            streams = {"audit_share": policy["audit_share"], "foremost": Foremost(policy["foremost"])}
        draft = ProjectDraft(
            self._name or row["project"], Mode(policy["mode"]), rubrics, policy["guidelines"],
            blind=bool(policy["blind"]), people_per_item=policy["people_per_item"],
            item_order=ItemOrder(policy["item_order"]), repeats=policy["repeats"],
            lease_minutes=policy["lease_seconds"] // 60, seed=policy["seed"],
            **streams,
        ).checked()  # fmt: skip
        if project_queries.named(self._session, draft.name) is not None:
            raise ConflictError(f"There is a project named “{draft.name}” already. Choose another name.")
        project = rows.Project(
            name=draft.name, guidelines=draft.guidelines, mode=draft.mode, blind=draft.blind,
            people_per_item=draft.people_per_item, item_order=draft.item_order, audit_share=policy["audit_share"],
            foremost=policy["foremost"], repeats=draft.repeats, lease_seconds=draft.lease_minutes * 60, seed=draft.seed,
            state=ProjectState(policy["state"]), created_by_id=self._user_id,
            rubrics=[rows.ProjectRubric(rubric_version_id=one, position=n) for n, one in enumerate(rubrics)],
        )  # fmt: skip
        self._session.add(project)
        self._session.flush()
        self._project = project
        return project

    def _version(self, criterion: str, levels: list[str]) -> int:
        return version_for(self._session, Rubric(criterion, tuple(levels)), self._user_id).id

    def _item(self, project: rows.Project, row: Row) -> rows.ProjectItem:
        item = Item(row["instruction"], tuple(row["responses"]), row["reference"])
        if item.mode != project.mode:
            raise InvalidInputError(f"Item {row['position'] + 1} is no {project.mode} item.")
        levels = [level for score in SCORES if (level := row[f"level_{score}"]) is not None]
        found = rows.ProjectItem(
            project_id=project.id, item_id=item_ids(self._session, [item])[item.digest],
            rubric_version_id=self._version(row["criterion"], levels), position=row["position"],
            order_key=row["state"]["order_key"], stream=row["stream"],
            sampling_probability=row["sampling_probability"], external_id=row["external_id"], sources=row["sources"],
            extra=row["extra"], imported_labels=row["imported_labels"],
        )  # fmt: skip
        self._session.add(found)
        self._session.flush()
        return found

    def _label(
        self, project: rows.Project, item: rows.ProjectItem, row: Row, labels: dict[int, int], verdicts: dict[int, int]
    ) -> int:
        state = row["state"] or {}
        seen, supersedes, restores = row["seen_verdict"], row["supersedes"], state.get("restores")
        withdrawn = row["kind"] == "withdrawn"
        opinion = Opinion() if withdrawn else _opinion(project, row)
        label = rows.Label(
            client_id=f"restored-{project.id}-{row['label_id']}", kind=row["kind"], item_id=item.item_id,
            rubric_version_id=item.rubric_version_id, verdict_id=None if seen is None else verdicts[seen],
            author_id=self._person(row["annotator"]), score=opinion.score, winner=opinion.winner,
            ranking=None if opinion.order is None else list(opinion.order), agrees=row["agrees"],
            note=checked_text("A note", row["note"] or "", required=False),
            supersedes_id=None if supersedes is None else labels[supersedes],
            restores_id=None if restores is None else labels[restores], created_at=datetime.fromisoformat(row["at"]),
            project_item_id=item.id, round=row["round"], seconds=row["seconds"], shown_order=row["shown_order"],
            stream=row["stream"], sampling_probability=row["sampling_probability"],
        )  # fmt: skip
        self._session.add(label)
        self._session.flush()
        return label.id

    def _decision(
        self, project: rows.Project, item: rows.ProjectItem, row: Row, labels: dict[int, int],
        decisions: dict[int, int], verdicts: dict[int, int],
    ) -> int:  # fmt: skip
        seen, supersedes, opinion = row["seen_verdict"], row["supersedes"], _opinion(project, row)
        decision = rows.Adjudication(
            client_id=f"restored-{project.id}-{row['label_id']}", project_item_id=item.id,
            author_id=self._person(row["annotator"]), score=opinion.score, winner=opinion.winner,
            ranking=None if opinion.order is None else list(opinion.order),
            reason=checked_text("A reason", row["note"] or ""),
            label_ids=[labels[one] for one in row["state"]["labels"]],
            verdict_id=None if seen is None else verdicts[seen],
            supersedes_id=None if supersedes is None else decisions[supersedes],
            created_at=datetime.fromisoformat(row["at"]),
        )  # fmt: skip
        self._session.add(decision)
        self._session.flush()
        return decision.id

    def _verdict(self, item: rows.ProjectItem, row: Row) -> int:
        state = row["state"]
        judge_id = judge_by_digest(self._session, state["judge"]["digest"]) or self._judge_id(state)
        said = state["verdict"]
        question = (item.item_id, item.rubric_version_id, judge_id)
        known = queries.verdict_with(self._session, *question, said["attempt"])
        if known is not None:
            return known.id
        Status(said["status"])
        if said["ranking"] is not None:
            ranking_of(said["ranking"])
        verdict = rows.Verdict(
            **_columns(rows.Verdict, said), item_id=item.item_id, rubric_version_id=item.rubric_version_id,
            judge_id=judge_id, created_by_id=self._person(state["asked_by"]),
            created_at=datetime.fromisoformat(row["at"]),
        )  # fmt: skip
        for one in state["readings"]:
            reading = queries.reading_of(self._session, judge_id, one["prompt_digest"], one["attempt"])
            if reading is None:
                fields = {name: value for name, value in one.items() if name not in ("first", "second")}
                reading = rows.Reading(**_columns(rows.Reading, fields), judge_id=judge_id)
                self._session.add(reading)
                self._session.flush()
            verdict.readings.append(
                rows.VerdictReading(reading_id=reading.id, first=one["first"], second=one["second"])
            )
        self._session.add(verdict)
        self._session.flush()
        return verdict.id

    def _judge_id(self, state: dict[str, Any]) -> int:
        """Of a judge that is made, and its model if this store has none of its digest."""
        model = version_by_digest(self._session, state["model"]["digest"])
        if model is None:
            model = rows.ModelVersion(**_columns(rows.ModelVersion, state["model"]), path="", removed_at=rows.now())
            self._session.add(model)
            self._session.flush()
        judge = rows.Judge(**_columns(rows.Judge, state["judge"]), model_version_id=model.id)
        self._session.add(judge)
        self._session.flush()
        return judge.id

    def _person(self, name: str) -> int:
        known = user_named(self._session, name)
        if known is None:
            known = rows.User(name=name, role=Role.ANNOTATOR, disabled_at=rows.now())
            self._session.add(known)
            self._session.flush()
            self._new_people.append(name)
        return known.id


def _opinion(project: rows.Project, row: Row) -> Opinion:
    """Raises InvalidInputError for what nobody can say of an item of this mode."""
    match Mode(project.mode), row["score"], row["winner"], row["ranking"]:
        case Mode.DIRECT, int() as score, _, _ if str(score) in SCORES:
            return Opinion(score=score)
        case Mode.PAIRWISE, _, ("A" | "B" | "tie") as winner, _:
            return Opinion(winner=winner)
        case Mode.RANKING, _, _, list() as order if sorted(order) == list(range(len(order))):
            return Opinion(order=tuple(order))
    raise InvalidInputError(f"Label {row['label_id']} says nothing that one can say of a {project.mode} item.")


def _columns(table: type[rows.Base], state: dict[str, Any]) -> dict[str, Any]:
    """What an export keeps of a row. Raises TypeError for a column that the table has not."""
    moments = {column.key for column in inspect(table).columns if isinstance(column.type, DateTime | rows.UtcDateTime)}
    return {
        name: datetime.fromisoformat(value) if name in moments and value is not None else value
        for name, value in state.items()
    }
