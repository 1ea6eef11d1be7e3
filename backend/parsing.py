"""Finds where a judge's feedback ends: the result marker in a text that is still being written."""

from dataclasses import dataclass, field

MOST_MISSING_BYTES = 3
"""A character has at most four bytes in UTF-8, so at most three can be waiting for the rest."""


@dataclass
class FeedbackReader:
    """Takes the text so far, again and again as it grows, and hands out what is surely feedback.

    A tail that may turn out to be the beginning of the marker, or half of a character, is held back
    until the next tokens decide.
    """

    marker: str
    text: str = ""
    shown: int = 0
    marker_at: int | None = field(default=None)

    def feed(self, text: str) -> str:
        """The new part of the feedback. `text` is everything written so far, not just what is new."""
        self.text = text
        found = text.find(self.marker)
        if found >= 0:
            self.marker_at = found
            end = found
        else:
            end = len(text) - max(self._half_marker(text), self._half_character(text))
        return self._show(max(end, self.shown))

    def finish(self) -> str:
        """The rest of the feedback, once it is certain that nothing more will be written."""
        return self._show(len(self.text) if self.marker_at is None else self.marker_at)

    @property
    def feedback(self) -> str:
        """All of the feedback: what stands before the marker, without the white space around it."""
        return self.text[: self.marker_at].strip()

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
