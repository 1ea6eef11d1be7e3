"""What is exported is restored to the same state: policy, items, labels, decisions and verdicts, in another store."""

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.adjudicating import Adjudicating
from backend.agreement_report import as_json
from backend.agreement_rows import Selection
from backend.batch_job import BatchJudging, BatchOrder
from backend.comparing import Comparing
from backend.errors import ConflictError, InvalidInputError, NotAllowedError
from backend.labelling import Labelling
from backend.project_export import ProjectExport
from backend.project_import import ProjectImport
from backend.projects import ItemOrder, Projects, ProjectView
from backend.streams import Foremost
from backend.types import Mode, Sampling
from db.models import Project, User
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.conftest import add_user
from tests.project_bench import ProjectBench, rows_of

CHOICES = {
    Mode.DIRECT: ("4", "2", "5"),
    Mode.PAIRWISE: ("A", "tie", "B"),
    Mode.RANKING: ("A > B > C", "C > B > A", "B > A > C"),
}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'other.db'}")
    store.migrate()
    yield store
    store.close()


def click() -> str:
    return uuid.uuid4().hex


def lived_in(bench: ProjectBench, mode: Mode) -> ProjectView:
    """Judged, labelled by two people, changed after the reveal, skipped, flagged, and settled twice."""
    view = bench.project(
        mode=mode, item_order=ItemOrder.TWO_STREAMS, audit_share=0.4, foremost=Foremost.DISPUTED, people_per_item=2,
        guidelines="Read **twice**.", seed=11,
    )  # fmt: skip
    rows = [{**row, "id": f"x{n}", "topic": {"n": n}} for n, row in enumerate(rows_of(6, mode))]
    bench.importing.run(str(bench.file(rows)), view.id, bench.lead)
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())
    labelling, choices = Labelling(bench.store), CHOICES[mode]
    for person in (bench.ann, bench.bob):
        for number in range(4):
            task = labelling.next(view.id, person)
            assert task is not None
            choice = choices[(number + person) % 3]
            labelling.submit(task.project_item_id, person, click(), choice, "=note, “é”", seconds=1.5 + number)
            if number in (1, 2):
                labelling.reopen(view.id, person, task.project_item_id)
                labelling.submit(task.project_item_id, person, click(), choices[number - 1], "", seconds=9.25)
    task = labelling.next(view.id, bench.ann)
    assert task is not None
    labelling.flag(task.project_item_id, bench.ann, click(), "Both are odd.")
    labelling.skip(task.project_item_id, bench.ann)
    adjudicating = Adjudicating(bench.store)
    settled = adjudicating.queue(view.id, bench.lead)[0].project_item_id
    for choice in choices[:2]:
        adjudicating.decide(settled, bench.lead, click(), choice, "As the rubric says.")
    return bench.projects.get(view.id)


