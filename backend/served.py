"""What serving speaks of: a loaded judge, how far it is, and a change from one to another."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from backend.engines.base import Engine
from backend.models import ModelFiles
from backend.prompts import PromptFormat
from backend.types import Maker, Sampling


class Phase(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Trouble:
    """Why a loaded judge does not answer now. gone: it won't come back by itself."""

    message: str
    gone: bool


def no_trouble() -> Trouble | None:
    """Of a judge that lives in this process, or is looked after by others."""
    return None


@dataclass(frozen=True)
class Served:
    """A loaded judge. model_version_id: its row in the registry. note: what people should know of how it came here.

    trouble: asks whether what runs the model is there.
    """

    engine: Engine
    files: ModelFiles
    format: PromptFormat
    model_version_id: int
    note: str = ""
    trouble: Callable[[], Trouble | None] = no_trouble

    def maker(self, sampling: Sampling) -> Maker:
        info = self.engine.info
        return Maker(
            model_name=self.files.name,
            model_digest=self.files.digest,
            recipe=None if self.files.recipe is None else json.dumps(self.files.recipe, sort_keys=True),
            prompt_format=self.format.name,
            format_digest=self.format.digest,
            engine=info.name,
            engine_version=info.version,
            device=info.device,
            dtype=info.dtype,
            sampling=sampling.canonical(),
        )


class ChangePhase(StrEnum):
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Change:
    """Another judge on its way into service, or how the last such change ended. message, fraction: as of the state."""

    model_version_id: int
    phase: ChangePhase
    message: str
    fraction: float | None = None


@dataclass(frozen=True)
class ServingState:
    """How far the judge is. message: a sentence for people. fraction: 0..1 where it is known.

    change: the judge that is to come, or the last that was; None before the first change.
    """

    phase: Phase
    message: str
    fraction: float | None = None
    change: Change | None = None


Report = Callable[[str, float | None], None]
Loader = Callable[[Report], Served]


@dataclass(frozen=True)
class Successor:
    """The judge that is to take over.

    weights: how many numbers they are, to know whether two judges fit into memory. record: called once, when it
    has answered its trial questions and before it is asked anything else; if it raises, the old judge stays.
    """

    model_version_id: int
    name: str
    weights: int
    load: Loader
    record: Callable[[], None]
    cancel: threading.Event = field(default_factory=threading.Event)
