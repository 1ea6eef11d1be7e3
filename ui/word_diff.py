"""Two responses side by side, as safe HTML; on demand with the words marked that only one of them has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from backend.types import letter
from ui.render import marked_block
from ui.shell import escape

MOST_WORDS = 2_000
"""Of one text: the time grows with the square, and a page must not hang."""
MOST_CHARACTERS = 100_000
TOGGLE = """
const showDifference = () => {
    const on = localStorage.getItem("assay-difference") === "on";
    element.querySelector(".assay-pair")?.toggleAttribute("data-marked", on);
    element.querySelector("[data-difference]")?.setAttribute("aria-pressed", String(on));
};
const toggleDifference = () => {
    if (!element.querySelector("[data-difference]")) return;
    const on = localStorage.getItem("assay-difference") === "on";
    localStorage.setItem("assay-difference", on ? "off" : "on");
    showDifference();
};
element.addEventListener("click", (event) => { if (event.target.closest("[data-difference]")) toggleDifference(); });
document.addEventListener("keydown", (event) => {
    if (!element.isConnected || !element.offsetParent || event.key.toUpperCase() !== "D" || event.repeat) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    toggleDifference();
    event.preventDefault();
});
watch("value", () => { setTimeout(showDifference, 0); });
setTimeout(showDifference, 0);
"""
"""For an HTML component whose value may hold side_by_side(): its button and the key D, remembered in this browser."""
_WORDS = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


@dataclass(frozen=True)
class Difference:
    """Both texts whole, as HTML. note: why nothing is marked; "" where something could be."""

    first: str
    second: str
    note: str = ""


def side_by_side(responses: Sequence[str]) -> str:
    """Every response in a block of its own. Of two, the words that differ are marked while TOGGLE has it on."""
    if len(responses) != 2:
        return f'<div class="assay-sides">{_blocks([escape(text) for text in responses])}</div>'
    found = word_diff(responses[0], responses[1])
    note = f'<span class="assay-difference-note assay-muted" role="status">{found.note}</span>' if found.note else ""
    return (
        f'<div class="assay-pair"><div class="assay-tools">'
        '<button type="button" class="assay-act" data-difference aria-pressed="false" '
        f'aria-keyshortcuts="D">Mark what differs<kbd>D</kbd></button>{note}</div>'
        f'<div class="assay-sides">{_blocks([found.first, found.second])}</div></div>'
    )


def _blocks(texts: Sequence[str]) -> str:
    return "".join(marked_block(f"Response {letter(place)}", text) for place, text in enumerate(texts))


def word_diff(first: str, second: str) -> Difference:
    """Words that the other text lacks at this place are in <span class="assay-diff">. Case counts, spaces don't.

    Texts of more than MOST_WORDS words or MOST_CHARACTERS characters are left unmarked, and the note says so. Source:
    Ratcliff and Obershelp's matching, as difflib has it.
    """
    if max(len(first), len(second)) > MOST_CHARACTERS:
        return _unmarked(first, second, f"{max(len(first), len(second)):,} characters; at most {MOST_CHARACTERS:,}")
    words, others = _WORDS.findall(first), _WORDS.findall(second)
    if max(len(words), len(others)) > MOST_WORDS:
        return _unmarked(first, second, f"{max(len(words), len(others)):,} words; at most {MOST_WORDS:,}")
    if first == second:
        return Difference(escape(first), escape(second), "Both responses are the same, word for word.")
    matcher = SequenceMatcher(None, [word.strip() for word in words], [word.strip() for word in others])
    left, right = [], []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        left.append(_part(words[start:end], marked=tag != "equal"))
        right.append(_part(others[other_start:other_end], marked=tag != "equal"))
    return Difference("".join(left), "".join(right))


def _unmarked(first: str, second: str, why: str) -> Difference:
    note = f"Too long to compare word by word: {why} are compared."
    return Difference(escape(first), escape(second), note)


def _part(words: Sequence[str], *, marked: bool) -> str:
    text = escape("".join(words))
    return f'<span class="assay-diff">{text}</span>' if marked and text.strip() else text
