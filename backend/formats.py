"""Finds a prompt format by its name: ours, or the released checkpoints' from an installed package."""

import importlib.util
import runpy
from pathlib import Path

from backend.errors import SettingsError
from backend.prompts import AssayFormat, PrometheusFormat, PromptFormat

FORMATS = ("assay", "prometheus-2")
PEER = "prometheus_eval"
TEMPLATES = (
    "ABS_SYSTEM_PROMPT",
    "ABSOLUTE_PROMPT",
    "ABSOLUTE_PROMPT_WO_REF",
    "REL_SYSTEM_PROMPT",
    "RELATIVE_PROMPT",
    "RELATIVE_PROMPT_WO_REF",
    "SCORE_RUBRIC_TEMPLATE",
)


def prompt_format(name: str) -> PromptFormat:
    """Raises SettingsError for an unknown name, or where the package that holds the words is missing."""
    match name:
        case "assay":
            return AssayFormat()
        case "prometheus-2":
            return PrometheusFormat(_installed_templates())
        case _:
            raise SettingsError(f"The prompt format {name!r} is unknown. Known: {', '.join(FORMATS)}.")


def _installed_templates() -> dict[str, str]:
    """The templates in prometheus_eval/prompts.py. The file alone is run: the package need not be importable."""
    found = importlib.util.find_spec(PEER)
    places = list(found.submodule_search_locations or []) if found else []
    if not places:
        raise SettingsError(
            "The prompt format 'prometheus-2' uses the words of the package prometheus-eval, which is not installed. "
            "Install it beside Assay: pip install --no-deps prometheus-eval==0.1.20"
        )
    module = runpy.run_path(str(Path(places[0]) / "prompts.py"))
    missing = [name for name in TEMPLATES if not isinstance(module.get(name), str)]
    if missing:
        raise SettingsError(
            f"The installed prometheus-eval has no {', '.join(missing)}. Install the version that Assay reads: "
            "pip install --no-deps prometheus-eval==0.1.20"
        )
    return {name: module[name] for name in TEMPLATES}
