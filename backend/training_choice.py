"""Which rows a training learns from: of its format, balanced by length where that is asked for, drawn by the seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.experts import DataSource, ExpertSpec
from backend.training_card import Counts
from backend.training_forms import load_rows
from backend.training_rows import TrainingRow
from backend.types import Mode, Rubric, digest_of


@dataclass(frozen=True)
class Chosen:
    """The rows of a training, and how many were left out and why."""

    rows: list[TrainingRow]
    counts: Counts


def choose_rows(spec: ExpertSpec, sources: Sequence[DataSource]) -> Chosen:
    """The rows of the sources that the format trains on, balanced and drawn by the seed."""
    modes = {"direct": {Mode.DIRECT}, "pairwise": {Mode.PAIRWISE}}.get(spec.format, {Mode.DIRECT, Mode.PAIRWISE})
    chosen: list[TrainingRow] = []
    counts = Counts()
    for source in sources:
        loaded = load_rows(source.place, rubric=Rubric(source.criterion) if source.criterion else None)
        counts.refused += len(loaded.refused)
        rows = [row for row in loaded.rows if row.mode in modes]
        counts.other_format += len(loaded.rows) - len(rows)
        kept = _drawn(rows, source.limit, spec.seed, balanced=spec.balance_length)
        counts.not_drawn += len(rows) - len(kept)
        chosen += kept
    return Chosen(chosen, counts)


def _drawn(rows: list[TrainingRow], limit: int | None, seed: int, *, balanced: bool) -> list[TrainingRow]:
    """At most `limit` rows; of pairs equally many whose longer and whose shorter response is the better one."""
    shuffled = sorted(rows, key=lambda row: (digest_of(seed, row.item.instruction), digest_of(seed, row.digest)))
    if not balanced:
        return shuffled[:limit]
    longer = [row for row in shuffled if row.mode is Mode.PAIRWISE and longer_wins(row) is True]
    shorter = [row for row in shuffled if row.mode is Mode.PAIRWISE and longer_wins(row) is False]
    each = min(len(longer), len(shorter), len(rows) if limit is None else limit // 2)
    others = [row for row in shuffled if row.mode is Mode.DIRECT or longer_wins(row) is None]
    pairs = longer[:each] + shorter[:each]
    return pairs + others[: None if limit is None else max(0, limit - len(pairs))]


def longer_wins(row: TrainingRow) -> bool | None:
    """Whether the longer response of a pair is the better one; None where neither is, or both are equally long."""
    first, second = (len(response) for response in row.item.responses)
    if first == second or row.target[0] == row.target[1]:
        return None
    return (row.target[0] > row.target[1]) == (first > second)
