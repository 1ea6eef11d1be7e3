"""A folder that appears whole or not at all: made in a hidden one beside its place, and renamed when all is in it."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MADE = "made"


@contextlib.contextmanager
def arriving(folder: Path, name: str) -> Iterator[Path]:
    """A workplace on the same disk; its folder MADE becomes `folder` when the block ends. It is removed in any case.

    name: of what is made, for leftovers(). What lies at `folder` is replaced, as by arrive().
    """
    workplace = Path(tempfile.mkdtemp(prefix=f".{name}.partial-", dir=folder.parent))
    try:
        yield workplace
        arrive(workplace / MADE, folder)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def arrive(made: Path, folder: Path) -> None:
    """Move a finished folder to its place on the same disk; by itself where the workplace outlives its process.

    What lies at `folder` is replaced: whole folders arrive here alone, so it is damaged.
    """
    if folder.exists():
        shutil.rmtree(folder)
    made.rename(folder)


def leftovers(parent: Path, name: str) -> Iterator[Path]:
    """The workplaces in which a killed process made `name`; also of one that makes it now, so hold its lock."""
    return parent.glob(f".{name}.partial-*")


def remove_leftovers(parent: Path, name: str) -> None:
    for leftover in leftovers(parent, name):
        shutil.rmtree(leftover, ignore_errors=True)
