"""Registering goes on behind the page: one at a time, to be watched, cancelled, and never stuck."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import ConflictError, InvalidInputError, ModelFetchError
from backend.registering import Registering, RegisteringPhase, RegisteringState
from backend.registry import Registration, Registry
from backend.starter import Report
from db.session import Store


class Held:
    """A registry whose registration waits at a gate, as a download does, and ends as the test says."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.gate, self.failure = threading.Event(), failure
        self.report: Report | None = None

    def register(self, place: str, report: Report) -> Registration:
        self.report = report
        report(f"Downloading {place}: 1 MB.", 0.25)
        assert self.gate.wait(20)
        report(f"Downloading {place}: 4 MB.", 1.0)
        if self.failure is not None:
            raise self.failure
        return Registration(7, f"{place} is registered.")


def anybody(_user_id: int) -> None:
    """Who registers is checked by backend.accounts."""


def begin(held: Held) -> Registering:
    registering = Registering(held, anybody)  # type: ignore[arg-type]
    registering.start("org/model", 1)
    wait_for(lambda: registering.state.fraction == 0.25)
    return registering


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def ended(registering: Registering) -> RegisteringState:
    wait_for(lambda: registering.state.phase is not RegisteringPhase.RUNNING)
    return registering.state


def test_it_tells_how_far_it_is_and_which_model_it_became() -> None:
    held = Held()
    registering = begin(held)
    running = RegisteringState("org/model", RegisteringPhase.RUNNING, "Downloading org/model: 1 MB.", 0.25)
    assert registering.state == running
    held.gate.set()
    assert ended(registering) == RegisteringState(
        "org/model", RegisteringPhase.DONE, "org/model is registered.", 1.0, 7
    )


def test_a_second_one_is_refused_until_the_first_has_ended() -> None:
    held = Held()
    registering = begin(held)
    with pytest.raises(ConflictError, match="org/model is being registered"):
        registering.start("another/model", 1)
    held.gate.set()
    ended(registering)
    registering.start("another/model", 1)
    assert ended(registering).place == "another/model"


def test_it_is_cancelled_at_its_next_report() -> None:
    held = Held()
    registering = begin(held)
    registering.cancel(1)
    held.gate.set()
    assert ended(registering).phase is RegisteringPhase.CANCELLED
    assert "org/model was not registered" in registering.state.message


def test_a_failure_is_told_as_it_is_worded() -> None:
    held = Held(ModelFetchError("The hub is out of reach. Check the network."))
    registering = begin(held)
    held.gate.set()
    assert ended(registering).message == "The hub is out of reach. Check the network."


def test_a_fault_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    held = Held(ZeroDivisionError("a fault"))
    registering = begin(held)
    held.gate.set()
    assert "could not be registered: ZeroDivisionError('a fault'). See the log." in ended(registering).message
    assert "Traceback" in caplog.text


def test_what_a_library_still_reports_after_the_end_changes_nothing() -> None:
    held = Held()
    registering = begin(held)
    held.gate.set()
    done = ended(registering)
    assert held.report is not None
    held.report("Downloading org/model: 5 MB.", 0.9)
    assert registering.state == done


def test_an_empty_place_is_refused_at_once() -> None:
    registering = Registering(Held(), anybody)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="folder or hub name is empty"):
        registering.start("  ", 1)
    assert registering.state is None


def test_a_real_folder_is_registered(store: Store, tiny_model: Path, tmp_path: Path) -> None:
    registry = Registry(store, tmp_path)
    registering = Registering(registry, anybody)
    registering.start(str(tiny_model), 1)
    state = ended(registering)
    assert state.phase is RegisteringPhase.DONE, state.message
    assert registry.get(state.id).name == "tiny"
