"""vLLM as a child server: started on a free port of this machine, watched, restarted, and never left behind."""

import atexit
import contextlib
import json
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import httpx2

from backend import keeper, vllm_probe
from backend.config import Settings
from backend.errors import EngineError, SettingsError
from backend.memory import available_bytes
from backend.process_group import end_group, group_lives, runs, started_at
from backend.served import Report, Trouble

log = logging.getLogger(__name__)

FOLDER = "vllm"
"""Below the home folder: of every server that runs a record, <run>.json, and what it says, <run>.log."""
LOOK_SECONDS = 0.3
START_SECONDS = 1800.0
"""Large models take minutes to load and to warm up."""
RESTARTS = 5
"""In a row, without a server that came up in between."""
LONGEST_PAUSE_SECONDS = 60.0
PROBE_SECONDS = 300.0
SHOWN_LINES = 8
SHOWN_CHARACTERS = 160
CPU_CACHE_GB = "4"
"""Memory for the key-value cache on CPUs, unless VLLM_CPU_KVCACHE_SPACE says otherwise."""
CPU_BLOCK = 32
"""Tokens; the CPU backend wants a multiple of this."""
PROCESS_BYTES = 3 * 2**30
"""What a vLLM takes on a CPU beside weights and cache."""
SHARE = 0.92
"""Of a GPU's memory, which vLLM takes unless told otherwise."""
PORT_TAKEN = re.compile("address already in use", re.IGNORECASE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class VllmPython:
    """A Python that has vLLM, and what it can serve with. package: vllm or vllm-cpu. device: cuda or cpu."""

    path: Path
    package: str
    version: str
    device: str
    dtype: str

    @property
    def command(self) -> list[str]:
        """What starts the server, up to the model's folder. `vllm serve` of vllm-cpu fails: it looks for its own
        version as that of the package vllm."""
        if self.package == "vllm":
            return [str(self.path), "-m", "vllm.entrypoints.cli.main", "serve"]
        return [str(self.path), "-m", "vllm.entrypoints.openai.api_server", "--model"]


@dataclass(frozen=True)
class VllmOptions:
    """What is passed on to vLLM; None leaves it to vLLM. memory_share: 0..1 of each GPU.

    chunked_prefill: whether a prompt may be read in parts. On a CPU it must not: vLLM 0.32 puts back the random
    generator of a request with a seed whose prompt it has read in part, which torch's CPU generator does not do
    ("CPU Generator does not use offset"), and the whole engine ends. block_size: tokens that are kept for reuse
    together. On a CPU vLLM takes 128, and reads what is left over of a beginning that two prompts share again.
    """

    tensor_parallel: int = 1
    quantization: str | None = None
    memory_share: float | None = None
    max_model_len: int | None = None
    chunked_prefill: bool = True
    block_size: int | None = None

    @classmethod
    def of(cls, settings: Settings, device: str) -> "VllmOptions":
        """device: that vLLM will run on, cuda or cpu."""
        return cls(
            tensor_parallel=settings.vllm_tensor_parallel,
            quantization=settings.vllm_quantization,
            memory_share=settings.vllm_memory_share,
            max_model_len=settings.vllm_max_model_len,
            chunked_prefill=device != "cpu",
            block_size=CPU_BLOCK if device == "cpu" else None,
        )

    @property
    def arguments(self) -> list[str]:
        given = {
            "--quantization": self.quantization,
            "--gpu-memory-utilization": self.memory_share,
            "--max-model-len": self.max_model_len,
            "--block-size": self.block_size,
        }
        pairs = [[name, str(value)] for name, value in given.items() if value is not None]
        whole = [] if self.chunked_prefill else ["--no-enable-chunked-prefill"]
        return ["--tensor-parallel-size", str(self.tensor_parallel), *(part for pair in pairs for part in pair), *whole]


def find_vllm(python: Path | None) -> VllmPython:
    """What the Python of --vllm-python, or this one, has. Raises SettingsError, with the cure, without a vLLM there."""
    path = Path(sys.executable) if python is None else python.expanduser().absolute()
    command = [str(path), "-I", str(Path(vllm_probe.__file__))]
    try:
        done = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, text=True, timeout=PROBE_SECONDS, env=_environment()
        )
        said = json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"{path} can't be asked for vLLM: {error}. Check --vllm-python.") from error
    if said is None:
        raise SettingsError(f"{path} can't be asked for vLLM: {done.stderr.strip()[-300:]}. Check --vllm-python.")
    if said["vllm"] is None:
        raise SettingsError(
            f"{path} has no vLLM. Install requirements-gpu.txt there, or name the Python of an environment that has it "
            "with --vllm-python."
        )
    return VllmPython(path, said["package"], said["vllm"], said["device"], said["dtype"])


