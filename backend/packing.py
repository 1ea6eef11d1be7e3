"""Packs token sequences that begin alike, so that what they share is computed once: training's batches.

A pack is a tree of tokens. Each token attends to its own ancestors alone and stands at its depth, so what a
model says at a token of the pack is what it says at that token of the plain sequence. The two orders of a pair
share the instruction, the responses to one article share the article, a row's verdict shares its prompt with
the row's feedback. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """What is to be learned at one place: after tokens[: place + 1], each of `choices` with its probability.

    weight: of its cross-entropy in the row's loss.
    """

    place: int
    choices: tuple[int, ...]
    probabilities: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Example:
    """The token ids of a prompt and an answer, and what is to be learned in it."""

    ids: tuple[int, ...]
    goals: tuple[Goal, ...]


@dataclass
class Pack:
    """A tree of tokens in the order in which they came; parents come before their children.

    parents: of each token its parent's index, -1 for a root. depths: of each token, from 0.
    goals: their `place` is the index of a token in the pack. rows: how many rows of data it holds.
    """

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    rows: int = 0
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def added(self, example: Example) -> int:
        """How many tokens the example would add."""
        parent, shared = -1, 0
        for token in example.ids:
            child = self._children.get((parent, token))
            if child is None:
                break
            parent, shared = child, shared + 1
        return len(example.ids) - shared

    def add(self, example: Example) -> None:
        parent = -1
        path: list[int] = []
        for token in example.ids:
            child = self._children.get((parent, token))
            if child is None:
                child = len(self.ids)
                self._children[parent, token] = child
                self.ids.append(token)
                self.parents.append(parent)
                self.depths.append(len(path))
            path.append(child)
            parent = child
        self.goals += [Goal(path[g.place], g.choices, g.probabilities, g.weight) for g in example.goals]

    def __len__(self) -> int:
        return len(self.ids)


def pack_rows(rows: Sequence[Sequence[Example]], most_tokens: int) -> list[Pack]:
    """Packs of at most `most_tokens` tokens; a row (one or more examples) is never divided.

    Rows that begin alike come together. A row that is longer than most_tokens has a pack of its own.
    """
    packs: list[Pack] = []
    for row in sorted(rows, key=lambda row: row[0].ids):
        if not packs or len(packs[-1]) + _added(packs[-1], row) > most_tokens:
            packs.append(Pack())
        for example in row:
            packs[-1].add(example)
        packs[-1].rows += 1
    return packs


def _added(pack: Pack, row: Sequence[Example]) -> int:
    """How many tokens the row adds at the most: what its first example shares with the pack is not counted."""
    alone = Pack()
    for example in row:
        alone.add(example)
    return len(alone) - (len(row[0].ids) - pack.added(row[0]))
