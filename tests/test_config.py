"""Settings: every one has a variable, an option and a line in the docs; bad values are named."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.config import Settings, read_settings
from backend.errors import SettingsError
from launch import COMMANDS, cli

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ASSAY_{name.upper()}", raising=False)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_variable_and_option(name: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    (row,) = [line for line in page.splitlines() if f"`ASSAY_{name.upper()}`" in line]
    assert "`--" in row


def test_the_docs_name_no_setting_that_is_not_there() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    named = {name.lower() for name in re.findall(r"`ASSAY_([A-Z_]+)`", page)}
    assert named == set(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_help_explains_every_setting(name: str) -> None:
    shown = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
    assert f"ASSAY_{name.upper()}" in shown
    assert (Settings.model_fields[name].description or "!")[:30] in re.sub(r"\s+", " ", shown)


def test_help_names_the_defaults_of_numbers_and_words() -> None:
    shown = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
    assert "[default: (7860)]" in shown
    assert "[default: (starter)]" in shown


def test_no_command_offers_to_complete_itself_in_a_shell() -> None:
    for command in COMMANDS:
        assert "--install-completion" not in CliRunner().invoke(cli, [command, "--help"]).output, command


def test_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PORT", "7000")
    monkeypatch.setenv("ASSAY_MODEL", "there")
    settings = read_settings(port=8000, model=None)
    assert (settings.port, settings.model) == (8000, "there")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="Add --auth"):
        read_settings(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_this_machines_own_addresses_are_accepted(host: str) -> None:
    assert read_settings(host=host).host == host


@pytest.mark.parametrize(
    ("name", "value"), [("port", 99999), ("device", "abacus"), ("temperature", -1.0), ("max_new_tokens", 0)]
)
def test_a_bad_value_is_named_with_the_setting(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=str(value)):
        read_settings(**{name: value})


def test_the_database_lies_in_the_home_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert read_settings(home=tmp_path).store_url == f"sqlite:///{tmp_path}/assay.db"
    assert read_settings(database_url="postgresql+psycopg://x/y").store_url == "postgresql+psycopg://x/y"


def test_a_home_that_cannot_be_made_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path / "file" / "home"), "--no-browser"])
    assert done.exit_code == 1
    assert "--home" in done.output


def test_a_refused_setting_ends_with_one_plain_line() -> None:
    done = CliRunner().invoke(cli, ["--host", "0.0.0.0"])
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "Add --auth" in done.output
