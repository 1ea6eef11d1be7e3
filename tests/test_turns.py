"""Turns: one caller at a time, who exchanges the judge before all others, long work behind them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from backend.errors import CancelledError, NotReadyError
from backend.turns import Turns

NEVER = threading.Event()


class Room:
    """Turns at a judge that is there, and threads that ask for one; order: who had theirs."""

    def __init__(self) -> None:
        self.ready: bool | Exception = True
        self.turns = Turns(threading.Condition(), self._is_ready)
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def _is_ready(self) -> bool:
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready

    def ask(self, name: str, turn: Callable[[threading.Event], AbstractContextManager[object]]) -> None:
        """Begin to wait, in a thread; returns when it stands in the queue."""

        def wait() -> None:
            with turn(NEVER):
                self.order.append(name)

        before = self._waiting()
        self.threads.append(threading.Thread(target=wait))
        self.threads[-1].start()
        deadline = time.monotonic() + 20
        while self._waiting() == before:
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def _waiting(self) -> int:
        return len(self.turns._queue) + len(self.turns._behind)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    for thread in room.threads:
        thread.join(20)
        assert not thread.is_alive()


def ended(room: Room) -> list[str]:
    for thread in room.threads:
        thread.join(20)
    return room.order


def test_turns_come_in_the_order_of_asking(room: Room) -> None:
    with room.turns.turn(NEVER):
        for number in range(5):
            room.ask(str(number), room.turns.turn)
        assert room.order == []
    assert ended(room) == ["0", "1", "2", "3", "4"]


def test_who_exchanges_the_judge_goes_first_and_long_work_last(room: Room) -> None:
    with room.turns.turn(NEVER):
        room.ask("long work", room.turns.turn_behind)
        room.ask("a person", room.turns.turn)
        room.ask("an exchange", room.turns.turn_to_exchange)
    assert ended(room) == ["an exchange", "a person", "long work"]


def test_long_work_is_told_that_somebody_waits(room: Room) -> None:
    with room.turns.turn_behind(NEVER) as give_way:
        assert not give_way.is_set()
        room.ask("a person", room.turns.turn)
        assert give_way.is_set()
    assert ended(room) == ["a person"]


def test_without_a_judge_only_who_brings_one_has_a_turn(room: Room) -> None:
    room.ready = False
    room.ask("a person", room.turns.turn)
    with room.turns.turn_to_exchange(NEVER):
        assert room.order == []
        room.ready = True
    assert ended(room) == ["a person"]


def test_why_there_will_be_no_judge_ends_the_wait(room: Room) -> None:
    room.ready = NotReadyError("No judge is loaded. Its files are gone.")
    with pytest.raises(NotReadyError, match="files are gone"), room.turns.turn(NEVER):
        pass


def test_who_gives_up_leaves_the_queue(room: Room) -> None:
    gave_up = threading.Event()
    gave_up.set()
    with room.turns.turn(NEVER), pytest.raises(CancelledError), room.turns.turn(gave_up):
        pass
    with room.turns.turn(NEVER):
        room.order.append("the next")
    assert room.order == ["the next"]
