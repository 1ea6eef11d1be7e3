"""Rows into a project: recognised, mapped, refused with their reason; all of them or none; hostile files."""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from backend.errors import ConflictError, InvalidInputError, NotAllowedError
from backend.project_rows import ColumnMapping, ImportedRow, guess_mapping, read_row, with_columns
from backend.projects import ProjectState
from backend.rubrics import RubricLibrary
from backend.types import Mode, Rubric
from db import project_queries as queries
from db.models import ProjectItem
from db.session import Store
from tests.project_bench import ProjectBench, rows_of

LEVEL_FIELDS = {f"orig_score{n}_description": f"Level {n}" for n in range(1, 6)}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def items_of(bench: ProjectBench, project_id: int) -> list[ProjectItem]:
    with bench.store.read() as session:
        return queries.items_in_order(session, project_id, -1, 1000)


def guessed(row: dict[str, Any], mode: Mode) -> ImportedRow:
    return read_row(row, guess_mapping(list(row), mode), mode)


def test_rows_come_in_whole_and_in_order_on_both_databases(any_store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(any_store, tmp_path)
    view = bench.project(mode=Mode.PAIRWISE)
    rows = [
        {**row, "id": f"r{n}", "winner": "model_b", "topic": "tea"} for n, row in enumerate(rows_of(900, view.mode))
    ]
    report = bench.importing.run(str(bench.file(rows)), view.id, bench.lead)
    assert (report.imported, report.duplicates, report.refused_count) == (900, 0, 0)
    found = items_of(bench, view.id)
    assert [item.external_id for item in found] == [row["id"] for row in rows]
    assert [response.text for response in found[7].item.responses] == ["First 7.", "Second 7."]
    assert (found[7].sources, found[7].imported_labels, found[7].extra) == (["alpha", "beta"], ["B"], {"topic": "tea"})


def test_the_same_file_again_adds_nothing(bench: ProjectBench) -> None:
    view = bench.filled(5)
    report = bench.importing.run(str(bench.file(rows_of(6) + rows_of(2))), view.id, bench.lead)
    assert (report.imported, report.duplicates) == (1, 7)


def test_each_item_is_there_once_for_each_rubric_of_the_project(bench: ProjectBench) -> None:
    second = RubricLibrary(bench.store).in_place(Rubric("Is it polite?"), bench.lead)
    view = bench.project(rubric_version_ids=(bench.rubric_version_id, second))
    report = bench.importing.run(str(bench.file(rows_of(3))), view.id, bench.lead)
    assert report.imported == 6


def test_one_row_that_can_not_be_used_keeps_all_of_them_out(bench: ProjectBench) -> None:
    view = bench.project()
    path = bench.file([*rows_of(3), {"instruction": "No answer?", "response": " "}, {"instruction": "x"}])
    report = bench.importing.run(str(path), view.id, bench.lead)
    assert (report.imported, report.refused_count) == (0, 2)
    assert [row.where for row in report.refused] == ["rows.jsonl, line 4", "rows.jsonl, line 5"]
    assert "The response is empty" in report.refused[0].reason
    assert items_of(bench, view.id) == []
    assert bench.importing.run(str(path), view.id, bench.lead, leave_out_refused=True).imported == 3


def test_published_rows_are_recognised_by_their_fields() -> None:
    rubric = {"orig_criteria": "Is it kind?", **LEVEL_FIELDS}
    direct = {"instruction": "whole prompt", "orig_instruction": "Ask", "orig_response": "Answer", "orig_score": "4",
              "orig_reference_answer": "Best", "orig_feedback": "Fine", **rubric}  # fmt: skip
    row = guessed(direct, Mode.DIRECT)
    assert (row.item.instruction, row.item.responses, row.item.reference) == ("Ask", ("Answer",), "Best")
    assert (row.labels, row.rubric.criterion, row.rubric.levels[4]) == ([4], "Is it kind?", "Level 5")
    assert row.extra == {"instruction": "whole prompt", "orig_feedback": "Fine"}

    pair = {
        "orig_instruction": "Ask",
        "orig_response_A": "One",
        "orig_response_B": "Two",
        "orig_preference": "B",
        **rubric,
    }
    row = guessed(pair, Mode.PAIRWISE)
    assert (row.item.responses, row.labels) == (("One", "Two"), ["B"])


def test_mt_bench_conversations_are_read_turn_by_turn() -> None:
    def talk(*turns: str) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[n % 2], "content": turn} for n, turn in enumerate(turns)]

    row = guessed(
        {"question_id": 81, "model_a": "alpaca", "model_b": "gpt", "winner": "model_b", "judge": "expert_1", "turn": 2,
         "conversation_a": talk("Q1", "A1", "Q2", "A2"), "conversation_b": talk("Q1", "B1", "Q2", "B2")},
        Mode.PAIRWISE,
    )  # fmt: skip
    assert row.item.instruction == "User: Q1\n\nAssistant: A1\n\nUser: Q2"
    assert row.item.responses == ("A2", "B2")
    assert (row.labels, row.sources, row.external_id) == (["B"], ["alpaca", "gpt"], "81")


