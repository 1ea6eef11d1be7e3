"""Who may ask the judge next: one caller at a time, in the order of asking, long work behind everybody else."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backend.errors import CancelledError


class Turns:
    """A queue of callers. changed: guards the queue; notified whenever is_ready() may answer otherwise.

    is_ready: whether there is a judge to ask. It may raise, which ends the wait of whoever is in the queue.
    """

    def __init__(self, changed: threading.Condition, is_ready: Callable[[], bool]) -> None:
        self._changed = changed
        self._is_ready = is_ready
        self._queue: deque[object] = deque()
        self._behind: deque[object] = deque()  # those who let everybody else go ahead
        self._give_way = threading.Event()  # tells the one of them whose turn it is that somebody waits
        self._taken = False

    @contextmanager
    def turn(self, cancel: threading.Event) -> Iterator[None]:
        """Alone with the judge, when those who came before have had their turn.

        Raises CancelledError if cancel is set while waiting, and what is_ready() raises.
        """
        with self._wait_in(self._queue, cancel):
            yield

    @contextmanager
    def turn_behind(self, cancel: threading.Event) -> Iterator[threading.Event]:
        """As turn(), when nobody else waits. The event is set as soon as somebody does."""
        with self._wait_in(self._behind, cancel):
            yield self._give_way

    @contextmanager
    def turn_to_exchange(self, cancel: threading.Event) -> Iterator[None]:
        """As turn(), before all who wait, and whether or not there is a judge: for who puts another in its place."""
        with self._wait_in(self._queue, cancel, first=True):
            yield

    @contextmanager
    def _wait_in(self, queue: deque[object], cancel: threading.Event, *, first: bool = False) -> Iterator[None]:
        ticket = object()
        behind = queue is self._behind
        with self._changed:
            (queue.appendleft if first else queue.append)(ticket)
            if not behind:
                self._give_way.set()
            try:
                while not (first or self._is_ready()) or not self._is_next(ticket, queue):
                    raise_if_set(cancel)
                    self._changed.wait(timeout=0.1)
                self._taken = True
                if behind:
                    self._give_way = threading.Event()
            finally:
                queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _is_next(self, ticket: object, queue: deque[object]) -> bool:
        return not self._taken and queue[0] is ticket and (queue is self._queue or not self._queue)


def raise_if_set(cancel: threading.Event) -> None:
    """Raises CancelledError if cancel is set."""
    if cancel.is_set():
        raise CancelledError("Cancelled before the judge began.")
