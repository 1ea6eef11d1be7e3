"""What is shown of a verdict does not say what is not so."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.history import ReadingDetail
from backend.types import SCORES, Finish, Reading, Status
from ui.render import feedback_of

READING = Reading(Status.READ, "", "", SCORES, (0.1, 0.2, 0.4, 0.2, 0.1), Finish.MARKER, 90, 3, 0.5)


def shown(reading: Reading) -> str:
    return feedback_of(ReadingDetail(0, None, 1, datetime(2026, 1, 1, tzinfo=UTC), "d1ge57", reading))


@pytest.mark.parametrize("feedback", ["", " \n"])
def test_a_judge_that_wrote_nothing_was_asked_all_the_same(feedback: str) -> None:
    said = shown(replace(READING, feedback=feedback))
    assert "wrote no feedback" in said
    assert "was asked for" not in said


def test_a_verdict_without_feedback_says_that_none_was_asked_for() -> None:
    assert "no feedback was asked for" in shown(replace(READING, finish=Finish.NOT_ASKED))


def test_feedback_is_shown_as_text() -> None:
    said = shown(replace(READING, feedback="<b>Clear</b>"))
    assert "&lt;b&gt;Clear" in said
    assert "wrote no feedback" not in said
