"""The one protocol that every engine speaks: prompts in, feedback as it is written and readings out."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.prompts import Prompt
from backend.types import Reading, Sampling


@dataclass(frozen=True)
class EngineInfo:
    """What runs, on what. version: of the engine's libraries. context_tokens: prompt and answer together."""

    name: str
    version: str
    device: str
    dtype: str
    context_tokens: int


@dataclass(frozen=True)
class FeedbackDelta:
    """More of the feedback to request `index` (its position in the sequence asked)."""

    index: int
    text: str


@dataclass(frozen=True)
class ReadingDone:
    """The finished reading of request `index`."""

    index: int
    reading: Reading


EngineEvent = FeedbackDelta | ReadingDone


class Engine(Protocol):
    """A loaded model that can be asked. Not safe for two callers at once: backend.serving queues them."""

    @property
    def info(self) -> EngineInfo: ...

    def render(self, prompt: Prompt) -> str:
        """The exact text the model reads, with its control tokens spelled out, for people to look at."""
        ...

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        """The prompt's tokens. Raises PromptTooLongError if it and the answer don't fit."""
        ...

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        """Judge every prompt; events come in the order in which things happen.

        Raises PromptTooLongError before anything is judged, CancelledError within one token of
        cancel being set (readings that were done by then have been handed out), and EngineError.
        """
        ...

    def close(self) -> None:
        """Let go of the weights."""
        ...
