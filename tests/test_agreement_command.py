"""`launch.py agreement` prints what the page shows, as words and as JSON, and writes the report."""

import json
from pathlib import Path

from typer.testing import CliRunner

from launch import cli


def test_an_empty_store_is_answered_in_words_and_in_json(tmp_path: Path) -> None:
    runner = CliRunner()
    home = ["--home", str(tmp_path)]
    words = runner.invoke(cli, [*home, "agreement"])
    assert words.exit_code == 0, words.output
    assert "There is no label yet that scores a response from 1 to 5." in words.output
    assert "anchored" not in words.output
    assert "Needs at least 10 labelled items; there are 0." in words.output
    figures = runner.invoke(cli, [*home, "agreement", "--mode", "pairwise", "--json"])
    assert json.loads(figures.stdout)["counts"]["compared"] == 0
    written = runner.invoke(
        cli, [*home, "agreement", "--report", str(tmp_path / "a.html"), "--csv", str(tmp_path / "a.zip")]
    )
    assert written.exit_code == 0, written.output
    assert b"Methods" in (tmp_path / "a.html").read_bytes()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    run = CliRunner().invoke(cli, ["--home", str(tmp_path), "agreement", "--model", "7"])
    assert run.exit_code == 1
    assert "Model 7 gave no verdict" in run.output
    run = CliRunner().invoke(cli, ["--home", str(tmp_path), "agreement", "--csv", str(tmp_path / "no" / "a.zip")])
    assert run.exit_code == 1
    assert "can't be written" in run.output
