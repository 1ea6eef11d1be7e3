"""How hard an endpoint is asked: so many questions at once as it bears, and none while it is down."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

from backend.errors import EngineError

FAILURES_TO_OPEN = 5
COOL_SECONDS = 30.0


class Concurrency:
    """A bound on questions in flight that finds its own height: it grows while all goes well, and halves on a refusal.

    It doubles from round to round until the first refusal, and grows by one a round after it (Chiu and Jain,
    "Analysis of the increase and decrease algorithms for congestion avoidance", 1989). To be used in one event loop.
    """

    def __init__(self, *, start: int, most: int) -> None:
        self._most = float(most)
        self._limit = float(min(start, most))
        self._refused = False
        self._active = 0
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        return int(self._limit)

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < self.limit)
            self._active += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active -= 1
        async with self._changed:
            self._changed.notify_all()

    def answered(self) -> None:
        step = 1 / self._limit if self._refused else 1.0
        self._limit = min(self._most, self._limit + step)

    def refused(self) -> None:
        self._refused = True
        self._limit = max(1.0, self._limit / 2)


class Breaker:
    """Stops the asking of an endpoint that fails again and again, and lets one question through now and then.

    clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES_TO_OPEN,
        cool_seconds: float = COOL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._cool = cool_seconds
        self._clock = clock
        self._failures = 0
        self._reason = ""
        self._until = 0.0

    def check(self) -> None:
        """Raises EngineError while the endpoint is to be left alone; of the callers after that one passes."""
        if self._failures < self._most:
            return
        left = self._until - self._clock()
        if left > 0:
            raise EngineError(
                f"The endpoint failed {self._failures} times in a row, so it is left alone for {left:.0f} more "
                f"seconds. The last time: {self._reason}"
            )
        self._until = self._clock() + self._cool

    def answered(self) -> None:
        self._failures = 0

    def failed(self, reason: str) -> None:
        self._failures += 1
        self._reason = reason
        self._until = self._clock() + self._cool


class Shares:
    """Each question's own share of the time in which several were in flight (seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._active = 0
        self._at = clock()
        self._sum = 0.0

    def enter(self) -> float:
        """The reading to be handed to leave()."""
        self._advance()
        self._active += 1
        return self._sum

    def leave(self, entered: float) -> float:
        self._advance()
        self._active -= 1
        return self._sum - entered

    def _advance(self) -> None:
        now = self._clock()
        if self._active:
            self._sum += (now - self._at) / self._active
        self._at = now
