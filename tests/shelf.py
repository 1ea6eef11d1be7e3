"""Tiny real judges at hand, loaded when a test says so: what serving and its changes are tested on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.engines.base import ReadingDone
from backend.engines.transformers import TransformersEngine
from backend.models import ModelFiles, find_model
from backend.prompts import AssayFormat
from backend.served import Change, ChangePhase, Loader, Report, Served, Successor
from backend.serving import Serving
from backend.trial import VERDICT_ONLY
from backend.types import Item, Reading, Rubric
from tests.tiny import make_tiny_model

NEVER = threading.Event()
PLENTY = 10**12
RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
FORMAT = AssayFormat()
PROMPTS = [
    FORMAT.direct(Item("Say hello.", ("Hello, my friend!",)), RUBRIC, 0),
    FORMAT.pairwise(Item("Say hello.", ("Hello, my friend!", "Go away.")), RUBRIC, 0, 1),
]


def silent(_message: str, _fraction: float | None) -> None:
    pass


def nothing() -> None:
    pass


def other_model(folder: Path) -> Path:
    """As the tiny model, with other weights."""
    return make_tiny_model(folder / "other", seed=1)


class Shelf:
    """Loads the models of these folders, and knows which engines are open."""

    def __init__(self, home: Path, *folders: Path) -> None:
        self.files = [find_model(str(folder), home, prompt_format=None, report=silent) for folder in folders]
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def loader(self, number: int, failure: Exception | None = None) -> Loader:
        def load(report: Report) -> Served:
            files = self.files[number]
            report(f"Loading {files.name} …", None)
            assert self.gate.wait(20)
            report(f"Still loading {files.name} …", None)
            if failure is not None:
                raise failure
            return Served(self._engine(files), files, FORMAT, number)

        return load

    def successor(
        self, number: int, *, failure: Exception | None = None, record: Callable[[], None] = nothing
    ) -> Successor:
        return Successor(number, self.files[number].name, 1000, self.loader(number, failure), record)

    @contextmanager
    def serves(self, free_bytes: int | None) -> Iterator[Serving]:
        """The first model serves while the block lasts, where so much memory is free, and nothing is left open."""
        serving = Serving(self.loader(0), available=lambda _device: free_bytes)
        serving.start()
        with serving.use(NEVER):
            pass
        try:
            yield serving
        finally:
            self.gate.set()
            serving.close()
        assert self.opened == []

    def _engine(self, files: ModelFiles) -> TransformersEngine:
        engine = TransformersEngine(files.path, device="cpu", dtype="float32")
        self.opened.append(files.name)
        close = engine.close

        def closing() -> None:
            self.opened.remove(files.name)
            close()

        engine.close = closing
        return engine


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def ended(serving: Serving) -> Change:
    """The change when it has ended, well or not."""
    wait_for(lambda: serving.state.change is not None and serving.state.change.phase is not ChangePhase.LOADING)
    assert serving.state.change is not None
    return serving.state.change


def readings(served: Served) -> list[Reading]:
    events = served.engine.read(PROMPTS, VERDICT_ONLY, NEVER)
    return [event.reading for event in events if isinstance(event, ReadingDone)]


def probabilities(serving: Serving) -> list[tuple[float, ...] | None]:
    with serving.use(NEVER) as served:
        return [reading.probabilities for reading in readings(served)]
