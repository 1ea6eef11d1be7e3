"""A merge that is killed with SIGKILL, whenever that is, leaves no visible model, and the next merge cleans up."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backend.merge_spec import MergeSpec
from backend.mergeable import describe
from backend.merging import merge
from tests.test_starter import Hanging, Told, _wait_until, kill, visible, wait_for
from tests.tiny import make_tiny_model

ROOT = Path(__file__).parent.parent.parent
PHASES = ("Checking the models", "Starting", "Merging", "Checking the merged", "Asking", "Writing")
ALONE = """
import sys, threading, time
from pathlib import Path
from backend.merge_spec import MergeSpec
from backend.merging import merge

def report(message, _fraction):
    print(message, flush=True)
    if message.startswith(sys.argv[3]):
        time.sleep(120)

spec = MergeSpec.model_validate_json(sys.argv[2])
merge(spec, Path(sys.argv[1]), report, threading.Event(), ask=lambda folder: None)
"""
"""Merges in a process of its own; stops, to be killed, at the phase that its third argument names."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def spec(home: Path, tmp_path: Path) -> MergeSpec:
    return spec_at(0.5, home, tmp_path)


def spec_at(alpha: float, home: Path, folder: Path) -> MergeSpec:
    for seed, role in enumerate(("direct", "pairwise")):
        if not (folder / role).exists():
            make_tiny_model(folder / role, seed=seed)
    return describe("linear", home, Told(), direct=folder / "direct", pairwise=folder / "pairwise", alpha=alpha)


def start_alone(spec: MergeSpec, home: Path, stop_at: str) -> subprocess.Popen[str]:
    written = spec.model_dump_json(by_alias=True, exclude_none=True)
    return subprocess.Popen(
        [sys.executable, "-c", ALONE, home, written, stop_at], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_merge_that_was_killed_in_any_phase_is_followed_by_a_clean_one(spec: MergeSpec, home: Path) -> None:
    for phase in PHASES:
        process = start_alone(spec, home, phase)
        wait_for(process, phase)
        kill(process)
        left = visible(home)
        assert len(left) == (phase != PHASES[0]), (phase, left)  # each start has removed what the one before it left
        assert all(name.startswith(f".linear-alpha0.5-{spec.digest[:12]}.partial-") for name in left)
    folder = merge(spec, home, Told(), threading.Event())
    assert visible(home) == [folder.name]


def test_a_merge_that_was_killed_takes_mergekit_along_and_another_recipe_cleans_up(
    spec: MergeSpec, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    mergekit = Hanging(modules, "mergekit")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    process = start_alone(spec, home, "nothing")
    mergekit.wait_until_it_hangs()
    kill(process)
    _wait_until(mergekit.has_ended)
    (leftover,) = visible(home)
    assert leftover.startswith(f".linear-alpha0.5-{spec.digest[:12]}.partial-")
    monkeypatch.delenv("PYTHONPATH")
    folder = merge(spec_at(0.25, home, tmp_path), home, Told(), threading.Event())
    assert visible(home) == [folder.name]


def test_what_another_merge_is_writing_is_left_alone(spec: MergeSpec, home: Path, tmp_path: Path) -> None:
    process = start_alone(spec, home, "Starting")
    wait_for(process, "Starting")
    try:
        (being_written,) = visible(home)
        folder = merge(spec_at(0.25, home, tmp_path), home, Told(), threading.Event())
        assert visible(home) == [being_written, folder.name]
    finally:
        kill(process)


def test_mergekit_alone_killed_is_told_and_leaves_nothing(
    spec: MergeSpec, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "mergekit.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    with pytest.raises(Exception, match=r"ended from outside \(signal 9\), most often because memory ran out"):
        merge(spec, home, Told(), threading.Event())
    shutil.rmtree(modules)
    assert visible(home) == []
