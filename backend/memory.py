"""How much memory is free, so that a second model is loaded beside the first only where both fit."""

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
OWN_GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")

WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
SPARE_BYTES = 512 * 2**20
"""Memory that is to stay free beside a second model's weights, for what both compute."""


def bytes_to_serve(weights: int, dtype: str) -> int:
    """What a second model of so many numbers takes in this type: its weights, and room for what both compute."""
    return weights * WEIGHT_BYTES.get(dtype, 4) + SPARE_BYTES


def available_bytes(device: str) -> int | None:
    """Free memory of the device (cpu, cuda or mps); None where the system does not tell.

    On a GPU what its driver says. Else the system's, and no more than this process's control group (version 2,
    as containers have it) leaves. Memory that only holds copies of files counts as free.
    """
    if device == "cuda":
        import torch

        free: int = torch.cuda.mem_get_info()[0]
        return free
    system = _system_bytes()
    group = _group_bytes()
    if system is None or group is None:
        return system
    return min(system, group)


def _system_bytes() -> int | None:
    if MEMINFO.is_file():
        return 1024 * _numbers(MEMINFO)["MemAvailable:"]
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _group_bytes() -> int | None:
    """What the tightest of the groups around this process leaves; None where none of them has a limit."""
    if not OWN_GROUP.is_file():
        return None
    entries = [line.partition("::") for line in OWN_GROUP.read_text().splitlines()]
    own = next((path for number, _, path in entries if number == "0" and path), "/")
    folder = GROUPS / own.lstrip("/")
    left = []
    for group in (folder, *folder.parents):
        limit = group / "memory.max"
        if group.is_relative_to(GROUPS) and limit.is_file() and limit.read_text().strip() != "max":
            used = int((group / "memory.current").read_text()) - _numbers(group / "memory.stat")["inactive_file"]
            left.append(max(0, int(limit.read_text()) - used))
    return min(left, default=None)


def _numbers(path: Path) -> dict[str, int]:
    """The lines "name number ..." of one of the kernel's files."""
    return {line.split()[0]: int(line.split()[1]) for line in path.read_text().splitlines()}
