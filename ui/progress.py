"""The judge's state, and a verdict in the making, as HTML in which every text is escaped."""

from backend.judging import PassState, RunPhase, RunState
from backend.served import ChangePhase, Phase, ServingState
from ui.render import letters_note
from ui.shell import escape


def serving_status(state: ServingState) -> str:
    """One line: ready, how far it is, or what is missing and how to mend it."""
    role = "alert" if state.phase is Phase.FAILED else "status"
    bar = ""
    if state.phase is Phase.LOADING:
        value = "" if state.fraction is None else f" value='{state.fraction:.3f}'"
        bar = f"<progress aria-label='Progress of the judge' max='1'{value}></progress>"
    return (
        f"<div class='assay-status assay-status-{state.phase}' role='{role}'>"
        f"<span class='assay-dot' aria-hidden='true'></span><span>{escape(state.message)}</span>{bar}</div>"
        f"{_change_under_way(state)}"
    )


def is_under_way(state: ServingState) -> bool:
    """Whether the judge, or the next one, is being loaded."""
    return state.phase is Phase.LOADING or (state.change is not None and state.change.phase is ChangePhase.LOADING)


def change_outcome(state: ServingState) -> str:
    """How the last change of judge ended; nothing before the first and while one goes on."""
    if state.change is None or state.change.phase is ChangePhase.LOADING:
        return ""
    kind, role = ("error", "alert") if state.change.phase is ChangePhase.FAILED else ("notice", "status")
    return f"<div class='assay-{kind}' role='{role}'>{escape(state.change.message)}</div>"


def _change_under_way(state: ServingState) -> str:
    """A second line while another judge is loaded beside the one that serves."""
    change = state.change
    if change is None or change.phase is not ChangePhase.LOADING or state.phase is Phase.LOADING:
        return ""
    value = "" if change.fraction is None else f" value='{change.fraction:.3f}'"
    return (
        "<div class='assay-status assay-status-loading' role='status'>"
        f"<span class='assay-dot' aria-hidden='true'></span><span>{escape(change.message)}</span>"
        f"<progress aria-label='Progress of the next judge' max='1'{value}></progress></div>"
    )


def no_verdict_yet() -> str:
    return (
        "<div class='assay-empty'><p><strong>No verdict yet.</strong></p>"
        "<p>Fill in an instruction and one response for a score, two for a winner, or more for a ranking. "
        "Choose a rubric and press the button.</p></div>"
    )


def outdated() -> str:
    return (
        "<div class='assay-notice' role='status'><strong>This verdict is of what was asked before.</strong> The form "
        "has changed since: judge again. A label goes to the verdict that is shown.</div>"
    )


def interrupted() -> str:
    return (
        "<div class='assay-notice' role='status'>Assay was restarted while it was judging this. Press the button to go "
        "on: whatever had been read by then was kept.</div>"
    )


def run_progress(state: RunState) -> str:
    """What is being written right now; after a cancel or a failure, what there was by then."""
    written = [one for one in state.passes if one.text or one.reading]
    alone = len(state.passes) == 1
    return run_message(state) + "".join(_pass(one, alone=alone, ended=state.finished) for one in written)


def run_message(state: RunState) -> str:
    """How far the run is, or how it ended."""
    match state.phase:
        case RunPhase.WAITING:
            return f"<p class='assay-working' role='status'>{escape(state.message)}</p>"
        case RunPhase.FAILED:
            return f"<div class='assay-error' role='alert'>{escape(state.message)}</div>"
        case RunPhase.CANCELLED:
            return f"<div class='assay-notice' role='status'>{escape(state.message)}</div>"
    if len(state.passes) <= 1:
        return "<p class='assay-working' role='status'>Judging …</p>"
    done = sum(one.reading is not None for one in state.passes)
    return (
        f"<p class='assay-working' role='status'>Judging — {done} of {len(state.passes)} readings …</p>"
        f"<progress aria-label='Readings done' max='{len(state.passes)}' value='{done}'></progress>"
    )


def _pass(one: PassState, *, alone: bool, ended: bool) -> str:
    title = "" if alone else f"<h4>{escape(one.asked.label)}</h4>"
    cursor = "" if one.reading or ended else "<span class='assay-cursor' aria-hidden='true'></span>"
    text = escape(one.text) or "<span class='assay-muted'>Verdict only, no feedback asked for.</span>"
    letters = letters_note(one.asked) if one.text else ""
    return f"<section class='assay-pass'>{title}{letters}<div class='assay-text'>{text}{cursor}</div></section>"
