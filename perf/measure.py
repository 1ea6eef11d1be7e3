"""How well judges agree with the labels of sets: every figure with its interval, several judges side by side.

    python -m perf.measure --model FOLDER --model BASE --data FOLDER \\
        --set benchmarks/direct_vicuna_bench:160 --set dev/pairwise_pandalm:200 --home H --verdict-only

--set NAME:N takes N rows, as many of each label as in the whole. All readings are kept in measure.db under --home,
so a second run asks only what is missing. With several models, each is also compared with the first on the same
rows (a paired bootstrap). pearson with the length alone and longer_wins are baselines that read nothing.
"""

import argparse
import threading
import time
from collections import Counter
from pathlib import Path

from backend.benchmarks.rows import LabelledSet, open_set, wanted_set
from backend.measuring import Measured, measure
from backend.serving import Served
from backend.types import Sampling
from db.session import Store


def main() -> None:
    options = _options()
    options.home.mkdir(parents=True, exist_ok=True)
    sampling = Sampling(feedback=not options.verdict_only, max_new_tokens=options.max_new_tokens)
    store = Store(f"sqlite:///{options.home / 'measure.db'}")
    store.migrate()
    sets = [open_set(wanted_set(text, seed=options.seed), options.data, store) for text in options.set]
    measured: list[list[Measured]] = []
    for model in options.model:
        served = _load(model, options, store)
        print(f"{served.files.name}: {served.engine.info.version}, {served.engine.info.dtype}", flush=True)
        measured.append([_timed(served, labelled, store, sampling, model) for labelled in sets])
        served.engine.close()
    for index, labelled in enumerate(sets):
        _print(labelled, options.model, [of_model[index] for of_model in measured])
    store.close()


def _load(model: str, options: argparse.Namespace, store: Store) -> Served:
    from backend.loading import load_judge
    from backend.models import find_model
    from backend.registry import Registry

    def quiet(message: str, fraction: float | None) -> None:
        pass

    files = find_model(model, options.home, prompt_format=options.prompt_format, report=quiet)
    return load_judge(files, Registry(store, options.home), quiet, device="auto", dtype=options.dtype)


def _timed(served: Served, labelled: LabelledSet, store: Store, sampling: Sampling, model: str) -> Measured:
    started = last = time.monotonic()

    def report(message: str, fraction: float | None) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            print(f"  {message}", flush=True)

    result = measure(served, labelled, store, report=report, cancel=threading.Event(), sampling=sampling)
    print(f"  {labelled.name}: {time.monotonic() - started:.1f} s", flush=True)
    return result


def _print(labelled: LabelledSet, models: list[str], measured: list[Measured]) -> None:
    print(f"\n{labelled.name}  ({labelled.licence})")
    for model, one in zip(models, measured, strict=True):
        print(f"  {model}: {len(one.outcomes)} of {one.total} rows were read")
        for reason, count in Counter(left_out.reason for left_out in one.unread).items():
            print(f"    not read: {count} rows: {reason}")
        for figure in one.estimates:
            line = f"    {figure.metric:24} {_figure(figure.value, figure.low, figure.high)}  n {figure.n:5}"
            if one is not measured[0] and figure.value is not None:
                apart = one.difference(measured[0], figure.metric)
                line += f"   minus the first {_figure(apart.value, apart.low, apart.high)}"
            print(f"{line}  {figure.missing}".rstrip())


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return f"{'-':>7}"
    interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"{value:+7.3f}{interval}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, help="a folder, a hub name or starter; repeatable")
    parser.add_argument("--set", action="append", required=True, help="FOLDER/NAME or FOLDER/NAME:ROWS; repeatable")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds benchmarks/ and dev/")
    parser.add_argument("--home", type=Path, default=Path("~/.assay").expanduser())
    parser.add_argument("--verdict-only", action="store_true", help="ask for the verdict without feedback")
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompt-format", choices=["assay", "prometheus-2"])
    parser.add_argument("--seed", type=int, default=0, help="of the rows that are drawn")
    return parser.parse_args()


if __name__ == "__main__":
    main()
