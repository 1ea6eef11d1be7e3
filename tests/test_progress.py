"""A verdict in the making is shown as far as it is."""

from backend.judging import PassState, RunPhase, RunState
from backend.passes import Pass
from ui.progress import run_message, run_progress

WRITING = (PassState(Pass(0, 1), "Response A is clearer."), PassState(Pass(2, 1), "Response B is kinder."))


def test_feedback_in_the_making_says_whose_letters_it_keeps() -> None:
    said = run_progress(RunState(RunPhase.JUDGING, "", WRITING))
    assert said.count("under these names") == 1
    assert "“Response A” is C and “Response B” is B" in said


def test_nothing_is_explained_before_a_word_is_written() -> None:
    state = RunState(RunPhase.JUDGING, "", (PassState(Pass(0, 1), "Response A"), PassState(Pass(1, 0))))
    assert "under these names" not in run_progress(state)


def test_nothing_goes_on_blinking_after_a_cancel() -> None:
    assert run_progress(RunState(RunPhase.JUDGING, "", WRITING)).count("assay-cursor") == 2
    stopped = run_progress(RunState(RunPhase.CANCELLED, "Cancelled.", WRITING))
    assert "assay-cursor" not in stopped
    assert "Response B is kinder." in stopped


def test_how_a_run_ended_is_told_without_what_it_wrote() -> None:
    said = run_message(RunState(RunPhase.FAILED, "Too <long>.", WRITING))
    assert "Too &lt;long&gt;." in said
    assert "kinder" not in said