def room_beside(device: str, memory_share: float | None) -> int | None:
    """Bytes that a second vLLM could give to a model beside the first; None where that is unknown.

    On a GPU a vLLM takes its whole share of the memory or does not start.
    """
    if device != "cuda":
        free = available_bytes(device)
        cache = int(os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GB)) * 2**30
        return None if free is None else max(0, free - cache - PROCESS_BYTES)
    import torch

    free, total = torch.cuda.mem_get_info()
    return free if free >= (memory_share or SHARE) * total else 0


class Phase(StrEnum):
    STARTING = "starting"
    UP = "up"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class _Record:
    """A server that was started. group: of its processes, the keeper's pid. started, owner_started: of the processes,
    seconds since 1970, to know them from later ones with the same pid."""

    group: int
    started: float
    owner: int
    owner_started: float


class VllmServer:
    """One model behind a vLLM of our own.

    command: starts it, up to the model's folder. name: what it is served as. dtype: as vLLM takes it.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        home: Path,
        *,
        dtype: str,
        options: VllmOptions = VllmOptions(),
    ) -> None:
        self.name = name
        self.key = secrets.token_urlsafe(32)
        self._command = list(command)
        self._model = folder
        self._dtype = dtype
        self._options = options
        self._folder = home / FOLDER
        self._log = self._folder / f"{secrets.token_hex(8)}.log"
        self._record = self._log.with_suffix(".json")
        self._port = 0
        self._phase = Phase.STARTING
        self._failure = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watch-vllm", daemon=True)

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def pid(self) -> int | None:
        """Of the keeper, which leads the group of the server's processes; None while none runs."""
        return None if self._process is None else self._process.pid

    def address(self) -> str | None:
        """Below which the API lies; None while it starts. Raises EngineError when it was given up."""
        if self._phase in (Phase.FAILED, Phase.STOPPED):
            raise EngineError(self._failure or "vLLM was stopped.")
        return f"http://127.0.0.1:{self._port}/v1" if self._phase is Phase.UP else None

    def trouble(self) -> Trouble | None:
        """Why it does not answer now: it is being started again, or was given up."""
        match self._phase:
            case Phase.STARTING:
                return Trouble(f"vLLM ended and is started again: {self._last_line()}", gone=False)
            case Phase.FAILED:
                return Trouble(self._failure, gone=True)
            case _:
                return None

    def start(self, report: Report) -> None:
        """Start it and wait until it answers. Raises EngineError with the log's end, and whatever `report` raises."""
        self._folder.mkdir(parents=True, exist_ok=True)
        end_orphans(self._folder)
        atexit.register(self.stop)
        self._watcher.start()
        try:
            while self._phase is Phase.STARTING:
                report(f"Starting vLLM: {self._last_line()}", None)
                time.sleep(LOOK_SECONDS)
            self.address()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it with all its processes, and wait for that."""
        atexit.unregister(self.stop)
        self._stopping.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
        if self._watcher.is_alive() and threading.current_thread() is not self._watcher:
            self._watcher.join(keeper.GRACE_SECONDS + 5)
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPED
            self._record.unlink(missing_ok=True)
            self._log.unlink(missing_ok=True)

    def _watch(self) -> None:
        """Run it, again and again while it should be there."""
        failures, came_up_once = 0, False
        while not self._stopping.is_set():
            came_up = self._run_once()
            if self._stopping.is_set():
                return
            came_up_once |= came_up
            failures = 1 if came_up else failures + 1
            taken = bool(PORT_TAKEN.search("\n".join(self._lines()[-50:])))
            if failures > RESTARTS or not (came_up_once or taken):
                self._failure = f"vLLM ended while it started. Its log ends with:\n{self._end_of_log()}"
                self._phase = Phase.FAILED
                log.error("%s", self._failure)
                return
            self._phase = Phase.STARTING
            pause = min(2.0 ** (failures - 1), LONGEST_PAUSE_SECONDS)
            log.warning("vLLM ended and is started again in %.0f s. Its log ends with:\n%s", pause, self._end_of_log())
            self._stopping.wait(pause)

    def _run_once(self) -> bool:
        """From its start to its end. Whether it came up."""
        try:
            process = self._launch()
        except OSError as error:
            with self._log.open("a") as file:
                file.write(f"It can't be started: {error}\n")
            return False
        came_up = self._wait_until_up(process)
        if came_up:
            self._phase = Phase.UP
            log.info("vLLM serves %s on port %d (log: %s)", self.name, self._port, self._log)
            process.wait()
        self._phase = Phase.STARTING
        end_group(process.pid)
        process.wait()
        self._process = None
        return came_up

    def _launch(self) -> "subprocess.Popen[bytes]":
        self._port = _free_port()
        keeping = [sys.executable, "-I", str(Path(keeper.__file__)), str(os.getpid())]
        with self._log.open("ab") as file:
            process = subprocess.Popen(  # noqa: S603
                [*keeping, *self._command, *self._arguments()],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_environment() | {"VLLM_API_KEY": self.key},
                start_new_session=True,
            )
        self._process = process
        own = _Record(process.pid, started_at(process.pid), os.getpid(), started_at(os.getpid()))
        self._record.write_text(json.dumps(asdict(own)), "utf-8")
        return process

    def _arguments(self) -> list[str]:
        return [
            str(self._model),
            *("--host", "127.0.0.1"),
            *("--port", str(self._port)),
            *("--served-model-name", self.name),
            *("--dtype", self._dtype),
            "--enable-prefix-caching",
            "--disable-uvicorn-access-log",
            *self._options.arguments,
        ]

    def _wait_until_up(self, process: "subprocess.Popen[bytes]") -> bool:
        """Whether it answers; it does not when it ended, is to end, or took START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and not self._stopping.is_set() and time.monotonic() < deadline:
            if self._answers():
                return True
            self._stopping.wait(LOOK_SECONDS)
        return False

    def _answers(self) -> bool:
        """Whether what listens on the port is ours: it takes the key, and serves the name."""
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            response = httpx2.get(
                f"http://127.0.0.1:{self._port}/v1/models", headers=headers, timeout=5.0, trust_env=False
            )
            return response.status_code == 200 and response.json()["data"][0]["id"] == self.name
        except (httpx2.HTTPError, ValueError, LookupError, TypeError):
            return False

    def _lines(self) -> list[str]:
        try:
            text = self._log.read_bytes()[-20_000:].decode("utf-8", "replace")
        except OSError:
            return []
        return [line.rstrip() for line in COLOUR.sub("", text).splitlines() if line.strip()]

    def _last_line(self) -> str:
        lines = self._lines()
        return lines[-1][:SHOWN_CHARACTERS] if lines else "waiting for its log"

    def _end_of_log(self) -> str:
        return "\n".join([*self._lines()[-SHOWN_LINES:], f"(all of it: {self._log})"]).replace(self.key, "(the key)")


def end_orphans(folder: Path) -> None:
    """End the servers that an Assay has left behind that is no more, and remove what they wrote."""
    for path in sorted(folder.glob("*.json")):
        try:
            record = _Record(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            record = None
        if record is not None:
            if runs(record.owner, record.owner_started):
                continue
            if group_lives(record.group, record.started):
                log.warning("ending a vLLM that was left behind (process group %d)", record.group)
                end_group(record.group)
        path.unlink(missing_ok=True)
        path.with_suffix(".log").unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment() -> dict[str, str]:
    """This process's, without what is ours alone: settings, and keys of other endpoints."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    own = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("ASSAY_")}
    return {"VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GB, "VLLM_NO_USAGE_STATS": "1", **own}
