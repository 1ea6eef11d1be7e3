"""The command `train`, as a person types it."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from backend.config import Settings
from backend.errors import CancelledError, TrainingError
from backend.expert_job import expert_handler
from backend.experts import ExpertSpec, TrainedExpert
from ui.commands.train import TrainServices, command


class Bench:
    """The command over a training that is told what to do."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.trained: list[ExpertSpec] = []
        self.failure: Exception | None = None
        self.waits_for_cancel = False

    def train(self, spec: ExpertSpec, home: Path, report: Any, cancel: threading.Event) -> TrainedExpert:
        report("Step 10 of 40, loss 1.234.", 0.25)
        if self.waits_for_cancel:
            os.kill(os.getpid(), signal.SIGINT)
            assert cancel.wait(5)
            raise CancelledError("The training was stopped. Start it again and it goes on.")
        if self.failure:
            raise self.failure
        self.trained.append(spec)
        return TrainedExpert(spec.folder(home), "# A card")

    def __call__(self, *arguments: object) -> Result:
        cli = typer.Typer()

        @cli.callback()
        def main(context: typer.Context) -> None:
            context.obj = Settings(home=self.home)

        handler = expert_handler(self.home, self.train, lambda folder: 7)
        cli.command("train")(command(lambda settings: TrainServices(handler, owner_id=1)))
        return CliRunner().invoke(cli, ["train", *map(str, arguments)])


@pytest.fixture
def run(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def asked(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl", "dev.jsonl"):
        (tmp_path / name).write_text("")
    base = ["--name", "direct-1", "--format", "direct", "--base", tiny_model]
    return [*base, "--data", "a.jsonl", "--data", "b.jsonl", "--preset", "starter"]


def test_an_expert_is_trained_with_the_preset_and_what_overrules_it(run: Bench, asked: list[object]) -> None:
    more = ["--dev", "dev.jsonl", "--limit", 50, "--dev-limit", 10, "--criterion", "Is it good?"]
    done = run(*asked, *more, "--set", "learning_rate=1e-4", "--set", "soft_targets=false")
    assert done.exit_code == 0, done.output
    (spec,) = run.trained
    places = [(source.place, source.limit) for source in (*spec.data, *spec.dev)]
    assert places == [
        (str(run.home / name), limit) for name, limit in (("a.jsonl", 50), ("b.jsonl", 50), ("dev.jsonl", 10))
    ]
    assert (spec.lora_rank, spec.learning_rate, spec.soft_targets) == (8, 1e-4, False)
    assert spec.data[0].criterion == "Is it good?"
    assert done.stdout == f"direct-1 is trained: model 7, in {spec.folder(run.home)}.\n"


def test_json_is_alone_on_the_output_and_its_specification_trains_the_same(
    run: Bench, asked: list[object], tmp_path: Path
) -> None:
    done = run(*asked, "--json")
    told = json.loads(done.stdout)
    assert (told["model_version_id"], told["card"]) == (7, "# A card")
    assert "25% Step 10 of 40" in done.stderr
    (tmp_path / "spec.json").write_text(json.dumps(told["spec"]))
    assert run("--spec", tmp_path / "spec.json").exit_code == 0
    assert run.trained[0] == run.trained[1]


def test_what_is_missing_or_unknown_is_named(run: Bench, asked: list[object]) -> None:
    missing = run("--name", "direct-1")
    assert missing.exit_code == 1
    assert "It still needs --format, --data, --base" in missing.stderr
    unknown = run(*asked, "--set", "learning_rte=1")
    assert unknown.exit_code == 1
    assert "learning_rte" in unknown.stderr
    assert run(*asked, "--set", "learning_rate").exit_code == 2


def test_a_failure_is_one_line_with_its_cure(run: Bench, asked: list[object]) -> None:
    run.failure = TrainingError("The training ended with code 9. Start it again and it goes on.")
    failed = run(*asked)
    assert failed.exit_code == 1
    assert failed.stderr.splitlines()[-1] == f"Assay: {run.failure}"


def test_ctrl_c_stops_it_in_good_order_and_gives_the_key_back(run: Bench, asked: list[object]) -> None:
    before = signal.getsignal(signal.SIGINT)
    run.waits_for_cancel = True
    stopped = run(*asked)
    assert stopped.exit_code == 130
    assert "Start it again and it goes on." in stopped.stderr
    assert signal.getsignal(signal.SIGINT) == before
