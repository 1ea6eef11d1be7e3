"""The sub-command sweep: options become a spec, a result becomes a table or JSON, errors one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from backend.config import Settings, read_settings
from backend.registry import Registry
from backend.sweep_results import SweepResult
from backend.sweeps import Sweeps
from db.session import Store
from tests.experts import Family
from tests.labelled import write_sets
from ui.commands.sweep import SweepServices, commands


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_sets(tmp_path / "data", 5)
    return tmp_path


def call(home: Path, *options: str) -> Result:
    """As launch.py wires it."""

    @contextmanager
    def services(settings: Settings) -> Iterator[SweepServices]:
        store = Store(settings.store_url)
        store.migrate()
        registry = Registry(store, settings.home_folder)
        sweeps = Sweeps(store, registry, settings.home_folder, settings.sets_folder, device=settings.device)
        yield SweepServices(sweeps, user_id=1)
        store.close()

    cli = typer.Typer()

    @cli.callback()
    def main(context: typer.Context) -> None:
        context.obj = read_settings(home=home, device="cpu", dtype="float32")

    cli.add_typer(commands(services), name="sweep")
    return CliRunner().invoke(cli, ["sweep", *options])


def experts(family: Family) -> list[str]:
    return ["--direct", str(family.direct), "--pairwise", str(family.pairwise)]


def test_a_sweep_is_printed_as_a_table(home: Path, family: Family) -> None:
    sets = ["--set", "dev/direct_kind", "--set", "dev/pairwise_kind:3"]
    done = call(home, *experts(family), "--alphas", "0,.5,1", *sets)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[1:6]] == ["direct", "pairwise", "linear 0", "linear 0.5", "linear 1"]
    assert "dev/pairwise_kind (3 of 5)" in lines[0]
    assert any(line.startswith("Best for both: linear") for line in lines)
    assert any(line.startswith("Merged, linear") for line in lines)


def test_json_is_the_whole_result_and_nothing_else(home: Path, family: Family) -> None:
    done = call(home, *experts(family), "--alphas", "0.5", "--set", "dev/direct_kind", "--json")
    result = SweepResult.model_validate(json.loads(done.stdout))
    assert [point.key for point in result.points] == ["direct", "pairwise", "linear 0.5"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--alphas", "a,b"], "not numbers"),
        (["--alphas", "2"], "2 is no weight"),
        (["--set", "dev/nothing"], "There is no set 'dev/nothing'"),
        (["--set", "dev/direct_kind:x"], "whole number of rows"),
        (["--method", "ties"], "needs a base"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_code_1(
    home: Path, family: Family, options: list[str], said: str
) -> None:
    done = call(home, *experts(family), "--set", "dev/direct_kind", *options)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1
