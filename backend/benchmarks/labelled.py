"""Labelled sets as values: items that people or GPT-4 judged, to measure a judge on. Pure."""

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from backend.errors import InvalidInputError
from backend.types import Item, Mode, Rubric, digest_of

Label = float | str
"""Of a direct row a score from 1.0 to 5.0; of a pair "A", "B" or "tie"."""
Labeller = Literal["people", "gpt4"]
BY: dict[Labeller | None, str] = {"people": " by people", "gpt4": " by GPT-4", None: ""}


@dataclass(frozen=True)
class LabelledRow:
    """An item, the rubric it was judged by, and what was said of it.

    also: what GPT-4 said of it too, where the label is people's. category: as the set names it, or empty.
    """

    id: str
    item: Item
    rubric: Rubric
    label: Label
    labelled_by: Labeller
    also: Label | None = None
    category: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A row that no judge was asked about, or could not read, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class LabelledSet:
    """Rows of one mode. name: folder/file, and how many of how many rows where it is a subset.

    left_out: rows of the set that can't be asked, such as one whose response is empty. They count in its size.
    not_drawn: labelled items that are no part of the set, since chance did not draw them: they would bias it.
    source: where its rows come from, as they say themselves; empty where they don't.
    """

    name: str
    mode: Mode
    rows: tuple[LabelledRow, ...]
    licence: str
    left_out: tuple[LeftOut, ...] = ()
    source: str = ""
    not_drawn: tuple[LeftOut, ...] = ()

    @property
    def digest(self) -> str:
        """Of the very rows: another subset, rubric or label is another set, a renamed file is not."""
        rows = [[row.id, row.item.digest, row.rubric.digest, row.label] for row in self.rows]
        return digest_of("set", self.mode, rows, [row.id for row in self.left_out])

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.left_out)

    @property
    def is_benchmark(self) -> bool:
        """Whether it is one of the published sets, by which nothing may be chosen."""
        return self.name.startswith("benchmarks/")


def number_of(label: Label) -> float:
    """A score as it is, 1..5; a winner as the probability that A is better, 0..1."""
    return {"A": 1.0, "B": 0.0, "tie": 0.5}[label] if isinstance(label, str) else label


def subset(labelled: LabelledSet, n: int, seed: int) -> LabelledSet:
    """n rows, as many of each label as in the whole (scores rounded), in the set's own order.

    The same seed draws the same rows, and of two sizes the smaller lies (up to rounding) in the larger, so that
    what a judge has read already is not read again. The whole set where it has no more than n rows.
    """
    if n < 1:
        raise InvalidInputError(f"A subset of {n} rows measures nothing. Ask for at least 1.")
    if n >= len(labelled.rows):
        return labelled
    strata: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(labelled.rows):
        strata[_stratum(row.label)].append(index)
    kept = set[int]()
    for stratum, share in _shares({name: len(indices) for name, indices in strata.items()}, n).items():
        indices = list(strata[stratum])
        random.Random(f"{seed} {stratum}").shuffle(indices)  # noqa: S311 - drawn again from its seed, no secret
        kept.update(indices[:share])
    rows = tuple(row for index, row in enumerate(labelled.rows) if index in kept)
    seeded = f", seed {seed}" if seed else ""
    name = f"{labelled.name} ({n:,} of {len(labelled.rows):,}{seeded})"
    return LabelledSet(
        name, labelled.mode, rows, labelled.licence, source=labelled.source, not_drawn=labelled.not_drawn
    )


def _stratum(label: Label) -> str:
    return label if isinstance(label, str) else str(round(label))


def _shares(counts: dict[str, int], n: int) -> dict[str, int]:
    """n split in proportion to the counts: rounded down, the rest to the largest remainders."""
    total = sum(counts.values())
    shares = {name: count * n // total for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(counts[name] * n % total), name))
    for name in by_remainder[: n - sum(shares.values())]:
        shares[name] += 1
    return shares
