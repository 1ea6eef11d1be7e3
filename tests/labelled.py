"""Small labelled sets, as files in the published form and as values: what measuring and sweeps are tested on."""

import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backend.benchmarks.labelled import LabelledRow, LabelledSet
from backend.engines.base import EngineEvent, EngineInfo, ReadingDone
from backend.errors import CancelledError, EngineError, PromptTooLongError
from backend.models import ModelFiles
from backend.prompts import AssayFormat, Prompt
from backend.registry import Registry
from backend.served import Served
from backend.types import Finish, Item, Mode, Reading, Rubric, Sampling, Status
from db.session import Store

RUBRIC = {"criteria": "Is it kind?", "scores": ["cruel", "cold", "polite", "warm", "loving"]}
KIND = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))


def direct_row(number: int, **changes: Any) -> dict[str, Any]:
    """A response that people scored 1 to 5 by turns."""
    return {
        "id": f"d{number}", "instruction": "Say hello.", "response": "Hello, " + "my friend " * (number % 7),
        "reference": None, "rubric": RUBRIC, "scale": [1, 5], "human_score": float(1 + number % 5),
        "gpt4_score": None, "license": "MIT", "meta": {},
    } | changes  # fmt: skip


def pairwise_row(number: int, **changes: Any) -> dict[str, Any]:
    """A pair that people gave to A, to B and to neither by turns."""
    return {
        "id": f"p{number}", "instruction": "Say hello.", "response_a": f"Hello, friend {number}.",
        "response_b": "Go away" + "!" * (number % 9), "reference": None, "rubric": None,
        "human_label": ("A", "B", "tie")[number % 3], "gpt4_label": None, "license": "MIT", "meta": {},
    } | changes  # fmt: skip


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def write_sets(folder: Path, count: int) -> Path:
    """A data folder with dev/direct_kind, dev/pairwise_kind and benchmarks/direct_bench of so many rows each."""
    write_rows(folder / "dev" / "direct_kind.jsonl.gz", [direct_row(number) for number in range(count)])
    write_rows(folder / "dev" / "pairwise_kind.jsonl.gz", [pairwise_row(number) for number in range(count)])
    write_rows(folder / "benchmarks" / "direct_bench.jsonl.gz", [direct_row(number) for number in range(count)])
    return folder


def direct_set(count: int, *, name: str = "dev/direct_kind") -> LabelledSet:
    """Responses of different texts, labelled 1 to 5 by turns."""
    rows = tuple(
        LabelledRow(f"d{n}", Item("Say hello.", (f"Hello, friend {n}.",)), KIND, 1.0 + n % 5, "people")
        for n in range(count)
    )
    return LabelledSet(name, Mode.DIRECT, rows, "MIT")


def pairwise_set(count: int) -> LabelledSet:
    rows = tuple(
        LabelledRow(f"p{n}", Item("Say hello.", (f"Hello, friend {n}.", f"Go away, {n}!")), KIND, "AB"[n % 2], "people")
        for n in range(count)
    )
    return LabelledSet("dev/pairwise_kind", Mode.PAIRWISE, rows, "MIT")


class Scripted:
    """Fault injection: an engine that answers by the prompt's own characters, and fails or stops where it is told to.

    fails_at: after so many readings it raises. cancels_at: after so many it sets the caller's cancel.
    too_long: prompts of more characters don't fit. silent: it gives no probabilities.
    """

    info = EngineInfo("scripted", "1", "cpu", "float32", 1000)

    def __init__(
        self,
        *,
        fails_at: int | None = None,
        cancels_at: int | None = None,
        too_long: int = 10**9,
        silent: bool = False,
    ) -> None:
        self.fails_at, self.cancels_at, self.too_long, self.silent = fails_at, cancels_at, too_long, silent
        self.asked: list[Prompt] = []

    def render(self, prompt: Prompt) -> str:
        return prompt.user

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        if len(prompt.user) > self.too_long:
            raise PromptTooLongError(prompt_tokens=len(prompt.user), answer_tokens=32, context_tokens=1000)
        return len(prompt.user)

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        for index, prompt in enumerate(prompts):
            if len(self.asked) == self.fails_at:
                raise EngineError("The engine fell over.")
            if len(self.asked) == self.cancels_at:
                cancel.set()
            if cancel.is_set():
                raise CancelledError("Cancelled.")
            self.asked.append(prompt)
            yield ReadingDone(index, self._reading(prompt))

    def close(self) -> None:
        pass

    def _reading(self, prompt: Prompt) -> Reading:
        weights = [1 + (sum(map(ord, prompt.user)) * (place + 3)) % 11 for place in range(len(prompt.results))]
        probabilities = None if self.silent else tuple(weight / sum(weights) for weight in weights)
        status = Status.UNPARSED if self.silent else Status.READ
        return Reading(status, "", "", prompt.results, probabilities, Finish.NOT_ASKED, 9, 0, 0.01)


def served_by(store: Store, home: Path, engine: object, *, digest: str = "d" * 64) -> Served:
    files = ModelFiles(
        name="tiny", kind="external", path=home / "tiny", digest=digest, architecture="LlamaForCausalLM",
        bytes=1, prompt_format="assay", recipe=None,
    )  # fmt: skip
    return Served(engine, files, AssayFormat(), Registry(store, home).record(files))  # type: ignore[arg-type]
