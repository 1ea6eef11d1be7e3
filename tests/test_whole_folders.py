"""Folders that appear whole or not at all."""

from pathlib import Path

import pytest

from backend.whole_folders import MADE, arriving, leftovers, remove_leftovers


def make(folder: Path, text: str, *, fails: bool = False) -> None:
    with arriving(folder, "model") as workplace:
        (workplace / MADE).mkdir()
        (workplace / MADE / "weights").write_text(text)
        assert list(leftovers(folder.parent, "model")) == [workplace]
        if fails:
            raise RuntimeError


def test_a_folder_arrives_with_all_that_is_in_it_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    make(tmp_path / "model", "all of it")
    assert (tmp_path / "model" / "weights").read_text() == "all of it"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_where_making_fails_what_was_there_stays_and_nothing_is_left(tmp_path: Path) -> None:
    make(tmp_path / "model", "the old one")
    with pytest.raises(RuntimeError):
        make(tmp_path / "model", "half of it", fails=True)
    assert (tmp_path / "model" / "weights").read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_damaged_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model" / "half").mkdir(parents=True)
    make(tmp_path / "model", "all of it")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["weights"]


def test_what_a_killed_process_left_is_removed_by_name(tmp_path: Path) -> None:
    for name in (".model.partial-1", ".other.partial-2"):
        (tmp_path / name / MADE).mkdir(parents=True)
    remove_leftovers(tmp_path, "model")
    assert [path.name for path in tmp_path.iterdir()] == [".other.partial-2"]
