"""The words that differ between two responses, marked, escaped, and in bounded time."""

import re
import time

from ui.word_diff import MOST_CHARACTERS, MOST_WORDS, side_by_side, word_diff


def marked(html: str) -> list[str]:
    return [text.strip() for text in re.findall(r'<span class="assay-diff">(.*?)</span>', html, re.DOTALL)]


def test_only_what_the_other_text_lacks_is_marked_and_nothing_is_lost() -> None:
    found = word_diff("The cat sat on a mat.", "The dog sat on\na mat, softly.")
    assert marked(found.first) == ["cat"]
    assert marked(found.second) == ["dog", ", softly"]
    assert re.sub("<[^>]*>", "", found.second) == "The dog sat on\na mat, softly."


def test_what_people_paste_stays_text() -> None:
    found = word_diff('<img src=x onerror="ran()"> & more', "<b>&lt;</b> & more")
    assert not re.search(r"<(?!/?span)", found.first + found.second)
    assert "&amp;lt;" in found.second


def test_equal_texts_say_so_and_empty_ones_are_no_trouble() -> None:
    assert "same, word for word" in word_diff("a b", "a b").note
    assert marked(word_diff("", "new").second) == ["new"]


def test_long_texts_are_left_unmarked_at_once_and_say_why() -> None:
    started = time.perf_counter()
    words = word_diff("x " * (MOST_WORDS + 1), "y")
    assert f"{MOST_WORDS + 1:,} words; at most {MOST_WORDS:,}" in words.note
    assert f"at most {MOST_CHARACTERS:,}" in word_diff("x" * 1_000_000, "y " * 500_000).note
    assert not marked(words.first)
    assert time.perf_counter() - started < 1


def test_the_hardest_texts_within_the_bound_take_no_time_that_one_would_notice() -> None:
    first = " ".join(f"w{n % 100}" for n in range(MOST_WORDS))
    started = time.perf_counter()
    word_diff(first, " ".join(f"w{99 - n % 100}" for n in range(MOST_WORDS)))
    word_diff(first, " ".join(f"w{n // 20}" for n in range(MOST_WORDS)))
    assert time.perf_counter() - started < 5


def test_more_than_two_responses_are_shown_without_a_comparison() -> None:
    assert "data-difference" in side_by_side(["a", "b"])
    assert "data-difference" not in side_by_side(["a", "b", "c"])
