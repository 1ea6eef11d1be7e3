"""A tiny base and two experts that differ from it a little, in bfloat16 as real ones are."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.tiny import make_tiny_model


@dataclass(frozen=True)
class Family:
    base: Path
    direct: Path
    pairwise: Path


def make_family(folder: Path) -> Family:
    """The same bytes each time."""
    import torch
    from safetensors.torch import load_file, save_file

    source = make_tiny_model(folder / "source")
    learned = load_file(source / "model.safetensors")
    family = Family(folder / "base", folder / "direct", folder / "pairwise")
    for seed, target in enumerate((family.base, family.direct, family.pairwise)):
        shutil.copytree(source, target)
        noise = torch.Generator().manual_seed(seed)
        tensors = {
            name: (tensor + seed * 0.02 * torch.randn(tensor.shape, generator=noise)).to(torch.bfloat16)
            for name, tensor in learned.items()
        }
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
        config = target / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "bfloat16"}))
    return family
