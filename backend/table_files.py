"""Rows of tables that people upload: CSV, TSV, Excel, JSON, Parquet; hostile files are refused before they are held."""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from backend.errors import InvalidInputError
from backend.row_files import PARQUET_BATCH, RawRow, Unreadable, raw_rows

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")
MAX_COLUMNS = 1_000
MAX_CELL_CHARACTERS = 64_000_000
"""Beyond it a CSV cell is not even read; one that is too long for an item is refused with its row."""
MAX_JSON_BYTES = 100_000_000
"""Of a .json file, which has to be held whole."""
MAX_UNPACKED_BYTES = 200_000_000
"""Of an Excel file, and of one column of one row group of a Parquet file."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
MAX_LINE_BYTES = 64_000_000


def table_rows(place: str) -> Iterator[RawRow]:
    """The rows of a file of one of SUFFIXES, or of a data set on the hub, each a dict by column.

    Raises InvalidInputError for a file that can't be read at all, DataFetchError for the hub.
    """
    path = Path(place)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        if not path.exists() and place.count("/") == 1 and not suffix:
            yield from raw_rows(place)
            return
        raise InvalidInputError(f"{path.name} is of no kind that can be read. Known are {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise InvalidInputError(
            f"There is no file {place}. Name a file, or a data set on the hub as organisation/name."
        )
    match suffix:
        case ".csv" | ".tsv":
            found = _separated_rows(path, "," if suffix == ".csv" else "\t")
        case ".xlsx":
            found = _excel_rows(path)
        case ".parquet":
            found = _parquet_rows(path)
        case _:
            _check_json(path, suffix)
            found = raw_rows(str(path))
    yield from found


def guarded_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: an apostrophe before what looks like one."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _unguarded_cell(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def _separated_rows(path: Path, separator: str) -> Iterator[RawRow]:
    _refuse_other_encoding(path)
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            lines = ((reader.line_num, [_unguarded_cell(cell) for cell in row]) for row in reader if row)
            yield from _with_header(path, lines)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path.name} is not UTF-8 text (byte {error.start + 1:,} of a part of it). Save it as CSV UTF-8."
        ) from error
    except csv.Error as error:
        raise InvalidInputError(f"{path.name} is no table that can be read: {error}. Mend it and try again.") from error


def _excel_rows(path: Path) -> Iterator[RawRow]:
    """Of the first sheet. A formula counts as the value that was last computed for it."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise InvalidInputError(
            f"{path.name} is an Excel file, and the package that reads them is missing. Run `pip install openpyxl`."
        ) from error
    _refuse_zip_bomb(path)
    try:
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # openpyxl raises whatever its parts do, and has no error of its own for a damaged file
        raise InvalidInputError(f"{path.name} can't be read as Excel: {error}. Save it again as .xlsx.") from error
    try:
        sheet = book.worksheets[0]
        cells = ((number, list(row)) for number, row in enumerate(sheet.iter_rows(values_only=True), start=1))
        filled = ((number, row) for number, row in cells if any(value is not None for value in row))
        yield from _with_header(path, filled, pad=True)
    except (KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"{path.name} can't be read as Excel: {error}. Save it again as .xlsx.") from error
    finally:
        book.close()


def _with_header(path: Path, found: Iterable[tuple[int, list[Any]]], *, pad: bool = False) -> Iterator[RawRow]:
    """pad: rows may be shorter than the header, as sheets leave empty cells out."""
    lines = iter(found)
    first = next(lines, None)
    if first is None:
        raise InvalidInputError(f"{path.name} is empty. Choose another file.")
    header = _checked_header(path, first[1])
    count = 0
    for number, row in lines:
        count += 1
        where = f"{path.name}, line {number:,}"
        while pad and len(row) > len(header) and row[-1] is None:
            row.pop()
        if len(row) > len(header) or (len(row) < len(header) and not pad):
            yield RawRow(where, Unreadable(f"It has {len(row):,} cells, but the header has {len(header):,}."))
            continue
        row.extend([None] * (len(header) - len(row)))
        yield RawRow(where, dict(zip(header, row, strict=True)))
    if not count:
        raise InvalidInputError(f"{path.name} holds a header only. Choose a file with rows.")


def _checked_header(path: Path, cells: list[Any]) -> list[str]:
    while cells and cells[-1] in (None, ""):
        cells.pop()
    _require_few_columns(path, len(cells))
    header = ["" if cell is None else str(cell).strip() for cell in cells]
    if "" in header or not header:
        raise InvalidInputError(
            f"{path.name}: column {header.index('') + 1 if header else 1} has no name in the header."
        )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"{path.name} has two columns named {twice[:80]!r}. Rename one of them.")
    return header


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    """Texts stay in Arrow's dictionaries until their row is handed out: one long text may stand for many rows."""
    try:
        from pyarrow import ArrowException, types
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InvalidInputError(
            f"{path.name} is a Parquet file, and the package that reads them is missing. Run `pip install pyarrow`."
        ) from error
    number = 0
    try:
        with ParquetFile(path) as file:
            _refuse_parquet_bomb(path, file.metadata)
            texts = [field.name for field in file.schema_arrow if types.is_string(field.type)]
        with ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                for start in range(0, batch.num_rows, 10):
                    for row in batch.slice(start, 10).to_pylist():
                        number += 1
                        yield RawRow(f"{path.name}, row {number:,}", row)
    except (ArrowException, UnicodeDecodeError, OSError) as error:
        raise InvalidInputError(
            f"{path.name} can't be read as Parquet after row {number:,}: {str(error)[:200]}. Write it again."
        ) from error
    if not number:
        raise InvalidInputError(f"{path.name} holds no rows. Choose another file.")


def _refuse_parquet_bomb(path: Path, metadata: Any) -> None:
    _require_few_columns(path, metadata.num_columns)
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            size = metadata.row_group(group).column(column).total_uncompressed_size
            if size > MAX_UNPACKED_BYTES:
                _refuse_unpacked(path, size)


def _refuse_zip_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidInputError(f"{path.name} can't be read as Excel: {error}. Save it again as .xlsx.") from error
    if size > MAX_UNPACKED_BYTES:
        _refuse_unpacked(path, size)


def _refuse_unpacked(path: Path, size: int) -> None:
    raise InvalidInputError(
        f"{path.name} would unpack to {size / 1e6:,.0f} MB at once; at most {MAX_UNPACKED_BYTES / 1e6:,.0f} are read. "
        "Split it, or save it as CSV or JSON Lines."
    )


def _require_few_columns(path: Path, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise InvalidInputError(f"{path.name} has {columns:,} columns; at most {MAX_COLUMNS:,} are read. Drop some.")


def _check_json(path: Path, suffix: str) -> None:
    if suffix == ".json" and path.stat().st_size > MAX_JSON_BYTES:
        raise InvalidInputError(
            f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB; a .json file may have {MAX_JSON_BYTES / 1e6:,.0f}. "
            "Save it as JSON Lines (.jsonl), one row a line."
        )
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES and suffix == ".jsonl":
                raise InvalidInputError(f"{path.name} has a line of more than {MAX_LINE_BYTES / 1e6:,.0f} MB.")


def _refuse_other_encoding(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4096)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InvalidInputError(f"{path.name} is text in UTF-16. Save it as CSV UTF-8.")
    if b"\x00" in start:
        raise InvalidInputError(f"{path.name} is no text: it holds NUL bytes. Choose another file.")
