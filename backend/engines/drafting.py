"""Guesses what a model writes next from what stands there already, for it to check several tokens in one pass.

Feedback quotes the prompt and repeats itself. What followed the same few tokens the last time is a good guess, and
costs nothing (prompt lookup decoding: Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding).
"""

from collections.abc import Sequence

LONGEST, SHORTEST = 4, 2
"""Tokens that have to stand there again before what followed them is a guess; the longest match is taken."""


class Drafter:
    """ids: of the prompt. What is written behind it has to be told."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}
        for token in ids:
            self.write(token)

    def write(self, token: int) -> None:
        """The token stands at the end now."""
        for length in range(SHORTEST, LONGEST + 1):
            if len(self._ids) >= length:
                self._next[tuple(self._ids[-length:])] = len(self._ids)
        self._ids.append(token)

    def draft(self, count: int) -> list[int]:
        """At most `count` tokens that may come next; none where nothing like the end stood there before."""
        for length in range(min(LONGEST, len(self._ids)), SHORTEST - 1, -1):
            begin = self._next.get(tuple(self._ids[-length:]))
            if begin is not None:
                return self._ids[begin : begin + count]
        return []
