"""Makes the starter judge on this machine: the starter model, the two adapters that Assay ships, and their merge."""

import json
import shutil
import threading
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from backend.manifests import CARD
from backend.merge_spec import USES
from backend.mergeable import describe
from backend.merging import ask_once, merge
from backend.models import weights_digest
from backend.starter import MANIFEST, SMOLLM2, Report, StarterSource, files_of, is_complete, prepare_starter
from backend.types import digest_of
from backend.whole_folders import MADE, arriving, remove_leftovers

SHIPPED = Path(__file__).parent / "starter_experts"
"""A folder an expert, `direct` and `pairwise`, each with adapter_config.json, adapter_model.safetensors and its card;
judge.json with the merge that was chosen on dev sets, and README.md, the judge's card."""
FORMATS = ("direct", "pairwise")
NAME = "starter-judge"


@dataclass(frozen=True)
class StarterJudge:
    """Where the starter judge and what it is made of lie. note: how well it judges, in a sentence. card: Markdown."""

    base: Path
    direct: Path
    pairwise: Path
    judge: Path
    note: str
    card: str


def prepare_starter_judge(
    home: Path, report: Report, *, source: StarterSource = SMOLLM2, shipped: Path = SHIPPED
) -> StarterJudge:
    """The starter judge and what it is made of, under `home`; each part is made once, and appears whole or not at all.

    Raises ModelFetchError, ModelFilesError and MergeError.
    """
    base = prepare_starter(home, report, source=source)
    direct, pairwise = (_expert(format, base, home, report, shipped) for format in FORMATS)
    chosen = json.loads((shipped / "judge.json").read_text("utf-8"))
    options = dict(chosen["merge"])
    method = options.pop("method")
    if "base" in USES[method]:
        options["base"] = base
    spec = describe(method, home, report, direct=direct, pairwise=pairwise, **options)
    judge = merge(spec, home, report, threading.Event(), name=NAME, ask=ask_once)
    return StarterJudge(base, direct, pairwise, judge, chosen["note"], (shipped / CARD).read_text("utf-8"))


def _expert(format: str, base: Path, home: Path, report: Report, shipped: Path) -> Path:
    """The base with one of the shipped adapters put into it."""
    adapter = shipped / format
    made_of = digest_of(base.name, [file.read_bytes().hex() for file in sorted(adapter.iterdir()) if file.is_file()])
    name = f"starter-{format}"
    folder = home / "models" / f"{name}-{made_of[:8]}"
    if is_complete(folder):
        return folder
    from backend.adapters import apply_adapter  # imports torch, which a start that finds all made does without

    report(f"Putting the {format} expert's adapter into the starter model (once).", None)
    remove_leftovers(folder.parent, name)
    with arriving(folder, name) as workplace:
        made = workplace / MADE
        made.mkdir()
        apply_adapter(base, adapter, made)
        shutil.copytree(adapter, made / "adapter", ignore=shutil.ignore_patterns(CARD))  # trainings go on from it
        shutil.copy2(adapter / CARD, made / CARD)
        manifest = {
            "kind": "expert",
            "trained_on": format,
            "parents": {"base": weights_digest(base, home, report)},
            "prompt_format": "assay",
            "made_with": {package: version(package) for package in ("safetensors", "torch")},
            "files": files_of(made),
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    return folder
