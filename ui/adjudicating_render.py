"""What the adjudication page shows, as safe HTML: the queue, and one item with what everybody said of it."""

from collections.abc import Sequence

from backend.adjudicating import Case, Decision, Dispute, Side, Why
from backend.history import VerdictDetail
from ui.render import feedback_block, text_block, verdict_card
from ui.shell import counted, escape
from ui.word_diff import side_by_side

EMPTY = {
    Why.PEOPLE: "People agree on every item that has several labels and no decision.",
    Why.MODEL: "Where people agree and have finished, the model says the same.",
    Why.DECIDED: "Nothing is decided yet.",
}


def queue_list(disputes: Sequence[Dispute] | None, why: Why = Why.PEOPLE) -> str:
    """The first is marked as the opened one. None: there is no project."""
    if disputes is None:
        return '<div class="assay-empty"><strong>No project has items.</strong><br>Make one on the page Projects.</div>'
    if not disputes:
        return f'<div class="assay-empty"><strong>Nothing is here.</strong><br>{EMPTY[why]}</div>'
    rows = "".join(
        f'<li><button type="button" class="assay-card" data-item="{one.project_item_id}" '
        f'aria-pressed="{str(one is disputes[0]).lower()}">'
        f'<span class="assay-card-name">Item {one.number:,} · {counted(one.people, "label")}</span>'
        f'<span class="assay-card-text" dir="auto">{escape(one.instruction)}</span></button></li>'
        for one in disputes
    )
    return f'<ul class="assay-cards" aria-label="Items to settle">{rows}</ul>'


def case_html(case: Case, verdict: VerdictDetail | None, *, names: bool) -> str:
    """The item, its labels side by side, earlier decisions, and the verdict last, folded away."""
    reference = "" if case.item.reference is None else text_block("Reference answer", case.item.reference)
    sides = "".join(_side(side, number, names=names) for number, side in enumerate(case.sides, start=1))
    decisions = "".join(_decision(one, names=names) for one in case.decisions)
    said = (
        ""
        if verdict is None
        else f"<details class='assay-verdict-last'><summary>Show the verdict</summary>{verdict_card(verdict)}"
        f"{feedback_block(verdict)}</details>"
    )
    return (
        f'<section aria-label="Item {case.number}"><h2>Item {case.number:,}</h2>'
        f"{text_block('Instruction', case.item.instruction)}{_responses(case)}{reference}"
        f'<h3>Rubric</h3><p dir="auto">{escape(case.rubric.criterion)}</p>'
        f'<h3>Labels</h3><div class="assay-sides" role="group" aria-label="Labels">{sides}</div>'
        f"{f'<h3>Decisions</h3>{decisions}' if decisions else ''}{said}</section>"
    )


def _responses(case: Case) -> str:
    texts = case.item.responses
    if len(texts) == 1:
        return text_block("Response", texts[0])
    return side_by_side(texts)


def _side(side: Side, number: int, *, names: bool) -> str:
    who = escape(side.author) if names else f"Label {number}"
    seen = ' <span class="assay-badge">after the verdict</span>' if side.seen else ""
    note = f'<div class="assay-text" dir="auto">{escape(side.note)}</div>' if side.note.strip() else ""
    return (
        f'<section class="assay-block"><h3 dir="auto">{who}{seen}</h3><p><strong>{escape(side.words)}</strong></p>'
        f"{note}</section>"
    )


def _decision(one: Decision, *, names: bool) -> str:
    by = f"; by {escape(one.author)}" if names else ""
    state = "stands" if one.stands else "superseded"
    return (
        f'<section class="assay-block"><p><strong>{escape(one.words)}</strong> ({state}{by}, {one.at:%Y-%m-%d %H:%M} '
        f'UTC)</p><div class="assay-text" dir="auto">{escape(one.reason)}</div></section>'
    )
