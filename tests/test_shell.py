"""What pages share: errors become plain messages, on functions and on generators."""

import inspect
import logging
import re
from collections.abc import Iterator

import gradio as gr
import pytest

from backend.errors import ConflictError
from db.errors import StoreBusyError
from ui.shell import CSS_PATH, escape, shown, theme


@shown
def answer(number: int) -> int:
    return 10 // number


@shown
def count(number: int) -> Iterator[int]:
    yield number
    raise ConflictError("It was <b>changed</b>\nby another.")


def test_a_handler_that_does_well_is_left_alone() -> None:
    assert answer(5) == 2


def test_a_generator_stays_one_and_streams_until_its_error() -> None:
    assert inspect.isgeneratorfunction(count)
    stream = count(7)
    assert next(stream) == 7
    with pytest.raises(gr.Error):
        next(stream)


def test_a_stopped_generator_closes_the_handler_without_a_message() -> None:
    stream = count(7)
    next(stream)
    stream.close()


def test_a_message_is_plain_text_whatever_it_quotes() -> None:
    with pytest.raises(gr.Error) as error:
        list(count(7))
    assert error.value.message == "It was &lt;b&gt;changed&lt;/b&gt;<br>by another."


def test_the_stores_errors_are_shown_as_they_are_worded() -> None:
    @shown
    def busy() -> None:
        raise StoreBusyError("Wait a moment.")

    with pytest.raises(gr.Error) as error:
        busy()
    assert error.value.message == "Wait a moment."


def test_a_bug_is_logged_whole_and_named_by_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as error:
        answer(0)
    reference = caplog.records[0].args[1]
    assert f"under the reference {reference}" in error.value.message
    assert "ZeroDivisionError" in error.value.message
    assert "Traceback" in caplog.text
    assert "10 // number" in caplog.text


def test_a_message_that_a_handler_makes_itself_passes_through() -> None:
    own = gr.Error("mine")

    @shown
    def fail() -> None:
        raise own

    with pytest.raises(gr.Error) as error:
        fail()
    assert error.value is own


def test_escaping_covers_elements_and_quoted_attributes() -> None:
    assert escape("<a href='x'>\"&") == "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;"


def test_the_look_asks_no_other_machine_for_fonts_or_pictures() -> None:
    look = theme()
    styles = look._get_theme_css() + CSS_PATH.read_text(encoding="utf-8")
    assert look._stylesheets == []
    assert re.findall(r"@import|url\((?!\"data:)", styles) == []
