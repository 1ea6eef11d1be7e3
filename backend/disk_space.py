"""Whether a disk has room for what is to be written, asked before it is."""

import shutil
from pathlib import Path

from backend.errors import AssayError


def require_space(folder: Path, needed: int, what: str, error: type[AssayError]) -> None:
    """Raises `error`, with the cure, if fewer bytes than `what` needs are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise error(
            f"{what} needs {needed / 1e6:,.0f} MB of free disk space, and {folder} has {free / 1e6:,.0f} MB. "
            "Free some space, or choose a home folder on another disk with --home."
        )
