"""Ctrl-C: the app ends at once, also while a page is open."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_an_open_page_does_not_hold_up_the_end(tmp_path: Path) -> None:
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
            page.read()  # to a proper end: a stream that nobody told to end is cut off after 5 s, which raises here
        app.communicate(timeout=60)
        assert app.returncode == 0
    finally:
        app.kill()
        app.communicate()
