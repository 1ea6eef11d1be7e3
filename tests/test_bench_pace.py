"""How long a run will take: from when earlier readings were kept, and never guessed."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.bench_pace import Forecast, forecast, pace
from backend.bench_spec import BenchSpec
from backend.benchmarks.rows import WantedSet
from backend.measuring import measure
from db.session import Store
from tests.labelled import Scripted, direct_set, pairwise_set, served_by
from ui.bench_words import forecast_words

START = datetime(2026, 1, 1, tzinfo=UTC)


def kept(*keepings: tuple[float, int]) -> list[datetime]:
    """So many readings at so many seconds after the start, a millisecond apart."""
    return [START + timedelta(seconds=at, milliseconds=number) for at, count in keepings for number in range(count)]


def test_the_pace_is_the_median_time_of_a_reading_between_two_keepings() -> None:
    found = pace(kept((0, 16), (16, 16), (40, 16), (48, 4)))
    assert found.seconds == pytest.approx(1.5, abs=0.6)
    assert found.n == 36
    steady = pace(kept(*((20 * number, 10) for number in range(6))))
    assert (round(steady.seconds, 1), steady.n) == (2.0, 50)


def test_a_pause_between_runs_is_no_work() -> None:
    found = pace(kept((0, 16), (8, 16), (90_000, 16), (90_008, 16)))
    assert found.seconds == pytest.approx(0.5, abs=0.01)
    assert found.n == 32


def test_one_keeping_says_nothing() -> None:
    assert pace([]) is None
    assert pace(kept((0, 16))) is None


def test_what_was_read_is_not_counted_and_a_judge_that_read_nothing_is_unknown(store: Store, tmp_path: Path) -> None:
    served = served_by(store, tmp_path, Scripted())
    folder = str(tmp_path / "tiny")
    spec = BenchSpec((folder, "starter"), (WantedSet(name="dev/x"),))
    with store.read() as session:
        before = forecast(session, spec, [direct_set(20), pairwise_set(5)])
    assert before == Forecast(60, 0.0, 0, (folder, "starter"))
    measure(served, direct_set(20), store, report=lambda *_: None, cancel=threading.Event())
    with store.read() as session:
        after = forecast(session, BenchSpec((folder,), spec.sets), [direct_set(20), pairwise_set(5)])
        done = forecast(session, BenchSpec((folder,), spec.sets), [direct_set(20)])
    assert after.readings == 10
    assert done == Forecast(0, 0.0, 0, ())


def test_the_forecast_in_words_says_where_it_comes_from() -> None:
    assert forecast_words(Forecast(0, 0.0, 0, ())) == "Everything was read before: only the figures are computed."
    known = forecast_words(Forecast(1_200, 3_600.0, 512, ()))
    assert known == "1,200 readings are missing. About 1 h 0 min, by 512 earlier readings on this machine."
    unknown = forecast_words(Forecast(10, 0.0, 0, ("/models/tiny",)))
    assert "can't be said: nothing was read by it here yet" in unknown
    assert "About" not in unknown
