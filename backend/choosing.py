"""Which engine runs the judge, and why that one."""

import importlib.metadata
import importlib.util
import platform
from dataclasses import dataclass, replace

from backend.config import Settings
from backend.errors import SettingsError
from backend.vllm_server import VllmPython, find_vllm

MEASURED = ("x86_64", "AMD64")
"""Processors on which openvino's verdicts and speed were compared with transformers'."""


@dataclass(frozen=True)
class Choice:
    """engine: transformers, openvino, vllm or openai. why: for the log.

    note: for people; empty where there was nothing to choose. vllm: where it is, if it was chosen.
    """

    engine: str
    why: str
    note: str = ""
    vllm: VllmPython | None = None


def choose_engine(settings: Settings) -> Choice:
    """As the settings say. Raises SettingsError where vLLM is asked for and is not there."""
    match settings.engine:
        case "auto":
            return _chosen_by_itself(settings)
        case "vllm":
            found = find_vllm(settings.vllm_python)
            return Choice("vllm", f"--engine vllm; vLLM {found.version} on {found.device}", vllm=found)
        case named:
            return Choice(named, f"--engine {named}")


def _chosen_by_itself(settings: Settings) -> Choice:
    if settings.base_url is not None:
        return Choice("openai", "--base-url names an endpoint")
    if settings.vllm_python is None and importlib.util.find_spec("vllm") is None:
        return _embedded(settings, "vLLM is not installed here")
    try:
        found = find_vllm(settings.vllm_python)
    except SettingsError as error:
        choice = _embedded(settings, str(error))
        return replace(choice, note=f"It runs on {choice.engine}: {error}")
    if found.device != "cuda":
        why = f"vLLM {found.version} is here, but no CUDA GPU that it could use"
        choice = _embedded(settings, why)
        return replace(choice, note=f"It runs on {choice.engine}: {why}.")
    why = f"vLLM {found.version} and a CUDA GPU are here"
    return Choice("vllm", why, f"It runs on vLLM, since {why}.", found)


def _embedded(settings: Settings, why: str) -> Choice:
    """openvino where it was measured, and nothing else is asked for; it refuses the models that it doesn't know."""
    if settings.device not in ("auto", "cpu") or settings.dtype != "auto":
        return Choice("transformers", f"{why}; --device or --dtype asks for more than openvino has")
    if platform.machine() not in MEASURED:
        return Choice("transformers", f"{why}; openvino was not measured on {platform.machine()}")
    if settings.device == "auto" and _torch_has_gpu():
        return Choice("transformers", f"{why}; there is a GPU for torch")
    return Choice("openvino", f"{why}; openvino is the fastest on this CPU")


def _torch_has_gpu() -> bool:
    """Without importing torch where its build can't have one: that takes seconds."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return False
    import torch

    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())
