"""How many pairs a ranking of many responses needs, and how near it comes to the ranking of all pairs.

    python -m perf.ranking
    python -m perf.ranking --model FOLDER --set FOLDER/direct_summeval_coherence --instructions 2

Without a model: tournaments drawn from a judge as real ones are (it likes the first place, and contradicts
itself from pair to pair; both can be set). With one: each of the first instructions of the set that have 16
responses or more is judged whole, all pairs in both orders, verdict only, and the rounds are replayed on its
own readings. Beside it stand as many pairs drawn at random (a ring, so that all hang together, and others).
Kendall's tau-b is to the ranking of all pairs; 1: the same order.
"""

import argparse
import statistics
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from backend.benchmarks.rows import LabelledRow, load_set
from backend.engines.base import ReadingDone
from backend.prompts import AssayFormat
from backend.ranking import Comparison, score_verdict, strengths_of
from backend.tournament import next_pairs
from backend.types import Item, Sampling
from perf.options import parser_of

SIZES = (8, 16, 32)
Table = np.ndarray[Any, np.dtype[np.float64]]
"""At [i, j] the probability that i is better, read with i shown first."""


def main() -> None:
    options = _options()
    print("responses  all pairs  judged  share  tau (10th percentile)  tau at random")
    for count in SIZES:
        found = [_compared(*_drawn(count, seed, options), seed) for seed in range(options.draws)]
        _tell(count, found)
    if options.model is not None:
        whole = list(_judged(options.model, options.set, options.instructions))
        for count in SIZES[:2]:
            print(f"Real, the first {count} responses of {len(whole)} instructions:")
            _tell(count, [_compared(own[:count], table[:count, :count], 0) for own, table in whole])


def _tell(count: int, found: Sequence[tuple[int, float, float]]) -> None:
    pairs, taus, random_taus = zip(*found, strict=True)
    every = count * (count - 1) // 2
    judged = statistics.mean(pairs)
    print(
        f"{count:9d}  {every:9d}  {judged:6.1f}  {judged / every:5.0%}  {statistics.median(taus):8.3f} "
        f"({np.percentile(taus, 10):.3f})  {statistics.median(random_taus):19.3f}",
        flush=True,
    )


def _drawn(count: int, seed: int, options: argparse.Namespace) -> tuple[Sequence[float], Table]:
    """Own scores and all readings of a judge with normal strengths, a liking for the first place, and noise."""
    draw = np.random.default_rng([count, seed])
    strengths = draw.normal(0, options.spread, count)
    noise = draw.normal(0, options.noise, (count, count))
    odds = strengths[:, None] - strengths[None, :] + (noise - noise.T) / np.sqrt(2) + options.bias
    own = np.clip(3 + 0.7 * strengths + draw.normal(0, 0.7, count), 1, 5)
    return own.tolist(), 1 / (1 + np.exp(-odds))


def _compared(own: Sequence[float], table: Table, seed: int) -> tuple[int, float, float]:
    """How many pairs were judged, and tau to the full ranking: of the chosen pairs, and of as many random ones."""
    count = len(own)
    every = [(i, j) for i in range(count) for j in range(i + 1, count)]
    full = _strengths(every, table)
    chosen: list[tuple[int, int]] = []
    while pairs := next_pairs(count, own, _comparisons(chosen, table)):
        chosen += pairs
    draw = np.random.default_rng(seed)
    ring = [(i, i + 1) for i in range(count - 1)] + [(0, count - 1)]
    others = [pair for pair in every if pair not in ring]
    draw.shuffle(others)
    by_chance = [*ring, *(tuple(pair) for pair in others[: max(len(chosen) - count, 0)])]
    taus = [float(kendalltau(full, _strengths(pairs, table)).statistic) for pairs in (chosen, by_chance)]
    return len(chosen), taus[0], taus[1]


def _comparisons(pairs: Sequence[tuple[int, int]], table: Table) -> list[Comparison]:
    return [Comparison(a, b, float(table[a, b])) for i, j in pairs for a, b in ((i, j), (j, i))]


def _strengths(pairs: Sequence[tuple[int, int]], table: Table) -> list[float]:
    comparisons = _comparisons(pairs, table)
    return strengths_of(comparisons, [one.p_first for one in comparisons], len(table))


def _judged(model: Path, place: Path, instructions: int) -> Iterator[tuple[list[float], Table]]:
    """Own scores and the whole table of each instruction, from the model."""
    from backend.engines.openvino import OpenVinoEngine

    engine = OpenVinoEngine(model)
    groups: dict[str, list[LabelledRow]] = {}
    for row in load_set(place).rows:
        groups.setdefault(row.item.instruction, []).append(row)
    format, sampling = AssayFormat(), Sampling(feedback=False)
    for rows in [rows[: SIZES[1]] for rows in groups.values() if len(rows) >= SIZES[1]][:instructions]:
        item, rubric = Item(rows[0].item.instruction, tuple(row.item.responses[0] for row in rows)), rows[0].rubric
        count = len(rows)
        passes = [(i, j) for i in range(count) for j in range(count) if i != j]
        prompts = [format.direct(item, rubric, i) for i in range(count)]
        prompts += [format.pairwise(item, rubric, i, j) for i, j in passes]
        read: dict[int, Sequence[float]] = {}
        for event in engine.read(prompts, sampling, threading.Event()):
            if isinstance(event, ReadingDone) and event.reading.probabilities is not None:
                read[event.index] = event.reading.probabilities
        table = np.full((count, count), 0.5)
        for place_of, (i, j) in enumerate(passes):
            table[i, j] = read[count + place_of][0]
        yield [score_verdict(read[i]).expected for i in range(count)], table


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=40, help="drawn tournaments of each size")
    parser.add_argument("--spread", type=float, default=1.5, help="standard deviation of the strengths, log-odds")
    parser.add_argument("--bias", type=float, default=0.8, help="for what is shown first, log-odds")
    parser.add_argument("--noise", type=float, default=0.5, help="of a pair against the strengths, log-odds")
    parser.add_argument("--model", type=Path, help="a judge's folder, for real tournaments")
    parser.add_argument("--set", type=Path, help="a direct set with 16 responses an instruction, without its ending")
    parser.add_argument("--instructions", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
