"""The engine over HTTP with an endpoint, and what the tests ask of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from backend.engines.base import EngineEvent, ReadingDone
from backend.engines.openai import Connection, OpenAIEngine
from backend.engines.tokenizer import PromptTokenizer
from backend.prompts import AssayFormat, Prompt
from backend.types import Item, Reading, Rubric, Sampling
from tests.model_server import KEY, ModelServer

RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
ITEM = Item("Say hello.", ("Hello, my dear friend!", "Go away."))
FORMAT = AssayFormat()
DIRECT = FORMAT.direct(ITEM, RUBRIC, 0)
PAIR = FORMAT.pairwise(ITEM, RUBRIC, 0, 1)
SHORT = Sampling(max_new_tokens=12)
LONG = Sampling(max_new_tokens=40)
VERDICT_ONLY = Sampling(feedback=False)


@contextmanager
def engine_of(
    server: ModelServer, tokenizer: PromptTokenizer | None, *, key: str | None = KEY, **how: Any
) -> Iterator[OpenAIEngine]:
    connection = Connection(lambda: server.url, key, None, **{"silent_seconds": 5.0, **how})
    engine = OpenAIEngine(connection, tokenizer)
    try:
        yield engine
    finally:
        engine.close()


def events_of(engine: Any, prompts: list[Prompt], sampling: Sampling = SHORT) -> list[EngineEvent]:
    return list(engine.read(prompts, sampling, threading.Event()))


def readings(engine: Any, prompts: list[Prompt], sampling: Sampling = SHORT) -> list[Reading]:
    done = {e.index: e.reading for e in events_of(engine, prompts, sampling) if isinstance(e, ReadingDone)}
    return [done[index] for index in range(len(prompts))]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within five seconds"
        time.sleep(0.01)
