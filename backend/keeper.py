"""Runs a command for as long as the process that asked for it lives, and then ends all that the command has started.

A program of its own: `python keeper.py PARENT_PID COMMAND ...`, to be started as the leader of a new session. It is
there because a signal on the parent's death reaches the command alone: the engines that vLLM's server has started
outlive a server that was killed, and keep the GPU's memory (vllm-project/vllm#55510).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

LOOK_SECONDS = 0.2
GRACE_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    asked = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.append(True))
    child = subprocess.Popen(command, preexec_fn=_end_with_parent)  # noqa: PLW1509, S603 - nothing runs beside it here
    while child.poll() is None and os.getppid() == parent and not asked:
        time.sleep(LOOK_SECONDS)
    if child.poll() is None:
        os.killpg(0, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
    print(f"The server has ended (status {child.poll()}).", flush=True)
    os.killpg(0, signal.SIGKILL)


def _end_with_parent() -> None:
    """If this keeper is killed itself, Linux at least asks the command to end; the next start ends the rest."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
