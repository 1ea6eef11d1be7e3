"""What the labelling page shows, as safe HTML: the item in hand, its rubric, and what was decided last."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from backend.history import VerdictDetail
from backend.labelling_desk import Given, Recent, Task
from backend.projects import ProjectView
from backend.recalibration import RecalibratedScore
from backend.types import SCORES, Mode, letter
from ui.markdown import safe_html
from ui.render import feedback_block, text_block, verdict_card
from ui.shell import escape
from ui.word_diff import side_by_side

KEY_HELP = (
    ("1 – 5", "the score"), ("A, B, T", "the better response, or a tie; in a ranking the next best"),
    ("Enter", "submit"), ("S", "skip the item, for you alone"), ("F", "flag it, with your note"),
    ("D", "of two responses: mark the words that differ, or don't"),
    ("U or Backspace", "go back to your last decision"), ("?", "show or hide this list"),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A verdict that this person may see, and what the project makes of its score, where that is switched on."""

    verdict: VerdictDetail
    recalibrated: RecalibratedScore | None


def board(view: ProjectView, task: Task, seen: Seen | None, done: int) -> str:
    """The item and its buttons on the left, rubric and guidelines on the right. done: this person's labels so far."""
    click = secrets.token_hex(16)
    pending = "change it, or submit it as it is" if task.reopened else f"{done:,} done by you"
    again = " · it came back" if task.round == 2 else ""
    verdict = "" if seen is None else f'<section aria-label="The verdict">{_verdict(seen)}</section>'
    return (
        f'<div class="assay-labelling"><div class="assay-task" data-item="{task.project_item_id}" '
        f'data-click="{click}" data-mode="{task.mode}">'
        f'<p class="assay-muted">{escape(view.name)} · {pending}{again}</p>'
        f"{text_block('Instruction', task.instruction)}{_responses(task)}"
        f"{'' if task.reference is None else text_block('Reference answer', task.reference)}{verdict}"
        f'<div class="assay-actions">{_choices(task)}'
        f'<label class="assay-note-label">Note<textarea class="assay-note-field" rows="2" dir="auto" '
        f'placeholder="Why, if it helps. F flags the item with it.">{escape(task.note)}</textarea></label>'
        f'<div class="assay-tools">{_button("submit", "Submit", "Enter", primary=True)}{_button("skip", "Skip", "S")}'
        f"{_button('flag', 'Flag', 'F')}{_button('undo', 'Undo', 'U')}{_button('help', 'Keys', '?')}"
        f'<span class="assay-saved assay-muted" role="status">{"Saved on the server." if task.choice else ""}</span>'
        f"</div>{_keys()}</div></div>{_rules(view, task)}</div>"
    )


def nothing_left(view: ProjectView | None) -> str:
    if view is None:
        return (
            '<div class="assay-empty"><strong>No project is open.</strong><br>Leads make them on the page Projects, '
            "and import items into them.</div>"
        )
    return (
        f'<div class="assay-empty"><strong>Nothing waits for you in “{escape(view.name)}”.</strong><br>Every item has '
        "as many labels as it needs, or you have skipped it, or others have it in hand.</div>"
    )


def reveal(given: Given, seen: Seen | None) -> str:
    """What was just decided, and in a blind project what the judge had said: the score first, then the feedback."""
    rushed = ' <span class="assay-badge assay-badge-warn">rushed</span>' if given.rushed else ""
    settled = (
        '<p class="assay-note">A lead has decided on this item meanwhile. Your label is kept beside the decision.</p>'
        if given.decided
        else ""
    )
    said = f'<p role="status">Your last label: <strong>{escape(given.words)}</strong> ({given.kind}){rushed}</p>'
    if seen is None:
        return f'<section class="assay-reveal" aria-label="Your last label">{said}{settled}</section>'
    hint = '<p class="assay-muted">Press U to go back: what you say from now on is an override.</p>'
    return f'<section class="assay-reveal" aria-label="Your last label">{said}{settled}{_verdict(seen)}{hint}</section>'


