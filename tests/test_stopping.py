"""Ctrl-C: the app ends by itself and cleanly, also while a page is open and in the first moment of its life."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_an_interrupt_during_the_start_with_a_page_open_ends_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "launch.py", "--home", str(tmp_path), "--port", str(port), "--no-browser"]
    app = subprocess.Popen(
        [*command, "--model", str(tmp_path / "none")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert app.stdout is not None
        assert "Assay is open" in app.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/gradio_api/heartbeat/a-page", timeout=30) as page:
            assert page.read(len("data: ALIVE"))
            app.send_signal(signal.SIGINT)
            page.read()
        app.communicate(timeout=60)
        assert app.returncode == 0
    finally:
        app.kill()
        app.communicate()
