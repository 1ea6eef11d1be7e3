"""A fast engine that answers by the prompt's digest: for tests and drills where a model would only be slow."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.errors import CancelledError, PromptTooLongError
from backend.models import ModelFiles
from backend.prompts import AssayFormat, Prompt
from backend.registry import Registry
from backend.served import Served
from backend.serving import Serving
from backend.types import Finish, Reading, Sampling, Status
from db.session import Store


class FastEngine:
    """too_long, unreadable: words in a prompt that make it so. seconds: for each prompt. then: done after so many."""

    info = EngineInfo("fast", "1", "cpu", "float32", 1000)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.asked: list[Prompt] = []
        self.too_long = "TOO LONG"
        self.unreadable = "UNREADABLE"
        self.after, self.then = 0, lambda: None

    def render(self, prompt: Prompt) -> str:
        return prompt.user

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        if self.too_long in prompt.user:
            raise PromptTooLongError(prompt_tokens=2000, answer_tokens=256, context_tokens=1000)
        return 1

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        for index, prompt in enumerate(prompts):
            if cancel.is_set():
                raise CancelledError("Stopped.")
            time.sleep(self.seconds)
            self.asked.append(prompt)
            if len(self.asked) == self.after:
                self.then()
            yield FeedbackDelta(index, "Because.")
            unreadable = bool(self.unreadable) and self.unreadable in prompt.user
            number = int(prompt.digest[:8], 16) % len(prompt.results)
            shares = tuple(0.9 if place == number else 0.1 for place in range(len(prompt.results)))
            probabilities = None if unreadable else tuple(share / sum(shares) for share in shares)
            status = Status.UNPARSED if unreadable else Status.READ
            finish = Finish.MARKER
            yield ReadingDone(
                index,
                Reading(status, "Because.", "Because.", prompt.results, probabilities, finish, 9, 2, self.seconds),
            )

    def close(self) -> None:
        pass


def fast_served(store: Store, home: Path, engine: FastEngine, name: str = "fast") -> Served:
    """A judge of this engine, as if its weights were files."""
    files = ModelFiles(
        name=name, kind="external", path=home, digest=f"{name:0<64}", architecture="Llama", bytes=1,
        prompt_format="assay", recipe=None,
    )  # fmt: skip
    return Served(engine, files, AssayFormat(), Registry(store, home).record(files))


def fast_serving(store: Store, home: Path, engine: FastEngine, name: str = "fast") -> Serving:
    """The same, in service."""
    served = fast_served(store, home, engine, name)
    serving = Serving(lambda report: served)
    serving.start()
    return serving
