"""The processes of a child server: which they are, ended together, and told from later ones with the same number."""

import contextlib
import os
import signal
import time

import psutil

from backend import keeper


def end_group(group: int) -> None:
    """Kill every process of the group, and wait until they are gone, at most keeper.GRACE_SECONDS."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + keeper.GRACE_SECONDS
    while time.monotonic() < deadline and _members(group):
        time.sleep(0.05)


def group_lives(group: int, started: float) -> bool:
    """Whether a process of the group runs whose leader began then, in seconds since 1970.

    A group's number is not given to another process while one of its members lives.
    """
    if psutil.pid_exists(group):
        return runs(group, started)
    return bool(_members(group))


def runs(pid: int, started: float) -> bool:
    """Whether the very process that began then, in seconds since 1970, still runs."""
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def started_at(pid: int) -> float:
    """Seconds since 1970. Raises psutil.NoSuchProcess."""
    return float(psutil.Process(pid).create_time())


def _members(group: int) -> list[int]:
    """The processes of the group that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
