"""Our prompt format, which counts how often each question was put into words."""

from collections import Counter
from dataclasses import dataclass, field

from backend.prompts import AssayFormat, Prompt
from backend.types import Item, Rubric


@dataclass(frozen=True)
class CountingFormat:
    """built: by instruction and the positions that were asked about."""

    ours: AssayFormat = field(default_factory=AssayFormat)
    built: Counter[tuple[str, int, int | None]] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return self.ours.name

    @property
    def digest(self) -> str:
        return self.ours.digest

    def direct(self, item: Item, rubric: Rubric, position: int) -> Prompt:
        self.built[item.instruction, position, None] += 1
        return self.ours.direct(item, rubric, position)

    def pairwise(self, item: Item, rubric: Rubric, first: int, second: int) -> Prompt:
        self.built[item.instruction, first, second] += 1
        return self.ours.pairwise(item, rubric, first, second)
