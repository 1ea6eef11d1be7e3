"""Live alpha: the weights in memory are mergekit's to the bit, and so are the verdicts."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.engines import alpha as alpha_module
from backend.engines.alpha import AlphaWeights
from backend.engines.base import ReadingDone
from backend.engines.transformers import TransformersEngine
from backend.errors import InvalidInputError, MergeError, ModelFilesError, ModelUnsupportedError
from backend.live_alpha import LiveAlpha
from backend.mergeable import describe
from backend.merging import merge
from backend.prompts import AssayFormat
from backend.registry import Registry
from backend.served import Served
from backend.types import Item, Rubric, Sampling, digest_of
from db.session import Store
from tests.experts import Family

RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
ITEM = Item("Say hello.", ("Hello, my dear friend!", "Go away."))
PROMPTS = [AssayFormat().direct(ITEM, RUBRIC, 0), AssayFormat().pairwise(ITEM, RUBRIC, 0, 1)]
VERDICT_ONLY = Sampling(feedback=False)
ALPHAS = (0.0, 0.1, 0.3, 0.5, 1.0)


def quiet(message: str, fraction: float | None) -> None:
    pass


@pytest.fixture(scope="module")
def merged(family: Family, tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """Real merges by mergekit, each in its child process."""
    home = tmp_path_factory.mktemp("merges")
    folders = {}
    for alpha in ALPHAS:
        spec = describe("linear", home, quiet, direct=family.direct, pairwise=family.pairwise, alpha=alpha)
        folders[alpha] = merge(spec, home, quiet, threading.Event())
    return folders


@pytest.fixture(params=["bfloat16", "float32"])
def live(request: pytest.FixtureRequest, family: Family, store: Store, tmp_path: Path) -> Iterator[LiveAlpha]:
    live = made(family, store, tmp_path, dtype=request.param)
    yield live
    live.close()


def made(family: Family, store: Store, home: Path, *, dtype: str = "float32") -> LiveAlpha:
    registry = Registry(store, home)
    return LiveAlpha(family.direct, family.pairwise, home, registry, quiet, device="cpu", dtype=dtype)


def probabilities(engine: object) -> list[tuple[float, ...] | None]:
    done = {
        event.index: event.reading.probabilities
        for event in engine.read(PROMPTS, VERDICT_ONLY, threading.Event())  # type: ignore[attr-defined]
        if isinstance(event, ReadingDone)
    }
    return [done[index] for index in range(len(PROMPTS))]


def weights_of(served: Served) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in served.engine.parameters.items()}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_weights_are_those_of_a_mergekit_merge_to_the_bit(live: LiveAlpha, merged: dict[float, Path]) -> None:
    for alpha in (0.5, *ALPHAS, 0.1):
        weights = weights_of(live.at(alpha))
        for name, expected in load_file(merged[alpha] / "model.safetensors").items():
            assert expected.dtype is torch.bfloat16
            assert torch.equal(weights[name], expected.to(weights[name].dtype)), (alpha, name)


@pytest.mark.slow
def test_the_verdicts_are_those_of_an_engine_loaded_from_the_merged_folder(
    live: LiveAlpha, merged: dict[float, Path]
) -> None:
    for alpha in ALPHAS:
        served = live.at(alpha)
        loaded = TransformersEngine(merged[alpha], device="cpu", dtype=served.engine.info.dtype)
        assert probabilities(served.engine) == probabilities(loaded)
        loaded.close()


def test_the_ends_are_the_experts(live: LiveAlpha, family: Family) -> None:
    for alpha, folder in ((1.0, family.direct), (0.0, family.pairwise)):
        weights = weights_of(live.at(alpha))
        for name, expected in load_file(folder / "model.safetensors").items():
            assert torch.equal(weights[name], expected.to(weights[name].dtype))


def test_mixing_in_small_pieces_changes_no_bit(
    live: LiveAlpha, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weights_of(live.at(0.3))
    live.at(0.9)
    monkeypatch.setattr(alpha_module, "CHUNK", 1001)
    pieces = weights_of(live.at(0.3))
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_alpha_is_the_weight_of_the_direct_expert(live: LiveAlpha, family: Family) -> None:
    direct = load_file(family.direct / "model.safetensors")["model.norm.weight"].float()
    pairwise = load_file(family.pairwise / "model.safetensors")["model.norm.weight"].float()
    mixed = weights_of(live.at(0.9))["model.norm.weight"].float()
    assert (mixed - direct).abs().sum() < (mixed - pairwise).abs().sum()


def test_every_alpha_is_a_maker_of_its_own_that_names_its_recipe(family: Family, store: Store, tmp_path: Path) -> None:
    live = made(family, store, tmp_path)
    served = live.at(0.3)
    maker = served.maker(VERDICT_ONLY)
    recipe = json.loads(maker.recipe or "")
    assert (recipe["method"], recipe["alpha"]) == ("linear", 0.3)
    assert served.files.kind == "live"
    assert served.files.digest == digest_of("live", recipe)
    assert live.at(0.4).maker(VERDICT_ONLY).digest != maker.digest
    assert live.at(0.3).maker(VERDICT_ONLY).digest == maker.digest
    view = Registry(store, tmp_path).get(served.model_version_id)
    parents = {parent.role: parent.digest for parent in view.parents}
    assert parents == {"direct": recipe["direct"], "pairwise": recipe["pairwise"]}
    live.close()


def test_nothing_is_written_to_disk(family: Family, store: Store, tmp_path: Path) -> None:
    live = made(family, store, tmp_path)
    before = {path for path in tmp_path.rglob("*") if "assay.db" not in path.name}
    for alpha in (0.1, 0.7):
        probabilities(live.at(alpha).engine)
    assert {path for path in tmp_path.rglob("*") if "assay.db" not in path.name} == before
    live.close()


def test_an_alpha_outside_of_0_to_1_is_refused_and_changes_nothing(
    family: Family, store: Store, tmp_path: Path
) -> None:
    live = made(family, store, tmp_path)
    before = weights_of(live.at(0.5))
    with pytest.raises(InvalidInputError, match=r"1\.5"):
        live.at(1.5)
    assert live.alpha == 0.5
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(live.at(0.5)).items())
    live.close()


def test_experts_that_do_not_fit_are_refused_before_anything_is_loaded(
    family: Family, store: Store, tmp_path: Path
) -> None:
    import shutil

    other = Path(shutil.copytree(family.pairwise, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rope_parameters": {"rope_theta": 5.0}}))
    with pytest.raises(MergeError, match="rope"):
        LiveAlpha(family.direct, other, tmp_path, Registry(store, tmp_path), quiet)


def test_a_model_that_holds_its_weights_otherwise_than_its_files_is_refused(family: Family, tmp_path: Path) -> None:
    engine = TransformersEngine(family.direct, device="cpu", dtype="float32")
    renamed = {f"other.{name}": tensor for name, tensor in load_file(family.direct / "model.safetensors").items()}
    save_file(renamed, tmp_path / "renamed.safetensors")
    for files in ([tmp_path / "renamed.safetensors"], []):
        with pytest.raises(ModelUnsupportedError, match="Merge the experts into a model"):
            AlphaWeights(files, files, engine.parameters)
    engine.close()


def test_an_expert_that_is_cut_off_is_named(family: Family, tmp_path: Path) -> None:
    engine = TransformersEngine(family.direct, device="cpu", dtype="float32")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((family.direct / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ModelFilesError, match=r"cut\.safetensors"):
        AlphaWeights([cut], [cut], engine.parameters)
    engine.close()
