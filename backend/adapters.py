"""Puts a LoRA adapter into its base: a model folder in, a model folder out, the same bytes on any machine."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from backend.errors import ModelFilesError
from backend.models import weight_files

COPIED = ("*.json", "*.jinja", "*.model")
"""Beside the weights, byte for byte: a tokenizer that is written anew can differ."""
PREFIX = "base_model.model."


def apply_adapter(base: Path, adapter: Path, folder: Path, *, weight: float = 1.0) -> None:
    """Write base + weight times the adapter to `folder`.

    W + weight * (lora_alpha / r) * B @ A in float32, then the base's dtype: Hu et al., "LoRA", arXiv 2106.09685,
    section 4.1. adapter: a folder with adapter_config.json and adapter_model.safetensors as PEFT saves them. Raises
    ModelFilesError if a matrix fits no tensor of the base.
    """
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    if (
        config.get("peft_type") != "LORA"
        or config.get("use_dora")
        or config.get("use_rslora")
        or config.get("bias") != "none"
    ):
        raise ModelFilesError(f"The adapter in {adapter} is no plain LoRA adapter, and no other kind can be applied.")
    scale = weight * config["lora_alpha"] / config["r"]
    matrices = load_file(adapter / "adapter_model.safetensors")
    waiting = {name.removeprefix(PREFIX).removesuffix(".lora_A.weight") for name in matrices if ".lora_A." in name}
    for shard in weight_files(base):
        tensors = load_file(shard)
        for name in [name for name in tensors if name.removesuffix(".weight") in waiting]:
            module = name.removesuffix(".weight")
            down, up = (matrices[f"{PREFIX}{module}.lora_{side}.weight"].float() for side in ("A", "B"))
            if (up.shape[0], down.shape[1]) != tensors[name].shape or up.shape[1] != down.shape[0]:
                raise ModelFilesError(
                    f"The adapter in {adapter} was made for another base: its {module} is of the shape "
                    f"{up.shape[0]} x {down.shape[1]}, and that of {base} of {tuple(tensors[name].shape)}."
                )
            tensors[name] = (tensors[name].float() + scale * (up @ down)).to(tensors[name].dtype)
            waiting.remove(module)
        save_file(tensors, folder / shard.name, metadata={"format": "pt"})
    if waiting:
        raise ModelFilesError(
            f"The adapter in {adapter} was made for another base: {base} has no {min(waiting)}. Name the base that it "
            "was trained on."
        )
    copy_settings(base, folder)


def copy_settings(base: Path, folder: Path) -> None:
    """Tokenizer, chat template and settings of a model folder, byte for byte."""
    for pattern in COPIED:
        for path in base.glob(pattern):
            if path.name != "manifest.json":
                shutil.copy2(path, folder / path.name)


def write_like(base: Path, folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """The tensors in the shards and dtypes of the base, with its tokenizer and settings."""
    for shard in weight_files(base):
        like = load_file(shard)
        save_file(
            {name: tensors[name].detach().to("cpu", old.dtype).contiguous() for name, old in like.items()},
            folder / shard.name,
            metadata={"format": "pt"},
        )
    copy_settings(base, folder)
