"""Whether another engine gives the verdicts of the transformers engine in float32, on labelled items.

    python -m perf.equality --model FOLDER --data FOLDER/dev --items 200 [--dtype int8|bfloat16] [--verdict-only]

Half of the items are scored, half are pairs in both orders (the winner by the mean of both). Equal: the same score
or the same winner. For items that differ, how near the reference itself was to a tie is printed too.
--reference openvino takes this engine's own float32, several times as fast, where its graph has been found equal.
"""

import argparse
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.benchmarks.labelled import subset
from backend.benchmarks.rows import load_set
from backend.engines.base import Engine, ReadingDone
from backend.prompts import AssayFormat
from backend.types import Sampling
from perf.options import add_data, add_dtype, add_model, parser_of

DIRECT, PAIRWISE = "direct_human_mix", "pairwise_pandalm"


@dataclass(frozen=True)
class Asked:
    """prompts: of every direct item one, then of every pair two, one an order."""

    prompts: list[Any]
    direct: int
    pairs: int


def main() -> None:
    options = _options()
    asked = _asked(options.data, options.items)
    sampling = Sampling(feedback=not options.verdict_only, max_new_tokens=options.tokens)
    expected = _distributions(_engine(options.reference, options.model, "float32"), asked, sampling)
    got = _distributions(_engine("openvino", options.model, options.dtype), asked, sampling)
    _direct(expected[: asked.direct], got[: asked.direct])
    _pairwise(expected[asked.direct :], got[asked.direct :])


def _asked(folder: Path, items: int) -> Asked:
    direct = subset(load_set(folder / DIRECT), items - items // 2, 0).rows
    pairs = subset(load_set(folder / PAIRWISE), items // 2, 0).rows
    format = AssayFormat()
    prompts = [format.direct(row.item, row.rubric, 0) for row in direct]
    for row in pairs:
        prompts += [format.pairwise(row.item, row.rubric, 0, 1), format.pairwise(row.item, row.rubric, 1, 0)]
    return Asked(prompts, len(direct), len(pairs))


def _engine(name: str, model: Path, dtype: str) -> Engine:
    if name == "transformers":
        from backend.engines.transformers import TransformersEngine

        return TransformersEngine(model, device="cpu", dtype=dtype)
    from backend.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, dtype=dtype)


def _distributions(engine: Engine, asked: Asked, sampling: Sampling) -> list[tuple[float, ...]]:
    print(f"{engine.info.name} {engine.info.dtype}: {len(asked.prompts)} prompts", flush=True)
    found: dict[int, tuple[float, ...]] = {}
    for event in engine.read(asked.prompts, sampling, threading.Event()):
        if isinstance(event, ReadingDone):
            assert event.reading.probabilities is not None
            found[event.index] = event.reading.probabilities
    engine.close()
    return [found[index] for index in range(len(asked.prompts))]


def _direct(expected: list[tuple[float, ...]], got: list[tuple[float, ...]]) -> None:
    apart = [abs(_score(one) - _score(other)) for one, other in zip(expected, got, strict=True)]
    flips = [one for one, other in zip(expected, got, strict=True) if _top(one) != _top(other)]
    _equal("scores", len(expected), [_margin(one) for one in flips])
    print(f"  expected score apart: mean {statistics.mean(apart):.4f}, most {max(apart):.4f}")


def _pairwise(expected: list[tuple[float, ...]], got: list[tuple[float, ...]]) -> None:
    means = [_first_wins(expected, index) for index in range(0, len(expected), 2)]
    others = [_first_wins(got, index) for index in range(0, len(got), 2)]
    flips = [abs(2 * one - 1) for one, other in zip(means, others, strict=True) if (one > 0.5) != (other > 0.5)]
    _equal("winners", len(means), flips)
    apart = [abs(one - other) for one, other in zip(means, others, strict=True)]
    print(f"  probability that the first wins, apart: mean {statistics.mean(apart):.4f}, most {max(apart):.4f}")


def _equal(what: str, count: int, margins: list[float]) -> None:
    near = ", ".join(f"{margin:.4f}" for margin in sorted(margins))
    print(f"{what}: {count - len(margins)} of {count} equal; margins of the reference where not: {near or 'none'}")


def _first_wins(distributions: list[tuple[float, ...]], index: int) -> float:
    return (distributions[index][0] + distributions[index + 1][1]) / 2


def _score(probabilities: tuple[float, ...]) -> float:
    return sum(score * probability for score, probability in enumerate(probabilities, 1))


def _top(probabilities: tuple[float, ...]) -> int:
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def _margin(probabilities: tuple[float, ...]) -> float:
    best, second = sorted(probabilities, reverse=True)[:2]
    return best - second


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_model(parser)
    add_data(parser, f"folder with {DIRECT} and {PAIRWISE}")
    parser.add_argument("--items", type=int, default=200)
    add_dtype(parser, "auto")
    parser.add_argument("--reference", choices=["transformers", "openvino"], default="transformers")
    parser.add_argument("--verdict-only", action="store_true")
    parser.add_argument("--tokens", type=int, default=128)
    return parser.parse_args()


if __name__ == "__main__":
    main()
