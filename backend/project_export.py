"""A project as a file: every label and verdict on a line of its own, or rows to train on."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.batch_job import item_of
from backend.errors import InvalidInputError
from backend.passes import Pass
from backend.project_state import item_state, policy_state, verdict_state
from backend.projects import RUSHED_SECONDS, project_row
from backend.recalibration import score_of
from backend.rubrics import rubric_of
from backend.table_files import guarded_cell
from backend.training_rows import TrainingRow, published, score_target, winner_target
from backend.types import SCORES, Item, Mode
from db import models as rows
from db import project_queries as queries
from db import recalibration_queries
from db.adjudication_queries import chain_of, with_authors
from db.restoring_queries import name_of
from db.session import Store

CHUNK = 500
LONG, FEEDBACK, PREFERENCE, DPO = "long", "feedback-collection", "preference-collection", "dpo"
FORMS = (LONG, FEEDBACK, PREFERENCE, DPO)
SUFFIXES = (".csv", ".jsonl", ".parquet")
LONG_FIELDS = (
    "project", "position", "external_id", "mode", "kind", "instruction", "responses", "reference", "criterion",
    *(f"level_{score}" for score in SCORES), "sources", "imported_labels", "extra", "score", "winner", "ranking",
    "annotator", "blind", "seen_verdict", "shown_order", "stream", "sampling_probability",
    "round", "seconds", "rushed", "agrees", "note", "label_id",
    "supersedes", "stands", "verdict_id", "status", "expected_score", "recalibrated_score", "confidence", "p_a",
    "order_sensitive", "feedback", "feedback_on", "judge", "judge_digest", "model_digest", "format_digest", "engine",
    "rubric_version_id", "at", "state",
)  # fmt: skip
"""Of the long form. kind: item (as imported), blind, agree, override, withdrawn (labels), adjudication, or verdict.

state: what the other columns do not say and a restored project needs (backend.project_restore).
stream, sampling_probability: of an item, and of a label the ones that its item was served with.
feedback_on: of each feedback which response it is on or, of a pair, which one the judge knew as Response A and B.
recalibrated_score: where the project's is switched on, by a curve that no label of the item was fitted to."""
Row = dict[str, Any]


