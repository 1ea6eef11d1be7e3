"""A training that goes on from an expert, or takes place beside one: what it needs to know of the expert's adapter."""

import json
from pathlib import Path
from typing import Any

from backend.errors import InvalidInputError
from backend.models import weights_digest
from backend.starter import MANIFEST, files_of

CONFIG, MATRICES = "adapter_config.json", "adapter_model.safetensors"


def adapter_of(place: str) -> Path:
    """The adapter's folder, of an expert's folder or of itself. Raises InvalidInputError where there is none."""
    for folder in (Path(place) / "adapter", Path(place)):
        if (folder / CONFIG).is_file() and (folder / MATRICES).is_file():
            return folder
    raise InvalidInputError(
        f"{place} holds no LoRA adapter to go on from or to train beside. Name an expert that was trained by LoRA; "
        "to go on from a whole model, name that as the base."
    )


def has_adapter(place: str) -> bool:
    """Whether an expert's folder has its adapter beside the whole weights."""
    return (Path(place) / "adapter" / CONFIG).is_file()


def lora_of(place: str) -> dict[str, Any]:
    """The settings of an ExpertSpec that must be the adapter's own. Raises InvalidInputError."""
    config = json.loads((adapter_of(place) / CONFIG).read_text("utf-8"))
    if config.get("peft_type") != "LORA" or not {"r", "lora_alpha"} <= config.keys():
        raise InvalidInputError(f"The adapter in {place} is none of LoRA, and no other kind can be gone on from.")
    layers = config.get("layers_to_transform")
    return {
        "lora_rank": config["r"],
        "lora_alpha": config["lora_alpha"],
        "layers_from": min(layers) if layers else 0,
    }


def matrices_digest(place: str) -> str:
    """SHA-256 of the adapter's matrices."""
    return str(files_of(adapter_of(place))[MATRICES]["sha256"])


def card_before(place: str) -> str:
    """The card of the expert, with its headings a level lower."""
    cards = [folder / "README.md" for folder in (Path(place), adapter_of(place))]
    found = next((card.read_text("utf-8") for card in cards if card.is_file()), "It has no card.")
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in found.splitlines())


def require_base(place: str, base: Path, cache: Path) -> None:
    """Raises InvalidInputError if the expert, or the one whose adapter it is, says that it has another base.

    cache: where digests of weights are remembered.
    """
    manifest = adapter_of(place).parent / MANIFEST
    if manifest.is_file():
        on = json.loads(manifest.read_text("utf-8")).get("parents", {}).get("base")
        if on != weights_digest(base, cache, lambda _message, _fraction: None):
            raise InvalidInputError(f"{place} was trained on another base than {base}. Name the base that it has.")


def begin_at(model: Any, place: str, base: Path, cache: Path) -> None:
    """Put the adapter's matrices in the place of the new ones of `model`, a PEFT model on `base`.

    cache: where digests of weights are remembered. Raises InvalidInputError for an expert on another base, or an
    adapter that does not fit.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    require_base(place, base, cache)
    matrices = load_file(adapter_of(place) / MATRICES)
    wanted = {(name, tuple(one.shape)) for name, one in model.named_parameters() if ".lora_" in name}
    told = {(name.replace(".weight", ".default.weight"), tuple(one.shape)) for name, one in matrices.items()}
    if told != wanted:
        raise InvalidInputError(
            f"The adapter in {place} has another form than this training asks for: {min(told ^ wanted)} is in one of "
            f"the two alone. Its rank and layers are {lora_of(place)}, and its base must be {base.name}."
        )
    set_peft_model_state_dict(model, matrices)
