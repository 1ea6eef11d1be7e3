"""The files of a build of preferences: only ever appended to, on the disk line by line, to go on from after a kill."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout

from backend.errors import AssayError, ConflictError, InvalidInputError
from backend.training_rows import RefusedRow

_BEGINNING = b'{"pair_key": "'
"""How every line of a build begins."""


class BuildJournal:
    """The pairs that are done, in the file out, and those refused, in out + ".refused"; one run at a time holds them.

    known: the keys of both. refused: as they are listed. Entering raises InvalidInputError if the files can't be
    written or are not a build's, ConflictError if another run holds them or they were begun with another seed.
    """

    def __init__(self, out: Path, seed: int) -> None:
        if not out.name.endswith(".jsonl"):
            raise InvalidInputError(f"--out is {out}; give it a name that ends in .jsonl.")
        self._seed = seed
        self._out = out
        self._refused_path = out.with_name(out.name + ".refused")
        self._lock = FileLock(str(out) + ".lock")
        self._files = contextlib.ExitStack()
        self.known: set[str] = set()
        self.refused: list[RefusedRow] = []

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConflictError(f"Another build writes {self._out}. Wait for it, or choose another --out.") from error
        except OSError as error:
            raise InvalidInputError(f"{self._out} can't be written: {error.strerror}. Choose another --out.") from error
        self._files.callback(self._lock.release)
        try:
            for line in _lines(self._out):
                self._know(line, self._out)
            for line in _lines(self._refused_path):
                self._know(line, self._refused_path)
                self.refused.append(RefusedRow(str(line.get("where")), str(line.get("reason"))))
            self._written = self._files.enter_context(self._out.open("ab"))
            self._refusals = self._files.enter_context(self._refused_path.open("ab"))
        except OSError as error:
            self._files.close()
            raise InvalidInputError(f"{self._out} can't be written: {error.strerror}. Choose another --out.") from error
        except AssayError:
            self._files.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, key: str, line: dict[str, Any]) -> None:
        _append(self._written, {"pair_key": key, "seed": self._seed} | line)

    def refuse(self, key: str, where: str, reason: str, attempts: int) -> None:
        self.refused.append(RefusedRow(where, reason))
        line = {"pair_key": key, "seed": self._seed, "where": where, "reason": reason, "attempts": attempts}
        _append(self._refusals, line)

    def _know(self, line: dict[str, Any], path: Path) -> None:
        key, seed = line.get("pair_key"), line.get("seed")
        if not isinstance(key, str):
            raise InvalidInputError(f"{path} holds rows that were not built here. Choose another --out.")
        if seed != self._seed:
            raise ConflictError(
                f"{path} was begun with the seed {seed}, not {self._seed}. Give --seed {seed}, or choose another --out."
            )
        self.known.add(key)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's lines; a last one that was only half written is cut off. Nothing if there is no file.

    Raises InvalidInputError, with the file as it was, if it is not one that BuildJournal writes.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        whole = 0
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                _require_own_beginning(path, line)
                file.truncate(whole)
                return
            whole += len(line)
            yield _parsed(path, number, line)


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(
            f"Line {number:,} of {path} is not JSON: {error}. Mend it, or choose another --out."
        ) from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"Line {number:,} of {path} was not built here. Choose another --out.")
    return value


def _require_own_beginning(path: Path, half: bytes) -> None:
    """A half line is cut off only if it is the beginning of one of ours, or zeros after a loss of power."""
    ours = half.startswith(_BEGINNING) or _BEGINNING.startswith(half) or not half.strip(b"\0")
    if not ours:
        raise InvalidInputError(f"{path} holds rows that were not built here. Choose another --out.")


def _append(file: BinaryIO, line: dict[str, Any]) -> None:
    """On the disk when this returns. Raises InvalidInputError if the disk is full or gone."""
    try:
        file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise InvalidInputError(
            f"{file.name} can't be written any more: {error.strerror}. Free some space and run the command again: it "
            "goes on where it stopped."
        ) from error