def test_our_data_rows_bring_their_rubric_their_scale_and_their_labels() -> None:
    row = guessed(
        {"id": "x", "instruction": "Ask", "response": "Answer", "reference": None, "scale": [0, 10], "human_score": 7.5,
         "human_scores": [5, 10], "rubric": {"criteria": "Clear?", "scores": ["a", "b", "c", "d", "e"]}, "meta": {}},
        Mode.DIRECT,
    )  # fmt: skip
    assert (row.labels, row.rubric.levels) == ([3, 5], ("a", "b", "c", "d", "e"))
    tied = {"instruction": "Ask", "response_a": "1", "response_b": "2", "human_label": "tie", "rubric": None}
    assert guessed(tied, Mode.PAIRWISE).labels == ["tie"]


def test_single_votes_are_taken_before_their_majority_and_from_inside_an_object(bench: ProjectBench) -> None:
    pair = {"instruction": "Ask", "response_a": "1", "response_b": "2", "human_label": "A",
            "meta": {"votes": ["A", "tie", "B"], "model_a": "alpha", "model_b": "beta"}}  # fmt: skip
    preview = bench.importing.preview(str(bench.file([pair])), Mode.PAIRWISE)
    assert preview.mapping.labels == "meta.votes"
    (row,) = preview.read
    assert (row.labels, row.sources) == (["A", "tie", "B"], ["alpha", "beta"])
    assert row.extra == {"human_label": "A", "meta": pair["meta"]}


def test_labels_keep_the_names_of_those_who_gave_them() -> None:
    mapping = ColumnMapping("instruction", ("response",), labels="said")
    said: list[Any] = [
        {"ann": 4, "bo": 2},
        '{"ann": 4, "bo": 2}',
        [{"annotator": "ann", "score": 4}, {"annotator": "bo", "score": 2}],
    ]
    for one in said:
        row = read_row({"instruction": "Ask", "response": "Answer", "said": one}, mapping, Mode.DIRECT)
        assert row.labels == {"ann": 4, "bo": 2}
    with pytest.raises(InvalidInputError, match="lacks who gave it"):
        read_row({"instruction": "Ask", "response": "Answer", "said": [{"score": 4}]}, mapping, Mode.DIRECT)


def test_columns_are_chosen_by_hand_where_the_guess_is_wrong(bench: ProjectBench) -> None:
    path = bench.file([{"Frage": "Wie?", "Antwort": "So.", "Note": 4}])
    preview = bench.importing.preview(str(path), Mode.DIRECT)
    assert preview.columns == ("Frage", "Antwort", "Note")
    assert preview.mapping == ColumnMapping()
    chosen = with_columns(preview.mapping, {"instruction": "Frage", "responses": "Antwort", "labels": "Note"})
    (row,) = bench.importing.preview(str(path), Mode.DIRECT, chosen).read
    assert (row.item.instruction, row.labels) == ("Wie?", [4])
    view = bench.project()
    with pytest.raises(InvalidInputError, match=r"No column was chosen for the instruction.*Frage, Antwort"):
        bench.importing.run(str(path), view.id, bench.lead)
    assert bench.importing.run(str(path), view.id, bench.lead, chosen).imported == 1
    with pytest.raises(InvalidInputError, match="'Answer'"):
        bench.importing.run(str(path), view.id, bench.lead, with_columns(chosen, {"responses": "Answer"}))


def test_tables_of_every_kind_say_the_same(bench: ProjectBench) -> None:
    rows = [{"instruction": "=1+1?", "response": 'Two,\n"2"; naïve 🙂', "score": "3"} for _ in range(1)]
    folder = bench.folder
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        with (folder / name).open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    (folder / "t.json").write_text(json.dumps(rows), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "t.parquet")
    book = openpyxl.Workbook()
    book.active.append(["instruction", "response", "score"])
    book.active.append(["'=1+1?"[1:], rows[0]["response"], 3.0])
    book.active["A2"].data_type = "s"
    book.save(folder / "t.xlsx")
    read = [bench.importing.preview(str(folder / f"t.{kind}"), Mode.DIRECT).read[0] for kind in
            ("csv", "tsv", "json", "parquet", "xlsx")]  # fmt: skip
    assert {(one.item.instruction, one.item.responses) for one in read} == {("=1+1?", (rows[0]["response"],))}
    assert {tuple(one.labels) for one in read} == {(3,)}


