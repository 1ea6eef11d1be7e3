"""Items a second, and verdicts lost, beside the peer: prometheus-eval's own PrometheusEval on the same vLLM.

    python -m perf.peer --model FOLDER --vllm-python VENV/bin/python --data FOLDER --items 200

VENV has vLLM, prometheus-eval 0.1.20 and fastchat 0.1.0 (both --no-deps). Both sides get the same weights, number
format, prompts (the peer's, in Mistral's conversation template, which it takes for any model) and sampling: the
peer's default (temperature 1, top-p .9) and greedy. The peer calls vLLM in its own process; ours asks the server
that Assay starts, over HTTP. A score or winner that is there at the end is valid; the peer asks again, up to ten
times, where it can't read one. Loads: items with an instruction each (direct, pairwise in one order), and four
responses to each instruction (shared). Loading is timed for neither. At greedy the peer asks
ten times for a text that its model never ends, which takes hours for 200 items in direct: hence --loads, --samplings.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.benchmarks.labelled import LabelledRow, subset
from backend.benchmarks.rows import load_set
from backend.config import Settings
from backend.engines.base import Engine, ReadingDone
from backend.formats import prompt_format
from backend.models import find_model
from backend.prompts import Prompt
from backend.registry import Registry
from backend.remote import vllm_judge
from backend.types import Reading, Sampling
from backend.vllm_server import find_vllm
from db.session import Store
from perf.options import add_data, add_dtype, add_model, parser_of

DIRECT, PAIRWISE, SHARED = "dev/direct_human_mix", "dev/pairwise_pandalm", "benchmarks/direct_vicuna_bench"
LOADS = ["direct", "pairwise", "shared"]
CHILD = Path(__file__).with_name("vllm_child.py")
MISTRAL = (
    "[INST] {% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}{{ message['content'] }}"
    "{% endfor %} [/INST]"
)
SAMPLINGS = {
    "greedy": {"max_tokens": 1024, "temperature": 0.0},
    "default": {"max_tokens": 1024, "repetition_penalty": 1.03, "temperature": 1.0, "top_p": 0.9},
}


@dataclass(frozen=True)
class Load:
    """Items of one kind; mode "direct" or "pairwise" (A shown first)."""

    name: str
    mode: str
    rows: tuple[LabelledRow, ...]

    def prompts(self) -> list[Prompt]:
        format = prompt_format("prometheus-2")
        if self.mode == "direct":
            return [format.direct(replace(row.item, reference=None), row.rubric, 0) for row in self.rows]
        return [format.pairwise(replace(row.item, reference=None), row.rubric, 0, 1) for row in self.rows]

    def fields(self) -> dict[str, Any]:
        """The arguments of the peer's own functions; the rubrics of scores as the fields of its template."""
        instructions = [row.item.instruction for row in self.rows]
        if self.mode == "pairwise":
            return {
                "instructions": instructions,
                "responses_A": [row.item.responses[0] for row in self.rows],
                "responses_B": [row.item.responses[1] for row in self.rows],
                "rubric": [row.rubric.criterion for row in self.rows],
            }
        return {
            "instructions": instructions,
            "responses": [row.item.responses[0] for row in self.rows],
            "rubric": [
                {"criteria": row.rubric.criterion}
                | {f"score{n}_description": level for n, level in enumerate(row.rubric.levels, start=1)}
                for row in self.rows
            ],
        }


def main() -> None:
    options = _options()
    loads = [load for load in _loads(options.data, options.items) if load.name in options.loads]
    with tempfile.TemporaryDirectory() as folder:
        model = mistral_like(options.model, Path(folder) / "model")
        job = {"kind": "peer", "model": str(model), "dtype": options.dtype, "context": options.context}
        print("load                 items   peer/s lost asked   ours/s lost  ratio")
        for name in options.samplings:
            params = SAMPLINGS[name]
            wanted = [{"mode": load.mode, "fields": load.fields(), "params": params} for load in loads]
            theirs = in_child(options.vllm_python, {**job, "loads": wanted}, Path(folder))
            with our_server(model, options, Path(folder)) as engine:
                for load, peer in zip(loads, theirs, strict=True):
                    _tell(f"{load.name}, {name}", load, peer, engine, params)


