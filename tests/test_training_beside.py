"""A training beside an expert happens where their merge will judge, and only what was learned is written."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.adapters import apply_adapter
from backend.errors import InvalidInputError
from backend.expert_job import placed
from backend.experts import ExpertSpec
from backend.training_start import matrices_digest
from tests.test_training import direct_row, equal, pair_row, run, spec_of, weights, write_rows
from tests.tiny import make_tiny_model

NEARLY_NOTHING = 1e-12
"""A learning rate at which no weight moves."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = [pair_row(n, "AB"[n // 2 % 2], longer_wins=n % 2 == 0) for n in range(8)]
    return write_rows(tmp_path_factory.mktemp("rows") / "pairs.jsonl", rows)


@pytest.fixture(scope="module")
def direct(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A direct expert to train beside."""
    folder = tmp_path_factory.mktemp("direct")
    rows = write_rows(folder / "direct.jsonl", [direct_row(n, 5 if n % 2 else 1) for n in range(16)])
    return run(spec_of(tiny_model, rows), folder)


def pairwise(base: Path, pairs: str, **given: object) -> ExpertSpec:
    return placed(spec_of(base, pairs, name="pairs", format="pairwise", **given))


def losses(spec: ExpertSpec, home: Path) -> list[float]:
    told = (spec.workplace(home) / "progress.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, told) if "loss" in entry]


def furthest(one: Path, other: Path) -> float:
    """The largest difference of two models' weights."""
    first, second = weights(one), weights(other)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.slow
def test_it_is_trained_on_the_base_and_what_the_other_has_learned(
    tiny_model: Path, direct: Path, pairs: str, tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    apply_adapter(tiny_model, direct / "adapter", merged, weight=0.9)
    beside = pairwise(tiny_model, pairs, beside=str(direct), beside_weight=0.9, learning_rate=NEARLY_NOTHING)
    on_merged = pairwise(merged, pairs, learning_rate=NEARLY_NOTHING)
    alone = pairwise(tiny_model, pairs, learning_rate=NEARLY_NOTHING)
    folder = run(beside, tmp_path)
    for spec in (on_merged, alone):
        run(spec, tmp_path)
    assert losses(beside, tmp_path) == losses(on_merged, tmp_path)
    assert losses(beside, tmp_path) != losses(alone, tmp_path)
    assert furthest(folder, tiny_model) < 1e-9, "nothing was learned, so nothing is written, nor what was beside"
    assert furthest(direct, tiny_model) > 1e-3
    assert not list(beside.workplace(tmp_path).glob("beside-*"))


@pytest.mark.slow
def test_card_and_manifest_say_beside_whom_and_how_much(
    tiny_model: Path, direct: Path, pairs: str, tmp_path: Path
) -> None:
    folder = run(pairwise(tiny_model, pairs, beside=str(direct), beside_weight=0.9), tmp_path)
    assert not equal(folder, tiny_model)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["trained_beside"] == {"adapter": matrices_digest(str(direct)), "weight": 0.9}
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny_model.name
    card = (folder / "README.md").read_text()
    assert f"made to be merged with `{direct.name}`: 0.9 times what that has learned was added" in card
    assert str(direct.parent) not in card


def test_the_weight_of_what_is_beside_is_the_adapters(tiny_model: Path, direct: Path, tmp_path: Path) -> None:
    for weight, same_as in ((1.0, direct), (0.0, tiny_model)):
        folder = tmp_path / f"{weight}"
        folder.mkdir()
        apply_adapter(tiny_model, direct / "adapter", folder, weight=weight)
        assert equal(folder, same_as)


def test_what_is_no_expert_of_this_base_is_refused(tiny_model: Path, direct: Path, pairs: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no LoRA adapter"):
        pairwise(tiny_model, pairs, beside=str(tiny_model))
    other = make_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(InvalidInputError, match="trained on another base"):
        run(pairwise(other, pairs, beside=str(direct)), tmp_path)


def test_a_disk_too_small_for_the_base_with_it_is_said_before_the_training(
    tiny_model: Path, direct: Path, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=1_000)
    monkeypatch.setattr("backend.disk_space.shutil.disk_usage", lambda folder: free)
    with pytest.raises(InvalidInputError, match=r"The base with the expert beside it needs .* MB .*--home"):
        run(pairwise(tiny_model, pairs, beside=str(direct)), tmp_path)


@pytest.mark.slow
def test_an_adapter_alone_is_enough(tiny_model: Path, direct: Path, pairs: str, tmp_path: Path) -> None:
    shutil.copytree(direct / "adapter", tmp_path / "alone")
    spec = pairwise(tiny_model, pairs, beside=str(tmp_path / "alone"), learning_rate=NEARLY_NOTHING)
    assert furthest(run(spec, tmp_path), tiny_model) < 1e-9