class ProjectExport:
    """Writes a file whole or not at all. Raises StoreError where the database fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, project_id: int, form: str, out: Path, user_id: int) -> int:
        """The number of rows written to a new file.

        form: one of FORMS. long goes into .csv, .jsonl or .parquet, the others into .jsonl. Training rows come from
        what a lead decided, else from the labels that were given blind, in a project that is not blind from those given
        with the verdict in view; these two are never mixed. Raises InvalidInputError, NotFoundError, NotAllowedError.
        """
        if form not in FORMS:
            raise InvalidInputError(f"The form is {form!r}; it must be one of {', '.join(FORMS)}.")
        suffixes = SUFFIXES if form == LONG else (".jsonl",)
        if out.suffix not in suffixes:
            raise InvalidInputError(f"The file is {out.name}; for {form} its name ends in {' or '.join(suffixes)}.")
        if out.exists():
            raise InvalidInputError(f"{out} is there already. Choose another name, or move it away.")
        partial = out.with_name(out.name + ".partial")
        try:
            with self._store.read() as session:
                require_role(session, user_id, Role.LEAD, "export a project")
                project = project_row(session, project_id)
                count = _writers()[out.suffix](partial, _rows(session, project, form))
            partial.replace(out)
        except OSError as error:
            raise InvalidInputError(f"{out} can't be written: {error.strerror}. Choose another place.") from error
        finally:
            partial.unlink(missing_ok=True)
        return count


def _rows(session: Session, project: rows.Project, form: str) -> Iterator[Row]:
    match form, Mode(project.mode):
        case "long", _:
            return _long(session, project)
        case "feedback-collection", Mode.DIRECT:
            return (published(_training_row(project, *one)) for one in _labelled(session, project))
        case "preference-collection", Mode.PAIRWISE:
            return (published(_training_row(project, *one)) for one in _labelled(session, project))
        case "dpo", Mode.PAIRWISE:
            return _pairs_of_winners(session, project)
        case "dpo", Mode.DIRECT:
            return _pairs_of_scores(session, project)
        case _:
            raise InvalidInputError(
                f"“{project.name}” has {project.mode} items, which are no {form} rows. Choose long."
            )


def _items(session: Session, project_id: int) -> Iterator[rows.ProjectItem]:
    after = -1
    while chunk := queries.items_in_order(session, project_id, after, CHUNK):
        yield from chunk
        after = chunk[-1].position


def _long(session: Session, project: rows.Project) -> Iterator[Row]:
    recalibration = recalibration_queries.last(session, project.id)
    policy, first = {"project": policy_state(project)}, queries.first_position(session, project.id)
    for row in _items(session, project.id):
        item, rubric = item_of(row), rubric_of(row.rubric_version)
        shared: Row = {
            "project": project.name,
            "position": row.position,
            "external_id": row.external_id,
            "mode": project.mode,
            "instruction": item.instruction,
            "responses": list(item.responses),
            "reference": item.reference,
            "criterion": rubric.criterion,
            **{f"level_{n}": text for n, text in zip(SCORES, rubric.levels, strict=False)},
            "rubric_version_id": row.rubric_version_id,
        }
        about = {
            "sources": row.sources, "imported_labels": row.imported_labels, "extra": row.extra,
            "stream": row.stream, "sampling_probability": row.sampling_probability,
            "state": item_state(session, row) | (policy if row.position == first else {}),
        }  # fmt: skip
        yield _filled({**shared, **about, "kind": "item"})
        for label, author, stands in queries.labels_of_item(session, row.id):
            yield _filled({**shared, **_label_fields(label, author, stands)})
        decisions = with_authors(session, row.id)
        for decision, author in decisions:
            stands = decision is decisions[-1][0]
            yield _filled({**shared, **_decision_fields(decision, author, stands)})
        for verdict in queries.verdicts_of_item(session, row.item_id, row.rubric_version_id):
            right = score_of(recalibration, verdict)
            yield _filled(
                {
                    **shared,
                    **_verdict_fields(verdict),
                    "recalibrated_score": None if right is None else right.score,
                    "state": verdict_state(verdict, name_of(session, verdict.created_by_id)),
                }
            )


def _filled(fields: Row) -> Row:
    return {name: fields.get(name) for name in LONG_FIELDS}


def _label_fields(label: rows.Label, author: str, stands: bool) -> Row:
    return {
        "kind": label.kind,
        "score": label.score,
        "winner": label.winner,
        "ranking": label.ranking,
        "annotator": author,
        "blind": label.verdict_id is None,
        "seen_verdict": label.verdict_id,
        "shown_order": label.shown_order,
        "stream": label.stream,
        "sampling_probability": label.sampling_probability,
        "round": label.round,
        "seconds": label.seconds,
        "rushed": None if label.seconds is None else label.seconds < RUSHED_SECONDS,
        "agrees": label.agrees,
        "note": label.note,
        "label_id": label.id,
        "supersedes": label.supersedes_id,
        "stands": stands,
        "at": label.created_at.isoformat(),
        "state": None if label.restores_id is None else {"restores": label.restores_id},
    }


def _decision_fields(decision: rows.Adjudication, author: str, stands: bool) -> Row:
    """label_id and supersedes are the decision's own."""
    return {
        "kind": "adjudication",
        "score": decision.score,
        "winner": decision.winner,
        "ranking": decision.ranking,
        "annotator": author,
        "blind": False,
        "seen_verdict": decision.verdict_id,
        "note": decision.reason,
        "label_id": decision.id,
        "supersedes": decision.supersedes_id,
        "stands": stands,
        "at": decision.created_at.isoformat(),
        "state": {"labels": decision.label_ids},
    }


def _verdict_fields(verdict: rows.Verdict) -> Row:
    judge, model = verdict.judge, verdict.judge.model_version
    ranked = None if verdict.ranking is None else verdict.ranking["ranked"]
    written = [one for one in verdict.readings if one.reading.feedback]
    return {
        "kind": "verdict",
        "score": verdict.score,
        "winner": verdict.winner,
        "ranking": None if ranked is None else [one["position"] for one in sorted(ranked, key=lambda r: r["rank"])],
        "seconds": verdict.seconds,
        "verdict_id": verdict.id,
        "status": verdict.status,
        "expected_score": verdict.expected_score,
        "confidence": verdict.confidence,
        "p_a": verdict.p_a,
        "order_sensitive": verdict.order_sensitive,
        "feedback": "\n\n".join(one.reading.feedback for one in written),
        "feedback_on": "; ".join(Pass(one.first, one.second).label for one in written),
        "judge": model.name,
        "judge_digest": judge.digest,
        "model_digest": model.digest,
        "format_digest": judge.format_digest,
        "engine": f"{judge.engine} ({judge.engine_version})",
        "at": verdict.created_at.isoformat(),
    }


