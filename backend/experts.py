"""Experts: what is asked of a training, the published presets, and the run that makes a model of it.

The training itself is a child process (backend.training), so that its memory goes with it and a kill
leaves checkpoints to go on from.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backend.disk_space import require_space
from backend.errors import CancelledError, InvalidInputError, TrainingError
from backend.models import weight_files
from backend.starter import Report, is_complete
from backend.training_progress import progress_of
from backend.types import digest_of
from backend.whole_folders import MADE, arrive

LOG_LINES = 12
BESIDE = "beside-"
"""How the folders begin, in a training's workplace, that hold a base with the expert beside it."""
PROGRESS_BAR = re.compile(r"\d%\|")
"""As tqdm draws it: "Loading weights:  67%|██████▋   | 2/3"."""


class DataSource(BaseModel):
    """Rows to train on or to watch: a place that backend.training_forms.load_rows reads.

    limit: at most so many rows, drawn by the seed, all rows of an instruction before the next; None takes all.
    criterion: of the rows that state none; without it they are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str = Field(min_length=1)
    limit: int | None = Field(None, ge=1)
    criterion: str | None = Field(None, min_length=1)


class ExpertSpec(BaseModel):
    """Everything that decides what a training makes. The same document on the same machine makes the same model.

    format: joint trains on both formats. base: a model folder. data: the training rows. dev: rows that the
    agreement curve is drawn on; never trained on. start_from: an expert that LoRA made on the same base, or its
    adapter's folder, to go on from; it must have the same rank, alpha and layers. method: lora or full.
    layers_from: LoRA adapts the layers from this one up. rows_per_step: about how many rows one step of the
    optimizer sees. pack_tokens: how many tokens are computed together. max_tokens: longer rows are left out whole,
    and counted. feedback_share: the share of the rows with feedback whose feedback is learned too. verdict_weight:
    of the verdict's cross-entropy, beside 1 for the mean over the feedback's tokens. soft_targets: learn people's
    shares; off learns the most frequent result alone. both_orders: a pair is learned in both orders,
    and a feedback in which the names of the responses can change places.
    balance_length: as many pairs whose longer response wins as pairs whose shorter one does. beside: the expert that
    this one shall be merged with, made by LoRA on the same base, or its adapter's folder: beside_weight times what it
    has learned is added to the base while this one is trained, and left out of what is written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,80}$")
    format: Literal["direct", "pairwise", "joint"]
    base: str = Field(min_length=1)
    data: tuple[DataSource, ...] = Field(min_length=1)
    dev: tuple[DataSource, ...] = ()
    start_from: str | None = Field(None, min_length=1)
    beside: str | None = Field(None, min_length=1)
    beside_weight: float = Field(1.0, gt=0, le=2)
    prompt_format: Literal["assay", "prometheus-2"] = "assay"
    method: Literal["lora", "full"] = "lora"
    lora_rank: int = Field(16, ge=1, le=1024)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    layers_from: int = Field(0, ge=0)
    learning_rate: float = Field(4e-4, gt=0, le=1)
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    epochs: float = Field(1.0, gt=0)
    rows_per_step: int = Field(16, ge=1)
    pack_tokens: int = Field(1024, ge=64)
    max_tokens: int = Field(4096, ge=64)
    feedback_share: float = Field(0.5, ge=0, le=1)
    verdict_weight: float = Field(1.0, gt=0)
    soft_targets: bool = True
    both_orders: bool = True
    balance_length: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = Field(0, ge=0, lt=2**32)
    checkpoint_steps: int = Field(20, ge=1)
    evaluate_steps: int = Field(40, ge=1)

    @model_validator(mode="after")
    def _trains_on_no_dev_rows(self) -> Self:
        both = {source.place for source in self.data} & {source.place for source in self.dev}
        if both:
            raise ValueError(f"{', '.join(sorted(both))} can't be trained on and measured on. Take it from one of them")
        return self

    @model_validator(mode="after")
    def _goes_on_from_an_adapter(self) -> Self:
        if self.start_from is not None and self.method != "lora":
            raise ValueError("start_from names an adapter, and the method full has none. Name the expert as the base")
        return self

    @model_validator(mode="after")
    def _learns_apart_from_what_is_beside(self) -> Self:
        if self.beside is not None and self.method != "lora":
            raise ValueError("beside needs the method lora: what full learns can't be told from what was beside it")
        return self

    @property
    def digest(self) -> str:
        asked = self.model_dump(mode="json")
        if self.start_from is None:  # so that trainings from before there was such a thing are found again
            del asked["start_from"]
        if self.beside is None:
            del asked["beside"], asked["beside_weight"]
        return digest_of("expert", asked)

    def folder(self, home: Path) -> Path:
        """Where the finished model lies."""
        return home / "models" / f"{self.name}-{self.digest[:8]}"

    def workplace(self, home: Path) -> Path:
        """Where checkpoints and progress lie while it is made."""
        return home / "experts" / f"{self.name}-{self.digest[:8]}"


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "starter": {
        "lora_rank": 8,
        "lora_alpha": 16,
        "learning_rate": 4e-4,
        "warmup_ratio": 0.06,
        "rows_per_step": 8,
        "pack_tokens": 512,
        "max_tokens": 900,
        "feedback_share": 0.3,
    },
    "paper-7b-full": {
        "method": "full",
        "learning_rate": 1e-5,
        "epochs": 1.0,
        "max_tokens": 4096,
        "pack_tokens": 4096,
        "feedback_share": 1.0,
        "soft_targets": False,
        "both_orders": False,
        "balance_length": False,
        "dtype": "bfloat16",
    },
    "paper-8x7b-lora": {
        "method": "lora",
        "lora_rank": 256,
        "lora_alpha": 512,
        "lora_dropout": 0.1,
        "learning_rate": 1e-4,
        "epochs": 1.0,
        "max_tokens": 4096,
        "pack_tokens": 4096,
        "feedback_share": 1.0,
        "soft_targets": False,
        "both_orders": False,
        "balance_length": False,
        "dtype": "bfloat16",
    },
}
"""starter: the first stage of the shipped direct expert, in bfloat16 because that processor multiplies it; the
pairwise one as its card says.

The others: arXiv 2405.01535, appendix on training."""


