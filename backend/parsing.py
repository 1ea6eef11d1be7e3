"""Finds where a judge's feedback ends, the result marker in a text that is still being written, and what it names."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_MISSING_BYTES = 3
"""A character has at most four bytes in UTF-8, so at most three can be waiting for the rest."""
LOOP_TIMES = 3
LOOP_CHARACTERS = 80
LOOP_PROBE = 24
SENTENCE_ENDS = ".!?\n"
"""Feedback loops when its end is one passage LOOP_TIMES over, LOOP_CHARACTERS long in all. The last LOOP_PROBE
characters find the passage: where they stood before tells how long it is."""


def parse_result(text: str, marker: str, results: Sequence[str]) -> str | None:
    """The result that a finished text names: one marker, and behind it one of the results and nothing else.

    None for anything less clear. It serves where an engine gives no probabilities to read the result from.
    """
    _, *behind = text.split(marker)
    if len(behind) != 1:
        return None
    named = behind[0].strip()
    return named if named in results else None


@dataclass
class FeedbackReader:
    """Takes the text so far, again and again as it grows, and hands out what is surely feedback.

    A tail that may turn out to be the beginning of the marker, or half of a character, is held back
    until the next tokens decide. marker_at: where the marker begins. loops_at: where a text that goes round
    in a loop begins to say again what it has just said; small models never leave such a loop.
    """

    marker: str
    text: str = ""
    shown: int = 0
    marker_at: int | None = field(default=None)
    loops_at: int | None = field(default=None)

    def feed(self, text: str) -> str:
        """The new part of the feedback. `text` is everything written so far, not just what is new."""
        self.text = text
        found = text.find(self.marker)
        if found >= 0:
            self.marker_at = found
            end = found
        else:
            end = len(text) - max(self._half_marker(text), self._half_character(text))
            self.loops_at = self._loop(text)
        return self._show(max(end, self.shown))

    def begin_again(self) -> None:
        """The text is written anew from its beginning; what was handed out stays handed out."""
        self.text, self.marker_at, self.loops_at = "", None, None

    def finish(self) -> str:
        """The rest of the feedback, once it is certain that nothing more will be written."""
        return self._show(max(self.end, self.shown))

    @property
    def end(self) -> int:
        """Where the feedback ends: at the marker, before it repeats itself, or with the text."""
        return next((at for at in (self.marker_at, self.loops_at) if at is not None), len(self.text))

    @property
    def feedback(self) -> str:
        """All of the feedback, up to its end, without the white space around it."""
        return self.text[: self.end].strip()

    def _show(self, end: int) -> str:
        new = self.text[self.shown : end]
        self.shown = end
        return new

    @staticmethod
    def _half_character(text: str) -> int:
        """How many of the last characters could be the first bytes of one that is not whole yet."""
        undecided = len(text) - len(text.rstrip("\ufffd"))
        return min(undecided, MOST_MISSING_BYTES)

    def _half_marker(self, text: str) -> int:
        """How many of the last characters could be the beginning of the marker."""
        for size in range(min(len(self.marker) - 1, len(text)), 0, -1):
            if text.endswith(self.marker[:size]):
                return size
        return 0

    @staticmethod
    def _loop(text: str) -> int | None:
        """Where the text ends without its loop, if its end is one passage over and over: behind the passage's
        last sentence that was whole the first time, or behind the passage."""
        probe = text[-LOOP_PROBE:]
        before = text.rfind(probe, 0, -1)
        if len(text) < LOOP_CHARACTERS or before < 0:
            return None
        period = len(text) - len(probe) - before
        times = max(LOOP_TIMES, -(-LOOP_CHARACTERS // period))
        begin = len(text) - times * period
        if begin < 0 or not text.endswith(text[-period:] * times):
            return None
        whole = max(text.rfind(end, begin, begin + period) for end in SENTENCE_ENDS)
        return begin + period if whole < 0 else whole + 1
