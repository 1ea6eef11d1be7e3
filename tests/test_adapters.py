"""LoRA adapters are put into their base as PEFT itself would."""

import json
from pathlib import Path

import pytest

from backend.adapters import apply_adapter
from backend.errors import ModelFilesError
from tests.tiny import make_tiny_adapter


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    return make_tiny_adapter(tiny_model, tmp_path / "adapter")


def made(base: Path, adapter: Path, folder: Path) -> Path:
    folder.mkdir()
    apply_adapter(base, adapter, folder)
    return folder


def test_the_result_is_what_peft_merges(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    ours = load_file(made(tiny_model, adapter, tmp_path / "made") / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    base = load_file(tiny_model / "model.safetensors")
    changed = 0
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, merged[name], atol=1e-6, rtol=1e-5)
        changed += not tensor.equal(base[name])
    assert changed == 7


def test_tokenizer_template_and_settings_come_along_byte_for_byte(
    tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = made(tiny_model, adapter, tmp_path / "made")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"):
        assert (folder / name).read_bytes() == (tiny_model / name).read_bytes()


def test_an_adapter_of_another_base_is_refused_by_the_tensor_that_is_missing(
    tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    save_file({name.replace("layers.1", "layers.9"): tensor for name, tensor in load_file(path).items()}, path)
    with pytest.raises(ModelFilesError, match=r"another base.*layers\.9"):
        made(tiny_model, adapter, tmp_path / "made")


def test_matrices_of_another_size_are_refused(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    save_file({name: tensor.repeat(1, 2) for name, tensor in load_file(path).items()}, path)
    with pytest.raises(ModelFilesError, match=r"another base.*shape"):
        made(tiny_model, adapter, tmp_path / "made")


@pytest.mark.parametrize("changed", [{"peft_type": "IA3"}, {"use_dora": True}, {"use_rslora": True}, {"bias": "all"}])
def test_another_kind_of_adapter_is_refused(
    changed: dict[str, object], tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelFilesError, match="no plain LoRA adapter"):
        made(tiny_model, adapter, tmp_path / "made")
