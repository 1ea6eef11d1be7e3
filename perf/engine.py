"""Our engines in this process beside plain `generate`: the same model and prompts, in one run.

    python -m perf.engine --model ~/.assay/models/smollm2-135m-instruct --data FOLDER/benchmarks [--engine openvino]

The transformers engine runs in plain generate's dtype; openvino in float32, bfloat16 or int8, and generate beside it in
float32, or in bfloat16 with --plain-dtype bfloat16.
openvino forgets the prompts that it has read before each measurement, so that a prompt that is asked again does not
look fast; within a batch it may share what prompts have in common.
Plain generate is what a script of a few lines does: greedy, left-padded batches in the order given.
Both write at most --tokens tokens. Equal output: the share of prompts to which both write the same text
up to where ours ends (ours stops at the result marker).
With --llama-python VENV/bin/python (llama-cpp-python[server]) and --gguf FILE, llama.cpp's server is asked the same
prompts in the same run, one at a time as it takes them.
"""

import argparse
import contextlib
import resource
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.llama_server import LlamaServer, llama_server
from perf.options import HOME, add_dtype, parser_of
from perf.rows import own_direct_items


@dataclass(frozen=True)
class Timed:
    seconds: list[float]
    texts: list[str]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class SideBySide:
    """What is compared, and on what. ids: of the prompts, as ours tokenises them. llama: None without llama.cpp."""

    options: argparse.Namespace
    engine: Any
    plain: Any
    llama: LlamaServer | None
    prompts: list[Any]
    ids: list[list[int]]


def main() -> None:
    options = _options()
    import torch
    from transformers import AutoModelForCausalLM

    prompts = _prompts(options)
    started = time.perf_counter()
    engine = _engine(options)
    print(f"loaded in {time.perf_counter() - started:.1f} s, imports included")
    info = engine.info
    ids = [engine._tokenizer.encode(prompt) for prompt in prompts]
    print(f"{info.version}; {info.device}, {info.dtype}, {torch.get_num_threads()} threads")
    print(f"{len(ids)} prompts of {min(map(len, ids))}-{max(map(len, ids))} tokens, {options.tokens} new tokens")
    own_dtype = "float32" if info.name == "openvino" else info.dtype
    dtype = getattr(torch, options.plain_dtype or own_dtype)
    plain = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).to(info.device).eval()
    with contextlib.ExitStack() as running:
        llama = None
        if options.gguf is not None:
            context, threads = max(map(len, ids)) + options.tokens + 8, torch.get_num_threads()
            llama = running.enter_context(
                llama_server(options.llama_python, options.gguf, context=context, threads=threads)
            )
            llama.complete("Hello", 4)
        side = SideBySide(options, engine, plain, llama, prompts, ids)
        same_one, same_batch = _one_by_one(side), _all_at_once(side)
    print(f"equal output: {same_one} one by one, {same_batch} in batch")
    print(f"peak memory of this process, two copies of the weights: {_peak_mb():.0f} MB")


def _prompts(options: argparse.Namespace) -> list[Any]:
    from backend.benchmarks.rows import load_set
    from backend.prompts import AssayFormat

    if options.data:
        rows = load_set(options.data / "direct_vicuna_bench").rows[: options.prompts]
        asked = [(row.item, row.rubric) for row in rows]
    else:
        asked = own_direct_items(options.prompts)
    return [AssayFormat().direct(item, rubric, 0) for item, rubric in asked]


