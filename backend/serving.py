"""Keeps one judge loaded, says how far it is while it loads, and lets one caller at a time ask it."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from backend.engines.base import Engine
from backend.errors import SHOWN, CancelledError, NotReadyError
from backend.models import ModelFiles
from backend.prompts import PromptFormat
from backend.types import Maker, Sampling

log = logging.getLogger(__name__)

UNTRAINED = " It is a small base model that was not trained to judge: expect poor verdicts from it."


class Phase(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Served:
    """A loaded judge. model_version_id: its row in the registry."""

    engine: Engine
    files: ModelFiles
    format: PromptFormat
    model_version_id: int

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


@dataclass(frozen=True)
class ServingState:
    """How far the judge is. message: a sentence for people. fraction: 0..1 where it is known."""

    phase: Phase
    message: str
    fraction: float | None = None


Report = Callable[[str, float | None], None]
Loader = Callable[[Report], Served]


class Serving:
    """Loads a judge in a thread of its own; use() waits for it and queues those who ask."""

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._changed = threading.Condition()
        self._state = ServingState(Phase.LOADING, "Starting the judge …")
        self._served: Served | None = None
        self._loading = False
        self._asking = threading.Lock()

    @property
    def state(self) -> ServingState:
        return self._state

    @property
    def served(self) -> Served | None:
        """The judge if it is loaded, to look at; to ask it, use()."""
        return self._served

    def start(self) -> None:
        """Begin to load, unless it is loading or loaded already. After a failure this tries again."""
        with self._changed:
            if self._loading or self._served is not None:
                return
            self._loading = True
            self._state = ServingState(Phase.LOADING, "Starting the judge …")
        threading.Thread(target=self._run, name="load-judge", daemon=True).start()

    @contextmanager
    def use(self, cancel: threading.Event) -> Iterator[Served]:
        """The judge, for this caller alone. Waits until it is loaded and free.

        Raises NotReadyError if it could not be loaded, CancelledError if cancel is set while waiting.
        """
        served = self._wait(cancel)
        while not self._asking.acquire(timeout=0.1):
            _raise_if_set(cancel)
        try:
            yield served
        finally:
            self._asking.release()

    def close(self) -> None:
        with self._asking, self._changed:
            if self._served is not None:
                self._served.engine.close()
                self._served = None

    def _wait(self, cancel: threading.Event) -> Served:
        with self._changed:
            while self._served is None:
                if self._state.phase is Phase.FAILED:
                    raise NotReadyError(f"No judge is loaded. {self._state.message}")
                _raise_if_set(cancel)
                self._changed.wait(timeout=0.1)
            return self._served

    def _run(self) -> None:
        try:
            served = self._load(self._report)
        except SHOWN as error:
            self._settle(None, ServingState(Phase.FAILED, str(error)))
        except Exception as error:
            log.exception("loading the judge failed")
            self._settle(None, ServingState(Phase.FAILED, f"The judge could not be loaded: {error!r}. See the log."))
        else:
            info = served.engine.info
            where = f"{info.name} on {info.device} in {info.dtype}"
            caution = UNTRAINED if served.files.kind == "base" else ""
            self._settle(served, ServingState(Phase.READY, f"{served.files.name} is ready ({where}).{caution}", 1.0))

    def _report(self, message: str, fraction: float | None) -> None:
        self._state = ServingState(Phase.LOADING, message, fraction)

    def _settle(self, served: Served | None, state: ServingState) -> None:
        with self._changed:
            self._served, self._state, self._loading = served, state, False
            self._changed.notify_all()
        log.info("judge: %s", state.message)


def _raise_if_set(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise CancelledError("Cancelled before the judge began.")