def _tell(name: str, load: Load, peer: dict[str, Any], engine: Engine, params: dict[str, Any]) -> None:
    sampling = Sampling(temperature=params["temperature"], top_p=params.get("top_p", 1.0), max_new_tokens=1024)
    prompts = load.prompts()
    assert engine.render(prompts[0]).strip() == peer["calls"][0]["first"].strip(), "both must ask the same"
    seconds, readings = timed(engine, prompts, sampling)
    total = len(prompts)
    valid = sum(reading.result is not None for reading in readings)
    peer_valid = sum(score is not None for score in peer["scores"])
    theirs, ours = peer_valid / peer["seconds"], valid / seconds
    asked = sum(call["prompts"] for call in peer["calls"])
    print(
        f"{name:20s} {total:5d}  {theirs:7.3f} {total - peer_valid:4d} {asked:5d}  {ours:7.3f} {total - valid:4d}  "
        f"{ours / theirs if theirs else float('inf'):.2f}",
        flush=True,
    )


def timed(engine: Engine, prompts: Sequence[Prompt], sampling: Sampling) -> tuple[float, list[Reading]]:
    """How long all of them took together, seconds, and their readings in order."""
    found: dict[int, Reading] = {}
    started = time.perf_counter()
    for event in engine.read(prompts, sampling, threading.Event()):
        if isinstance(event, ReadingDone):
            found[event.index] = event.reading
    return time.perf_counter() - started, [found[index] for index in range(len(prompts))]


def mistral_like(model: Path, folder: Path) -> Path:
    """The model again with the conversation template that the peer uses; the weights are links."""
    folder.mkdir()
    for file in model.iterdir():
        if file.name == "chat_template.jinja":
            (folder / file.name).write_text(MISTRAL, encoding="utf-8")
        elif file.name != "manifest.json":
            (folder / file.name).symlink_to(file.resolve())
    return folder


@contextmanager
def our_server(
    model: Path, options: argparse.Namespace, folder: Path, *, format: str = "prometheus-2"
) -> Iterator[Engine]:
    """Our engine on a vLLM that Assay has started."""
    store = Store(f"sqlite:///{folder / 'assay.db'}")
    store.migrate()
    settings = Settings(
        engine="vllm",
        dtype=options.dtype,
        home=folder,
        vllm_max_model_len=options.context,
        vllm_python=options.vllm_python,
    )
    files = find_model(str(model), folder, prompt_format=format, report=lambda *_: None)
    python = find_vllm(settings.vllm_python)
    served = vllm_judge(files, Registry(store, folder), folder, lambda *_: None, python=python, settings=settings)
    try:
        yield served.engine
    finally:
        served.engine.close()
        store.close()


def in_child(python: Path, job: dict[str, Any], folder: Path) -> Any:
    """The answer of perf/vllm_child.py to this job, run by vLLM's Python."""
    asked, answer = folder / "job.json", folder / "answer.json"
    asked.write_text(json.dumps(job), encoding="utf-8")
    with (folder / "child.log").open("wb") as log:
        done = subprocess.run([python, CHILD, asked, answer], stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit((folder / "child.log").read_text(errors="replace")[-3000:])
    return json.loads(answer.read_text(encoding="utf-8"))


def _loads(data: Path, items: int) -> list[Load]:
    direct = subset(load_set(data / DIRECT), 4 * items, 0).rows
    pairs = subset(load_set(data / PAIRWISE), items, 0).rows
    groups: dict[str, list[LabelledRow]] = {}
    for row in load_set(data / SHARED).rows:
        groups.setdefault(row.item.instruction, []).append(row)
    shared = [row for rows in groups.values() if len(rows) >= 4 for row in rows[:4]]
    single = {row.item.instruction: row for row in direct if row.rubric.levels}
    return [
        Load("direct", "direct", tuple(single.values())[:items]),
        Load("pairwise", "pairwise", tuple(pairs)),
        Load("shared", "direct", tuple(shared[:items])),
    ]


def _options() -> argparse.Namespace:
    parser = parser_of_both(__doc__)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS, help="which to run; all unless said")
    parser.add_argument(
        "--samplings", nargs="+", choices=list(SAMPLINGS), default=list(SAMPLINGS), help="both unless said"
    )
    return parser.parse_args()


def parser_of_both(description: str | None) -> argparse.ArgumentParser:
    """Also of perf.roofline, which runs the same loads in the same two places."""
    parser = parser_of(description)
    add_model(parser)
    parser.add_argument("--vllm-python", type=Path, required=True, help="the Python of an environment with vLLM")
    add_data(parser)
    parser.add_argument("--items", type=int, default=200, help="of each load")
    add_dtype(parser, "float32")
    parser.add_argument("--context", type=int, default=8192, help="tokens")
    return parser


if __name__ == "__main__":
    main()