def _one_by_one(side: SideBySide) -> str:
    """Item by item in turn, so that a slower minute of the machine meets all of them. Returns what was equal."""
    options, engine, plain, llama = side.options, side.engine, side.plain, side.llama
    prompts, ids = side.prompts, side.ids
    writing, silent = _samplings(options)
    plain_one, ours_one, silent_one, llama_one = Timed([], []), Timed([], []), Timed([], []), Timed([], [])
    singles = range(0, len(ids), max(1, len(ids) // options.singles))
    for index in singles:
        _measure(plain_one, lambda i=index: _generate(plain, engine, [ids[i]], options.tokens))
        _measure(ours_one, lambda i=index: _read(engine, [prompts[i]], writing))
        _measure(silent_one, lambda i=index: _read(engine, [prompts[i]], silent))
        if llama is not None:
            _measure(llama_one, lambda i=index: [llama.complete(engine._tokenizer.decode(ids[i]), options.tokens)])
    print(f"one item, median of {len(singles)}:")
    _line("plain generate", plain_one.median, None)
    if llama is not None:
        _line("llama.cpp's server", llama_one.median, plain_one.median)
    _line("ours", ours_one.median, plain_one.median)
    _line("ours, verdict only", silent_one.median, plain_one.median)
    return _equal(plain_one, ours_one)


def _all_at_once(side: SideBySide) -> str:
    """Returns what was equal."""
    options, engine, plain, llama = side.options, side.engine, side.plain, side.llama
    prompts, ids = side.prompts, side.ids
    writing, silent = _samplings(options)
    plain_batch, ours_batch, silent_batch, llama_batch = Timed([], []), Timed([], []), Timed([], []), Timed([], [])
    for start in range(0, len(ids), options.batch):
        _measure(plain_batch, lambda s=start: _generate(plain, engine, ids[s : s + options.batch], options.tokens))
    _measure(ours_batch, lambda: _read(engine, prompts, writing))
    _measure(silent_batch, lambda: _read(engine, prompts, silent))
    total = sum(plain_batch.seconds)
    print(f"all {len(ids)} items (plain generate in batches of {options.batch}), items a second:")
    _rate("plain generate", len(ids), total, None)
    if llama is not None:
        texts = [engine._tokenizer.decode(one) for one in ids]
        _measure(llama_batch, lambda: [llama.complete(text, options.tokens) for text in texts])
        _rate("llama.cpp's server", len(ids), sum(llama_batch.seconds), total)
    _rate("ours", len(ids), sum(ours_batch.seconds), total)
    _rate("ours, verdict only", len(ids), sum(silent_batch.seconds), total)
    return _equal(plain_batch, ours_batch)


def _samplings(options: argparse.Namespace) -> tuple[Any, Any]:
    """With feedback, and the verdict alone."""
    from backend.types import Sampling

    return Sampling(max_new_tokens=options.tokens), Sampling(feedback=False)


def _equal(plain: Timed, ours: Timed) -> str:
    same = [theirs.startswith(own) for theirs, own in zip(plain.texts, ours.texts, strict=True)]
    return f"{sum(same)} of {len(same)}"


def _engine(options: argparse.Namespace) -> Any:
    if options.engine == "openvino":
        from backend.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(options.model, dtype=options.dtype)
    from backend.engines.transformers import TransformersEngine

    return TransformersEngine(options.model, dtype=options.dtype)


def _measure(timed: Timed, work: Any) -> None:
    started = time.perf_counter()
    texts = work()
    timed.seconds.append(time.perf_counter() - started)
    timed.texts.extend(texts)


def _generate(plain: Any, engine: Any, ids: list[list[int]], tokens: int) -> list[str]:
    import torch

    longest = max(map(len, ids))
    pad = engine._tokenizer.end_of_turn
    padded = torch.tensor([[pad] * (longest - len(row)) + row for row in ids], device=plain.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=plain.device)
    with torch.inference_mode():
        output = plain.generate(padded, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=pad)
    return [engine._tokenizer.decode(row) for row in output[:, longest:].tolist()]


def _read(engine: Any, prompts: list[Any], sampling: Any) -> list[str]:
    from backend.engines.base import ReadingDone

    if engine.info.name == "openvino":
        engine.forget()
    texts = [""] * len(prompts)
    for event in engine.read(prompts, sampling, threading.Event()):
        if isinstance(event, ReadingDone):
            texts[event.index] = event.reading.raw_text
    return texts


def _line(name: str, seconds: float, peer: float | None) -> None:
    ratio = "" if peer is None else f"  {peer / seconds:5.2f} times as fast"
    print(f"  {name:22} {seconds:7.2f} s{ratio}")


def _rate(name: str, count: int, seconds: float, peer: float | None) -> None:
    ratio = "" if peer is None else f"  {peer / seconds:5.2f} times"
    print(f"  {name:22} {count / seconds:7.3f}/s{ratio}")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--model", type=Path, default=HOME / "models" / "smollm2-135m-instruct")
    parser.add_argument(
        "--data", type=Path, help="folder with direct_vicuna_bench.jsonl.gz; without it, prompts of ours"
    )
    parser.add_argument("--engine", choices=["transformers", "openvino"], default="transformers")
    add_dtype(parser, "auto")
    parser.add_argument("--plain-dtype", choices=["float32", "bfloat16"], help="of plain generate")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--singles", type=int, default=8, help="how many of them are also timed one by one")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--llama-python", type=Path, help="of an environment with llama-cpp-python[server]")
    parser.add_argument("--gguf", type=Path, help="the same model for llama.cpp")
    options = parser.parse_args()
    if (options.llama_python is None) != (options.gguf is None):
        parser.error("--llama-python and --gguf go together")
    return options


if __name__ == "__main__":
    main()
