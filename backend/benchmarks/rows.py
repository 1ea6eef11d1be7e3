"""Labelled sets out of files, and by name.

A set lies as gzipped JSON lines, NAME.jsonl.gz or in parts NAME.01of02.jsonl.gz ..., in one of two folders:
benchmarks/ (published sets: measure on them, choose nothing by them) and dev/ (to choose settings on).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from backend.benchmarks.labelled import BY, LabelledRow, LabelledSet, Labeller, LeftOut, subset
from backend.benchmarks.own import OWN, OWN_MODES, is_project, own_labels, project_labels
from backend.benchmarks.row_form import checked_label, mode_of, parsed
from backend.errors import InvalidInputError, NotFoundError
from backend.row_files import RawRow, raw_rows
from backend.types import Item, Mode, Rubric
from db.session import Store

BENCHMARKS = "benchmarks"
DEV = "dev"
PART = re.compile(r"(?:\.\d+of(?P<parts>\d+))?\.jsonl\.gz$")

HELPFUL = Rubric(
    "Which response helps the person more with what they asked for?",
    (
        "It does not help at all, or harms.",
        "It helps a little, with large gaps or mistakes.",
        "It helps in part, with some gaps or mistakes.",
        "It helps well, with small gaps.",
        "It helps completely, and nothing in it is wrong or in the way.",
    ),
)
"""For rows that carry no rubric of their own."""


class WantedSet(BaseModel):
    """Which set, and how many of its rows; None is all of them. seed: of the rows that are drawn.

    labelled_by: whose labels, where its rows have those of people and of GPT-4; None: people's where there are any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int | None = Field(None, ge=1)
    seed: int = 0
    labelled_by: Labeller | None = None

    @property
    def whole_name(self) -> str:
        """What the set is called where no rows are drawn."""
        return self.name if self.labelled_by is None else f"{self.name}@{self.labelled_by}"


@dataclass(frozen=True)
class SetPlace:
    """A set that lies in the data folder. name: as "dev/direct_human_mix". path: without part and suffix."""

    name: str
    mode: Mode
    path: Path


def sets_in(folder: Path) -> tuple[SetPlace, ...]:
    """The sets under the data folder's benchmarks/ and dev/, by name. None where there are no such folders.

    Raises InvalidInputError for a file whose first row can't be read.
    """
    places = {}
    for kind in (BENCHMARKS, DEV):
        for file in sorted((folder / kind).glob("*.jsonl.gz")):
            stem = _stem(file)
            name = f"{kind}/{stem}"
            if name not in places:
                places[name] = SetPlace(name, mode_of(next(raw_rows(str(file)))), folder / kind / stem)
    return tuple(places.values())


def wanted_set(text: str, *, seed: int = 0) -> WantedSet:
    """ "dev/direct_human_mix", "dev/direct_human_mix:100" for 100 rows of it, "benchmarks/direct_flask@gpt4" for one
    labeller's labels, "project:NAME" for a project's. Raises InvalidInputError.
    """
    if is_project(text):
        whole, _, rows = text.rpartition(":")
        counted = rows.isdecimal() and is_project(whole)
        return WantedSet(name=whole if counted else text, size=int(rows) if counted else None, seed=seed)
    name, _, size = text.partition(":")
    name, _, labeller = name.partition("@")
    try:
        return WantedSet.model_validate(
            {"name": name, "size": int(size) if size else None, "seed": seed, "labelled_by": labeller or None}
        )
    except ValueError as error:
        raise InvalidInputError(
            f"{text!r} names no set. Write FOLDER/NAME, or FOLDER/NAME:ROWS with a whole number of rows from 1; for "
            "the labels of one kind of labeller FOLDER/NAME@people or FOLDER/NAME@gpt4."
        ) from error


