"""Exports: lossless, safe to open, and imported again they are the same items; the same by command."""

import csv
import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from backend.batch_job import BatchJudging, BatchOrder
from backend.errors import InvalidInputError, NotAllowedError
from backend.labelling import Labelling
from backend.project_export import LONG_FIELDS, ProjectExport
from backend.projects import ProjectView
from backend.training_forms import load_rows
from backend.types import Mode, Sampling
from db import project_queries as queries
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.project_bench import ProjectBench, rows_of

ROOT = Path(__file__).parent.parent
EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'quoted", 'naïve "x",\n🙂', "  spaced  "]


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def finished(bench: ProjectBench, view: ProjectView, choices: str) -> ProjectView:
    """Judged, and labelled blind by ann."""
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())
    labelling = Labelling(bench.store)
    for choice in choices:
        task = labelling.next(view.id, bench.ann)
        assert task is not None
        said = choice
        if choice in "AB":  # by what was imported first, whatever side it is shown on
            said = choice if task.responses[0].startswith("First") else "BA"["AB".index(choice)]
        labelling.submit(task.project_item_id, bench.ann, uuid.uuid4().hex, said, note="=note", seconds=4)
    return view


def content(bench: ProjectBench, project_id: int) -> list[tuple[Any, ...]]:
    with bench.store.read() as session:
        found = queries.items_in_order(session, project_id, -1, 1000)
    return [(row.item_id, row.rubric_version_id, row.external_id, row.sources, row.imported_labels) for row in found]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("mode", list(Mode))
def test_what_is_exported_imports_as_the_same_items(bench: ProjectBench, suffix: str, mode: Mode) -> None:
    rows = [{**row, "id": f"x{n}", "instruction": text} for (n, text), row in
            zip(enumerate(EVIL), rows_of(len(EVIL), mode), strict=True)]  # fmt: skip
    if mode is Mode.PAIRWISE:
        rows[0]["winner"] = "tie"
    view = bench.project(mode=mode)
    assert bench.importing.run(str(bench.file(rows)), view.id, bench.lead).imported == len(EVIL)
    finished(bench, view, {Mode.DIRECT: "45", Mode.PAIRWISE: "AB", Mode.RANKING: ""}[mode])
    out = bench.folder / f"out.{suffix}"
    ProjectExport(bench.store).write(view.id, "long", out, bench.lead)
    again = bench.project("Again", mode=mode, rubric_version_ids=())
    report = bench.importing.run(str(out), again.id, bench.lead)
    assert (report.imported, report.refused_count) == (len(EVIL), 0)
    assert content(bench, again.id) == content(bench, view.id)


def test_the_long_form_tells_each_label_and_each_verdict_with_its_maker(bench: ProjectBench) -> None:
    view = finished(bench, bench.filled(3), "45")
    out = bench.folder / "out.jsonl"
    assert ProjectExport(bench.store).write(view.id, "long", out, bench.lead) == 3 + 2 + 3
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {tuple(row) for row in rows} == {LONG_FIELDS}
    labels = [row for row in rows if row["kind"] == "blind"]
    assert [(row["annotator"], row["score"], row["blind"], row["seconds"], row["stands"]) for row in labels] == [
        ("ann", 4, True, 4.0, True),
        ("ann", 5, True, 4.0, True),
    ]
    verdicts = [row for row in rows if row["kind"] == "verdict"]
    assert all(len(row["judge_digest"]) == len(row["model_digest"]) == 64 and row["feedback"] for row in verdicts)
    assert {row["feedback_on"] for row in verdicts} == {"Response A"}


def test_no_cell_of_a_csv_is_a_formula(bench: ProjectBench) -> None:
    view = bench.project()
    bench.importing.run(
        str(bench.file([{"instruction": text, "response": text, "id": text} for text in EVIL])), view.id, bench.lead
    )
    out = bench.folder / "out.csv"
    ProjectExport(bench.store).write(finished(bench, view, "4").id, "long", out, bench.lead)
    with out.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_training_rows_are_read_by_the_trainer(bench: ProjectBench) -> None:
    exporting = ProjectExport(bench.store)
    direct = finished(bench, bench.filled(3), "425")
    pairs = finished(bench, bench.filled(3, Mode.PAIRWISE, name="Pairs"), "AB")
    exporting.write(direct.id, "feedback-collection", bench.folder / "fc.jsonl", bench.lead)
    exporting.write(pairs.id, "preference-collection", bench.folder / "pc.jsonl", bench.lead)
    assert [row.result for row in load_rows(str(bench.folder / "fc.jsonl")).rows] == ["4", "2", "5"]
    assert [row.result for row in load_rows(str(bench.folder / "pc.jsonl")).rows] == ["A", "B"]
    assert exporting.write(pairs.id, "dpo", bench.folder / "dpo.jsonl", bench.lead) == 2
    first, second = map(json.loads, (bench.folder / "dpo.jsonl").read_text().splitlines())
    assert (first["chosen"], first["rejected"], second["chosen"]) == ("First 0.", "Second 0.", "Second 1.")


def test_a_form_that_does_not_fit_is_refused_and_no_file_is_left(bench: ProjectBench) -> None:
    exporting, view = ProjectExport(bench.store), bench.filled(1)
    for form, name, said in [
        ("preference-collection", "a.jsonl", "Choose long"),
        ("dpo", "a.csv", "ends in .jsonl"),
        ("xml", "a.xml", "'xml'"),
    ]:
        with pytest.raises(InvalidInputError, match=said):
            exporting.write(view.id, form, bench.folder / name, bench.lead)
    with pytest.raises(NotAllowedError):
        exporting.write(view.id, "long", bench.folder / "a.csv", bench.ann)
    assert not list(bench.folder.glob("a.*"))


def test_parquet_keeps_numbers_as_numbers(bench: ProjectBench) -> None:
    out = bench.folder / "out.parquet"
    ProjectExport(bench.store).write(finished(bench, bench.filled(1), "4").id, "long", out, bench.lead)
    assert [row["score"] for row in pyarrow.parquet.read_table(out).to_pylist()][1] == 4


@pytest.mark.slow
def test_the_commands_take_a_project_from_its_making_to_its_export(tmp_path: Path, tiny_model: Path) -> None:
    home, rows = tmp_path / "home", tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in rows_of(3)))
    options = ["--home", home, "--model", tiny_model, "--verdict-only"]

    def launch(*arguments: str | Path) -> str:
        command = [sys.executable, "launch.py", *options, *arguments]
        environment = {**os.environ, "ASSAY_PASSWORD": "correct horse"}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(launch("user", "add", "ada", "--role", "lead", "--json"))["role"] == "lead"
    launch("project", "create", "Kettles", "--rubric", "helpfulness", "--json")
    assert json.loads(launch("project", "import", "Kettles", rows, "--json"))["imported"] == 3
    assert json.loads(launch("project", "judge", "Kettles", "--json")) == {"items": 3, "judged": 3, "failed": 0}
    assert json.loads(launch("project", "export", "Kettles", tmp_path / "out.csv", "--json"))["rows"] == 6
    (status,) = json.loads(launch("project", "status", "--json"))
    assert (status["name"], status["items"], status["judged"], status["wanted"]) == ("Kettles", 3, 3, 3)
