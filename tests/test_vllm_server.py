"""vLLM as a child: its log is told, it is started again, and nothing of it is left behind. The child is a stand-in."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config import Settings
from backend.engines.base import ReadingDone
from backend.engines.openai import Connection, OpenAIEngine
from backend.errors import CancelledError, EngineError
from backend.prompts import AssayFormat
from backend.types import Item, Rubric, Sampling
from backend.vllm_server import FOLDER, Phase, VllmOptions, VllmServer, room_beside

FAKE = Path(__file__).parent / "fake_vllm.py"
PROMPT = AssayFormat().direct(Item("Say hello.", ("Hello!",)), Rubric("Is it kind?"), 0)


def silent(message: str, fraction: float | None) -> None:
    """Nobody looks."""


class House:
    """A home, a stand-in for vLLM that follows a plan, and the servers that were made."""

    def __init__(self, folder: Path) -> None:
        self.home, self.plans = folder / "home", folder / "plans"
        self.home.mkdir()
        self.plans.mkdir()
        self.servers: list[VllmServer] = []

    def server(self, *plan: str, options: VllmOptions | None = None) -> VllmServer:
        (self.plans / "plan").write_text("\n".join(plan))
        server = VllmServer(
            [sys.executable, str(FAKE), str(self.plans), "serve"],
            Path("/models/judge"),
            "assay-abc",
            self.home,
            dtype="float32",
            options=options or VllmOptions(),
        )
        self.servers.append(server)
        return server

    @property
    def starts(self) -> list[dict[str, Any]]:
        path = self.plans / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def running(self) -> list[int]:
        """Of all that was ever started, and of what that has started."""
        children = (self.plans / "children").read_text().split() if (self.plans / "children").exists() else []
        return [pid for pid in [*(start["pid"] for start in self.starts), *map(int, children)] if runs(pid)]


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} seconds"
        time.sleep(0.05)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for server in house.servers:
        server.stop()
    assert house.running == []


def engine_of(server: VllmServer) -> OpenAIEngine:
    return OpenAIEngine(Connection(server.address, server.key, server.name, direct=True), None, stop=server.stop)


def read(engine: OpenAIEngine) -> str | None:
    for event in engine.read([PROMPT], Sampling(), threading.Event()):
        if isinstance(event, ReadingDone):
            return event.reading.result
    return None


def test_it_is_started_asked_and_ended_with_all_its_processes(house: House) -> None:
    server = house.server("ok")
    server.start(silent)
    assert server.phase is Phase.UP
    assert len(house.running) == 2
    engine = engine_of(server)
    assert read(engine) == "4"
    engine.close()
    assert house.running == []
    assert list((house.home / FOLDER).iterdir()) == []


def test_what_it_says_while_it_loads_is_told(house: House) -> None:
    told = list[str]()
    house.server("slow").start(lambda message, _: told.append(message))
    assert "Starting vLLM: INFO Loading weights" in told


def test_the_key_is_in_its_environment_and_not_among_its_arguments(house: House) -> None:
    server = house.server("ok")
    server.start(silent)
    (start,) = house.starts
    assert start["key"] == server.key
    lines = [psutil.Process(pid).cmdline() for pid in (*house.running, server.pid)]
    assert not any(server.key in word for line in lines for word in line)


def test_options_are_passed_on_and_prefixes_are_cached(house: House) -> None:
    options = VllmOptions.of(
        Settings(
            vllm_tensor_parallel=2, vllm_quantization="fp8", vllm_memory_share=0.5, vllm_max_model_len=2048,
        ),
        "cuda",
    )  # fmt: skip
    house.server("ok", options=options).start(silent)
    line = " ".join(house.starts[0]["arguments"])
    for expected in (
        "serve /models/judge --host 127.0.0.1", "--served-model-name assay-abc", "--dtype float32",
        "--enable-prefix-caching", "--tensor-parallel-size 2", "--quantization fp8", "--gpu-memory-utilization 0.5",
        "--max-model-len 2048",
    ):  # fmt: skip
        assert expected in line
    assert "chunked" not in line
    assert "block" not in line


def test_on_a_cpu_a_prompt_is_read_whole_since_a_seed_would_end_the_engine() -> None:
    assert "--no-enable-chunked-prefill" in VllmOptions.of(Settings(), "cpu").arguments


def test_on_a_cpu_short_beginnings_are_shared_too() -> None:
    assert "--block-size 32" in " ".join(VllmOptions.of(Settings(), "cpu").arguments)


def test_one_that_dies_while_it_loads_is_an_error_with_the_end_of_its_log(house: House) -> None:
    server = house.server("dies")
    with pytest.raises(EngineError, match="the weights are of clay"):
        server.start(silent)
    assert len(house.starts) == 1


def test_a_port_that_was_taken_meanwhile_is_another_try_with_another_port(house: House) -> None:
    house.server("taken", "ok").start(silent)
    ports = [start["arguments"][start["arguments"].index("--port") + 1] for start in house.starts]
    assert len(set(ports)) == 2


def test_giving_up_while_it_loads_ends_it(house: House) -> None:
    def cancel(message: str, fraction: float | None) -> None:
        if house.starts:
            raise CancelledError("Cancelled.")

    with pytest.raises(CancelledError):
        house.server("hangs").start(cancel)
    assert house.running == []


def test_one_that_is_killed_is_started_again_and_the_question_is_asked_again(house: House) -> None:
    server = house.server("ok")
    server.start(silent)
    engine = engine_of(server)
    assert server.trouble() is None
    os.kill(house.starts[0]["pid"], signal.SIGKILL)
    wait_for(lambda: server.trouble() is not None)
    told = server.trouble()
    assert told is None or (not told.gone and "started again" in told.message)
    assert read(engine) == "4"
    assert server.trouble() is None
    assert len(house.starts) == 2
    assert len(house.running) == 2  # the first one's child went with it
    engine.close()


def test_one_that_dies_in_mid_stream_loses_no_verdict(house: House) -> None:
    server = house.server("dies-after 2", "ok")
    server.start(silent)
    engine = engine_of(server)  # asks once
    assert read(engine) == "4"
    assert len(house.starts) == 2
    engine.close()


def test_one_that_never_comes_up_again_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.vllm_server.LONGEST_PAUSE_SECONDS", 0.05)
    server = house.server("ok", "dies")
    server.start(silent)
    engine = engine_of(server)
    os.kill(house.starts[0]["pid"], signal.SIGKILL)
    wait_for(lambda: server.phase is Phase.FAILED)
    lost = server.trouble()
    assert lost is not None
    assert lost.gone
    assert "the weights are of clay" in lost.message
    with pytest.raises(EngineError, match="the weights are of clay"):
        read(engine)
    assert len(house.starts) == 6
    engine.close()


def test_nothing_is_left_when_our_process_is_killed(house: House) -> None:
    owner = start_in_another_process(house)
    assert len(house.running) == 2
    owner.kill()
    owner.wait()
    wait_for(lambda: house.running == [])


def test_what_a_killed_process_and_its_keeper_left_is_ended_by_the_next_start(house: House) -> None:
    owner = start_in_another_process(house)
    (record,) = (house.home / FOLDER).glob("*.json")
    stop_at_once(json.loads(record.read_text())["group"])  # the keeper is frozen: it can neither look nor end anything
    owner.kill()
    owner.wait()
    left = house.running
    assert len(left) == 2
    house.server("ok").start(silent)
    assert not any(runs(pid) for pid in left)
    assert not record.exists()


def test_the_server_of_another_assay_that_runs_is_left_alone(house: House) -> None:
    owner = start_in_another_process(house)
    before = house.running
    house.server("ok").start(silent)
    assert all(runs(pid) for pid in before)
    owner.kill()
    owner.wait()
    wait_for(lambda: not any(runs(pid) for pid in before))


def test_on_a_cpu_a_second_one_has_what_the_first_ones_cache_leaves() -> None:
    room = room_beside("cpu", None)
    assert room is None or 0 <= room < psutil.virtual_memory().total


def stop_at_once(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def start_in_another_process(house: House) -> "subprocess.Popen[str]":
    """An Assay that has started a server, and waits."""
    (house.plans / "plan").write_text("ok")
    command = [sys.executable, str(FAKE), str(house.plans), "serve"]
    program = (
        "import sys, time; from pathlib import Path; from backend.vllm_server import VllmServer\n"
        f"server = VllmServer({command!r}, Path('/models/judge'), 'assay-abc', Path({str(house.home)!r}),"
        " dtype='float32')\n"
        "server.start(lambda message, fraction: None)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == "up\n"
    return owner
