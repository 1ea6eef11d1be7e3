"""Who holds which block of the key-value cache, and which blocks hold the beginning of a prompt already."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCK_TOKENS = 32
"""Positions in a block of OpenVINO's paged attention on CPUs."""

Beginning = tuple[int, ...]


@dataclass
class Table:
    """The blocks of one row, in order. known: how many of its first positions were read before, by another row."""

    blocks: list[int]
    known: int


@dataclass
class KeyValueBlocks:
    """`count` blocks. Whole blocks of a prompt are kept when its row ends, until their room is needed: prompts
    that begin alike (one rubric, one instruction, the first response of a pair) are read once.

    A block is found by all ids up to its end, so that a hit is never a mistake.
    """

    count: int
    _free: list[int] = field(init=False)
    _users: dict[int, int] = field(default_factory=dict)
    _read: dict[Beginning, int] = field(default_factory=dict)
    _begins: dict[int, Beginning] = field(default_factory=dict)
    _idle: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._free = list(reversed(range(self.count)))

    def take(self, ids: Sequence[int], positions: int) -> Table | None:
        """A table with room for `positions`, the first of which are ids. None if there is no room now.

        At least the last id is left to be read anew, since its logits are wanted.
        """
        shared = self._shared(ids)
        for block in shared:
            self._hold(block)
        wanted = blocks_for(positions) - len(shared)
        if wanted > len(self._free) + len(self._idle):
            for block in shared:
                self._let_go(block)
            return None
        own = [self._fresh() for _ in range(wanted)]
        for block in own:
            self._hold(block)
        return Table(shared + own, len(shared) * BLOCK_TOKENS)

    def were_read(self, ids: Sequence[int], table: Table) -> None:
        """The table holds the keys and values of all ids: its whole blocks may serve others from now on."""
        for number in range(table.known // BLOCK_TOKENS, len(ids) // BLOCK_TOKENS):
            beginning = tuple(ids[: (number + 1) * BLOCK_TOKENS])
            if beginning not in self._read:
                block = table.blocks[number]
                self._read[beginning] = block
                self._begins[block] = beginning

    def give_back(self, table: Table) -> None:
        """From the last block on: the end of a prompt is needed again less than its beginning."""
        for block in reversed(table.blocks):
            self._let_go(block)

    def _shared(self, ids: Sequence[int]) -> list[int]:
        blocks: list[int] = []
        for number in range((len(ids) - 1) // BLOCK_TOKENS):
            block = self._read.get(tuple(ids[: (number + 1) * BLOCK_TOKENS]))
            if block is None:
                break
            blocks.append(block)
        return blocks

    def _hold(self, block: int) -> None:
        self._users[block] = self._users.get(block, 0) + 1
        self._idle.pop(block, None)

    def _let_go(self, block: int) -> None:
        self._users[block] -= 1
        if self._users[block] == 0:
            if block in self._begins:
                self._idle[block] = None
            else:
                self._free.append(block)

    def _fresh(self) -> int:
        if self._free:
            return self._free.pop()
        block, _ = self._idle.popitem(last=False)
        del self._read[self._begins.pop(block)]
        return block


def blocks_for(positions: int) -> int:
    return -(-positions // BLOCK_TOKENS)
