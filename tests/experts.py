"""A tiny base and two experts that differ from it a little, in bfloat16 as real ones are."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.merge_spec import USES, MergeSpec
from backend.mergeable import describe
from tests.tiny import make_tiny_model

LARGE = "model.layers.0.mlp.up_proj.weight"
"""One of their tensors."""


@dataclass(frozen=True)
class Family:
    base: Path
    direct: Path
    pairwise: Path


def make_family(folder: Path) -> Family:
    """The same bytes each time."""
    import torch

    source = make_tiny_model(folder / "source")
    learned = weights(source)
    family = Family(folder / "base", folder / "direct", folder / "pairwise")
    for seed, target in enumerate((family.base, family.direct, family.pairwise)):
        shutil.copytree(source, target)
        noise = torch.Generator().manual_seed(seed)
        tensors = {
            name: (tensor + seed * 0.02 * torch.randn(tensor.shape, generator=noise)).to(torch.bfloat16)
            for name, tensor in learned.items()
        }
        save_weights(target, tensors)
        edit_json(target / "config.json", dtype="bfloat16")
    return family


def copied(family: Family, folder: Path) -> Family:
    return Family(**{role: Path(shutil.copytree(path, folder / role)) for role, path in asdict(family).items()})


def spec_of(family: Family, home: Path, method: str = "linear", **given: Any) -> MergeSpec:
    """A merge of the family by a method, with what it needs; given: what is to be different."""
    home.mkdir(exist_ok=True)
    base = {"base": family.base} if "base" in USES[method] else {}
    density = {"density": 0.5} if "density" in USES[method] else {}
    return describe(
        method, home, _silent, direct=family.direct, pairwise=family.pairwise,
        **base, **{"alpha": 0.3, **density, **given},
    )  # fmt: skip


def _silent(_message: str, _fraction: float | None) -> None:
    pass


def save_weights(folder: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def edit_json(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def sharded(folder: Path) -> None:
    """The same model in two weight files and their index."""
    tensors = sorted(weights(folder).items())
    shards = {"one.safetensors": dict(tensors[:5]), "two.safetensors": dict(tensors[5:])}
    (folder / "model.safetensors").unlink()
    for name, part in shards.items():
        save_weights(folder, part)
        (folder / "model.safetensors").rename(folder / name)
    index = {"weight_map": {tensor: name for name, part in shards.items() for tensor in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
