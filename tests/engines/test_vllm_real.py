"""The real vLLM as our child: the verdicts of the transformers engine, on real items.

It needs a Python that has vLLM (ASSAY_VLLM_PYTHON), a model folder (ASSAY_VLLM_MODEL) and labelled sets
(ASSAY_DATA_FOLDER, see docs/data.md); ASSAY_VLLM_ITEMS says how many items are judged. docs/engines.md has the rest.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.benchmarks.labelled import subset
from backend.benchmarks.rows import load_set
from backend.config import Settings
from backend.engines.base import Engine, ReadingDone
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError
from backend.models import find_model
from backend.prompts import AssayFormat, Prompt
from backend.registry import Registry
from backend.remote import vllm_judge
from backend.served import Served
from backend.types import Reading, Sampling
from backend.vllm_server import find_vllm
from db.session import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("ASSAY_VLLM_PYTHON" not in os.environ, reason="ASSAY_VLLM_PYTHON names no Python with vLLM"),
]
WITH_FEEDBACK = Sampling(max_new_tokens=64)
VERDICT_ONLY = Sampling(feedback=False)
FORMAT = AssayFormat()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    store = Store(f"sqlite:///{home / 'assay.db'}")
    store.migrate()
    settings = Settings(engine="vllm", dtype="float32", home=home)
    files = find_model(os.environ["ASSAY_VLLM_MODEL"], home, prompt_format="assay", report=lambda *_: None)
    served = vllm_judge(
        files,
        Registry(store, home),
        home,
        lambda message, _: print(message),
        python=find_vllm(settings.vllm_python),
        settings=settings,
    )
    yield served
    served.engine.close()
    store.close()
    assert engines() == []


def engines() -> list[psutil.Process]:
    """vLLM's engines and workers on this machine, also those that have lost their parent."""
    running = [one for one in psutil.process_iter(["name", "status"]) if one.info["status"] != psutil.STATUS_ZOMBIE]
    return [one for one in running if (one.info["name"] or "").startswith("VLLM::")]


def prompts() -> list[Prompt]:
    """Half of them direct, half pairwise, from real sets; the same in every run."""
    count = int(os.environ.get("ASSAY_VLLM_ITEMS", "20"))
    folder = Path(os.environ["ASSAY_DATA_FOLDER"]) / "dev"
    direct = subset(load_set(folder / "direct_human_mix"), count - count // 2, 0)
    pairwise = subset(load_set(folder / "pairwise_pandalm"), count // 2, 0)
    return [
        *(FORMAT.direct(row.item, row.rubric, 0) for row in direct.rows),
        *(FORMAT.pairwise(row.item, row.rubric, 0, 1) for row in pairwise.rows),
    ]


def readings(engine: Engine, asked: list[Prompt], sampling: Sampling) -> list[Reading]:
    began = time.monotonic()
    events = engine.read(asked, sampling, threading.Event())
    done = {event.index: event.reading for event in events if isinstance(event, ReadingDone)}
    print(f"{engine.info.name}: {len(asked)} in {time.monotonic() - began:.1f} s")
    return [done[index] for index in range(len(asked))]


@pytest.mark.parametrize("sampling", [VERDICT_ONLY, WITH_FEEDBACK], ids=["verdict only", "with feedback"])
def test_its_verdicts_are_those_of_the_transformers_engine(served: Served, sampling: Sampling) -> None:
    asked = prompts()
    ours = readings(served.engine, asked, sampling)
    local = TransformersEngine(served.files.path, device="cpu", dtype="float32")
    theirs = readings(local, asked, sampling)
    local.close()
    furthest = max(
        abs(a - b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one.probabilities or (), other.probabilities or (), strict=True)
    )
    same = [one.result == other.result for one, other in zip(ours, theirs, strict=True)]
    texts = sum(one.feedback == other.feedback for one, other in zip(ours, theirs, strict=True))
    print(f"{sum(same)} of {len(same)} verdicts and {texts} feedbacks are equal; probabilities within {furthest:.5f}")
    assert sum(same) >= 0.95 * len(same)


def test_many_are_drawn_by_seed_at_once(served: Served) -> None:
    asked = prompts()[:16]
    drawn = readings(served.engine, asked, Sampling(temperature=1.0, top_p=0.9, max_new_tokens=64))
    assert all(one.probabilities is not None for one in drawn)


def test_it_names_itself_and_the_device(served: Served) -> None:
    info = served.engine.info
    assert (info.name, info.dtype) == ("vllm", "float32")
    assert info.version.startswith("vllm 0.")
    assert info.context_tokens > 1000


def test_cancelling_frees_it_at_once(served: Served) -> None:
    cancel = threading.Event()
    asked = served.engine.read(prompts()[:4], Sampling(max_new_tokens=400), cancel)
    next(asked)
    cancel.set()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        list(asked)
    assert time.monotonic() - began < 2
    assert readings(served.engine, prompts()[:1], VERDICT_ONLY)[0].probabilities is not None


def test_a_server_that_is_killed_leaves_no_engine_and_is_started_again(served: Served) -> None:
    before = engines()
    (core,) = [one for one in before if one.info["name"].startswith("VLLM::EngineCor")]
    server = core.parent()
    assert server is not None
    server.kill()
    assert readings(served.engine, prompts()[:1], VERDICT_ONLY)[0].probabilities is not None
    assert not any(one.pid in {other.pid for other in engines()} for one in before)
    assert len(engines()) == len(before)
