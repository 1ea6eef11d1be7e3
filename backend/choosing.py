"""Which engine runs the judge, and why that one."""

import importlib.util
from dataclasses import dataclass

from backend.config import Settings
from backend.errors import SettingsError
from backend.vllm_server import VllmPython, find_vllm


@dataclass(frozen=True)
class Choice:
    """engine: transformers, vllm or openai. why: for the log.

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
        return Choice("transformers", "vLLM is not installed here")
    try:
        found = find_vllm(settings.vllm_python)
    except SettingsError as error:
        return Choice("transformers", str(error), f"It runs on transformers: {error}")
    if found.device != "cuda":
        why = f"vLLM {found.version} is here, but no CUDA GPU that it could use"
        return Choice("transformers", why, f"It runs on transformers: {why}.")
    why = f"vLLM {found.version} and a CUDA GPU are here"
    return Choice("vllm", why, f"It runs on vLLM, since {why}.", found)
