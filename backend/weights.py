"""What safetensors files say of themselves: every tensor's name, format and shape, read without loading any."""

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import ModelFilesError

LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header; the format's own limit."""
FETCH_AGAIN = "The download or the copy is incomplete: fetch the model again."


@dataclass(frozen=True)
class TensorHeader:
    """dtype: as safetensors writes it, for instance BF16 or F32. shape: () for a single number."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def read_headers(paths: Iterable[Path]) -> dict[str, TensorHeader]:
    """Every tensor of these files by its name. Raises as read_header does, and for a name that two files hold."""
    tensors: dict[str, TensorHeader] = {}
    for path in paths:
        header = read_header(path)
        twice = sorted(tensors.keys() & header.keys())
        if twice:
            raise ModelFilesError(f"{path} holds {twice[0]}, which another file of the same model holds too.")
        tensors |= header
    return tensors


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The tensors of one file by their names.

    Raises ModelFilesError where its length is not what its header promises (8 bytes of length, JSON, then
    the tensors), or where the header can't be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LONGEST_HEADER
        if 8 + length > size or length > LONGEST_HEADER:
            raise ModelFilesError(
                f"{path} is cut off, or no safetensors file: its {size:,} bytes don't hold the header. {FETCH_AGAIN} "
                "(A file of about a hundred bytes is only Git LFS's pointer: run `git lfs pull`.)"
            )
        header = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        end = max(int(entry["data_offsets"][1]) for entry in entries.values())
        tensors = {
            name: TensorHeader(str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
            for name, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelFilesError(f"{path} is damaged: its header can't be read. {FETCH_AGAIN}") from error
    if 8 + length + end != size:
        raise ModelFilesError(f"{path} has {size:,} bytes, and its header promises {8 + length + end:,}. {FETCH_AGAIN}")
    return tensors