def write(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("latin.csv", "instruction,response\nWas?,Größe\n".encode("latin-1"), "not UTF-8"),
        ("wide.csv", "instruction,response\nWas?,Das\n".encode("utf-16"), "UTF-16"),
        ("zeros.csv", b"a,b\n\x00\x00,1\n", "NUL"),
        ("head.csv", "instruction,response\n", "header only"),
        ("empty.csv", "", "empty"),
        ("columns.csv", ",".join(f"c{n}" for n in range(1_000_000)) + "\n1\n", "1,000,000 columns"),
        ("twice.csv", "a,a\n1,2\n", "two columns named 'a'"),
        ("quote.csv", 'a,b\n"1,2\n', "no table that can be read"),
        ("broken.xlsx", b"PK\x03\x04 no sheet", "can't be read as Excel"),
        ("broken.parquet", b"PAR1 no table", "can't be read as Parquet"),
        ("words.docx", b"words", "no kind that can be read"),
        ("list.json", "[1, 2, 3]", "No row of it has fields"),
    ],
)
def test_files_that_can_not_be_read_are_refused_with_the_cure(
    bench: ProjectBench, name: str, content: bytes | str, said: str
) -> None:
    view = bench.project()
    with pytest.raises(InvalidInputError, match=said):
        bench.importing.run(write(bench.folder / name, content), view.id, bench.lead)
    assert items_of(bench, view.id) == []


def test_ragged_and_monstrous_rows_are_named_and_the_rest_can_come(bench: ProjectBench) -> None:
    view = bench.project()
    text = f"instruction,response\nA?,B\nA?,B,C\nlonely\nBig?,{'x' * 10_000_000}\n"
    report = bench.importing.run(write(bench.folder / "r.csv", text), view.id, bench.lead, leave_out_refused=True)
    assert (report.imported, report.refused_count) == (1, 3)
    reasons = [row.reason for row in report.refused]
    assert "It has 3 cells, but the header has 2." in reasons[0]
    assert "It has 1 cells" in reasons[1]
    assert "10,000,000 characters" in reasons[2]


def test_bombs_are_refused_before_they_unpack(bench: ProjectBench) -> None:
    with zipfile.ZipFile(bench.folder / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        for n in range(3):
            parts.writestr(f"xl/worksheets/sheet{n}.xml", b"0" * 100_000_000)
    long = pyarrow.array(["x" * 100_000_000])
    table = pyarrow.table({"instruction": pyarrow.chunked_array([long] * 3), "response": ["a", "b", "c"]})
    pyarrow.parquet.write_table(table, bench.folder / "bomb.parquet", use_dictionary=False)
    many = pyarrow.table({f"c{n}": [1] for n in range(1_001)})
    pyarrow.parquet.write_table(many, bench.folder / "wide.parquet")
    for name, said in (("bomb.xlsx", "300 MB"), ("bomb.parquet", "300 MB"), ("wide.parquet", "1,001 columns")):
        with pytest.raises(InvalidInputError, match=said):
            bench.importing.preview(str(bench.folder / name), Mode.DIRECT)


def test_one_long_text_that_stands_for_many_rows_is_refused_row_by_row(bench: ProjectBench) -> None:
    index = pyarrow.array([0] * 300, pyarrow.int32())
    column = pyarrow.DictionaryArray.from_arrays(index, pyarrow.array(["x" * 5_000_000])).cast(pyarrow.string())
    table = pyarrow.table({"instruction": [f"Q{n}" for n in range(300)], "response": column})
    pyarrow.parquet.write_table(table, bench.folder / "one.parquet", use_dictionary=["response"])
    del table, column
    view = bench.project()
    report = bench.importing.run(str(bench.folder / "one.parquet"), view.id, bench.lead)
    assert (report.imported, report.refused_count) == (0, 300)


def test_only_a_lead_imports_and_only_into_an_open_project(bench: ProjectBench) -> None:
    view, path = bench.project(), str(bench.file(rows_of(1)))
    with pytest.raises(NotAllowedError):
        bench.importing.run(path, view.id, bench.ann)
    bench.projects.set_state(view.id, ProjectState.CLOSED, bench.lead)
    with pytest.raises(ConflictError, match="closed"):
        bench.importing.run(path, view.id, bench.lead)


PROGRAM = """
import sys
from pathlib import Path
from db.session import Store
from tests.project_bench import ProjectBench
folder = Path(sys.argv[1])
store = Store(f"sqlite:///{folder / 'big.db'}")
store.migrate()
bench = ProjectBench(store, folder)
report = bench.importing.run(str(folder / "big.csv"), bench.project().id, bench.lead)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(report.imported, int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_a_hundred_thousand_rows_come_in_within_500_mb(tmp_path: Path) -> None:
    with (tmp_path / "big.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["instruction", "response"])
        writer.writerows([f"Question {n}? " + "q" * 300, f"Answer {n}. " + "a" * 600] for n in range(100_000))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    imported, megabytes = map(int, done.stdout.split())
    assert imported == 100_000
    assert megabytes < 500, megabytes
