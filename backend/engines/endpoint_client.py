"""HTTP to an OpenAI-compatible endpoint, with the patience that networks and busy servers need.

Everything here runs in one event loop, so that a question that is cancelled closes its connection at once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import httpx2

from backend.endpoint import LONGEST_WAIT_SECONDS, UNAUTHORISED, backoff, excerpt, is_busy, retry_after
from backend.engines.pacing import Breaker, Concurrency
from backend.errors import EngineError, SettingsError

KEY_VARIABLE = "ASSAY_API_KEY"
"""The environment variable with the endpoint's key. It is sent to the endpoint; no file, log or message has it."""
CONNECT_SECONDS = 10.0
SILENT_SECONDS = 180.0
"""How long an endpoint may say nothing, between two tokens or before the first."""
LISTING_SECONDS = 30.0
"""How long it may take to say what it serves."""
TRIES = 4
START_AT_ONCE = 4
MOST_AT_ONCE = 128

Answer = TypeVar("Answer")
Address = Callable[[], str | None]
"""Where the endpoint is; None while it is not up yet. Raises EngineError if it won't be."""


class RefusedError(EngineError):
    """The endpoint works, and turned this request down. status: HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BusyError(EngineError):
    """The endpoint may answer when asked again.

    retry_after: seconds that it wants to be left alone, if it said so. broken: it failed, and did not just ask to wait.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, broken: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.broken = broken


class EndpointClient:
    """Asks one endpoint. To be made and used in one event loop. direct: past any proxy that the environment names."""

    def __init__(
        self,
        address: Address,
        key: str | None,
        *,
        silent_seconds: float = SILENT_SECONDS,
        tries: int = TRIES,
        start_at_once: int = START_AT_ONCE,
        direct: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        self.at_once = Concurrency(start=start_at_once, most=MOST_AT_ONCE)
        self._address = address
        self._key = key
        self._tries = tries
        self._breaker = breaker or Breaker()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx2.Timeout(silent_seconds, connect=min(CONNECT_SECONDS, silent_seconds))
        self._silent_seconds = silent_seconds
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=MOST_AT_ONCE)
        self._client = httpx2.AsyncClient(timeout=timeout, headers=headers, limits=limits, trust_env=not direct)

    async def close(self) -> None:
        await self._client.aclose()

    async def retried(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `once` returns, called again while the endpoint is busy or out of reach.

        It is waited for as long as its Retry-After says, or else for a time that doubles, with jitter. Raises
        EngineError when it was in vain, and what `once` raises.
        """
        for number in range(1, self._tries + 1):
            await self._wait_until_up()
            self._breaker.check()
            try:
                answer = await once()
            except BusyError as busy:
                self.at_once.refused()
                if busy.broken:
                    self._breaker.failed(str(busy))
                wait = backoff(number) if busy.retry_after is None else busy.retry_after
                if number == self._tries or wait > LONGEST_WAIT_SECONDS:
                    raise
                await asyncio.sleep(wait)
            else:
                self._breaker.answered()
                self.at_once.answered()
                return answer
        raise AssertionError("the last try returns or raises")

    async def get(self, path: str) -> Any:
        """The JSON at this path below the address, asked for once. Raises as post()."""
        return await self._json("GET", path, None, min(LISTING_SECONDS, self._silent_seconds))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON, asked for once.

        Raises BusyError, RefusedError, SettingsError for a key that is not accepted, and EngineError for garbage.
        """
        return await self._json("POST", path, body, self._silent_seconds)

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """The answer's pieces as they come (server-sent events); of an endpoint that does not stream, the whole.

        Raises as post(), and BusyError for a stream that ends before its end.
        """
        try:
            async with self._client.stream("POST", self._url(path), json={**body, "stream": True}) as response:
                await self._require_good(response)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    await response.aread()
                    yield self._parsed(response.text)
                    return
                async for line in response.aiter_lines():
                    kind, _, data = line.partition(":")
                    if kind != "data":
                        continue
                    if data.strip() == "[DONE]":
                        return
                    yield self._parsed(data)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        raise BusyError(f"The endpoint at {self._place()} cut its answer off. Look at its log.")

    async def _json(self, method: str, path: str, body: dict[str, Any] | None, seconds: float) -> Any:
        timeout = httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            response = await self._client.request(method, self._url(path), json=body, timeout=timeout)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        await self._require_good(response)
        return self._parsed(response.text)

    def _parsed(self, text: str) -> Any:
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise EngineError(
                f"What {self._place()} sent is not JSON: {excerpt(text, self._key)}. Check --base-url; it usually "
                "ends in /v1."
            ) from error
        if isinstance(answer, dict) and answer.get("error"):
            said = excerpt(json.dumps(answer["error"]), self._key)
            raise BusyError(f"The endpoint at {self._place()} failed while it answered: {said}.")
        return answer

    async def _require_good(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        await response.aread()
        said = f"status {status}: {excerpt(response.text, self._key)}"
        if status in UNAUTHORISED:
            state = "was not accepted" if self._key else "is not set"
            raise SettingsError(
                f"The endpoint at {self._place()} wants a key ({said}). {KEY_VARIABLE} {state}: put the right key in "
                "this environment variable and start Assay again."
            )
        if is_busy(status):
            raise BusyError(
                f"The endpoint at {self._place()} is busy or broken ({said}). Try again later.",
                retry_after=retry_after(response.headers.get("retry-after", "")),
                broken=status != 429,
            )
        raise RefusedError(f"The endpoint at {self._place()} turned the request down ({said}).", status)

    def _unreachable(self, error: httpx2.TransportError) -> BusyError:
        if isinstance(error, httpx2.ReadTimeout):
            return BusyError(
                f"The endpoint at {self._place()} said nothing for too long. Look at its log, or restart it."
            )
        return BusyError(
            f"The endpoint at {self._place()} can't be reached: {type(error).__name__}, {error}. Start it, or check "
            "--base-url."
        )

    async def _wait_until_up(self) -> None:
        while self._address() is None:
            await asyncio.sleep(0.2)

    def _url(self, path: str) -> str:
        return f"{self._place()}/{path}"

    def _place(self) -> str:
        return self._address() or "an address that is not known yet"
