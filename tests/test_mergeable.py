"""Which models may be merged: what does not fit is refused before the work, with the reason, and nothing is left."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import InvalidInputError, MergeError, ModelError, ModelFilesError, ModelUnsupportedError
from backend.mergeable import check_mergeable
from backend.merging import merge
from tests.experts import LARGE, Family, edit_json, save_weights, sharded, spec_of, weights
from tests.test_starter import Told, visible
from tests.tiny import MISTRAL

NEVER = threading.Event()


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "two.safetensors").unlink()


def with_a_wrong_index(folder: Path) -> None:
    sharded(folder)
    index = folder / "model.safetensors.index.json"
    edit_json(index, weight_map={**json.loads(index.read_text())["weight_map"], "more": "one.safetensors"})


def with_weights_twice(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    sharded(folder)
    (folder / "model.safetensors").write_bytes(whole)


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def of_another_architecture(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="mistral", architectures=["MistralForCausalLM"])


def of_another_vocabulary(folder: Path) -> None:
    tensors = weights(folder)
    edit_json(folder / "config.json", vocab_size=len(tensors["model.embed_tokens.weight"]) - 1)
    save_weights(folder, {**tensors, "model.embed_tokens.weight": tensors["model.embed_tokens.weight"][1:].clone()})


def of_another_shape(folder: Path) -> None:
    save_weights(folder, {**weights(folder), LARGE: weights(folder)[LARGE][1:].clone()})


def untied(folder: Path) -> None:
    edit_json(folder / "config.json", tie_word_embeddings=False)
    save_weights(folder, {**weights(folder), "lm_head.weight": weights(folder)["model.embed_tokens.weight"].clone()})


def with_a_head_of_its_own(folder: Path) -> None:
    save_weights(folder, {**weights(folder), "lm_head.weight": weights(folder)["model.embed_tokens.weight"].clone()})


def turning_faster(folder: Path) -> None:
    edit_json(folder / "config.json", rope_parameters={"rope_theta": 500000.0, "rope_type": "default"})


def in_float32(folder: Path) -> None:
    save_weights(folder, {name: tensor.float() for name, tensor in weights(folder).items()})


def quantised(folder: Path) -> None:
    import torch

    save_weights(folder, {**weights(folder), LARGE: torch.zeros(4, dtype=torch.int8)})


def with_another_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def with_another_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(MISTRAL)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without_a_shard, ModelFilesError, "lacks two.safetensors, one of its weight files"),
        (with_a_wrong_index, MergeError, "the files that it names disagree about more"),
        (with_weights_twice, MergeError, "has its weights twice"),
        (cut_off, ModelFilesError, "its header promises"),
        (of_another_architecture, MergeError, "The architectures differ: ['LlamaForCausalLM'] in the direct"),
        (of_another_vocabulary, MergeError, "The vocabulary sizes differ"),
        (of_another_shape, MergeError, f"The shapes of {LARGE} differ: [128, 64]"),
        (untied, MergeError, "The tying of the embeddings (tie_word_embeddings) differ: True in the direct"),
        (with_a_head_of_its_own, MergeError, "has lm_head.weight and"),
        (turning_faster, MergeError, "The rope settings differ: {'rope_theta': 10000.0} in the direct"),
        (in_float32, MergeError, "The number formats of"),
        (quantised, MergeError, f"holds {LARGE} as I8, which can't be averaged"),
        (with_another_tokenizer, MergeError, "The experts' tokenizers differ"),
        (with_another_template, MergeError, "The experts' chat templates differ"),
    ],
)
def test_experts_that_do_not_fit_are_refused_with_a_reason_and_nothing_is_left(
    damage: Callable[[Path], None], error: type[ModelError], message: str, experts: Family, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    damage(experts.pairwise)
    with pytest.raises(error) as caught:
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert message in str(caught.value)
    assert str(experts.pairwise) in str(caught.value)
    assert not (home / "models").exists() or visible(home) == []


def test_a_base_that_does_not_fit_is_refused(experts: Family, tmp_path: Path) -> None:
    of_another_shape(experts.base)
    spec = spec_of(experts, tmp_path / "home", "ties")
    with pytest.raises(MergeError, match=r"\[127, 64\] in the base model"):
        merge(spec, tmp_path / "home", Told(), NEVER)
    assert visible(tmp_path / "home") == []


def test_a_base_needs_neither_tokenizer_nor_template(experts: Family, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (experts.base / name).unlink()
    spec = spec_of(experts, tmp_path / "home", "ties")
    assert LARGE in check_mergeable(spec, tmp_path / "home", Told())


def test_settings_that_mean_the_same_are_no_difference(experts: Family, tmp_path: Path) -> None:
    config = json.loads((experts.pairwise / "config.json").read_text())
    del config["rope_parameters"], config["head_dim"]
    config |= {"rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "bfloat16", "transformers_version": "4.38.0"}
    (experts.pairwise / "config.json").write_text(json.dumps(config))
    edit_json(experts.pairwise / "tokenizer.json", padding={"strategy": "BatchLongest"}, truncation=None)
    spec = spec_of(experts, tmp_path / "home")
    assert LARGE in check_mergeable(spec, tmp_path / "home", Told())


def test_a_parent_that_changed_since_is_refused(experts: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(experts, home)
    changed = weights(experts.pairwise)
    changed[LARGE] += 1
    save_weights(experts.pairwise, changed)
    with pytest.raises(MergeError, match=r"The pairwise expert in .* has changed since this merge was described"):
        merge(spec, home, Told(), NEVER)
    assert visible(home) == []


def test_a_parent_that_was_deleted_since_is_refused(experts: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(experts, home)
    shutil.rmtree(experts.direct)
    with pytest.raises(MergeError, match=r"The folder of the direct-assessment expert, .*, is not there. Put it back"):
        merge(spec, home, Told(), NEVER)
    assert visible(home) == []


def test_the_same_model_twice_is_refused_wherever_its_copies_lie(experts: Family, tmp_path: Path) -> None:
    shutil.rmtree(experts.pairwise)
    shutil.copytree(experts.direct, experts.pairwise)
    with pytest.raises(InvalidInputError, match="Pairwise and direct are the same model"):
        spec_of(experts, tmp_path / "home")


def test_an_adapter_alone_is_refused(experts: Family, tmp_path: Path) -> None:
    (experts.direct / "config.json").unlink()
    with pytest.raises(ModelFilesError, match=r"has no config.json"):
        spec_of(experts, tmp_path / "home")


def test_a_model_that_runs_code_of_its_own_is_refused(experts: Family, tmp_path: Path) -> None:
    edit_json(experts.direct / "config.json", auto_map={"AutoModel": "code.Model"})
    with pytest.raises(ModelUnsupportedError, match="auto_map"):
        spec_of(experts, tmp_path / "home")


def test_too_small_a_disk_is_told_before_the_work(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.mergeable.SPARE_BYTES", 10**18)
    home = tmp_path / "home"
    with pytest.raises(MergeError, match=r"needs 1,000,000,000,000 MB of free disk space, and .* has .*--home"):
        merge(spec_of(family, home), home, Told(), NEVER)
    assert visible(home) == []
