"""Where memory does not hold two judges, the old one stops first, and comes back unless the new one serves."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import ModelFilesError
from backend.memory import available_bytes
from backend.served import ChangePhase, Phase
from backend.serving import Serving
from tests.shelf import NEVER, Shelf, ended, other_model, probabilities, wait_for


@pytest.fixture
def shelf(tiny_model: Path, tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, tiny_model, other_model(tmp_path))


@pytest.fixture
def tight(shelf: Shelf) -> Iterator[Serving]:
    """The tiny model serves, and there is room for one judge."""
    with shelf.serves(500_000_000) as serving:
        yield serving


# One judge at a time


def test_without_room_for_two_the_old_judge_stops_first_and_who_asks_waits(tight: Serving, shelf: Shelf) -> None:
    shelf.gate.clear()
    tight.swap(shelf.successor(1))
    wait_for(lambda: tight.state.phase is Phase.LOADING and shelf.opened == [])
    assert tight.served is None
    assert "serves again if" in tight.in_use()[0]
    tight.start()  # a page is opened meanwhile
    met: list[str] = []

    def ask() -> None:
        with tight.use(NEVER) as served:
            met.append(served.files.name)

    waiting = threading.Thread(target=ask)
    waiting.start()
    shelf.gate.set()
    waiting.join(20)
    assert met == ["other"]
    assert ended(tight).phase is ChangePhase.DONE
    assert shelf.opened == ["other"]


def test_without_room_for_two_the_reason_is_told(tight: Serving, shelf: Shelf) -> None:
    with tight.use(NEVER):
        tight.swap(shelf.successor(1))
        wait_for(lambda: "no memory for two judges: other needs about 0.5 GB" in tight.state.change.message)
        assert "tiny stops after the verdict in progress" in tight.state.change.message
    ended(tight)


def test_without_room_for_two_a_failure_brings_the_old_judge_back(tight: Serving, shelf: Shelf) -> None:
    before = probabilities(tight)
    tight.swap(shelf.successor(1, failure=ModelFilesError("The files are gone.")))
    assert "The files are gone." in ended(tight).message
    assert tight.state.phase is Phase.READY
    assert "tiny is ready" in tight.state.message
    assert probabilities(tight) == before


def test_without_room_for_two_a_cancel_brings_the_old_judge_back(tight: Serving, shelf: Shelf) -> None:
    shelf.gate.clear()
    tight.swap(shelf.successor(1))
    wait_for(lambda: tight.state.phase is Phase.LOADING)
    tight.cancel_swap()
    shelf.gate.set()
    assert ended(tight).phase is ChangePhase.CANCELLED
    assert "tiny is ready" in tight.state.message


def test_where_free_memory_is_unknown_one_judge_is_loaded_at_a_time(shelf: Shelf) -> None:
    serving = Serving(shelf.loader(0), available=lambda _device: None)
    serving.start()
    with serving.use(NEVER):
        serving.swap(shelf.successor(1))
        wait_for(lambda: "does not tell how much memory is free" in serving.state.change.message)
    assert ended(serving).phase is ChangePhase.DONE
    serving.close()


# Free memory


def test_free_memory_is_more_than_nothing_and_less_than_the_machine() -> None:
    free = available_bytes("cpu")
    assert free is not None
    assert 10**7 < free < 10**14


def test_a_control_group_bounds_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "fs" / "outer" / "inner"
    inner.mkdir(parents=True)
    for group, limit, used in ((inner.parent, "3000", "2500"), (inner, "max", "400")):
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text("anon 2400\ninactive_file 100\n")
    (tmp_path / "own").write_text("0::/outer/inner\n")
    monkeypatch.setattr("backend.memory.OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr("backend.memory.GROUPS", tmp_path / "fs")
    assert available_bytes("cpu") == 600
