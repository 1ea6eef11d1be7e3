"""How hard an endpoint is asked: growing, halving, leaving alone, and whose time it was."""

import asyncio

import pytest

from backend.engines.pacing import Breaker, Concurrency, Shares
from backend.errors import EngineError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_bound_doubles_a_round_until_the_first_refusal_and_grows_by_one_after_it() -> None:
    bound = Concurrency(start=4, most=100)
    for _ in range(4):
        bound.answered()
    assert bound.limit == 8
    bound.refused()
    assert bound.limit == 4
    for _ in range(5):
        bound.answered()
    assert bound.limit == 5


def test_the_bound_stays_between_one_and_the_most() -> None:
    bound = Concurrency(start=2, most=3)
    for _ in range(9):
        bound.answered()
    assert bound.limit == 3
    for _ in range(9):
        bound.refused()
    assert bound.limit == 1


def test_no_more_than_the_bound_are_inside_at_once() -> None:
    async def many() -> int:
        bound, inside, most = Concurrency(start=3, most=3), 0, 0

        async def one() -> None:
            nonlocal inside, most
            async with bound:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(10)))
        return most

    assert asyncio.run(many()) == 3


def test_after_too_many_failures_one_question_passes_when_it_has_cooled() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, cool_seconds=30, clock=clock)
    breaker.failed("it was down")
    breaker.check()
    breaker.failed("it was down")
    with pytest.raises(EngineError, match=r"2 times in a row.*30 more seconds.*it was down"):
        breaker.check()
    clock.now += 31
    breaker.check()
    with pytest.raises(EngineError):
        breaker.check()
    breaker.answered()
    breaker.check()


def test_time_is_shared_among_those_who_were_asked_at_once() -> None:
    clock = Clock()
    shares = Shares(clock)
    first = shares.enter()
    clock.now += 2
    second = shares.enter()
    clock.now += 4
    assert shares.leave(first) == 4
    clock.now += 1
    assert shares.leave(second) == 3