def read_spec(given: Mapping[str, Any], *, preset: str | None = None) -> ExpertSpec:
    """The specification of the preset, overruled by what is given. Raises InvalidInputError that names each fault."""
    if preset is not None and preset not in PRESETS:
        raise InvalidInputError(f"The preset {preset!r} is unknown. Known: {', '.join(PRESETS)}.")
    try:
        return ExpertSpec(**{**(PRESETS[preset] if preset else {}), **given})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, detail['loc'])) or 'specification'}: {detail['msg']}" for detail in error.errors()
        )
        raise InvalidInputError(f"The training can't be specified so: {faults}.") from error


@dataclass(frozen=True)
class TrainedExpert:
    """A finished expert. folder: the model. card: Markdown."""

    folder: Path
    card: str


def train(spec: ExpertSpec, home: Path, report: Report, cancel: threading.Event) -> TrainedExpert:
    """Train, or go on with a training that was interrupted; the same specification again is answered at once.

    Raises CancelledError (checkpoints stay, a later call goes on), InvalidInputError and TrainingError.
    """
    folder, workplace = spec.folder(home), spec.workplace(home)
    if not is_complete(folder):
        workplace.mkdir(parents=True, exist_ok=True)
        if spec.beside is not None:
            needed = sum(shard.stat().st_size for shard in weight_files(Path(spec.base)))
            require_space(workplace, needed, "The base with the expert beside it", InvalidInputError)
        (workplace / "spec.json").write_text(spec.model_dump_json(indent=2) + "\n", "utf-8")
        _run_child(workplace, report, cancel)
        folder.parent.mkdir(parents=True, exist_ok=True)
        arrive(workplace / MADE, folder)
        for rest in (*workplace.glob("checkpoint-*"), *workplace.glob(f"{BESIDE}*")):  # a kill leaves the latter
            shutil.rmtree(rest, ignore_errors=True)
    return TrainedExpert(folder, (folder / "README.md").read_text("utf-8"))


def _run_child(workplace: Path, report: Report, cancel: threading.Event) -> None:
    if is_complete(workplace / MADE):
        return
    report("Starting the training.", None)
    with (workplace / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, with a folder of ours
            [sys.executable, "-m", "backend.training", str(workplace)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the parent, which ends it
        )
        try:
            _follow(process, workplace, report, cancel)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
    if process.returncode == 0:
        return
    failure = workplace / "failure.json"
    if failure.is_file():
        told = json.loads(failure.read_text("utf-8"))
        kind = InvalidInputError if told["kind"] == "input" else TrainingError
        raise kind(told["message"])
    log_file = workplace / "log.txt"
    said = _last_words(log_file.read_text("utf-8", errors="replace"))
    raise TrainingError(
        f"The training {_ending(process.returncode)}. Start it again and it goes on from its last checkpoint; its "
        f"whole log is {log_file}" + (f", which ends: {said}" if said else ".")
    )


def _ending(code: int) -> str:
    """How the child ended. code: as subprocess has it, below 0 for a signal."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    memory = ", as systems do that have no memory left" if name == "SIGKILL" else ""
    return f"was ended by {name}, not by Assay{memory}"


def _last_words(log: str) -> str:
    """The last lines of a log without its progress bars, each said once."""
    lines = dict.fromkeys(line.strip() for line in log.splitlines() if line.strip() and not PROGRESS_BAR.search(line))
    return " / ".join(list(lines)[-LOG_LINES:])


def _follow(process: "subprocess.Popen[bytes]", workplace: Path, report: Report, cancel: threading.Event) -> None:
    while process.poll() is None:
        if cancel.is_set():
            process.terminate()
            raise CancelledError("The training was stopped. Start it again and it goes on from its last checkpoint.")
        done = progress_of(workplace)
        if done.losses and done.of:
            report(f"Step {done.step} of {done.of}, loss {done.losses[-1].loss:.3f}.", done.step / done.of)
        time.sleep(0.3)