Said = rows.Label | rows.Adjudication
Labelled = tuple[rows.ProjectItem, Item, Sequence[Said]]


def _labelled(session: Session, project: rows.Project) -> Iterator[Labelled]:
    """Items with what counts of them: a lead's decision, else labels of the project's one kind, of the first round."""
    for row in _items(session, project.id):
        found = queries.labels_of_item(session, row.id)
        counting = [
            label
            for label, _author, stands in found
            if stands and label.round == 1 and (label.verdict_id is None) is project.blind
        ]
        decisions = chain_of(session, row.id)
        if counting or decisions:
            yield row, item_of(row), decisions[-1:] or counting


def _training_row(project: rows.Project, row: rows.ProjectItem, item: Item, labels: Sequence[Said]) -> TrainingRow:
    if item.mode is Mode.DIRECT:
        target = score_target([label.score for label in labels if label.score is not None])
    else:
        target = winner_target([label.winner for label in labels if label.winner is not None])
    return TrainingRow(
        id=row.external_id or f"{project.name}-{row.position}",
        source=f"project {project.name}",
        licence="own labels",
        item=item,
        rubric=rubric_of(row.rubric_version),
        target=target,
        feedback=None,
    )


def _pairs_of_winners(session: Session, project: rows.Project) -> Iterator[Row]:
    """The winner of most people against the other; ties are left out."""
    for _row, item, labels in _labelled(session, project):
        a, b = winner_target([label.winner for label in labels if label.winner is not None])
        if a != b:
            first, second = item.responses
            chosen, rejected = (first, second) if a > b else (second, first)
            yield {"prompt": item.instruction, "chosen": chosen, "rejected": rejected, "people": len(labels)}


def _pairs_of_scores(session: Session, project: rows.Project) -> Iterator[Row]:
    """Of the responses to one instruction by one rubric the best against the worst, where their means differ."""
    groups: dict[tuple[str, int], list[tuple[float, str, int]]] = {}
    for row, item, labels in _labelled(session, project):
        scores = [label.score for label in labels if label.score is not None]
        mean = sum(scores) / len(scores)
        groups.setdefault((item.instruction, row.rubric_version_id), []).append((mean, item.responses[0], len(scores)))
    for (instruction, _rubric), scored in groups.items():
        best, worst = max(scored), min(scored)
        if best[0] > worst[0]:
            yield {"prompt": instruction, "chosen": best[1], "rejected": worst[1], "people": min(best[2], worst[2])}


def _writers() -> dict[str, Callable[[Path, Iterable[Row]], int]]:
    return {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


def _write_jsonl(path: Path, found: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, row in enumerate(found, start=1):  # noqa: B007
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count


def _write_csv(path: Path, found: Iterable[Row]) -> int:
    """Lists and objects as JSON; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(LONG_FIELDS)
        for count, row in enumerate(found, start=1):  # noqa: B007
            writer.writerow([guarded_cell(_cell(value)) for value in row.values()])
    return count


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _write_parquet(path: Path, found: Iterable[Row]) -> int:
    """Lists and objects as JSON text, so that every row has the same columns whatever its project holds."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    double, flag, whole = pyarrow.float64(), pyarrow.bool_(), pyarrow.int64()
    kinds = {
        **dict.fromkeys(("score", "position"), whole),
        **dict.fromkeys(("blind", "stands"), flag),
        **dict.fromkeys(("seconds", "confidence", "expected_score", "p_a", "sampling_probability"), double),
    }
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in LONG_FIELDS])
    count, batch = 0, []
    with ParquetWriter(path, schema) as writer:
        for row in found:
            batch.append({n: v if n in kinds or v is None else _cell(v) for n, v in row.items()})
            count += 1
            if len(batch) == CHUNK:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, schema))
    return count
