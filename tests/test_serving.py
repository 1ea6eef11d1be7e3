"""One judge serves at any moment, another takes over without a gap, and whatever fails leaves the old one in place.

The models are tiny and real, and so is the engine; where the order of events counts, a gate holds a load back.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.accounts import Accounts, Role
from backend.activating import Activating
from backend.config import Settings, read_settings
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError, ConflictError, ModelFilesError, NotReadyError
from backend.history import History
from backend.judging import Judging, Question, RunPhase
from backend.loading import JudgeLoader
from backend.memory import available_bytes
from backend.model_views import ModelView
from backend.models import ModelFiles, find_model
from backend.prompts import AssayFormat
from backend.registry import Registry
from backend.rubrics import RubricLibrary
from backend.served import Change, ChangePhase, Loader, Phase, Report, Served, Successor, Trouble
from backend.serving import Serving
from backend.starter_judge import StarterJudge
from backend.trial import VERDICT_ONLY, try_out
from backend.types import Item, Reading, Rubric
from db.errors import StoreBusyError
from db.session import Store
from tests.tiny import make_tiny_model

NEVER = threading.Event()
PLENTY = 10**12
RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
FORMAT = AssayFormat()
PROMPTS = [
    FORMAT.direct(Item("Say hello.", ("Hello, my friend!",)), RUBRIC, 0),
    FORMAT.pairwise(Item("Say hello.", ("Hello, my friend!", "Go away.")), RUBRIC, 0, 1),
]


def silent(_message: str, _fraction: float | None) -> None:
    pass


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the tiny model, with other weights."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1)


class Shelf:
    """Loads the two models, and knows which engines are open."""

    def __init__(self, home: Path, *folders: Path) -> None:
        self.files = [find_model(str(folder), home, prompt_format=None, report=silent) for folder in folders]
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def loader(self, number: int, failure: Exception | None = None) -> Loader:
        def load(report: Report) -> Served:
            files = self.files[number]
            report(f"Loading {files.name} …", None)
            assert self.gate.wait(20)
            report(f"Still loading {files.name} …", None)
            if failure is not None:
                raise failure
            return Served(self._engine(files), files, FORMAT, number)

        return load

    def successor(self, number: int, *, failure: Exception | None = None, record: Callable[[], None] = nothing):
        return Successor(number, self.files[number].name, 1000, self.loader(number, failure), record)

    def _engine(self, files: ModelFiles) -> TransformersEngine:
        engine = TransformersEngine(files.path, device="cpu", dtype="float32")
        self.opened.append(files.name)
        close = engine.close

        def closing() -> None:
            self.opened.remove(files.name)
            close()

        engine.close = closing
        return engine


@pytest.fixture
def shelf(tiny_model: Path, other_model: Path, tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, tiny_model, other_model)


@pytest.fixture
def serving(shelf: Shelf) -> Iterator[Serving]:
    """The tiny model serves."""
    serving = Serving(shelf.loader(0), available=lambda _device: PLENTY)
    serving.start()
    with serving.use(NEVER):
        pass
    yield serving
    shelf.gate.set()
    serving.close()
    assert shelf.opened == []


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def ended(serving: Serving) -> Change:
    """The change when it has ended, well or not."""
    wait_for(lambda: serving.state.change is not None and serving.state.change.phase is not ChangePhase.LOADING)
    assert serving.state.change is not None
    return serving.state.change


def readings(served: Served) -> list[Reading]:
    events = served.engine.read(PROMPTS, VERDICT_ONLY, NEVER)
    return [event.reading for event in events if hasattr(event, "reading")]


def probabilities(serving: Serving) -> list[tuple[float, ...] | None]:
    with serving.use(NEVER) as served:
        return [reading.probabilities for reading in readings(served)]


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


# Where memory does not hold two judges


@pytest.fixture
def tight(shelf: Shelf) -> Iterator[Serving]:
    """The tiny model serves, and there is room for one judge."""
    serving = Serving(shelf.loader(0), available=lambda _device: 500_000_000)
    serving.start()
    with serving.use(NEVER):
        pass
    yield serving
    shelf.gate.set()
    serving.close()
    assert shelf.opened == []


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


def test_the_trial_asks_one_question_of_each_format(serving: Serving) -> None:
    with serving.use(NEVER) as served:
        try_out(served.engine, served.format, NEVER)
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(CancelledError):
            try_out(served.engine, served.format, cancel)


# From the registry to the verdicts


class House:
    """Settings, store and services as launch.py wires them; two registered models, the first of which serves."""

    def __init__(self, store: Store, owner_id: int, settings: Settings, *folders: Path) -> None:
        self.store, self.owner_id = store, owner_id
        self.registry = Registry(store, settings.home_folder, in_use=self.in_use)
        loader = JudgeLoader(settings, self.registry)
        self.serving = Serving(loader.first)
        self.activating = Activating(
            self.registry, self.serving, loader, Accounts(store).permit(Role.ADMIN, "activate")
        )
        self.models = [self.registry.register(str(folder), silent).id for folder in folders]

    def in_use(self) -> Mapping[int, str]:
        return self.serving.in_use()

    def view(self, number: int) -> ModelView:
        return self.registry.get(self.models[number])


@pytest.fixture
def house(store: Store, owner_id: int, tiny_model: Path, other_model: Path, tmp_path: Path) -> Iterator[House]:
    settings = read_settings(home=tmp_path, model=str(tiny_model), device="cpu", dtype="float32")
    folders = [shutil.copytree(model, tmp_path / model.name) for model in (tiny_model, other_model)]
    house = House(store, owner_id, settings, *folders)
    house.serving.start()
    with house.serving.use(NEVER):
        pass
    yield house
    house.serving.close()


def test_swapping_under_load_every_verdict_names_a_judge_that_served_and_none_fails(house: House) -> None:
    judging, history = Judging(house.store, house.serving), History(house.store)
    version_id = RubricLibrary(house.store).in_place(RUBRIC, house.owner_id)
    stop, phases = threading.Event(), []
    verdicts: list[int | None] = []

    def judge(person: int) -> None:
        for number in range(1000):
            if stop.is_set():
                return
            item = Item(f"Say hello, {person}.", (f"Hello number {number}!", "Go away."))
            state = judging.start(Question(item, RUBRIC, version_id), VERDICT_ONLY, house.owner_id).wait()
            phases.append(state.phase)
            verdicts.append(state.verdict_id)

    people = [threading.Thread(target=judge, args=(person,)) for person in range(3)]
    for person in people:
        person.start()
    wait_for(lambda: verdicts)
    for number in (1, 0, 1):
        house.activating.start(house.models[number], house.owner_id)
        assert ended(house.serving).phase is ChangePhase.DONE, house.serving.state.change
        said = len(verdicts)
        wait_for(lambda said=said: len(verdicts) > said + len(people))
    stop.set()
    for person in people:
        person.join(30)
    assert set(phases) == {RunPhase.DONE}
    makers = [history.open(verdict_id, house.owner_id).maker for verdict_id in verdicts if verdict_id is not None]
    served = {(house.view(number).name, house.view(number).digest) for number in (0, 1)}
    assert {(maker.model_name, maker.model_digest) for maker in makers} == served
    assert house.registry.active() == house.models[1]


def test_a_model_that_serves_already_is_only_written_down(house: House) -> None:
    assert "from now on it does so after every start" in house.activating.start(house.models[0], house.owner_id)
    assert house.view(0).active
    with pytest.raises(ConflictError, match="tiny serves already"):
        house.activating.start(house.models[0], house.owner_id)
    assert house.serving.state.change is None


def test_the_serving_model_is_not_deleted(house: House) -> None:
    with pytest.raises(ConflictError, match="tiny can't be deleted: it is the judge that serves now"):
        house.registry.remove(house.models[0], house.owner_id)
    house.activating.start(house.models[1], house.owner_id)
    assert ended(house.serving).phase is ChangePhase.DONE
    house.registry.remove(house.models[0], house.owner_id)


def test_a_model_with_changed_files_is_not_put_into_service(house: House, tiny_model: Path) -> None:
    shutil.copy2(tiny_model / "model.safetensors", house.view(1).path)
    house.activating.start(house.models[1], house.owner_id)
    change = ended(house.serving)
    assert change.phase is ChangePhase.FAILED
    assert "have changed since other was registered" in change.message
    assert house.registry.active() is None
    assert len(probabilities(house.serving)) == 2


def refusal(house: House, number: int) -> str:
    """Why the model is not put into service: what can be known at once is, the rest is known when it is loaded."""
    try:
        house.activating.start(house.models[number], house.owner_id)
    except ModelFilesError as error:
        return str(error)
    return ended(house.serving).message


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_with_missing_files_is_not_put_into_service(missing: str, house: House) -> None:
    (Path(house.view(1).path) / missing).unlink()
    assert missing in refusal(house, 1)
    assert house.registry.active() is None
    assert len(probabilities(house.serving)) == 2


@pytest.mark.parametrize("state", ["deleted", "missing"])
def test_a_model_without_files_is_refused_before_anything_is_loaded(state: str, house: House) -> None:
    shutil.rmtree(house.view(1).path)
    if state == "deleted":
        house.registry.remove(house.models[1], house.owner_id)
    with pytest.raises(ModelFilesError, match="was deleted" if state == "deleted" else "no longer in"):
        house.activating.start(house.models[1], house.owner_id)
    assert house.serving.state.change is None


# The judge of the next start


def started(house: House, home: Path) -> Served:
    """What a start without --model serves."""
    loader = JudgeLoader(Settings(home=home, device="cpu", dtype="float32"), house.registry)
    served = loader.first(silent)
    served.engine.close()
    return served


def test_the_next_start_serves_the_model_put_into_service_last(house: House, tmp_path: Path) -> None:
    house.registry.activate(house.models[1], house.owner_id)
    served = started(house, tmp_path)
    assert (served.files.name, served.model_version_id, served.note) == ("other", house.models[1], "")


def test_a_model_that_the_settings_name_comes_before_the_last_activation(
    house: House, tiny_model: Path, tmp_path: Path
) -> None:
    house.registry.activate(house.models[1], house.owner_id)
    settings = Settings(home=tmp_path, model=str(tiny_model), device="cpu", dtype="float32")
    served = JudgeLoader(settings, house.registry).first(silent)
    served.engine.close()
    assert served.files.digest == house.view(0).digest


def test_where_the_last_activation_cant_be_loaded_the_starter_serves_and_says_so(
    house: House, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = StarterJudge(*[tiny_model] * 4, note="It is small.", card="# The starter")
    monkeypatch.setattr("backend.loading.prepare_starter_judge", lambda _home, _report: starter)
    house.registry.activate(house.models[1], house.owner_id)
    shutil.rmtree(house.view(1).path)
    served = started(house, tmp_path)
    assert served.files.digest == house.view(0).digest
    assert "stands in for other, which was put into service last and can't be loaded" in served.note
    assert served.note.endswith("It is small.")
    serving = Serving(lambda _report: served)
    serving.start()
    wait_for(lambda: serving.state.phase is Phase.READY)
    assert served.note in serving.state.message
