"""How long something takes."""

import time
from collections.abc import Callable


def seconds_of(ask: Callable[[], object]) -> float:
    """By the clock."""
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started
