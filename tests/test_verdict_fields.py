"""A verdict as programs get it says of each feedback what it is on: a judge reads every pair as Response A and B."""

import pytest

from backend.history import History
from db.session import Store
from tests.factories import Bench
from ui.endpoints import verdict_fields


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def fields(bench: Bench, verdict: int) -> dict[str, object]:
    return verdict_fields(History(bench.store).open(verdict, bench.author_id))


def test_of_a_pair_it_says_which_response_was_called_by_which_name(bench: Bench) -> None:
    told = fields(bench, bench.pairwise(feedback="Response A is right."))
    assert told["feedback"] == ["Response A is right.", "Response A is right."]
    assert told["feedback_on"] == ["A shown first, B second", "B shown first, A second"]


def test_of_a_score_it_says_whose_it_is_and_nothing_of_what_was_not_written(bench: Bench) -> None:
    assert fields(bench, bench.direct(4))["feedback_on"] == ["Response A"]
    silent = fields(bench, bench.direct(4, feedback=""))
    assert (silent["feedback"], silent["feedback_on"]) == ([], [])