def exported(store: Store, project_id: int, lead: int, out: Path) -> list[dict[str, Any]]:
    ProjectExport(store).write(project_id, "long", out, lead)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def without_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ids as their places in the file: another store numbers anew."""
    labels = [row["label_id"] for row in rows if row["kind"] not in ("item", "verdict", "adjudication")]
    decisions = [row["label_id"] for row in rows if row["kind"] == "adjudication"]
    verdicts = [row["verdict_id"] for row in rows if row["kind"] == "verdict"]

    def place(ids: list[int], one: int | None) -> int | None:
        return None if one is None else ids.index(one)

    plain = []
    for row in rows:
        own, state = decisions if row["kind"] == "adjudication" else labels, dict(row["state"] or {})
        if "reveals" in state:
            state["reveals"] = [[name, place(verdicts, seen)] for name, seen in state["reveals"]]
        if "restores" in state:
            state["restores"] = place(labels, state["restores"])
        if "labels" in state:
            state["labels"] = [place(labels, one) for one in state["labels"]]
        numbered = {
            "label_id": place(own, row["label_id"]), "supersedes": place(own, row["supersedes"]),
            "seen_verdict": place(verdicts, row["seen_verdict"]), "verdict_id": place(verdicts, row["verdict_id"]),
            "rubric_version_id": None, "state": state,
        }  # fmt: skip
        plain.append({**row, **numbered})
    return plain


@pytest.mark.parametrize("order", list(ItemOrder))
def test_a_project_of_each_order_of_items_comes_back(bench: ProjectBench, other: Store, order: ItemOrder) -> None:
    view, admin = bench.filled(3, item_order=order, repeats=1), add_user(other, "root", "admin")
    before = exported(bench.store, view.id, bench.lead, bench.folder / "before.jsonl")
    restored = ProjectImport(other).restore(str(bench.folder / "before.jsonl"), "", admin)
    after = exported(other, restored.project_id, admin, bench.folder / "after.jsonl")
    assert without_ids(after) == without_ids(before)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_project_is_the_same_in_another_store(bench: ProjectBench, other: Store, mode: Mode, suffix: str) -> None:
    view, admin = lived_in(bench, mode), add_user(other, "root", "admin")
    before = exported(bench.store, view.id, bench.lead, bench.folder / "before.jsonl")
    ProjectExport(bench.store).write(view.id, "long", bench.folder / f"out.{suffix}", bench.lead)
    restored = ProjectImport(other).restore(str(bench.folder / f"out.{suffix}"), "", admin)
    assert (restored.items, restored.decisions, restored.verdicts) == (6, 2, 6)
    assert sorted(restored.new_people) == ["ann", "bob", "lead"]
    after = exported(other, restored.project_id, admin, bench.folder / "after.jsonl")
    assert without_ids(after) == without_ids(before)
    assert {row["kind"] for row in before} >= {"item", "blind", "adjudication", "verdict"}
    again = Projects(other).get(restored.project_id)
    assert {**vars(again.draft), "rubric_version_ids": 0} == {**vars(view.draft), "rubric_version_ids": 0}
    progress = [projects.progress(one) for projects, one in ((Projects(other), again.id), (bench.projects, view.id))]
    assert progress[0] == progress[1]
    selections = ((other, again.id, admin), (bench.store, view.id, bench.lead))
    reports = [Comparing(one).report(Selection(mode, project_id=project), who) for one, project, who in selections]
    assert json.loads(as_json(reports[0]))["counts"] == json.loads(as_json(reports[1]))["counts"]
    assert reports[0].powered == reports[1].powered
    with other.read() as session:
        assert session.scalar(select(User.disabled_at).where(User.name == "ann")) is not None


def test_beside_the_original_the_same_verdicts_are_taken_and_labels_are_new(bench: ProjectBench) -> None:
    view, admin = lived_in(bench, Mode.DIRECT), add_user(bench.store, "root", "admin")
    out = bench.folder / "out.jsonl"
    before = exported(bench.store, view.id, bench.lead, out)
    with pytest.raises(ConflictError, match="There is a project named “Kettles” already"):
        bench.importing.restore(str(out), "", admin)
    restored = bench.importing.restore(str(out), "Kettles again", admin)
    after = exported(bench.store, restored.project_id, bench.lead, bench.folder / "after.jsonl")
    verdicts = [[row["verdict_id"] for row in rows if row["kind"] == "verdict"] for rows in (before, after)]
    assert verdicts[0] == verdicts[1]
    assert restored.new_people == ()


def test_what_is_no_whole_export_is_refused_and_nothing_is_kept(bench: ProjectBench) -> None:
    view, admin = lived_in(bench, Mode.DIRECT), add_user(bench.store, "root", "admin")
    rows = exported(bench.store, view.id, bench.lead, bench.folder / "out.jsonl")
    (label, *_) = (n for n, row in enumerate(rows) if row["kind"] == "blind")
    wrong = {
        "does not begin with an item": rows[label:],
        "what the project's policy was": [{**rows[0], "state": {**rows[0]["state"], "project": None}}],
        "is empty": rows_of(0),
        "says nothing that one can say": [*rows[:label], {**rows[label], "score": 7}],
        "Row 1 can't be restored": rows_of(2),
        "which no export has": [*rows[:label], {**rows[label], "kind": "guess"}],
    }
    for said, content in wrong.items():
        with pytest.raises(InvalidInputError, match=said):
            bench.importing.restore(str(bench.file(content, "wrong.jsonl")), "New", admin)
    with pytest.raises(NotAllowedError, match="only an admin may restore"):
        bench.importing.restore(str(bench.folder / "out.jsonl"), "New", bench.lead)
    with bench.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 1
