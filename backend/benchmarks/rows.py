"""Labelled sets in one small form: items that people or GPT-4 judged, to measure a judge on.

A set lies as gzipped JSON lines, NAME.jsonl.gz or in parts NAME.01of02.jsonl.gz ..., in one of two folders:
benchmarks/ (published sets: measure on them, choose nothing by them) and dev/ (to choose settings on).
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backend.errors import InvalidInputError, NotFoundError
from backend.row_files import RawRow, Unreadable, raw_rows
from backend.rubrics import rubric_of
from backend.types import SCORES, SIDES, Item, Mode, Rubric, digest_of
from db.session import Store
from db.training_queries import standing_labels

BENCHMARKS = "benchmarks"
DEV = "dev"
OWN = "own"
OWN_MODES = (Mode.DIRECT, Mode.PAIRWISE)
PART = re.compile(r"(?:\.\d+of(?P<parts>\d+))?\.jsonl\.gz$")

Label = float | str
"""Of a direct row a score from 1.0 to 5.0; of a pair "A", "B" or "tie"."""
Labeller = Literal["people", "gpt4"]

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


@dataclass(frozen=True)
class LabelledRow:
    """An item, the rubric it was judged by, and what was said of it."""

    id: str
    item: Item
    rubric: Rubric
    label: Label
    labelled_by: Labeller


@dataclass(frozen=True)
class LeftOut:
    """A row that no judge was asked about, or could not read, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class LabelledSet:
    """Rows of one mode. name: folder/file, and how many of how many rows where it is a subset.

    left_out: rows of the set that can't be asked, such as one whose response is empty. They count in its size.
    """

    name: str
    mode: Mode
    rows: tuple[LabelledRow, ...]
    licence: str
    left_out: tuple[LeftOut, ...] = ()

    @property
    def digest(self) -> str:
        """Of the very rows: another subset, rubric or label is another set, a renamed file is not."""
        rows = [[row.id, row.item.digest, row.rubric.digest, row.label] for row in self.rows]
        return digest_of("set", self.mode, rows, [row.id for row in self.left_out])

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.left_out)

    @property
    def is_benchmark(self) -> bool:
        """Whether it is one of the published sets, by which nothing may be chosen."""
        return self.name.startswith(f"{BENCHMARKS}/")


