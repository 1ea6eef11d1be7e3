"""A linear merge of two Mistral-7B-shaped models by Assay, beside mergekit-yaml on the same files, in one run.

    python -m perf.merge --folder /data/merge            # 45 GB of disk
    python -m perf.merge --folder /tmp/merge --layers 2  # 4 GB

Makes the two models first (random bfloat16 weights, shard by shard). Both programs are timed in turn, each with the
files out of the page cache, and their memory is watched: VmHWM counts the mapped pages of the parents' files, which
the system can take back, and RssAnon does not. Ours checks, hashes and syncs what it wrote; mergekit-yaml does not.
The floor is reading both models and writing and syncing one, without computing anything. The digests of the parents
are computed once for each model, as they are in use, and are timed apart.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.options import parser_of

HIDDEN, INNER, KEY_VALUE, VOCABULARY = 4096, 14336, 1024, 32000
SHARD_BYTES = 5_000_000_000
CHUNK = 16 * 2**20
MB = 1e6


@dataclass(frozen=True)
class Run:
    """One merge: wall time, and the peak memory of the process that did it (bytes; anonymous: without files)."""

    seconds: float
    peak: int
    anonymous: int


def main() -> None:
    options = _options()
    total = 2 * sum(_elements(shape) for _, shape in _tensors(options.layers))
    _check_space(options.folder, total)
    parents = [_made(options.folder / name, options.layers, seed) for seed, name in enumerate(("direct", "pairwise"))]
    home = options.folder / "home"
    home.mkdir(exist_ok=True)
    spec, digest_seconds = _described(parents, home)
    configuration = options.folder / "merge.yaml"
    configuration.write_text(spec.mergekit_yaml())
    print(f"each model: {total / MB:,.0f} MB; its digest, once: {digest_seconds / 2:.1f} s")
    programs: dict[str, Callable[[], None]] = {
        "mergekit-yaml": lambda: _mergekit(configuration, options.folder / "theirs"),
        "assay": lambda: _ours(spec, home),
    }
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    floors = []
    for round_ in range(options.rounds):
        order = list(programs) if round_ % 2 == 0 else list(reversed(programs))
        for name in order:
            _forget(parents)
            runs[name].append(_watched(programs[name]))
            _print_run(name, runs[name][-1])
            shutil.rmtree(options.folder / "theirs", ignore_errors=True)
            shutil.rmtree(home / "models", ignore_errors=True)
        _forget(parents)
        floors.append(_floor(parents, options.folder / "floor", total))
        print(f"floor: {floors[-1]:.1f} s")
    ours, theirs = (statistics.median(run.seconds for run in runs[name]) for name in ("assay", "mergekit-yaml"))
    print(f"assay {ours:.1f} s, mergekit-yaml {theirs:.1f} s: {ours / theirs:.2f} times its wall time (target 1.25)")
    print(f"floor {statistics.median(floors):.1f} s: assay takes {ours / statistics.median(floors):.1f} times as long")
    print(f"peak memory of assay's merge: {max(run.peak for run in runs['assay']) / MB:,.0f} MB (target 4,000)")
    if not options.keep:
        for folder in (*parents, home):
            shutil.rmtree(folder)
        configuration.unlink()


def _tensors(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of a Mistral with so many layers; 32 of them make the 7B."""
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", (HIDDEN,)
        yield f"{prefix}.post_attention_layernorm.weight", (HIDDEN,)
        for name, shape in (("q", (HIDDEN, HIDDEN)), ("k", (KEY_VALUE, HIDDEN)), ("v", (KEY_VALUE, HIDDEN))):
            yield f"{prefix}.self_attn.{name}_proj.weight", shape
        yield f"{prefix}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        for name, shape in (("gate", (INNER, HIDDEN)), ("up", (INNER, HIDDEN)), ("down", (HIDDEN, INNER))):
            yield f"{prefix}.mlp.{name}_proj.weight", shape
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def _elements(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def _made(folder: Path, layers: int, seed: int) -> Path:
    """The model folder; made unless an earlier run has left it there whole (its index is written last)."""
    index = folder / "model.safetensors.index.json"
    if index.is_file() and json.loads((folder / "config.json").read_text())["num_hidden_layers"] == layers:
        return folder
    from transformers import MistralConfig

    from tests.tiny import make_tiny_model

    print(f"making {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    make_tiny_model(folder)  # for its tokenizer and template
    (folder / "model.safetensors").unlink()
    MistralConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=layers,
        num_attention_heads=HIDDEN // 128, num_key_value_heads=KEY_VALUE // 128, tie_word_embeddings=False,
        dtype="bfloat16", architectures=["MistralForCausalLM"],
    ).save_pretrained(folder)  # fmt: skip
    index.write_text(json.dumps({"weight_map": _write_shards(folder, layers, seed)}))
    return folder


def _write_shards(folder: Path, layers: int, seed: int) -> dict[str, str]:
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    weight_map: dict[str, str] = {}
    shard: dict[str, Any] = {}

    def flush() -> None:
        name = f"model-{len(set(weight_map.values())) + 1:05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, name))
        shard.clear()

    for name, shape in _tensors(layers):
        if shard and sum(tensor.nbytes for tensor in shard.values()) + 2 * _elements(shape) > SHARD_BYTES:
            flush()
        shard[name] = torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
    flush()
    return weight_map


def _described(parents: list[Path], home: Path) -> tuple[Any, float]:
    from backend.mergeable import describe

    began = time.perf_counter()
    spec = describe("linear", home, lambda *_: None, direct=parents[0], pairwise=parents[1], alpha=0.5)
    return spec, time.perf_counter() - began


def _ours(spec: Any, home: Path) -> None:
    from backend.merging import merge

    merge(spec, home, lambda *_: None, threading.Event())


def _mergekit(configuration: Path, out: Path) -> None:
    command = [Path(sys.executable).parent / "mergekit-yaml", configuration, out]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def _watched(program: Callable[[], None]) -> Run:
    """Run it, and look at the memory of the processes that it starts twenty times a second."""
    peaks, stop = [0, 0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for status in _children():
                for position, field in enumerate(("VmHWM", "RssAnon")):
                    found = re.search(rf"{field}:\s+(\d+) kB", status)
                    peaks[position] = max(peaks[position], int(found.group(1)) * 1024 if found else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    program()
    seconds = time.perf_counter() - began
    stop.set()
    watcher.join()
    return Run(seconds, *peaks)


def _children() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            status = path.read_text()
        except OSError:  # it has just ended
            continue
        if re.search(rf"^PPid:\s+{os.getpid()}$", status, re.MULTILINE):
            yield status


def _floor(parents: list[Path], scratch: Path, total: int) -> float:
    began = time.perf_counter()
    buffer = bytearray(CHUNK)
    for parent in parents:
        for shard in sorted(parent.glob("*.safetensors")):
            with shard.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
    with scratch.open("wb", buffering=0) as file:
        for _ in range(0, total, CHUNK):
            file.write(buffer)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    scratch.unlink()
    return seconds


def _forget(parents: list[Path]) -> None:
    """Have the system drop the models from its page cache, so that each program reads them from the disk."""
    os.sync()
    for parent in parents:
        for shard in parent.glob("*.safetensors"):
            with shard.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _print_run(name: str, run: Run) -> None:
    print(
        f"{name}: {run.seconds:.1f} s, peak {run.peak / MB:,.0f} MB (VmHWM), {run.anonymous / MB:,.0f} MB (RssAnon)",
        flush=True,
    )


def _check_space(folder: Path, total: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    there = sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))
    needed, free = 3.1 * total - there, shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"This takes {needed / MB:,.0f} MB of disk, and {folder} has {free / MB:,.0f} MB free. "
            "Choose a smaller model with --layers, or another --folder."
        )


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="Where the models are made.")
    parser.add_argument("--layers", type=int, default=32, help="Of the models; 32 are the 7B's, 1 makes 960 MB.")
    parser.add_argument("--rounds", type=int, default=1, help="How often both are timed.")
    parser.add_argument("--keep", action="store_true", help="Keep the two models for the next time.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
