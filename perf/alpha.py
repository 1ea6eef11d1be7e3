"""Live alpha beside a merge on disk, and what a sweep costs beside the judging it does.

    python -m perf.alpha --home ~/.assay
    python -m perf.alpha --direct FOLDER --pairwise FOLDER

Without experts, two random perturbations of the starter's base stand in for them: as large, as slow, and no judges.
First: alpha is moved and one short verdict-only question answered, live; then the same by a mergekit merge to disk
and a load of what it wrote. Second: a sweep of nine alphas over a few rows of ours, against the seconds that its
engines worked on readings.
"""

import argparse
import gzip
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from perf.options import add_dtype, add_home, parser_of
from perf.rows import own_direct_items

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NEVER = threading.Event()


def main() -> None:
    options = _options()
    options.home.mkdir(parents=True, exist_ok=True)
    direct, pairwise = options.direct, options.pairwise
    if direct is None or pairwise is None:
        direct, pairwise = _stand_ins(options.home)
    with tempfile.TemporaryDirectory(dir=options.home, prefix="perf-alpha-") as folder:
        work = Path(folder)
        live = _live(direct, pairwise, work, options)
        merged = _merged(direct, pairwise, work, options)
        print(
            f"alpha moved to first verdict: live {live:.2f} s, merge and load {merged:.2f} s, {merged / live:.1f} times"
        )
        _sweep(direct, pairwise, work, options)


def _live(direct: Path, pairwise: Path, home: Path, options: argparse.Namespace) -> float:
    """Median seconds from a moved alpha to the verdict."""
    from backend.live_alpha import LiveAlpha
    from backend.registry import Registry
    from db.session import Store

    store = Store(f"sqlite:///{home / 'live.db'}")
    store.migrate()
    started = time.perf_counter()
    live = LiveAlpha(direct, pairwise, home, Registry(store, home), _quiet, dtype=options.dtype)
    engine = live.at(0.45).engine
    _ask(engine)
    info = engine.info
    print(f"{info.version}; {info.device}, {info.dtype}; loaded in {time.perf_counter() - started:.1f} s")
    whole, mixing = [], []
    for alpha in (*ALPHAS, *reversed(ALPHAS)):
        started = time.perf_counter()
        served = live.at(alpha)
        mixing.append(time.perf_counter() - started)
        _ask(served.engine)
        whole.append(time.perf_counter() - started)
    print(f"  live: median {statistics.median(whole):.2f} s (from {min(whole):.2f} to {max(whole):.2f})", end="")
    print(f", of it mixing {statistics.median(mixing):.2f} s")
    live.close()
    store.close()
    return statistics.median(whole)


def _merged(direct: Path, pairwise: Path, home: Path, options: argparse.Namespace) -> float:
    """Median seconds of a merge on disk, the load of it and one verdict."""
    from backend.engines.transformers import TransformersEngine
    from backend.mergeable import describe
    from backend.merging import merge

    whole = []
    for alpha in ALPHAS[: options.merges]:
        started = time.perf_counter()
        spec = describe("linear", home, _quiet, direct=direct, pairwise=pairwise, alpha=alpha)
        folder = merge(spec, home, _quiet, NEVER)
        merging = time.perf_counter() - started
        engine = TransformersEngine(folder, dtype=options.dtype)
        _ask(engine)
        whole.append(time.perf_counter() - started)
        print(f"  on disk, alpha {alpha:g}: {whole[-1]:.2f} s, of it mergekit {merging:.2f} s")
        engine.close()
        shutil.rmtree(folder)
    return statistics.median(whole)


def _sweep(direct: Path, pairwise: Path, home: Path, options: argparse.Namespace) -> None:
    from sqlalchemy import func, select

    from backend.registry import Registry
    from backend.sweep_spec import read_sweep
    from backend.sweeps import Sweeps
    from backend.users import owner
    from db.models import Reading
    from db.session import Store

    _write_sets(home / "data" / "dev", options.rows)
    store = Store(f"sqlite:///{home / 'sweep.db'}")
    store.migrate()
    spec = read_sweep(
        {
            "direct": direct, "pairwise": pairwise, "alphas": ALPHAS, "dtype": options.dtype,
            "sets": [{"name": "dev/direct_own"}, {"name": "dev/pairwise_own"}],
        }
    )  # fmt: skip
    sweeps, asker = Sweeps(store, Registry(store, home), home, home / "data"), owner(store)

    def timed(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    took = timed(lambda: sweeps.run(spec, asker, _quiet, NEVER))
    with store.read() as session:
        count, judging = session.execute(select(func.count(Reading.id), func.sum(Reading.seconds))).one()
    again = timed(lambda: sweeps.run(spec, asker, _quiet, NEVER))
    print(
        f"sweep of {len(ALPHAS)} alphas and both experts, {count} readings: {took:.1f} s, judging alone {judging:.1f} s"
    )
    print(f"  {took / judging:.3f} times the judging; from the store {again:.1f} s, without loading anything ", end="")
    print(f"{timed(lambda: sweeps.result(spec, asker)):.1f} s")
    store.close()


def _ask(engine: object) -> None:
    from backend.prompts import AssayFormat
    from backend.types import Item, Rubric, Sampling

    prompt = AssayFormat().direct(Item("What is the capital of France?", ("Paris.",)), Rubric("Is it correct?"), 0)
    for _ in engine.read([prompt], Sampling(feedback=False), NEVER):  # type: ignore[attr-defined]
        pass


def _stand_ins(home: Path) -> tuple[Path, Path]:
    """Two folders as large as the starter's experts; made once."""
    import torch
    from safetensors.torch import load_file, save_file

    from backend.starter import prepare_starter

    base = prepare_starter(home, _quiet)
    folders = (home / "perf-alpha-direct", home / "perf-alpha-pairwise")
    for seed, folder in enumerate(folders):
        if folder.exists():
            continue
        noise = torch.Generator().manual_seed(seed)
        shutil.copytree(base, folder, ignore=shutil.ignore_patterns("manifest.json", "model.safetensors"))
        tensors = {
            name: (tensor.float() * (1 + 0.02 * torch.randn(tensor.shape, generator=noise))).to(torch.bfloat16)
            for name, tensor in load_file(base / "model.safetensors").items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folders


def _write_sets(folder: Path, rows: int) -> None:
    folder.mkdir(parents=True)
    items = own_direct_items(rows)
    rubric = {"criteria": items[0][1].criterion, "scores": items[0][1].levels}
    shared = {"rubric": rubric, "license": "ours"}
    direct = [
        {"id": f"d{n}", "instruction": item.instruction, "response": item.responses[0], "human_score": 1 + n % 5}
        for n, (item, _) in enumerate(items)
    ]
    pairwise = [
        {
            "id": f"p{n}", "instruction": item.instruction, "human_label": "AB"[n % 2],
            "response_a": item.responses[0][:400], "response_b": items[n - 1][0].responses[0][:300],
        }
        for n, (item, _) in enumerate(items[: rows // 2])
    ]  # fmt: skip
    for name, written in (("direct_own", direct), ("pairwise_own", pairwise)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps({**row, **shared}) + "\n" for row in written)


def _quiet(message: str, fraction: float | None) -> None:
    """Nobody watches."""


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_home(parser)
    parser.add_argument("--direct", type=Path, help="folder of the direct-assessment expert")
    parser.add_argument("--pairwise", type=Path, help="folder of the pairwise expert")
    add_dtype(parser, "auto")
    parser.add_argument("--merges", type=int, default=3, help="how many merges on disk are timed")
    parser.add_argument("--rows", type=int, default=8, help="of the sweep's direct set; half as many pairs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