def open_set(wanted: WantedSet, folder: Path, store: Store, *, by_id: int | None = None) -> LabelledSet:
    """A set of the data folder, of the store's own labels ("own/direct", "own/pairwise"), of a project, or rows of it.

    by_id: who asks, needed for a project. Raises NotFoundError that lists what is there, and as load_set, own_labels,
    project_labels and subset.
    """
    kind, _, name = wanted.name.partition("/")
    if kind == OWN and name in OWN_MODES:
        whole = own_labels(store, Mode(name))
    elif is_project(wanted.name):
        whole = project_labels(store, wanted.name, by_id)
    else:
        known = {place.name: place.path for place in sets_in(folder)}
        if wanted.name not in known:
            there = ", ".join([*known, *(f"{OWN}/{mode}" for mode in OWN_MODES)])
            raise NotFoundError(
                f"There is no set {wanted.name!r} in {folder}. There are: {there}. Name one of them, or another "
                "folder with --data-folder."
            )
        whole = load_set(known[wanted.name], labelled_by=wanted.labelled_by)
    return whole if wanted.size is None else subset(whole, wanted.size, wanted.seed)


def load_set(place: Path, *, labelled_by: Labeller | None = None) -> LabelledSet:
    """The set whose file, or parts, begin with this path: FOLDER/NAME.

    Raises NotFoundError where there is no such file, InvalidInputError for a part that is missing, and as set_of.
    """
    raw_lines = [line for file in _files(place) for line in raw_rows(str(file))]
    return set_of(f"{place.parent.name}/{place.name}", raw_lines, labelled_by=labelled_by)


def set_of(name: str, lines: Sequence[RawRow], *, labelled_by: Labeller | None = None) -> LabelledSet:
    """Rows in our form as a set of this name.

    labelled_by: None takes people's label where a row has one, else GPT-4's; rows without the label are not in
    the set. Scores on other scales are mapped linearly to 1..5. Raises InvalidInputError for a row that can't be
    read, for an id that is there twice, and where no row has a label.
    """
    rows, left_out, licences, sources = list[LabelledRow](), list[LeftOut](), set[str](), set[str]()
    for line in lines:
        raw = parsed(line)
        label = raw.label(labelled_by)
        if label is None:
            continue
        licences.add(raw.license)
        sources.add(raw.source)
        try:
            rubric = Rubric(raw.rubric.criteria, tuple(raw.rubric.scores or ())) if raw.rubric else HELPFUL
            item = Item(raw.instruction, raw.responses, raw.reference or None)
        except InvalidInputError as error:
            left_out.append(LeftOut(raw.id, str(error)))
            continue
        also = raw.label("gpt4") if label[1] == "people" else None
        rows.append(
            LabelledRow(
                raw.id, item, rubric, checked_label(label[0], line), label[1],
                also=None if also is None else checked_label(also[0], line), category=raw.category,
            )
        )  # fmt: skip
    if not rows:
        raise InvalidInputError(
            f"The set {name} has no row with a label{BY[labelled_by]} that can be judged. Choose another set."
        )
    _check_ids(name, [*(row.id for row in rows), *(row.id for row in left_out)])
    called = name if labelled_by is None else f"{name}@{labelled_by}"
    source = sources.pop() if len(sources) == 1 else ""
    return LabelledSet(
        called, mode_of(lines[0]), tuple(rows), "; ".join(sorted(licences)), tuple(left_out), source=source
    )


def _check_ids(name: str, ids: Sequence[str]) -> None:
    twice = next((row_id for row_id, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise InvalidInputError(f"The set {name} has several rows with the id {twice!r}. Give each its own.")


def _stem(file: Path) -> str:
    """The set's name: the file's without its suffix and its part."""
    return PART.sub("", file.name)


def _files(place: Path) -> list[Path]:
    files = [file for file in sorted(place.parent.glob("*.jsonl.gz")) if _stem(file) == place.name]
    if not files:
        raise NotFoundError(f"There is no {place.name}.jsonl.gz in {place.parent}. Name the folder that holds it.")
    part = PART.search(files[0].name)
    wanted = int((part and part["parts"]) or 1)
    if len(files) != wanted:
        raise InvalidInputError(
            f"The set {place} has {len(files)} of its {wanted} files. Copy all its parts there, and nothing else."
        )
    return files
