"""The engine behind an OpenAI-compatible endpoint: vLLM, a router before many, llama.cpp, Ollama, a hosted model."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from backend.engines.asking import Asker, TwoStepAsker, changed_model
from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.engines.endpoint_client import SILENT_SECONDS, START_AT_ONCE, TRIES, Address, EndpointClient
from backend.engines.event_loop import EventLoop
from backend.engines.pacing import Shares
from backend.engines.probing import ModelCard, choose_asker, read_card, version_of
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import CancelledError
from backend.prompts import Prompt
from backend.types import Sampling

CANCEL_SECONDS = 0.05
"""How often it is looked whether a person cancelled, while the endpoint says nothing."""
CLOSING_SECONDS = 5.0
FOLLOWED = 8
"""Answers at once that a person may want to see grow word by word."""
BATCH_PIECE = 4
"""Tokens that come together where more are asked: a piece costs the endpoint's processor time, and what it writes on
before a loop is seen here is for nothing."""
UNKNOWN = "unknown"

Put = Callable[[EngineEvent], None]


@dataclass(frozen=True)
class Connection:
    """How an endpoint is reached. address: below which /completions lies. model: None takes the only one there is.

    silent_seconds: how long it may say nothing. tries: how often one request is sent while it is busy or broken.
    at_once: how many prompts it is given at first; that adapts. direct: past any proxy that the environment names.
    named_by_weights: no other weights can have the model's name, so the name in each answer tells whose it is.
    """

    address: Address
    key: str | None
    model: str | None
    silent_seconds: float = SILENT_SECONDS
    tries: int = TRIES
    at_once: int = START_AT_ONCE
    direct: bool = False
    named_by_weights: bool = False


@dataclass(frozen=True)
class Host:
    """What runs the model, as far as it is known here; by these words verdicts name it."""

    name: str = "openai"
    device: str = "endpoint"
    dtype: str = UNKNOWN


class OpenAIEngine:
    """Asks an endpoint. Speaks backend.engines.base.Engine.

    tokenizer: of the model that is served, if it is known here; a verdict's distribution needs it. stop: called on
    close(). Raises EngineError, SettingsError (a key, a model's name) and ModelUnsupportedError (a tokenizer of
    another model).
    """

    def __init__(
        self,
        connection: Connection,
        tokenizer: PromptTokenizer | None,
        host: Host = Host(),
        stop: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._host = host
        self._stop = stop
        self._loop = EventLoop("ask-endpoint")
        self._client = self._loop.run(_open_client(connection))
        try:
            self._loop.run(self._connect(tokenizer))
        except BaseException:
            self._let_go()
            raise

    async def _connect(self, tokenizer: PromptTokenizer | None) -> None:
        how = self._connection
        self._card = await self._client.retried(lambda: read_card(self._client, how.model))
        self._asker: Asker = await choose_asker(self._client, self._card, tokenizer)
        self._version = await version_of(self._client)

    @property
    def card(self) -> ModelCard:
        """What the endpoint said of its model at the connection."""
        return self._card

    @property
    def gives_distributions(self) -> bool:
        return isinstance(self._asker, TwoStepAsker)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name=self._host.name,
            version=self._version,
            device=self._host.device,
            dtype=self._host.dtype,
            context_tokens=self._asker.model.context_tokens,
        )

    def render(self, prompt: Prompt) -> str:
        return self._asker.render(prompt)

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        return self._asker.check(prompt, sampling)

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        for prompt in prompts:
            self._asker.check(prompt, sampling)
        events: queue.SimpleQueue[EngineEvent | None] = queue.SimpleQueue()
        ended = threading.Event()
        work = self._loop.begin(self._read_all(prompts, sampling, events.put, ended))
        work.add_done_callback(lambda _: events.put(None))
        try:
            while (event := _next(events, cancel)) is not None:
                yield event
            work.result()
        finally:
            if work.cancel():
                ended.wait(CLOSING_SECONDS)

    def close(self) -> None:
        self._let_go()
        if self._stop is not None:
            self._stop()

    async def _read_all(self, prompts: Sequence[Prompt], sampling: Sampling, put: Put, ended: threading.Event) -> None:
        """Ask as many at once as the endpoint bears; whatever is still asked when one fails is cancelled."""
        shares = Shares()
        piece = 1 if len(prompts) <= FOLLOWED else BATCH_PIECE
        asked = [
            asyncio.create_task(self._read_one(index, prompt, sampling, shares, put, piece))
            for index, prompt in enumerate(prompts)
        ]
        try:
            await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            ended.set()

    async def _read_one(
        self, index: int, prompt: Prompt, sampling: Sampling, shares: Shares, put: Put, piece: int
    ) -> None:
        def tell(text: str) -> None:
            if text:
                put(FeedbackDelta(index, text))

        async with self._client.at_once:
            entered = shares.enter()
            try:
                reading = await self._asker.read(prompt, sampling, tell, piece=piece)
                if not self._connection.named_by_weights:
                    await self._require_same_model()
            finally:
                seconds = shares.leave(entered)
        put(ReadingDone(index, replace(reading, seconds=seconds)))

    async def _require_same_model(self) -> None:
        """Raises EngineError if the endpoint by now lists another model under the name than at the connection."""
        now = await self._client.retried(lambda: read_card(self._client, self._card.name))
        if now != self._card:
            raise changed_model(self._card.words, now.words)

    def _let_go(self) -> None:
        self._loop.run(self._client.close())
        self._loop.close()


async def _open_client(how: Connection) -> EndpointClient:
    return EndpointClient(
        how.address,
        how.key,
        silent_seconds=how.silent_seconds,
        tries=how.tries,
        start_at_once=how.at_once,
        direct=how.direct,
    )


def _next(events: "queue.SimpleQueue[EngineEvent | None]", cancel: threading.Event) -> EngineEvent | None:
    """The next event, None after the last. Raises CancelledError as soon as cancel is set."""
    while True:
        if cancel.is_set():
            raise CancelledError("Cancelled. What had been finished by then is kept.")
        try:
            return events.get(timeout=CANCEL_SECONDS)
        except queue.Empty:
            continue
