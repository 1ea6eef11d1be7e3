"""A registered model is put into service: every verdict names who judged, and the next start serves the last one."""

import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from backend.accounts import Accounts, Role
from backend.activating import Activating
from backend.config import Settings, read_settings
from backend.errors import ConflictError, ModelFilesError
from backend.history import History
from backend.judging import Judging, Question, RunPhase
from backend.loading import JudgeLoader
from backend.model_views import ModelView
from backend.registry import Registry
from backend.rubrics import RubricLibrary
from backend.served import ChangePhase, Phase, Served
from backend.serving import Serving
from backend.starter_judge import StarterJudge
from backend.trial import VERDICT_ONLY
from backend.types import Item
from db.session import Store
from tests.shelf import NEVER, RUBRIC, ended, other_model, probabilities, silent, wait_for


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
def house(store: Store, owner_id: int, tiny_model: Path, tmp_path: Path) -> Iterator[House]:
    settings = read_settings(home=tmp_path, model=str(tiny_model), device="cpu", dtype="float32")
    copied = shutil.copytree(tiny_model, tmp_path / tiny_model.name)
    house = House(store, owner_id, settings, copied, other_model(tmp_path))
    house.serving.start()
    with house.serving.use(NEVER):
        pass
    yield house
    house.serving.close()


# From the registry to the verdicts


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