class WantedSet(BaseModel):
    """Which set, and how many of its rows; None is all of them. seed: of the rows that are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int | None = Field(None, ge=1)
    seed: int = 0


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
                places[name] = SetPlace(name, _mode(next(raw_rows(str(file)))), folder / kind / stem)
    return tuple(places.values())


def wanted_set(text: str, *, seed: int = 0) -> WantedSet:
    """ "dev/direct_human_mix", or "dev/direct_human_mix:100" for 100 rows of it. Raises InvalidInputError."""
    name, _, size = text.partition(":")
    try:
        return WantedSet(name=name, size=int(size) if size else None, seed=seed)
    except ValueError as error:
        raise InvalidInputError(
            f"{text!r} names no set. Write FOLDER/NAME, or FOLDER/NAME:ROWS with a whole number of rows from 1."
        ) from error


def open_set(wanted: WantedSet, folder: Path, store: Store) -> LabelledSet:
    """A set of the data folder, or of the store's own labels ("own/direct", "own/pairwise"), or rows of it.

    Raises NotFoundError that lists what is there, and as load_set, own_labels and subset.
    """
    kind, _, name = wanted.name.partition("/")
    if kind == OWN and name in OWN_MODES:
        whole = own_labels(store, Mode(name))
    else:
        known = {place.name: place.path for place in sets_in(folder)}
        if wanted.name not in known:
            there = ", ".join([*known, *(f"{OWN}/{mode}" for mode in OWN_MODES)])
            raise NotFoundError(
                f"There is no set {wanted.name!r} in {folder}. There are: {there}. Name one of them, or another "
                "folder with --data-folder."
            )
        whole = load_set(known[wanted.name])
    return whole if wanted.size is None else subset(whole, wanted.size, wanted.seed)


def load_set(place: Path, *, labelled_by: Labeller | None = None) -> LabelledSet:
    """The set whose file, or parts, begin with this path: FOLDER/NAME.

    labelled_by: None takes people's label where a row has one, else GPT-4's; rows without the label are not in
    the set. Scores on other scales are mapped linearly to 1..5. Raises NotFoundError where there is no such
    file, InvalidInputError for a part that is missing or a row that can't be read.
    """
    raw_lines = [line for file in _files(place) for line in raw_rows(str(file))]
    rows, left_out, licences = [], [], set()
    for line in raw_lines:
        raw = _parsed(line)
        label = raw.label(labelled_by)
        if label is None:
            continue
        licences.add(raw.license)
        try:
            rubric = Rubric(raw.rubric.criteria, tuple(raw.rubric.scores or ())) if raw.rubric else HELPFUL
            item = Item(raw.instruction, raw.responses, raw.reference or None)
        except InvalidInputError as error:
            left_out.append(LeftOut(raw.id, str(error)))
            continue
        rows.append(LabelledRow(raw.id, item, rubric, _checked_label(label[0], line), label[1]))
    if not rows:
        by = {"people": " by people", "gpt4": " by GPT-4", None: ""}[labelled_by]
        raise InvalidInputError(f"The set {place} has no row with a label{by} that can be judged. Choose another set.")
    ids = Counter([*(row.id for row in rows), *(row.id for row in left_out)])
    twice = [row_id for row_id, count in ids.items() if count > 1]
    if twice:
        raise InvalidInputError(f"The set {place} has several rows with the id {twice[0]!r}. Give each its own.")
    name = f"{place.parent.name}/{place.name}"
    return LabelledSet(name, _mode(raw_lines[0]), tuple(rows), "; ".join(sorted(licences)), tuple(left_out))


def subset(labelled: LabelledSet, n: int, seed: int) -> LabelledSet:
    """n rows, as many of each label as in the whole (scores rounded), in the set's own order.

    The same seed draws the same rows, and of two sizes the smaller lies (up to rounding) in the larger, so that
    what a judge has read already is not read again. The whole set where it has no more than n rows.
    """
    if n < 1:
        raise InvalidInputError(f"A subset of {n} rows measures nothing. Ask for at least 1.")
    if n >= len(labelled.rows):
        return labelled
    strata: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(labelled.rows):
        strata[_stratum(row.label)].append(index)
    kept = set[int]()
    for stratum, share in _shares({name: len(indices) for name, indices in strata.items()}, n).items():
        indices = list(strata[stratum])
        random.Random(f"{seed} {stratum}").shuffle(indices)  # noqa: S311 - drawn again from its seed, no secret
        kept.update(indices[:share])
    rows = tuple(row for index, row in enumerate(labelled.rows) if index in kept)
    seeded = f", seed {seed}" if seed else ""
    return LabelledSet(
        f"{labelled.name} ({n:,} of {len(labelled.rows):,}{seeded})", labelled.mode, rows, labelled.licence
    )


def own_labels(store: Store, mode: Mode) -> LabelledSet:
    """What the people of this store say now of the items that were judged: their labels that stand.

    All were given after the verdict was seen. Several people's labels of one item by one rubric are one row: the
    mean score, or the winner that most named ("tie" where A and B were named as often). Of one person's labels
    on verdicts of several judges the last one counts. Raises InvalidInputError where there is none of this mode.
    """
    said: dict[tuple[str, str], dict[int, Label]] = defaultdict(dict)
    asked: dict[tuple[str, str], tuple[Item, Rubric]] = {}
    with store.read() as session:
        for label in session.scalars(standing_labels()):
            verdict = label.verdict
            assert verdict is not None, "a label stands on a verdict"
            opinion = label.score if mode is Mode.DIRECT else label.winner
            if verdict.mode != mode or opinion is None:
                continue
            responses = tuple(response.text for response in verdict.item.responses)
            item = Item(verdict.item.instruction, responses, verdict.item.reference)
            rubric = rubric_of(verdict.rubric_version)
            key = (item.digest, rubric.digest)
            asked[key], said[key][label.author_id] = (item, rubric), opinion
    if not asked:
        raise InvalidInputError(
            f"Nobody has labelled a {mode} verdict yet. Judge something, agree with the verdict or override it, and "
            "measure again."
        )
    rows = tuple(
        LabelledRow(f"own-{key[0][:12]}-{key[1][:8]}", item, rubric, _pooled(list(said[key].values())), "people")
        for key, (item, rubric) in asked.items()
    )
    return LabelledSet(f"own/{mode}", mode, rows, "your own data")


class _Rubric(BaseModel):
    criteria: str
    scores: list[str] | None = None


class _DirectRow(BaseModel):
    id: str
    instruction: str
    response: str
    reference: str | None = None
    rubric: _Rubric | None = None
    scale: tuple[float, float] = (1.0, 5.0)
    human_score: float | None = None
    gpt4_score: float | None = None
    license: str = "not stated"

    @field_validator("scale")
    @classmethod
    def _goes_up(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] < scale[1]:
            raise ValueError("the scale must go from its lowest to its highest score")
        return scale

    @property
    def responses(self) -> tuple[str, ...]:
        return (self.response,)

    def label(self, by: Labeller | None) -> tuple[Label, Labeller] | None:
        low, high = self.scale
        chosen = _chosen(self.human_score, self.gpt4_score, by)
        return chosen and (1 + (float(chosen[0]) - low) * 4 / (high - low), chosen[1])


class _PairRow(BaseModel):
    id: str
    instruction: str
    response_a: str
    response_b: str
    reference: str | None = None
    rubric: _Rubric | None = None
    human_label: Literal["A", "B", "tie"] | None = None
    gpt4_label: Literal["A", "B", "tie"] | None = None
    license: str = "not stated"

    @property
    def responses(self) -> tuple[str, ...]:
        return (self.response_a, self.response_b)

    def label(self, by: Labeller | None) -> tuple[Label, Labeller] | None:
        return _chosen(self.human_label, self.gpt4_label, by)


def _chosen(people: Label | None, gpt4: Label | None, by: Labeller | None) -> tuple[Label, Labeller] | None:
    if people is not None and by != "gpt4":
        return people, "people"
    if gpt4 is not None and by != "people":
        return gpt4, "gpt4"
    return None


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


def _parsed(line: RawRow) -> _DirectRow | _PairRow:
    if isinstance(line.value, Unreadable):
        raise InvalidInputError(f"The row in {line.where} can't be used. {line.value.reason} Remove the line.")
    try:
        if _mode(line) is Mode.PAIRWISE:
            return _PairRow.model_validate(line.value)
        return _DirectRow.model_validate(line.value)
    except ValidationError as error:
        detail = error.errors()[0]
        field = ".".join(str(step) for step in detail["loc"]) or "the row"
        raise InvalidInputError(
            f"The row in {line.where} can't be used: {field}: {detail['msg']}. Correct it or remove the line."
        ) from error


def _checked_label(label: Label, line: RawRow) -> Label:
    if isinstance(label, float) and not 1 <= label <= len(SCORES):
        raise InvalidInputError(
            f"The row in {line.where} has a score that is {label:g} on the scale from 1 to 5. Correct its score or "
            "its scale."
        )
    return label


def _mode(line: RawRow) -> Mode:
    return Mode.PAIRWISE if isinstance(line.value, dict) and "response_a" in line.value else Mode.DIRECT


def _stratum(label: Label) -> str:
    return label if isinstance(label, str) else str(round(label))


def _shares(counts: dict[str, int], n: int) -> dict[str, int]:
    """n split in proportion to the counts: rounded down, the rest to the largest remainders."""
    total = sum(counts.values())
    shares = {name: count * n // total for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(counts[name] * n % total), name))
    for name in by_remainder[: n - sum(shares.values())]:
        shares[name] += 1
    return shares


def _pooled(labels: Sequence[Label]) -> Label:
    scores = [label for label in labels if not isinstance(label, str)]
    if scores:
        return sum(scores) / len(scores)
    votes = Counter(labels)
    a, b = (votes[side] for side in SIDES)
    return "tie" if a == b or votes["tie"] > max(a, b) else SIDES[0] if a > b else SIDES[1]
