"""The tables of a benchmark run, in the paper's layout: one of direct assessment, one of pairwise ranking. Pure.

A row is a judge; published rows and the baselines that read nothing stand below, marked as such.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backend.benchmarks.labelled import Labeller
from backend.benchmarks.licences import restrictions
from backend.benchmarks.metrics import Estimate, Metric
from backend.benchmarks.published import DIRECT_PLACES, PUBLISHED, SOURCE, Place, Reference
from backend.model_views import DIGITS
from backend.sweep_results import HEADLINE
from backend.types import Mode

BASELINE: Mapping[Mode, Metric] = {Mode.DIRECT: Metric.LENGTH_PEARSON, Mode.PAIRWISE: Metric.LONGER_WINS}
TITLES: Mapping[Mode, str] = {
    Mode.DIRECT: "Direct assessment: Pearson of the expected score with the label",
    Mode.PAIRWISE: "Pairwise ranking: accuracy by the mean of both orders, without ties",
}
CHANCE: Mapping[Mode, float] = {Mode.DIRECT: 0.0, Mode.PAIRWISE: 0.5}
Kind = Literal["ours", "baseline", "published"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BenchSet(_Value):
    """A set of the run. name: as it was asked for. shown: how many of how many rows too. whole: all its rows.

    changed: that it was another when it was measured before; empty where it was not. labelled_by: who gave all of its
    labels; None where that is not one kind of labeller, or not known.
    """

    name: str
    shown: str
    digest: str
    mode: Mode
    size: int
    licence: str
    whole: bool
    changed: str = ""
    labelled_by: Labeller | None = None

    @property
    def place(self) -> Place:
        """Where a published figure of it stands: pairs have people's labels there, scores GPT-4's if nothing says."""
        people = self.labelled_by == "people" or (self.labelled_by is None and self.mode is Mode.PAIRWISE)
        return self.name, Reference.PEOPLE if people else Reference.GPT4


class BenchCell(_Value):
    """A judge on a set. read: the rows that it could read, of total: figures are over these, and both are shown.

    minus_first: each figure minus the first judge's, with its paired interval; empty for the first judge.
    """

    read: int
    total: int
    figures: tuple[Estimate, ...]
    minus_first: tuple[Estimate, ...]

    def figure(self, metric: Metric) -> Estimate:
        return next(figure for figure in self.figures if figure.metric is metric)


class BenchRow(_Value):
    """A judge. judge: as it was asked for. cells: in the order of the run's sets."""

    judge: str
    model: str
    model_digest: str
    engine: str
    cells: tuple[BenchCell, ...]


class BenchResult(_Value):
    """What a run has found."""

    sets: tuple[BenchSet, ...]
    rows: tuple[BenchRow, ...]

    def names(self) -> tuple[str, ...]:
        """The judges' models by name; two that share one also by their digest."""
        called = [row.model for row in self.rows]
        return tuple(
            row.model if called.count(row.model) == 1 else f"{row.model} {row.model_digest[:DIGITS]}"
            for row in self.rows
        )

    def tables(self) -> tuple["Table", ...]:
        """One a mode that the run has sets of, and what the paper has of them with other reference judges."""
        made = (*(_table(self, mode) for mode in Mode), _references(self))
        return tuple(table for table in made if table is not None)


@dataclass(frozen=True)
class Line:
    """A row of a table. texts: one a column; empty where there is no figure."""

    name: str
    kind: Kind
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Ready to print: columns are sets."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def figure_text(figure: Estimate) -> str:
    """Three digits with the 95% interval; "undefined" where there is no value."""
    if figure.value is None:
        return "undefined"
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{interval}"


def as_csv(tables: Sequence[Table]) -> str:
    """Long form: a line a figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "row", "kind", "set", "figure"])
    for table in tables:
        for line in table.lines:
            for column, text in zip(table.columns, line.texts, strict=True):
                writer.writerow([table.title, line.name, line.kind, column, text])
    return out.getvalue()


def as_markdown(tables: Sequence[Table]) -> str:
    """GitHub's tables, with the notes below each."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(
        "\n".join(
            [
                f"**{table.title}**\n",
                row(["", *table.columns]),
                row(["---"] * (len(table.columns) + 1)),
                *(row([_marked(line, "*{}*".format), *line.texts]) for line in table.lines),
                "",
                *(f"- {note}" for note in table.notes),
                "",
            ]
        )
        for table in tables
    )


