"""Benchmarks: real tiny judges on small sets of ours, side by side, and the tables that come of it."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import typer
from click.testing import Result
from sqlalchemy import func, select
from typer.testing import CliRunner

from backend.bench import Bench
from backend.bench_forms import as_csv, as_latex, as_markdown, as_text
from backend.bench_result import BenchResult
from backend.bench_spec import BenchSpec, read_bench
from backend.bench_table import tables
from backend.benchmarks.metrics import Metric
from backend.benchmarks.published import FLASK, MT_BENCH, PUBLISHED, VICUNA, Reference
from backend.benchmarks.rows import wanted_set
from backend.benchmarks.sets.catalogue import PAPER_SETS
from backend.config import Settings, read_settings
from backend.errors import InvalidInputError, NotFoundError
from backend.loading import JudgeLoader
from backend.registry import Registry
from backend.types import Sampling
from backend.users import owner
from db.models import Reading
from db.session import Store
from tests.experts import Family
from tests.labelled import direct_row, pairwise_row, write_rows, write_sets
from tests.published_rows import as_list, scored
from ui.commands.bench import BenchServices, commands

ROWS = 10


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_sets(tmp_path / "data", ROWS)
    return tmp_path


@contextmanager
def opened(settings: Settings) -> Iterator[BenchServices]:
    """As launch.py wires it."""
    store = Store(settings.store_url)
    store.migrate()
    loader = JudgeLoader(settings, Registry(store, settings.home_folder))
    try:
        yield BenchServices(Bench(store, settings.sets_folder, loader.by_name), owner(store))
    finally:
        store.close()


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    with opened(read_settings(home=home, engine="transformers", device="cpu")) as services:
        yield services.bench


def spec(*judges: Path | str, sets: tuple[str, ...] = ("dev/direct_kind", "dev/pairwise_kind")) -> BenchSpec:
    return BenchSpec(tuple(map(str, judges)), tuple(map(wanted_set, sets)))


def gpt4_row(number: int) -> dict[str, Any]:
    return direct_row(number, human_score=None, gpt4_score=float(1 + number % 5))


def quiet(message: str, fraction: float | None) -> None:
    pass


def test_judges_stand_side_by_side_on_the_same_rows(bench: Bench, family: Family) -> None:
    result = bench.run(spec(family.direct, family.pairwise), quiet, threading.Event())
    assert [row.judge for row in result.rows] == [str(family.direct), str(family.pairwise)]
    assert {cell.total for row in result.rows for cell in row.cells} == {ROWS}
    first, second = result.rows
    assert first.model_digest != second.model_digest
    assert all(cell.minus_first == () for cell in first.cells)
    apart = next(one for one in second.cells[0].minus_first if one.metric is Metric.PEARSON)
    gap = second.cells[0].figure(Metric.PEARSON).value - first.cells[0].figure(Metric.PEARSON).value
    assert apart.value == pytest.approx(gap)


def test_a_second_run_asks_nothing_and_finds_the_same(bench: Bench, family: Family) -> None:
    def readings(run: int) -> list[str]:
        told = list[str]()
        results[run] = bench.run(spec(family.direct), lambda message, _: told.append(message), threading.Event())
        return [message.split(": ")[-1] for message in told if message.endswith("readings.")]

    results = dict[int, BenchResult]()
    assert any(message.startswith("0 of ") for message in readings(1))
    assert not any(message.startswith("0 of ") for message in readings(2))
    assert results[1] == results[2]


def test_a_figure_can_be_computed_again_from_the_items(bench: Bench, family: Family) -> None:
    result = bench.run(spec(family.direct), quiet, threading.Event())
    sampling = Sampling(feedback=False)
    scores = bench.items(str(family.direct), wanted_set("dev/direct_kind"), sampling, quiet, threading.Event())
    by_hand = numpy.corrcoef([float(row.label) for row in scores], [row.value for row in scores])[0, 1]
    assert result.rows[0].cells[0].figure(Metric.PEARSON).value == pytest.approx(by_hand)
    pairs = bench.items(str(family.direct), wanted_set("dev/pairwise_kind"), sampling, quiet, threading.Event())
    decided = [row for row in pairs if row.label != "tie"]
    accuracy = sum(row.said == row.label for row in decided) / len(decided)
    assert result.rows[0].cells[1].figure(Metric.ACCURACY).value == pytest.approx(accuracy)
    assert all(row.value == pytest.approx((row.first + row.second) / 2) for row in pairs)


def test_rows_that_cannot_be_read_are_counted_and_listed(bench: Bench, home: Path, family: Family) -> None:
    long = direct_row(1, id="endless", response="word " * 20_000)
    write_rows(home / "data" / "dev" / "direct_long.jsonl.gz", [*(direct_row(n) for n in range(2, 8)), long])
    result = bench.run(spec(family.direct, sets=("dev/direct_long",)), quiet, threading.Event())
    cell = result.rows[0].cells[0]
    assert (cell.read, cell.total) == (6, 7)
    assert any("could not read 1 of 7 rows" in note for note in tables(result)[0].notes)
    rows = bench.items(
        str(family.direct), wanted_set("dev/direct_long"), Sampling(feedback=False), quiet, threading.Event()
    )
    assert [row.row_id for row in rows if row.reason] == ["endless"]


def test_published_rows_stand_beside_ours_only_where_they_were_published(
    bench: Bench, home: Path, family: Family
) -> None:
    write_rows(home / "data" / f"{VICUNA}.jsonl.gz", [gpt4_row(n) for n in range(8)])
    result = bench.run(spec(family.direct, sets=(f"{VICUNA}:5", "dev/direct_kind")), quiet, threading.Event())
    table, references = tables(result)
    published = {line.name: line.texts for line in table.lines if line.kind == "published"}
    assert published["Prometheus-2-7B"] == ("0.642", "")
    assert set(published) == {one.judge for one in PUBLISHED if (VICUNA, Reference.GPT4) in one.figures}
    assert references.columns == (f"{VICUNA}, GPT-4", f"{VICUNA}, Claude-3-Opus")
    by_name = {line.name: line.texts for line in references.lines}
    assert by_name["Prometheus-2-8x7B"] == ("0.685", "0.635")
    assert by_name["GPT-4-1106"] == ("", "0.694")
    assert any("subset" in note for note in table.notes)
    assert [line.name for line in table.lines if line.kind == "baseline"] == ["the longer response", "chance"]


def test_every_form_holds_every_figure(bench: Bench, home: Path, family: Family) -> None:
    write_rows(home / "data" / f"{VICUNA}.jsonl.gz", [gpt4_row(n) for n in range(8)])
    result = bench.run(spec(family.direct, sets=(VICUNA, "dev/pairwise_kind")), quiet, threading.Event())
    printed = tables(result)
    assert [len(table.columns) for table in printed] == [1, 1, 2]
    figures = [text for table in printed for line in table.lines for text in line.texts]
    lines = list(csv.DictReader(io.StringIO(as_csv(printed))))
    assert [row["figure"] for row in lines if row["kind"] != "note"] == figures
    assert [row["figure"] for row in lines if row["kind"] == "note"] == [note for one in printed for note in one.notes]
    for text_form in (as_text(printed), as_markdown(printed), as_latex(printed)):
        assert all(text in text_form for text in figures)
    assert "*Prometheus-2-7B*" in as_markdown(printed)
    assert r"pairwise\_kind" in as_latex(printed)


def test_a_set_with_two_labellers_is_compared_with_each(bench: Bench, home: Path, family: Family) -> None:
    both = [direct_row(n, gpt4_score=float(5 - n % 4), license="CC-BY-NC-4.0") for n in range(8)]
    write_rows(home / "data" / f"{FLASK}.jsonl.gz", both)
    result = bench.run(spec(family.direct, sets=(f"{FLASK}@people", f"{FLASK}@gpt4")), quiet, threading.Event())
    table = tables(result)[0]
    assert table.columns == (f"{FLASK}@people", f"{FLASK}@gpt4")
    published = {line.name: line.texts for line in table.lines if line.kind == "published"}
    assert published["Prometheus-2-8x7B"] == ("0.555", "0.659")
    assert all(one.whole for one in result.sets)
    assert any("not for commercial use" in note for note in table.notes)


def test_a_set_that_changed_since_it_was_measured_is_told(bench: Bench, home: Path, family: Family) -> None:
    def notes() -> str:
        result = bench.run(spec(family.direct, sets=("dev/direct_kind",)), quiet, threading.Event())
        return " ".join(tables(result)[0].notes)

    assert "has changed" not in notes()
    assert "has changed" not in notes()
    write_rows(home / "data" / "dev" / "direct_kind.jsonl.gz", [direct_row(n) for n in range(1, 9)])
    assert "dev/direct_kind has changed since 20" in notes()
    assert "has changed" not in notes()


def test_both_formats_are_compared_on_the_same_pairs(bench: Bench, home: Path, family: Family) -> None:
    triples = [
        pairwise_row(3 * n + k, instruction=f"Say hello {n}.", response_a=a, response_b=b, human_label="AB"[n % 2])
        for n in range(4)
        for k, (a, b) in enumerate([("Hello.", "Hi there."), ("Hi there.", "Go away!"), ("Go away!", "Hello.")])
    ]
    write_rows(home / "data" / "dev" / "pairwise_triples.jsonl.gz", triples)
    asked = BenchSpec((str(family.direct),), (wanted_set("dev/pairwise_triples"),), consistency=True)
    result = bench.run(asked, quiet, threading.Event())
    (cell,) = result.rows[0].cells
    found = cell.consistency
    assert found.pairwise.value == pytest.approx(cell.figure(Metric.ACCURACY).value)
    assert found.delta.value == pytest.approx(found.pairwise.value - found.direct.value)
    assert found.agree.n == 12
    assert (cell.transitivity.n, cell.transitivity.items) == (4, 4)
    titles = [table.title for table in tables(result)]
    assert titles[1:] == ["Consistency across formats, on the same pairs", "Transitivity over triples"]
    assert BenchResult.model_validate_json(result.model_dump_json()) == result
    plain = bench.run(spec(family.direct, sets=("dev/pairwise_kind",)), quiet, threading.Event())
    assert plain.rows[0].cells[0].consistency is None


def test_repeats_are_distinct_readings_and_compared_with_each_other(bench: Bench, home: Path, family: Family) -> None:
    writing = Sampling(feedback=True, temperature=1.0, max_new_tokens=8)
    asked = BenchSpec((str(family.direct),), (wanted_set("dev/direct_kind"),), writing, repeats=3)
    assert [sampling.seed for sampling in asked.samplings] == [0, 1, 2]
    result = bench.run(asked, quiet, threading.Event())
    stat = result.rows[0].cells[0].repeated
    assert (stat.n, stat.items) == (3 * ROWS, ROWS)
    with bench._store.read() as session:
        assert session.scalar(select(func.count(Reading.judge_id.distinct()))) == 3
    assert "Agreement with itself over repeated runs" in [table.title for table in tables(result)]
    with pytest.raises(InvalidInputError, match="temperature above 0"):
        BenchSpec(("starter",), (wanted_set("dev/direct_kind"),), repeats=2)
    with pytest.raises(InvalidInputError, match="from 1 to 10"):
        BenchSpec(("starter",), (wanted_set("dev/direct_kind"),), writing, repeats=11)


def test_earlier_runs_are_shown_again_without_asking_anybody(bench: Bench, family: Family) -> None:
    ran = bench.run(spec(family.direct, family.pairwise), quiet, threading.Event())
    shown = bench.table(spec(family.direct).sets)
    assert [row.judge_id for row in shown.rows] == [row.judge_id for row in ran.rows]
    assert [row.cells for row in shown.rows] == [row.cells for row in ran.rows]
    items = bench.items_of(shown.rows[1].judge_id, wanted_set("dev/pairwise_kind"))
    assert len(items) == ROWS
    with pytest.raises(NotFoundError, match="No judge was measured on dev/direct_kind \\(5 of 10\\)"):
        bench.table([wanted_set("dev/direct_kind:5")])


def test_everybodys_opinion_of_each_row_stands_side_by_side(bench: Bench, home: Path, family: Family) -> None:
    both = [direct_row(n, gpt4_score=float(5 - n % 4), meta={"category": "xy"[n % 2]}) for n in range(8)]
    write_rows(home / "data" / f"{FLASK}.jsonl.gz", both)
    result = bench.run(spec(family.direct, sets=(FLASK,)), quiet, threading.Event())
    said = bench.opinions([result.rows[0].judge_id], wanted_set(FLASK))
    assert said.raters == ("people", "GPT-4", "direct")
    assert said.values[0] == tuple(float(1 + n % 5) for n in range(8))
    assert said.values[1] == tuple(float(5 - n % 4) for n in range(8))
    assert said.categories == tuple("xyxyxyxy")
    by_hand = numpy.corrcoef(said.values[0], said.values[2])[0, 1]
    assert result.rows[0].cells[0].figure(Metric.PEARSON).value == pytest.approx(by_hand)
    assert set(said.scores[0]) <= {1, 2, 3, 4, 5}


def test_a_job_runs_what_its_document_says(bench: Bench, family: Family) -> None:
    asked = spec(family.direct, sets=("dev/direct_kind:5",))
    assert read_bench(json.loads(json.dumps(asked.document()))) == asked


def test_sets_of_the_paper_that_are_missing_are_listed(bench: Bench) -> None:
    states = {state.name: state for state in bench.sets()}
    assert states["dev/direct_kind"].size == ROWS
    assert states["dev/direct_kind"].licence == "MIT"
    assert {name for name, state in states.items() if state.size is None} == {one.name for one in PAPER_SETS}
    assert "bench get" in states[FLASK].cure
    assert states[FLASK].forbids


def test_bad_input_is_named_before_a_judge_is_loaded(bench: Bench, home: Path, family: Family) -> None:
    with pytest.raises(InvalidInputError, match="named twice"):
        spec(family.direct, family.direct)
    with pytest.raises(InvalidInputError, match="at least one of each"):
        spec()
    with pytest.raises(NotFoundError, match=MT_BENCH):
        bench.run(spec("/nowhere/at/all", sets=(MT_BENCH,)), quiet, threading.Event())
    write_rows(home / "data" / "dev" / "direct_bad.jsonl.gz", [direct_row(1), direct_row(2, human_score=9.0)])
    with pytest.raises(InvalidInputError, match="9"):
        bench.run(spec("/nowhere/at/all", sets=("dev/direct_bad",)), quiet, threading.Event())
    write_rows(home / "data" / "dev" / "pairwise_none.jsonl.gz", [pairwise_row(1, human_label=None)])
    with pytest.raises(InvalidInputError):
        bench.run(spec("/nowhere/at/all", sets=("dev/pairwise_none",)), quiet, threading.Event())


def call(home: Path, *options: str) -> Result:
    cli = typer.Typer()

    @cli.callback()
    def main(context: typer.Context) -> None:
        context.obj = read_settings(home=home, engine="transformers", device="cpu")

    cli.add_typer(commands(opened), name="bench")
    return CliRunner().invoke(cli, ["bench", *options])


def test_the_command_lists_runs_and_shows_the_items(home: Path, family: Family) -> None:
    listed = call(home, "list")
    assert "dev/pairwise_kind" in listed.stdout
    assert f"{VICUNA:<40}  not here. Download evaluation/benchmark/data/vicuna_eval.json" in listed.stdout
    options = ("--judge", str(family.direct), "--set", "dev/direct_kind:5")
    run = call(home, "run", *options, "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["rows"][0]["cells"][0]["total"] == 5
    assert "dev/direct_kind (5 of 10)" in call(home, "run", *options).stdout
    table = call(home, "table", "--set", "dev/direct_kind:5", "--json")
    assert json.loads(table.stdout)["rows"][0]["cells"] == json.loads(run.stdout)["rows"][0]["cells"]
    items = call(home, "items", *options).stdout.splitlines()
    assert len(items) == 5
    assert json.loads(items[0])["label"]


def test_the_command_gets_a_published_set_and_says_what_it_got(home: Path, tmp_path: Path) -> None:
    file = as_list(tmp_path / "vicuna_eval.json", [scored(number) for number in range(4)])
    written = call(home, "get", VICUNA, "--from", str(file))
    assert written.exit_code == 0, written.output
    assert f"Wrote 4 rows to {home / 'data' / VICUNA}.jsonl.gz" in written.stdout
    assert "It has 4 rows; 320 were published." in written.stdout
    assert "direct, 4 rows. Licence: Apache-2.0" in call(home, "list").stdout
    as_list(file, [scored(number) for number in range(5)])
    refused = call(home, "get", VICUNA, "--from", str(file))
    assert "1 rows are new, 0 are gone" in refused.stderr
    assert call(home, "get", VICUNA, "--from", str(file), "--replace").exit_code == 0


def test_the_command_says_what_is_wrong_in_one_line(home: Path, family: Family) -> None:
    failed = call(home, "run", "--judge", str(family.direct), "--set", "dev/nothing")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Assay: There is no set 'dev/nothing'")
    assert failed.stderr.count("\n") == 1
