"""Brings a published set into the data folder: from the model hub by its name, or from a file in its published form.

Rows are read and checked as a whole before anything is written. Every row says where it comes from (the hub's revision,
or the file's digest), and what is there already is compared and never replaced unasked.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.rows import load_set, set_of
from backend.benchmarks.sets.form import PublishedSet, Row
from backend.errors import ConflictError, InvalidInputError
from backend.row_files import RawRow, hub_revision, hub_rows, is_on_hub, raw_rows

DIGITS = 12


@dataclass(frozen=True)
class Hub:
    """How rows and revisions are fetched: the real hub, unless a test has none."""

    rows: Callable[..., Iterator[RawRow]] = hub_rows
    revision: Callable[[str], str] = hub_revision


@dataclass(frozen=True)
class Got:
    """A set that is in the data folder now. changed: what differs from what was there; empty for a new one.

    odd: that it has other than its published number of rows; empty where it has as many.
    """

    labelled: LabelledSet
    path: Path
    changed: str
    odd: str


def get_set(
    published: PublishedSet, folder: Path, *, place: str | None = None, replace: bool = False, hub: Hub | None = None
) -> Got:
    """Read a published set and write it into the data folder, whole or not at all.

    place: a file in the published form, or a data set on the hub; None takes the hub's known one. replace: whether a
    set of this name that is there and says something else is replaced. Raises NotFoundError where no place is known,
    InvalidInputError for rows in another form, ConflictError for a set that has changed, DataFetchError.
    """
    origin = place or published.hub
    if origin is None:
        raise InvalidInputError(f"{published.name} is not known to be on the hub. {published.cure}")
    raws, source = _from_hub(published, origin, hub or Hub()) if _is_hub(origin, published) else _from_file(origin)
    rows = [{**row, "source": source} for row in published.read(raws)]
    labelled = set_of(published.name, [RawRow(row["id"], row) for row in rows])
    changed = _changes(folder / published.name, labelled)
    if changed and not replace:
        raise ConflictError(f"{changed} Nothing was replaced. Add --replace to measure on the new one from now on.")
    path = _write(folder / f"{published.name}.jsonl.gz", rows)
    odd = ""
    if labelled.size != published.size:
        odd = f"It has {labelled.size:,} rows; {published.size:,} were published."
    return Got(labelled, path, changed, odd)


def _is_hub(origin: str, published: PublishedSet) -> bool:
    return origin == published.hub or is_on_hub(origin)


def _from_hub(published: PublishedSet, name: str, hub: Hub) -> tuple[list[RawRow], str]:
    revision = hub.revision(name)
    raws = [
        raw
        for configuration in published.configurations
        for raw in hub.rows(name, configuration=configuration, split=published.split, revision=revision)
    ]
    return raws, f"{name} on the hub at {revision[:DIGITS]}"


def _from_file(place: str) -> tuple[list[RawRow], str]:
    raws = list(raw_rows(place))
    if not Path(place).is_file():
        raise InvalidInputError(f"{place} names several files. Name the one file as it was published.")
    digest = sha256(Path(place).read_bytes()).hexdigest()
    return raws, f"{Path(place).name}, SHA-256 {digest[:DIGITS]}"


def _changes(place: Path, new: LabelledSet) -> str:
    """How the set that lies there differs from the new one; empty where it does not, or where there is none."""
    if not any(place.parent.glob(f"{place.name}.*jsonl.gz")):
        return ""
    old = load_set(place)
    if old.digest == new.digest:
        return ""
    then, now = ({row.id: row for row in labelled.rows} for labelled in (old, new))
    both = then.keys() & now.keys()
    other = sum(
        (then[one].item, then[one].rubric, then[one].label) != (now[one].item, now[one].rubric, now[one].label)
        for one in both
    )
    return (
        f"The set {new.name} has changed since it was got: {len(now.keys() - both):,} rows are new, "
        f"{len(then.keys() - both):,} are gone, {other:,} say something else (digest {old.digest[:DIGITS]}, now "
        f"{new.digest[:DIGITS]})."
    )


def _write(path: Path, rows: Sequence[Row]) -> Path:
    partial = path.with_name(f"{path.name}.partial")
    stem = path.name.removesuffix(".jsonl.gz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(partial, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        partial.replace(path)
        for part in path.parent.glob(f"{stem}.*of*.jsonl.gz"):
            part.unlink()
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InvalidInputError(
            f"{path} can't be written: {error.strerror}. Choose another folder with --data-folder."
        ) from error
    return path
