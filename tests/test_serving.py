"""One judge serves at any moment, another takes over without a gap, and whatever fails leaves the old one in place.

The models are tiny and real, and so is the engine; where the order of events counts, a gate holds a load back.
"""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.errors import CancelledError, ConflictError, ModelFilesError, NotReadyError
from backend.models import find_model
from backend.served import Change, ChangePhase, Phase, Trouble
from backend.serving import Serving
from backend.trial import try_out
from db.errors import StoreBusyError
from tests.shelf import NEVER, PLENTY, Shelf, ended, other_model, probabilities, readings, silent, wait_for


@pytest.fixture
def shelf(tiny_model: Path, tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, tiny_model, other_model(tmp_path))


@pytest.fixture
def serving(shelf: Shelf) -> Iterator[Serving]:
    """The tiny model serves."""
    with shelf.serves(PLENTY) as serving:
        yield serving


# Taking over


def test_a_successor_takes_over_and_the_old_judge_is_closed(serving: Serving, shelf: Shelf) -> None:
    before, recorded = probabilities(serving), []
    serving.swap(shelf.successor(1, record=lambda: recorded.append(serving.served)))
    assert ended(serving) == Change(1, ChangePhase.DONE, "other serves now.")
    assert serving.state.phase is Phase.READY
    assert "other is ready (transformers on cpu in float32)" in serving.state.message
    assert [served.files.name for served in recorded] == ["tiny"]
    assert shelf.opened == ["other"]
    assert probabilities(serving) != before


def test_the_old_judge_answers_while_the_new_one_is_loaded(serving: Serving, shelf: Shelf) -> None:
    shelf.gate.clear()
    serving.swap(shelf.successor(1))
    wait_for(lambda: "Loading other" in (serving.state.change or Change(0, ChangePhase.DONE, "")).message)
    with serving.use(NEVER) as served:
        assert served.files.name == "tiny"
        assert len(readings(served)) == 2
    assert serving.state.phase is Phase.READY
    assert "tiny is ready" in serving.state.message
    shelf.gate.set()
    assert ended(serving).phase is ChangePhase.DONE


def test_the_verdict_in_progress_is_finished_first_and_who_waits_meets_the_new_judge(
    serving: Serving, shelf: Shelf
) -> None:
    met: list[str] = []

    def ask() -> None:
        with serving.use(NEVER) as served:
            met.append(served.files.name)

    waiting = threading.Thread(target=ask)
    with serving.use(NEVER) as served:
        waiting.start()
        serving.swap(shelf.successor(1))
        wait_for(lambda: "takes over after the verdict in progress" in serving.state.change.message)
        assert len(readings(served)) == 2
        assert (serving.served, met) == (served, [])
    waiting.join(20)
    assert met == ["other"]
    assert ended(serving).phase is ChangePhase.DONE


def test_under_load_every_reading_is_whole_and_one_of_the_two_judges(serving: Serving, shelf: Shelf) -> None:
    """Loading must not change what the other model computes meanwhile, and no run mixes two judges."""
    expected = {"tiny": probabilities(serving)}
    stop, failures = threading.Event(), []
    met: dict[str, list[list[tuple[float, ...] | None]]] = {"tiny": [], "other": []}

    def ask() -> None:
        while not stop.is_set():
            try:
                with serving.use(NEVER) as served:
                    met[served.files.name].append([reading.probabilities for reading in readings(served)])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: met["tiny"])
    serving.swap(shelf.successor(1))
    assert ended(serving).phase is ChangePhase.DONE
    wait_for(lambda: met["other"])
    stop.set()
    for thread in threads:
        thread.join(20)
    expected["other"] = probabilities(serving)
    assert failures == []
    assert {name: [one for one in said if one != expected[name]] for name, said in met.items()} == {
        "tiny": [],
        "other": [],
    }


# Failing


