"""`python3 launch.py` typed with another Python than Assay's own: -S takes its packages away."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What stands in a fresh clone, as far as the first lines of launch.py see it."""
    (tmp_path / "ui").mkdir()
    for name in ("launch.py", "ui/__init__.py", "ui/own_python.py"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def run(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-S", str(project / "launch.py"), *arguments], capture_output=True, text=True
    )


def own_python(project: Path, script: str) -> None:
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_it_goes_on_in_the_projects_own_python_with_the_same_words(copy: Path) -> None:
    own_python(copy, 'for word in "$@"; do echo "<$word>"; done; exit 7')
    ended = run(copy, "user", "add", "Ada Lovelace", "--role", "$HOME")
    words = [str(copy / "launch.py"), "user", "add", "Ada Lovelace", "--role", "$HOME"]
    assert ended.stdout.splitlines() == [f"<{word}>" for word in words]
    assert ended.returncode == 7


def test_where_nothing_is_installed_it_says_what_to_type(copy: Path) -> None:
    ended = run(copy, "--help")
    assert ended.returncode == 1
    assert "lacks typer, sqlalchemy, gradio. `make run`" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_own_python_without_its_packages_does_not_start_itself_again(copy: Path) -> None:
    venv.create(copy / ".venv")
    ended = run(copy, "--help")
    assert ended.returncode == 1
    assert f"{copy / '.venv'}/bin/python lacks typer, sqlalchemy, gradio. `make run`" in ended.stderr
