"""The sub-command `data`, as a person types it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from backend.config import Settings
from backend.labels import Labels
from backend.own_rows import own_rows
from backend.teachers import PairQuestion, TeacherAnswer
from backend.training_forms import load_rows
from backend.training_rows import write_rows
from db.session import Store
from tests.endpoint import Endpoint, Reply, Request, completion
from tests.factories import Bench
from tests.test_preference_builder import five
from tests.training_forms import direct, pairwise
from ui.commands.data import DataServices, commands

Run = Callable[..., Result]


class ToldTeacher:
    """The store's judge, as far as the command knows it."""

    def write(self, question: PairQuestion, attempt: int) -> TeacherAnswer:
        return TeacherAnswer("Compared.", question.winner, 5, 2, "our judge")


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("ASSAY_TEACHER_KEY", raising=False)
    return runner(lambda settings: DataServices(own_rows=lambda: own_rows(store), judge=ToldTeacher))


def runner(open_services: Callable[[Settings], DataServices]) -> Run:
    cli = typer.Typer()

    @cli.callback()
    def main(context: typer.Context) -> None:
        context.obj = Settings()

    cli.add_typer(commands(open_services), name="data")

    def invoke(*arguments: object, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(cli, ["data", *map(str, arguments)], env=env)

    return invoke


def rows_file(folder: Path, *rows: dict[str, Any]) -> Path:
    place = folder / "rows.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


def collection(folder: Path) -> Path:
    write_rows(five(), folder / "collection.jsonl")
    return folder / "collection.jsonl"


def agreeing(request: Request) -> Reply:
    found = re.search(r"Response ([AB]) scored higher", request.user)
    assert found
    return completion(f"Compared. [RESULT] {found.group(1)}")


def test_show_counts_what_there_is_and_names_what_was_refused(run: Run, tmp_path: Path) -> None:
    place = rows_file(tmp_path, direct(), direct(id="r2", human_scores=[3, 4]), pairwise(), direct(response=""))
    result = run("show", place)
    assert result.exit_code == 0
    assert "3 rows to learn from" in result.stdout
    assert "Direct 2, pairwise 1; with feedback 0; 1 have no single result." in result.stdout
    assert "Left out: 0 duplicates, 1 refused." in result.stdout
    assert "Scores: 1 0 (0%), 2 0 (0%), 3 0 (25%), 4 2 (75%), 5 0 (0%)." in result.stdout
    assert "From a set (MIT): 3" in result.stdout
    assert "Refused, rows.jsonl, line 4: response is empty." in result.stdout


def test_show_prints_json_alone(run: Run, tmp_path: Path) -> None:
    shown = json.loads(run("show", rows_file(tmp_path, direct(), direct(response="")), "--json").stdout)
    assert (shown["rows"], shown["direct"], shown["scores"]["4"]) == (1, 1, 1)
    assert shown["refused_rows"] == [{"where": "rows.jsonl, line 2", "reason": "response is empty."}]
    assert shown["tokens"] == round(shown["words"] * 4 / 3)


def test_show_lists_at_most_twenty_refusals(run: Run, tmp_path: Path) -> None:
    result = run("show", rows_file(tmp_path, direct(), *[direct(response="")] * 23))
    assert result.stdout.count("Refused, ") == 20
    assert "3 more were refused; --json lists them all." in result.stdout


def test_a_place_that_is_not_there_is_one_line_and_an_exit_code(run: Run, tmp_path: Path) -> None:
    result = run("show", tmp_path / "none.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("Assay: There is no file")
    assert result.stdout == ""


def test_show_opens_no_services(tmp_path: Path) -> None:
    def never(_settings: Settings) -> DataServices:
        raise AssertionError("nothing of the store is needed")

    assert runner(never)("show", rows_file(tmp_path, direct())).exit_code == 0


def test_preferences_are_built_by_an_endpoint_with_the_key_of_the_environment(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Endpoint(agreeing) as endpoint:
        result = run(
            "build-preferences", collection(tmp_path), "--out", out, "--teacher-url", endpoint.url,
            "--teacher-model", "strong", "--parallel", 2, env={"ASSAY_TEACHER_KEY": "sk-secret"},
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"10 pairs written to {out}; 0 were done before, 0 are left." in result.stdout
    assert "10 questions asked; tokens: 1,000 read and 200 written by the teacher." in result.stdout
    assert "Compared" in result.stderr
    assert {request.headers["Authorization"] for request in endpoint.requests} == {"Bearer sk-secret"}
    assert "sk-secret" not in result.output + out.read_text(encoding="utf-8")
    assert len(load_rows(str(out)).rows) == 10


def test_building_goes_on_where_a_limit_stopped_it_and_tells_it_as_json(run: Run, tmp_path: Path) -> None:
    arguments = ("build-preferences", collection(tmp_path), "--out", tmp_path / "out.jsonl", "--json")
    first = json.loads(run(*arguments, "--limit", 4).stdout)
    second = json.loads(run(*arguments).stdout)
    assert (first["written"], first["left"], first["prompt_tokens"]) == (4, 6, 20)
    assert (second["written"], second["known"], second["pairs"], second["groups"]) == (6, 4, 10, 1)


def test_without_an_address_the_judge_of_the_store_writes(run: Run, tmp_path: Path) -> None:
    assert run("build-preferences", collection(tmp_path), "--out", tmp_path / "out.jsonl").exit_code == 0
    sources = {row.source for row in load_rows(str(tmp_path / "out.jsonl")).rows}
    assert sources == {"a set, compared by our judge"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--teacher-url", "http://127.0.0.1:1/v1"), "--teacher-model is missing"),
        (("--teacher-model", "strong"), "--teacher-url is missing"),
        (("--teacher-url", "nowhere", "--teacher-model", "m"), "it must be an address"),
        (("--attempts", 0), "--attempts is 0"),
    ],
)
def test_options_that_cant_be_used_are_one_line(run: Run, tmp_path: Path, options: tuple[Any, ...], said: str) -> None:
    result = run("build-preferences", collection(tmp_path), "--out", tmp_path / "out.jsonl", *options)
    assert result.exit_code == 1
    assert said in result.stderr


def test_own_labels_are_written_as_rows_that_can_be_loaded(run: Run, store: Store, tmp_path: Path) -> None:
    bench = Bench(store)
    Labels(store).agree(bench.direct(4), bench.author_id, "c1")
    Labels(store).override_winner(bench.pairwise("A"), bench.author_id, "c2", "tie")
    result = run("own", "--out", tmp_path / "own.jsonl")
    assert result.stdout == (
        f"2 rows are in {tmp_path / 'own.jsonl'}.\nFrom labels given after the verdict was seen, in this store: 2\n"
    )
    assert load_rows(str(tmp_path / "own.jsonl")).rows == own_rows(store).rows


def test_own_tells_rankings_as_json(run: Run, store: Store, tmp_path: Path) -> None:
    bench = Bench(store)
    Labels(store).agree(bench.direct(4), bench.author_id, "c1")
    Labels(store).agree(bench.ranking(), bench.author_id, "c2")
    told = json.loads(run("own", "--out", tmp_path / "own.jsonl", "--json").stdout)
    assert (told["written"], len(told["refused_rows"])) == (1, 1)


def test_a_store_without_labels_says_so_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("own", "--out", tmp_path / "own.jsonl")
    assert (result.exit_code, list(tmp_path.glob("own*"))) == (1, [])
    assert "No label stands in this store." in result.stderr


def test_labels_that_make_no_row_are_named_with_the_reason(run: Run, store: Store, tmp_path: Path) -> None:
    bench = Bench(store)
    verdict = bench.ranking()
    Labels(store).agree(verdict, bench.author_id, "c1")
    result = run("own", "--out", tmp_path / "own.jsonl")
    assert (result.exit_code, list(tmp_path.glob("own*"))) == (1, [])
    assert f"makes a row to learn from. verdict {verdict}: It ranks 3 responses" in result.stderr


def test_pairs_are_taken_apart_into_rows_that_the_trainer_reads(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    place = rows_file(tmp_path, pairwise(), direct())
    levels = [part for level in "abcde" for part in ("--level", level)]
    result = run("score-pairs", place, "--out", out, "--criterion", "Is it kind?", *levels)
    assert result.exit_code == 0
    assert "2 rows of 1 pairs are in" in result.stdout
    assert "It has one response and its own score already." in result.stdout
    rows = load_rows(str(out)).rows
    assert [row.rubric.levels for row in rows] == [tuple("abcde")] * 2
    assert rows[0].target != rows[1].target


def test_some_levels_without_the_others_are_refused_and_write_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    place = rows_file(tmp_path, pairwise())
    result = run("score-pairs", place, "--out", out, "--criterion", "Is it kind?", "--level", "cold")
    assert result.exit_code != 0
    assert not out.exists()
