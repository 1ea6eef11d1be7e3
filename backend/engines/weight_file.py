"""The weights of a model folder as numpy arrays, read from its safetensors files without torch."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from backend.errors import ModelFilesError, ModelUnsupportedError
from backend.weights import TensorHeader, read_header

Array = NDArray[Any]

STORED = {"F32": numpy.float32, "F16": numpy.float16, "BF16": numpy.uint16}
"""numpy's type for the bytes of each format; it has none for bfloat16, the upper half of a float32."""


@dataclass(frozen=True)
class _Place:
    file: Path
    begin: int
    header: TensorHeader


class Weights:
    """Every tensor of these files by its name; each is read when it is taken.

    Raises ModelFilesError for files that are cut off or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._places = {name: place for file in files for name, place in _places(file)}
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor in float32.

        Raises ModelFilesError if it is missing or of another shape, ModelUnsupportedError for an unknown format.
        """
        place = self._places.get(name)
        if place is None:
            raise ModelFilesError(f"The weights lack {name}, one of the model's tensors. Copy the model again.")
        header = place.header
        if header.shape != shape:
            raise ModelFilesError(f"{name} has the shape {header.shape} instead of {shape}. Copy the model again.")
        if header.dtype not in STORED:
            raise ModelUnsupportedError(f"{name} is stored as {header.dtype}, which the openvino engine can't read.")
        self._taken.add(name)
        stored = numpy.memmap(place.file, STORED[header.dtype], "r", place.begin, shape)
        if header.dtype == "BF16":
            return (stored.astype(numpy.uint32) << 16).view(numpy.float32)
        return stored.astype(numpy.float32)

    def rows(self, name: str) -> int:
        """The length of a matrix's first axis; 0 if there is no such matrix."""
        place = self._places.get(name)
        return place.header.shape[0] if place else 0

    @property
    def left(self) -> list[str]:
        """The names that nobody took."""
        return sorted(self._places.keys() - self._taken)


def _places(file: Path) -> Iterator[tuple[str, _Place]]:
    headers = read_header(file)
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        entries = json.loads(opened.read(length))
    for name, header in headers.items():
        yield name, _Place(file, 8 + length + entries[name]["data_offsets"][0], header)