def as_latex(tables: Sequence[Table]) -> str:
    """A booktabs table each."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(map(_latex, cells)) + r" \\"

    lines = list[str]()
    for table in tables:
        lines += [r"\begin{table}", rf"\caption{{{_latex(table.title)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule", row(["", *table.columns])]
        lines += [r"\midrule", *(row([line.name, *line.texts]) for line in table.lines), r"\bottomrule"]
        lines += [r"\end{tabular}", r"\end{table}", *(f"% {note}" for note in table.notes), ""]
    return "\n".join(lines)


def as_text(tables: Sequence[Table]) -> str:
    """For a terminal."""
    lines = list[str]()
    for table in tables:
        names = [_marked(line, "({})".format) for line in table.lines]
        widths = [max(map(len, column)) for column in _columns(table, names)]
        lines += [table.title, _padded(["", *table.columns], widths)]
        lines += [_padded([name, *line.texts], widths) for name, line in zip(names, table.lines, strict=True)]
        lines += [*table.notes, ""]
    return "\n".join(lines)


def _columns(table: Table, names: Sequence[str]) -> list[list[str]]:
    texts = [[column, *(line.texts[index] for line in table.lines)] for index, column in enumerate(table.columns)]
    return [["", *names], *texts]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _marked(line: Line, mark: Callable[[str], str]) -> str:
    return line.name if line.kind == "ours" else mark(line.name)


def _table(result: BenchResult, mode: Mode) -> Table | None:
    places = [index for index, one in enumerate(result.sets) if one.mode is mode]
    if not places:
        return None
    sets = [result.sets[index] for index in places]
    named = list(zip(result.names(), result.rows, strict=True))
    ours = [
        Line(name, "ours", tuple(figure_text(row.cells[index].figure(HEADLINE[mode])) for index in places))
        for name, row in named
    ]
    if mode is Mode.PAIRWISE:
        ours += [
            Line(
                f"{name}, order-sensitive share", "ours",
                tuple(figure_text(row.cells[index].figure(Metric.ORDER_SENSITIVE)) for index in places),
            )
            for name, row in named
        ]  # fmt: skip
    first = result.rows[0]
    baselines = [
        Line("the longer response", "baseline",
             tuple(figure_text(first.cells[index].figure(BASELINE[mode])) for index in places)),
        Line("chance", "baseline", tuple(f"{CHANCE[mode]:.3f}" for _ in places)),
    ]  # fmt: skip
    published = [
        Line(one.judge, "published", tuple(_figure(one.figures, set_.place) for set_ in sets))
        for one in PUBLISHED
        if any(set_.place in one.figures for set_ in sets)
    ]
    return Table(
        TITLES[mode],
        tuple(one.shown for one in sets),
        (*ours, *baselines, *published),
        _notes(result, places, published),
    )


def _figure(figures: Mapping[Place, float], place: Place) -> str:
    return f"{figures[place]:.3f}" if place in figures else ""


def _references(result: BenchResult) -> Table | None:
    """What the paper has of the run's direct sets with every reference judge; None where it has nothing."""
    names = {one.name for one in result.sets}
    places = [place for place in DIRECT_PLACES if place[0] in names]
    if not places:
        return None
    lines = tuple(
        Line(
            one.judge,
            "published",
            tuple(f"{one.figures[place]:.3f}" if place in one.figures else "" for place in places),
        )
        for one in PUBLISHED
    )
    return Table(
        "Published: Pearson with each reference judge",
        tuple(f"{name}, {reference}" for name, reference in places),
        lines,
        (f"Of whole sets: {SOURCE}.",),
    )


def _notes(result: BenchResult, places: Sequence[int], published: Sequence[Line]) -> tuple[str, ...]:
    notes = ["Ours are asked for the verdict on the rows named in the column, with 95% bootstrap intervals over rows."]
    if published:
        notes.append(f"Published, of whole sets: {SOURCE}.")
    for index in places:
        one = result.sets[index]
        if one.changed:
            notes.append(one.changed)
        if forbids := restrictions(one.licence):
            notes.append(f"{one.name}: {one.licence}: {forbids}.")
        if not one.whole:
            notes.append(f"{one.shown} is a seeded, stratified subset; published figures are of the whole set.")
        notes += [
            f"{name} could not read {cell.total - cell.read} of {cell.total} rows of {one.shown}; its figures are "
            f"over {cell.read}."
            for name, row in zip(result.names(), result.rows, strict=True)
            if (cell := row.cells[index]).read < cell.total
        ]
    return tuple(notes)


def _latex(text: str) -> str:
    specials = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(specials.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
