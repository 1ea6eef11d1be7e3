"""Guesses at what comes next: what followed the same tokens the last time."""

from backend.engines.drafting import LONGEST, Drafter


def test_what_followed_the_same_tokens_the_last_time_is_the_draft() -> None:
    assert Drafter([1, 2, 3, 4, 5, 1, 2]).draft(2) == [3, 4]


def test_the_latest_place_counts_and_the_longest_match_before_it() -> None:
    assert Drafter([1, 2, 7, 1, 2, 8, 1, 2]).draft(1) == [8]
    assert Drafter([9, 1, 2, 7, 3, 1, 2, 8, 9, 1, 2]).draft(1) == [7]


def test_what_was_written_since_counts_too() -> None:
    drafter = Drafter([1, 2, 3])
    for token in (4, 2, 3):
        drafter.write(token)
    assert drafter.draft(9) == [4, 2, 3]


def test_nothing_alike_or_no_room_is_no_draft() -> None:
    assert Drafter([1, 2, 3, 4]).draft(5) == []
    assert Drafter([1, 2, 3, 1, 2]).draft(0) == []
    assert Drafter([]).draft(3) == []
    assert Drafter([5]).draft(3) == []


def test_the_end_itself_is_no_earlier_place() -> None:
    assert Drafter(list(range(LONGEST))).draft(3) == []