def test_a_successor_that_cant_be_loaded_leaves_the_old_judge_and_says_why(serving: Serving, shelf: Shelf) -> None:
    serving.swap(shelf.successor(1, failure=ModelFilesError("The files are gone. Copy them again.")))
    change = ended(serving)
    assert change.phase is ChangePhase.FAILED
    assert change.message == "other was not put into service. The files are gone. Copy them again."
    assert serving.state.phase is Phase.READY
    assert shelf.opened == ["tiny"]
    assert len(probabilities(serving)) == 2


def test_a_fault_while_loading_leaves_the_old_judge_too(
    serving: Serving, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    serving.swap(shelf.successor(1, failure=ZeroDivisionError("a fault")))
    assert "ZeroDivisionError('a fault'). See the log." in ended(serving).message
    assert "Traceback" in caplog.text
    assert shelf.opened == ["tiny"]


def test_weights_that_are_not_numbers_never_serve(shelf: Shelf, serving: Serving, tmp_path: Path) -> None:
    broken = shutil.copytree(shelf.files[1].path, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    shelf.files.append(find_model(str(broken), tmp_path, prompt_format=None, report=silent))
    serving.swap(shelf.successor(2))
    change = ended(serving)
    assert change.phase is ChangePhase.FAILED
    assert "values that are not numbers" in change.message
    assert shelf.opened == ["tiny"]


def test_a_model_that_fails_its_trial_is_closed_and_never_serves(
    shelf: Shelf, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.trial._is_readable", lambda _reading: False)
    serving.swap(shelf.successor(1))
    assert "trial direct assessment, it gave no verdict" in ended(serving).message
    assert shelf.opened == ["tiny"]


def test_the_trial_asks_one_question_of_each_format(serving: Serving) -> None:
    with serving.use(NEVER) as served:
        try_out(served.engine, served.format, NEVER)
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(CancelledError):
            try_out(served.engine, served.format, cancel)


def test_where_the_change_cant_be_written_down_the_old_judge_stays(serving: Serving, shelf: Shelf) -> None:
    def busy() -> None:
        raise StoreBusyError("The database is busy. Try again.")

    serving.swap(shelf.successor(1, record=busy))
    assert ended(serving).message == "other was not put into service. The database is busy. Try again."
    assert shelf.opened == ["tiny"]
    assert len(probabilities(serving)) == 2


def test_a_second_change_is_refused_while_the_first_goes_on(serving: Serving, shelf: Shelf) -> None:
    shelf.gate.clear()
    serving.swap(shelf.successor(1))
    with pytest.raises(ConflictError, match="other is being put into service"):
        serving.swap(shelf.successor(1))
    shelf.gate.set()
    assert ended(serving).phase is ChangePhase.DONE
    serving.swap(shelf.successor(0))
    assert ended(serving).phase is ChangePhase.DONE


def test_what_serves_and_what_is_to_come_is_in_use(serving: Serving, shelf: Shelf) -> None:
    assert set(serving.in_use()) == {0}
    shelf.gate.clear()
    serving.swap(shelf.successor(1))
    assert "serves now" in serving.in_use()[0]
    assert "being put into service" in serving.in_use()[1]
    shelf.gate.set()
    ended(serving)
    wait_for(lambda: set(serving.in_use()) == {1})


# Cancelling


def test_a_change_is_cancelled_while_it_loads(serving: Serving, shelf: Shelf) -> None:
    shelf.gate.clear()
    serving.swap(shelf.successor(1))
    serving.cancel_swap()
    shelf.gate.set()
    assert ended(serving) == Change(1, ChangePhase.CANCELLED, "other was not put into service: that was cancelled.")
    assert shelf.opened == ["tiny"]
    assert serving.state.phase is Phase.READY


def test_a_change_is_cancelled_while_it_waits_for_a_verdict(serving: Serving, shelf: Shelf) -> None:
    with serving.use(NEVER):
        serving.swap(shelf.successor(1))
        wait_for(lambda: "takes over after" in serving.state.change.message)
        serving.cancel_swap()
        assert ended(serving).phase is ChangePhase.CANCELLED
    assert shelf.opened == ["tiny"]
    assert len(probabilities(serving)) == 2


def test_who_waits_for_a_turn_can_give_up(serving: Serving) -> None:
    cancel = threading.Event()
    with serving.use(NEVER):
        cancel.set()
        with pytest.raises(CancelledError), serving.use(cancel):
            pass
    assert len(probabilities(serving)) == 2


# Where nothing serves


def test_a_change_before_the_first_judge_is_there_waits_for_it(shelf: Shelf) -> None:
    serving = Serving(shelf.loader(0), available=lambda _device: PLENTY)
    shelf.gate.clear()
    serving.start()
    serving.swap(shelf.successor(1))
    wait_for(lambda: "other is next" in serving.state.change.message)
    wait_for(lambda: serving.state.message == "Loading tiny …")
    shelf.gate.set()
    assert ended(serving).phase is ChangePhase.DONE
    assert shelf.opened == ["other"]
    serving.close()


def test_a_change_before_anything_was_started_loads_only_the_successor(shelf: Shelf) -> None:
    serving = Serving(shelf.loader(0), available=lambda _device: PLENTY)
    shelf.gate.clear()
    serving.swap(shelf.successor(1))
    wait_for(lambda: serving.state.message == "Loading other …")
    serving.start()  # a page was opened meanwhile
    shelf.gate.set()
    assert ended(serving).phase is ChangePhase.DONE
    assert shelf.opened == ["other"]
    serving.close()


def test_where_nothing_serves_a_failed_change_is_a_failed_state_that_a_retry_mends(shelf: Shelf) -> None:
    serving = Serving(shelf.loader(0), available=lambda _device: PLENTY)
    serving.swap(shelf.successor(1, failure=ModelFilesError("The files are gone.")))
    assert ended(serving).phase is ChangePhase.FAILED
    assert serving.state.phase is Phase.FAILED
    with pytest.raises(NotReadyError, match="other could not be loaded: The files are gone"), serving.use(NEVER):
        pass
    serving.start()
    assert len(probabilities(serving)) == 2
    serving.close()


def test_a_judge_that_failed_to_start_is_replaced_by_a_change(shelf: Shelf) -> None:
    serving = Serving(shelf.loader(0, ModelFilesError("It is broken.")), available=lambda _device: PLENTY)
    serving.start()
    wait_for(lambda: serving.state.phase is Phase.FAILED)
    serving.swap(shelf.successor(1))
    assert len(probabilities(serving)) == 2
    assert ended(serving).phase is ChangePhase.DONE
    serving.close()


def test_what_runs_the_judge_tells_of_its_trouble_and_a_lost_one_is_loaded_again(shelf: Shelf) -> None:
    troubles: list[Trouble | None] = [None]
    load = shelf.loader(0)
    serving = Serving(lambda report: replace(load(report), trouble=lambda: troubles[-1]), available=lambda _: PLENTY)
    serving.start()
    with serving.use(NEVER):
        pass
    assert serving.state.phase is Phase.READY
    troubles.append(Trouble("It is started again.", gone=False))
    assert (serving.state.phase, serving.state.message) == (Phase.LOADING, "It is started again.")
    serving.start()
    assert shelf.opened == [shelf.files[0].name], "one that comes back by itself is not loaded a second time"
    troubles.append(Trouble("It was given up.", gone=True))
    assert (serving.state.phase, serving.state.message) == (Phase.FAILED, "It was given up.")
    shelf.gate.clear()
    serving.start()
    wait_for(lambda: shelf.opened == [])
    troubles.append(None)
    shelf.gate.set()
    assert len(probabilities(serving)) == 2
    assert serving.state.phase is Phase.READY
    serving.close()


def test_a_closed_serving_turns_away_who_asks(serving: Serving) -> None:
    serving.close()
    with pytest.raises(NotReadyError, match="closing"), serving.use(NEVER):
        pass
