"""Raw rows out of files and from the hub: what a data set is before anything in it is understood."""

import glob
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backend.errors import DataFetchError, InvalidInputError

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")
PARQUET_BATCH = 1_000
"""Rows of a Parquet file that are unpacked at once."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Unreadable:
    """Stands in for a row that could not even be read."""

    reason: str


@dataclass(frozen=True)
class RawRow:
    """One row as it was found. where: its file and its line, or its number from 1. value: JSON, or Unreadable."""

    where: str
    value: Any


def raw_rows(place: str) -> Iterator[RawRow]:
    """The rows of a local file, of the files that a pattern names, or of a data set on the hub.

    place: a file of one of SUFFIXES, a pattern such as "folder/name*.jsonl.gz", or "organisation/name".
    Raises InvalidInputError for a place or a file that can't be read at all, DataFetchError for the hub.
    """
    if is_on_hub(place):
        yield from hub_rows(place)
        return
    for path in _files(place):
        yield from _file_rows(path)


def hub_rows(
    name: str, *, configuration: str | None = None, split: str | None = None, revision: str | None = None
) -> Iterator[RawRow]:
    """The rows of a data set on the model hub, or of a folder in its layout.

    split: None takes "train", or the only one there is. Raises DataFetchError if it can't be had, InvalidInputError if
    it has not that split, or several and none is "train".
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise DataFetchError(
            "Data sets on the hub are read with the package datasets, which is not installed. "
            "Run `pip install datasets`, or download the files and name them instead."
        ) from error
    try:
        splits = load_dataset(name, configuration, revision=revision)
    except (DatasetsError, HfHubHTTPError, httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise DataFetchError(_not_had(name, error)) from error
    wanted = split or ("train" if "train" in splits or len(splits) > 1 else next(iter(splits)))
    if wanted not in splits:
        raise InvalidInputError(
            f"The data set {name} has the splits {', '.join(splits)} and none is named {wanted}. "
            "Download the file of the one you want and name it."
        )
    part = f"{name}, {configuration}" if configuration else name
    for number, row in enumerate(splits[wanted], start=1):
        yield RawRow(f"{part}, row {number:,}", row)


def hub_revision(name: str) -> str:
    """The commit (40 hex digits) that a data set on the hub is at now. Raises DataFetchError."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        revision = HfApi().dataset_info(name).sha
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        raise DataFetchError(_not_had(name, error)) from error
    return str(revision)


def is_on_hub(place: str) -> bool:
    """Whether this names a data set on the hub and no file or pattern."""
    is_file = place.endswith(SUFFIXES) or Path(place).exists()
    return not is_file and _HUB_NAME.fullmatch(place) is not None


def _not_had(name: str, error: Exception) -> str:
    return (
        f"The data set {name} could not be had from the hub: {_first_line(error)}. Check its name and the network; for "
        "a gated one accept its terms and run `hf auth login`; or download its files and name them."
    )


def _files(place: str) -> list[Path]:
    found = [place] if Path(place).exists() else glob.glob(place)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    paths = [Path(name) for name in sorted(found)]
    if not paths:
        raise InvalidInputError(
            f"There is no file {place}. Name a file, a pattern in quotes such as 'folder/name*.jsonl.gz', or a data "
            "set on the hub as organisation/name."
        )
    for path in paths:
        if path.is_dir():
            raise InvalidInputError(f"{path} is a folder. Name its files, for instance '{path / '*.jsonl.gz'}'.")
        if not path.name.endswith(SUFFIXES):
            raise InvalidInputError(f"{path} is of no kind that can be read. Known are {', '.join(SUFFIXES)}.")
    return paths


def _file_rows(path: Path) -> Iterator[RawRow]:
    try:
        if path.stat().st_size == 0:
            raise InvalidInputError(f"{path} is empty. Name another file.")
        if path.suffix == ".parquet":
            yield from _parquet_rows(path)
        elif ".jsonl" in path.suffixes[-2:]:
            yield from _json_lines(path)
        else:
            yield from _json_list(path)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidInputError(f"{path} is damaged or cut off: {error}. Download or copy it again.") from error
    except OSError as error:
        raise InvalidInputError(f"{path} can't be read: {error.strerror or error}.") from error


def _json_lines(path: Path) -> Iterator[RawRow]:
    with _open(path) as lines:
        yield from _line_rows(path, lines)


def _line_rows(path: Path, lines: Iterable[bytes]) -> Iterator[RawRow]:
    found = False
    for number, line in enumerate(lines, start=1):
        if number == 1:
            _refuse_other_encodings(path, line)
        if line.strip():
            found = True
            yield RawRow(f"{path.name}, line {number:,}", _parsed(line))
    if not found:
        raise InvalidInputError(f"{path} holds blank lines only. Name another file.")


def _json_list(path: Path) -> Iterator[RawRow]:
    """A JSON list of rows or a single row; or JSON Lines, which are often named .json too."""
    with _open(path) as file:
        content = file.read()
    _refuse_other_encodings(path, content)
    whole = _parsed(content)
    if isinstance(whole, Unreadable):
        lines = content.splitlines()
        if len(lines) < 2 or not isinstance(_parsed(lines[0]), dict):
            raise InvalidInputError(f"{path} holds no rows that can be read. {whole.reason} Mend the file there.")
        yield from _line_rows(path, lines)
        return
    rows = whole if isinstance(whole, list) else [whole]
    if not rows:
        raise InvalidInputError(f"{path} holds an empty list. Name another file.")
    for number, row in enumerate(rows, start=1):
        yield RawRow(f"{path.name}, row {number:,}", row)


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InvalidInputError(
            f"{path} is a Parquet file, and the package that reads them is not installed. Run `pip install pyarrow`."
        ) from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow(f"{path.name}, row {number:,}", row)
    except (ArrowException, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path} can't be read as Parquet after row {number:,}: {_first_line(error)}. Download or copy it again."
        ) from error
    if not number:
        raise InvalidInputError(f"{path} holds no rows. Name another file.")


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _refuse_other_encodings(path: Path, start: bytes) -> None:
    encoding = _OTHER_ENCODINGS.get(start[:2])
    if encoding is not None:
        raise InvalidInputError(f"{path} is text in {encoding}. Save it in UTF-8.")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unreadable(f"It is not UTF-8 text (byte {error.start + 1:,}).")
    except json.JSONDecodeError as error:
        return Unreadable(f"It is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).")
    except RecursionError:
        return Unreadable("It is not JSON that can be used: it is nested too deeply.")
    except ValueError as error:
        return Unreadable(f"It is not JSON that can be used: {error}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def validated(form: type[M], raw: RawRow, fault: str, cure: str) -> M:
    """The row in this form. Raises InvalidInputError: the row and its field, the fault in words, and the cure."""
    if isinstance(raw.value, Unreadable):
        raise InvalidInputError(f"The row in {raw.where} can't be used. {raw.value.reason} Remove the line.")
    try:
        return form.model_validate(raw.value)
    except ValidationError as error:
        detail = error.errors()[0]
        field = ".".join(str(step) for step in detail["loc"]) or "the row"
        raise InvalidInputError(f"The row in {raw.where} {fault}: {field}: {detail['msg']}. {cure}") from error
