"""Where feedback ends, in a text that arrives in pieces."""

import pytest

from backend.parsing import FeedbackReader, parse_result

MARKER = "[RESULT]"


def stream(text: str, piece: int) -> tuple[FeedbackReader, str]:
    reader, shown = FeedbackReader(MARKER), ""
    for end in range(piece, len(text) + piece, piece):
        shown += reader.feed(text[:end])
        if reader.marker_at is not None:
            break
    return reader, shown + reader.finish()


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_what_is_shown_is_the_text_before_the_marker_whatever_the_pieces(piece: int) -> None:
    reader, shown = stream("Good and clear. [RESULT] 4 and more", piece)
    assert shown == "Good and clear. "
    assert reader.feedback == "Good and clear."
    assert reader.marker_at == 16


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_a_false_start_of_the_marker_is_shown_in_the_end(piece: int) -> None:
    reader, shown = stream("See [RES and [RESULTS] [RESUL", piece)
    assert shown == "See [RES and [RESULTS] [RESUL"
    assert reader.marker_at is None


def test_the_beginning_of_a_marker_is_held_back() -> None:
    reader = FeedbackReader(MARKER)
    assert reader.feed("Fine. [RESU") == "Fine. "
    assert reader.feed("Fine. [RESUME") == "[RESUME"


def test_half_a_character_is_held_back_until_it_is_whole() -> None:
    reader = FeedbackReader(MARKER)
    assert reader.feed("caf\ufffd") == "caf"
    assert reader.feed("café") == "é"


def test_the_first_marker_ends_the_feedback() -> None:
    reader, shown = stream("a [RESULT] 1 b [RESULT] 5", 100)
    assert shown == "a "
    assert reader.feedback == "a"


def test_nothing_written_is_empty_feedback() -> None:
    reader = FeedbackReader(MARKER)
    assert reader.finish() == ""
    assert reader.feedback == ""


def test_bytes_that_never_become_a_character_are_shown_in_the_end() -> None:
    reader = FeedbackReader(MARKER)
    assert reader.feed("\ufffd" * 3) == ""
    assert reader.feed("\ufffd" * 5) == "\ufffd" * 2


LONG = "A sentence that is rather long, as people write them when nobody stops them at all. "
SAME = "It is not a detailed answer. "


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Clear. " + SAME * 9, "Clear. It is not a detailed answer."),
        ("No. " + "2" * 300, "No. 2"),
        ("No. " + "1234567890" * 30, "No. 1234567890"),
        (LONG * 9, LONG.strip()),
    ],
)
def test_feedback_that_goes_round_in_a_loop_ends_before_it_repeats_itself(text: str, kept: str) -> None:
    reader = FeedbackReader(MARKER)
    read = 0
    while reader.loops_at is None:
        read += 5
        assert read < len(text), "the loop was not seen"
        reader.feed(text[:read])
    reader.finish()
    # a loop has no beginning of its own: digits may end anywhere in the second round, sentences are whole
    assert reader.feedback == kept or (kept[-1].isdigit() and reader.feedback[: len(kept)] == kept)
    assert len(reader.feedback) <= len(kept) + 5


@pytest.mark.parametrize(
    "text",
    [
        "Yes, yes, yes, it is good, good, good.",
        "It is clear. It is polite. It is short. It is clear. It is polite. It is complete.",
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n",
        "The first is better. " * 2 + "The second is not.",
        "\n" * 40,
    ],
)
def test_ordinary_repetition_is_no_loop(text: str) -> None:
    reader = FeedbackReader(MARKER)
    for end in range(1, len(text) + 1):
        reader.feed(text[:end])
        assert reader.loops_at is None
    assert reader.feedback == text.strip()


def test_a_marker_behind_repetition_counts() -> None:
    reader = FeedbackReader(MARKER)
    reader.feed(SAME * 2 + "[RESULT] 2")
    assert reader.feedback == (SAME * 2).strip()
    assert reader.loops_at is None


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Fine. [RESULT] 4", "4"),
        ("[RESULT]\n 5 \n", "5"),
        ("Fine. [RESULT] 7", None),
        ("Fine. [RESULT] 4 or 5", None),
        ("[RESULT] 4 [RESULT] 4", None),
        ("I give it a 4.", None),
        ("[RESULT]", None),
        ("", None),
    ],
)
def test_a_result_is_parsed_only_where_the_text_names_one_and_nothing_else(text: str, result: str | None) -> None:
    assert parse_result(text, MARKER, ("1", "2", "3", "4", "5")) == result
