"""llama.cpp's server as llama-cpp-python starts it, from an environment of its own, for measurements."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

STARTS_WITHIN = 120.0
"""Seconds."""


class LlamaServer:
    """It is asked one prompt at a time, as it answers one at a time; each prompt is new to it when it is asked once."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=600)

    def complete(self, prompt: str, tokens: int) -> str:
        """What it writes after the prompt, greedily, at most so many tokens. Raises httpx2.HTTPError."""
        asked = {"prompt": prompt, "max_tokens": tokens, "temperature": 0.0}
        answer = self._client.post("/v1/completions", json=asked)
        text: str = answer.raise_for_status().json()["choices"][0]["text"]
        return text

    def ready(self) -> bool:
        try:
            return self._client.get("/v1/models").is_success
        except httpx2.TransportError:
            return False

    def close(self) -> None:
        self._client.close()


@contextmanager
def llama_server(python: Path, gguf: Path, *, context: int, threads: int) -> Iterator[LlamaServer]:
    """A running server, ended with the block. Raises RuntimeError if it doesn't start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [str(python), "-m", "llama_cpp.server", "--model", str(gguf), "--port", port, "--n_ctx", str(context)]
    process = subprocess.Popen(
        [*command, "--n_threads", str(threads), "--n_threads_batch", str(threads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = LlamaServer(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + STARTS_WITHIN
        while not server.ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{' '.join(command)} did not start; run it by hand to see why.")
            time.sleep(0.2)
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait()