def recent_list(recent: Sequence[Recent]) -> str:
    if not recent:
        return '<p class="assay-muted">None yet.</p>'
    rows = "".join(
        f'<li><button type="button" class="assay-card" data-item="{one.project_item_id}" data-round="{one.round}">'
        f'<span class="assay-card-name">{escape(one.words)}</span>'
        f'<span class="assay-card-text" dir="auto">{escape(one.instruction)}</span></button></li>'
        for one in recent
    )
    return f'<ul class="assay-cards" aria-label="Your last decisions">{rows}</ul>'


def _verdict(seen: Seen) -> str:
    return verdict_card(seen.verdict) + _recalibrated(seen.recalibrated) + feedback_block(seen.verdict)


def _recalibrated(found: RecalibratedScore | None) -> str:
    if found is None:
        return ""
    return (
        f'<p class="assay-note">Recalibrated score <strong>{found.score:.2f}</strong>: the expected score, set right '
        f"by {found.labels:,} labels of this project, those of this item left out.</p>"
    )


def _responses(task: Task) -> str:
    if task.mode is Mode.DIRECT:
        return text_block("Response", task.responses[0])
    return side_by_side(task.responses)


def _choices(task: Task) -> str:
    match task.mode:
        case Mode.DIRECT:
            found = [(score, score, score) for score in SCORES]
        case Mode.PAIRWISE:
            found = [("A", "A", "A is better"), ("tie", "T", "Tie"), ("B", "B", "B is better")]
        case Mode.RANKING:
            found = [(letter(place), letter(place), letter(place)) for place in range(len(task.responses))]
    chosen = task.choice.split(" > ")
    buttons = "".join(_choice(task.mode, *one, chosen) for one in found)
    name = {Mode.DIRECT: "Score", Mode.PAIRWISE: "Which is better", Mode.RANKING: "Press them from best to worst"}
    return f'<div class="assay-choices" role="group" aria-label="{name[task.mode]}">{buttons}</div>'


def _choice(mode: Mode, value: str, key: str, words: str, chosen: Sequence[str]) -> str:
    pressed = value in chosen
    place = chosen.index(value) + 1 if pressed and mode is Mode.RANKING else 0
    rank = f' data-rank="{place}"' if place else ""
    label = f'<span class="assay-rank">{f"place {place}" if place else ""}</span>' if mode is Mode.RANKING else ""
    shown_key = "" if words == key else f"<kbd>{key}</kbd>"
    return (
        f'<button type="button" class="assay-choice" data-choice="{value}" data-key="{key}"{rank} '
        f'aria-pressed="{str(pressed).lower()}" aria-keyshortcuts="{key}">{words}{shown_key}{label}</button>'
    )


def _button(act: str, words: str, key: str, *, primary: bool = False) -> str:
    kind = " assay-act-primary" if primary else ""
    return (
        f'<button type="button" class="assay-act{kind}" data-act="{act}" aria-keyshortcuts="{key}">'
        f"{words}<kbd>{key}</kbd></button>"
    )


def _keys() -> str:
    rows = "".join(f"<div><dt><kbd>{key}</kbd></dt><dd>{words}</dd></div>" for key, words in KEY_HELP)
    return f'<dl class="assay-keys" hidden>{rows}</dl>'


def _rules(view: ProjectView, task: Task) -> str:
    levels = "".join(
        f'<div><dt>{score}</dt><dd dir="auto">{escape(text)}</dd></div>'
        for score, text in zip(SCORES, task.rubric.levels, strict=False)
    )
    guidelines = ""
    if view.draft.guidelines.strip():
        guidelines = f'<section class="assay-block"><h3>Guidelines</h3>{safe_html(view.draft.guidelines)}</section>'
    return (
        f'<aside class="assay-rules" aria-label="Rubric and guidelines"><section class="assay-block"><h3>Rubric</h3>'
        f'<p dir="auto">{escape(task.rubric.criterion)}</p><dl class="assay-levels">{levels}</dl></section>'
        f"{guidelines}</aside>"
    )
