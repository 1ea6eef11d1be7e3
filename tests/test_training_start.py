"""A training that goes on from an expert begins at its matrices, takes its form, and says so on the card."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.errors import InvalidInputError
from backend.expert_job import placed
from backend.experts import ExpertSpec
from backend.training_start import MATRICES, adapter_of, lora_of
from tests.test_training import direct_row, run, spec_of, write_rows
from tests.tiny import make_tiny_model


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rows")
    return write_rows(folder / "direct.jsonl", [direct_row(n, 5 if n % 2 else 1) for n in range(24)])


@pytest.fixture(scope="module")
def first(tiny_model: Path, rows: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An expert to go on from."""
    return run(spec_of(tiny_model, rows, lora_rank=2, lora_alpha=8, layers_from=1), tmp_path_factory.mktemp("first"))


def going_on(first: Path, base: Path, rows: str, **given: object) -> ExpertSpec:
    return placed(spec_of(base, rows, name="second", start_from=str(first), **given))


def matrices(place: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter_of(str(place)) / MATRICES)


@pytest.mark.slow
def test_it_begins_where_the_expert_ended(first: Path, tiny_model: Path, rows: str, tmp_path: Path) -> None:
    spec = going_on(first, tiny_model, rows, learning_rate=1e-12)
    assert (spec.lora_rank, spec.lora_alpha, spec.layers_from) == (2, 8, 1)
    before, after = matrices(first), matrices(run(spec, tmp_path))
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    fresh = matrices(run(spec.model_copy(update={"start_from": None}), tmp_path))
    assert not all(before[name].equal(fresh[name]) for name in before)


@pytest.mark.slow
def test_it_learns_on_and_its_card_holds_the_earlier_card(
    first: Path, tiny_model: Path, rows: str, tmp_path: Path
) -> None:
    folder = run(going_on(first, tiny_model, rows), tmp_path)
    assert not all(one.equal(matrices(folder)[name]) for name, one in matrices(first).items())
    before, after = (folder / "README.md").read_text().split("## What it went on from")
    assert "## tiny-direct" in after
    assert "### Data" in after
    assert str(first) not in before + after
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["spec"]["start_from"] == str(first)
    matrices_file = (first / "adapter" / MATRICES).read_bytes()
    assert manifest["went_on_from"] == {"adapter": hashlib.sha256(matrices_file).hexdigest()}


@pytest.mark.slow
def test_an_expert_on_another_base_is_refused(first: Path, rows: str, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(InvalidInputError, match="trained on another base"):
        run(going_on(first, other, rows), tmp_path)


@pytest.mark.slow
def test_another_form_is_refused_before_anything_is_learned(
    first: Path, tiny_model: Path, rows: str, tmp_path: Path
) -> None:
    for changed in ({"lora_rank": 4}, {"layers_from": 0}):
        with pytest.raises(InvalidInputError, match=r"another form than this training asks for.*'lora_rank': 2"):
            run(going_on(first, tiny_model, rows).model_copy(update=changed), tmp_path)


def test_what_is_no_adapter_is_refused_before_it_waits_in_a_queue(tiny_model: Path, rows: str, tmp_path: Path) -> None:
    for place in (tiny_model, tmp_path / "nowhere"):
        with pytest.raises(InvalidInputError, match="holds no LoRA adapter to go on from"):
            going_on(place, tiny_model, rows)
    with pytest.raises(InvalidInputError, match="Name the expert as the base"):
        going_on(tmp_path, tiny_model, rows, method="full")


def test_an_adapter_of_another_kind_is_refused(first: Path, tiny_model: Path, rows: str, tmp_path: Path) -> None:
    shutil.copytree(first / "adapter", tmp_path / "other")
    for config in ({"peft_type": "IA3"}, {"peft_type": "LORA"}):
        (tmp_path / "other" / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(InvalidInputError, match="is none of LoRA"):
            going_on(tmp_path / "other", tiny_model, rows)


def test_the_shipped_adapters_can_be_gone_on_from() -> None:
    shipped = Path(__file__).parent.parent / "backend" / "starter_experts"
    for expert in ("direct", "pairwise"):
        assert lora_of(str(shipped / expert))["lora_rank"] >= 8


@pytest.mark.slow
def test_an_adapter_alone_is_enough(first: Path, tiny_model: Path, rows: str, tmp_path: Path) -> None:
    shutil.copytree(first / "adapter", tmp_path / "alone")
    spec = going_on(tmp_path / "alone", tiny_model, rows, learning_rate=1e-12)
    folder = run(spec, tmp_path)
    assert all(one.equal(matrices(folder)[name]) for name, one in matrices(first).items())
    assert "It has no card." in (folder / "README.md").read_text()
