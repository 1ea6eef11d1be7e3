"""From the start of the process to a page that answers, and to the first verdict, with a warm cache.

    python -m perf.first_verdict --home ~/.assay

Starts the real app on a free port several times and drives its page in a headless Chromium. "Page" is when
the Judge button can be pressed; "verdict" when the first verdict, verdict only, stands on the page (the app
started anew, the question new each time). Peak memory is the app's, from the operating system.
"""

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from perf.options import add_home, add_runs, parser_of


def main() -> None:
    from playwright.sync_api import sync_playwright

    options = _options()
    pages, readies, verdicts, peaks = [], [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for run in range(options.runs):
            page = browser.new_page()
            page.goto("about:blank")
            started = time.perf_counter()
            port = _free_port()
            command = [sys.executable, "launch.py", "--home", str(options.home), "--port", str(port), "--no-browser"]
            app = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                _open(page, port)
                page.get_by_role("button", name="Judge", exact=True).wait_for(timeout=60_000)
                pages.append(time.perf_counter() - started)
                early = "libtorch" in Path(f"/proc/{app.pid}/maps").read_text()
                _judge(page, f"Say hello, number {time.time_ns()}.")
                page.locator(".assay-status-ready").wait_for(timeout=120_000)
                readies.append(time.perf_counter() - started)
                page.locator("#verdict .assay-verdict").wait_for(timeout=120_000)
                verdicts.append(time.perf_counter() - started)
                peaks.append(_peak_mb(app.pid))
                print(
                    f"run {run + 1}: page {pages[-1]:.1f} s, judge ready {readies[-1]:.1f} s, first verdict "
                    f"{verdicts[-1]:.1f} s, peak {peaks[-1]:.0f} MB, torch loaded before the page: {early}"
                )
            finally:
                app.terminate()
                app.wait(20)
                page.close()
        browser.close()
    for name, values in (("page", pages), ("judge ready", readies), ("first verdict", verdicts)):
        print(f"{name}: median {statistics.median(values):.1f} s (from {min(values):.1f} to {max(values):.1f})")
    print(f"peak memory of the app: {max(peaks):.0f} MB")


def _open(page: Any, port: int) -> None:
    """Waits for the port outside of the browser, which would spend a core on showing that nobody answers yet."""
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.02)
        else:
            page.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
            return
    raise SystemExit("The page did not open within a minute.")


def _judge(page: Any, instruction: str) -> None:
    from playwright.sync_api import expect

    page.get_by_role("button", name="Score one response").click()
    expect(page.get_by_label("Response", exact=True)).not_to_be_empty()
    page.get_by_label("Instruction", exact=True).fill(instruction)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Write feedback").uncheck()
    page.get_by_role("button", name="Judge", exact=True).click()


def _peak_mb(pid: int) -> float:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(peak.group(1)) / 1024 if peak else float("nan")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_home(parser)
    add_runs(parser, 5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
