"""A feedback on a pair, said of the same two responses in the other order."""

import re

from backend.types import SIDES

_OTHER = dict(zip(SIDES, reversed(SIDES), strict=True))
NAMED = re.compile(r"\b([Rr]esponses?) ([AB])(?: (and|or|nor|&) ([AB]))?\b")
"""A response's name, the letter in group 2; or those of both in one breath, the other letter in group 4."""
_UNSURE = re.compile(r"\b[AB]\b|(?i:\b(?:first|second|1st|2nd|former|latter|response [12ab])\b)")
"""May name a response by its place in another way; an English article at a sentence's start is among them."""


def in_other_order(feedback: str) -> str | None:
    """The feedback with Response A and Response B exchanged; None where it may name them in another way too.

    "Response A and B", "Responses A or B" and the like are names. A feedback that names neither stays as it is.
    """
    if _UNSURE.search(NAMED.sub("", feedback)):
        return None
    return NAMED.sub(_exchanged, feedback)


def _exchanged(named: re.Match[str]) -> str:
    noun, first, joined, second = named.groups()
    said = f"{noun} {_OTHER[first]}"
    return said if joined is None else f"{said} {joined} {_OTHER[second]}"
