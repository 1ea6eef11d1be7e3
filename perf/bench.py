"""A benchmark run beside the bare engine on the same prompts, and the figures of many rows.

    python -m perf.bench --model ~/.assay/models/smollm2-135m-instruct --data FOLDER

Each part of the rows is read by both, by turns first: by the bare engine (prompts in, readings out, nothing kept), and
by a whole run (each reading kept in SQLite, figures with intervals, the tables' values out of the store).
The engine forgets what it has read before each. Then rows of ours are written to a file, read as a set, and all figures
of them are computed, with bootstrap intervals.
"""

import argparse
import gzip
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from backend.bench_found import found
from backend.benchmarks.labelled import LabelledSet, subset
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome, estimates
from backend.benchmarks.rows import WantedSet, load_set, open_set
from backend.measuring import VERDICT_ONLY, measure
from backend.models import find_model
from backend.prompts import AssayFormat, Prompt
from backend.registry import Registry
from backend.served import Served
from backend.types import Mode
from db.session import Store
from perf.options import add_data, add_dtype, add_model, parser_of


@dataclass
class Spent:
    """Seconds by the clock, and of this process's cores, which other programs on the machine change less."""

    clock: float = 0.0
    cores: float = 0.0

    def on(self, work: Callable[[], None]) -> None:
        clock, cores = time.perf_counter(), time.process_time()
        work()
        self.clock += time.perf_counter() - clock
        self.cores += time.process_time() - cores


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as home:
        _beside_engine(options, Path(home))
        _figures(options.many, Path(home))


def _beside_engine(options: argparse.Namespace, home: Path) -> None:
    from perf.engine import _engine

    store = Store(f"sqlite:///{home / 'perf.db'}")
    store.migrate()
    engine = _engine(options)
    files = find_model(str(options.model), home, prompt_format=None, report=lambda *_: None)
    served = Served(engine, files, AssayFormat(), Registry(store, home).record(files))
    whole = open_set(WantedSet(name=options.set, size=options.rows), options.data, store)
    parts = [
        replace(whole, rows=whole.rows[start : start + options.part], left_out=())
        for start in range(0, len(whole.rows), options.part)
    ]
    _bare(engine, _prompts(subset(whole, 1, 0)))  # warm
    bare, run = Spent(), Spent()
    for number, part in enumerate(parts):
        for turn in (number, number + 1):
            engine.forget()
            if turn % 2:
                run.on(partial(_run, served, part, store))
            else:
                bare.on(partial(_bare, engine, _prompts(part)))
    rows = len(whole.rows)
    print(f"{engine.info.version}, {engine.info.dtype}; {rows} rows of {whole.name}, verdict only, by {options.part}")
    print(f"  bare engine     {rows / bare.clock:6.2f} rows/s, {bare.cores:.1f} s of the cores")
    print(f"  benchmark run   {rows / run.clock:6.2f} rows/s, {run.cores:.1f} s of the cores")
    print(f"  of the bare engine: {bare.clock / run.clock:.2f} by the clock, {bare.cores / run.cores:.2f} by the cores")
    engine.close()
    store.close()


def _prompts(labelled: LabelledSet) -> list[Prompt]:
    """Those with a common beginning one after the other, as a run asks them."""
    format = AssayFormat()
    if labelled.mode is Mode.DIRECT:
        prompts = [format.direct(row.item, row.rubric, 0) for row in labelled.rows]
    else:
        prompts = [format.pairwise(row.item, row.rubric, first, 1 - first) for row in labelled.rows for first in (0, 1)]
    return sorted(prompts, key=lambda prompt: prompt.user)


def _bare(engine: Any, prompts: Sequence[Prompt]) -> None:
    for _ in engine.read(prompts, VERDICT_ONLY, threading.Event()):
        pass


def _run(served: Served, part: LabelledSet, store: Store) -> None:
    measured = measure(served, part, store, report=lambda *_: None, cancel=threading.Event())
    with store.read() as session:
        found(session, [(WantedSet(name=part.name), part)], [("judge", (measured.judge_id,))], earlier=())


def _figures(count: int, folder: Path) -> None:
    """Seconds of this process's cores, and all together by the clock."""
    draw = random.Random(0)
    place = folder / "dev" / "direct_many"
    place.parent.mkdir()
    with gzip.open(f"{place}.jsonl.gz", "wt", encoding="utf-8") as file:
        for number in range(count):
            words = " ".join(draw.choices(("tea", "kettle", "steam", "boil", "cup"), k=draw.randint(40, 300)))
            row = {"id": f"r{number}", "instruction": "How do I boil water?", "response": words}
            file.write(json.dumps(row | {"human_score": draw.randint(1, 5), "scale": [1, 5]}) + "\n")
    started, clock = time.process_time(), time.perf_counter()
    labelled = load_set(place)
    loaded = time.process_time() - started
    scores = [
        ScoreOutcome(row.id, float(row.label), min(5.0, max(1.0, float(row.label) + draw.gauss(0, 1.2))), 3, 100)
        for row in labelled.rows
    ]
    scores = [replace(one, score=round(one.expected), length=draw.randint(9, 3_000)) for one in scores]
    pairs = [
        PairOutcome(row.id, draw.choice("AB"), draw.random(), draw.random(), draw.choice("AB")) for row in labelled.rows
    ]
    started = time.process_time()
    estimates(Mode.DIRECT, scores)
    direct = time.process_time() - started
    started = time.process_time()
    estimates(Mode.PAIRWISE, pairs)
    pairwise = time.process_time() - started
    wall = time.perf_counter() - clock
    print(f"{count:,} rows, processor seconds: read from a file {loaded:.2f}, all figures with intervals direct")
    print(f"  {direct:.2f}, pairwise {pairwise:.2f} ({wall:.1f} s by the clock for all three)")


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_model(parser)
    add_data(parser)
    parser.add_argument("--set", default="benchmarks/direct_vicuna_bench")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--part", type=int, default=32, help="rows that are read before the other has its turn")
    parser.add_argument("--many", type=int, default=10_000, help="rows that figures are computed of")
    parser.add_argument("--engine", choices=("openvino", "transformers"), default="openvino")
    add_dtype(parser, "float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
