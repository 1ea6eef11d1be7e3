"""The tables of a benchmark run as CSV, Markdown, LaTeX and plain text. Pure."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields

from backend.bench import ReadRow
from backend.bench_table import Line, Table
from backend.table_files import guarded_cell


def as_csv(tables: Sequence[Table]) -> str:
    """Long form: a line a figure, and one a note."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "row", "kind", "set", "figure"])
    for table in tables:
        for line in table.lines:
            for column, text in zip(table.columns, line.texts, strict=True):
                writer.writerow([table.title, line.name, line.kind, column, text])
        writer.writerows([table.title, "", "note", "", guarded_cell(note)] for note in table.notes)
    return out.getvalue()


def items_csv(rows: Sequence[ReadRow]) -> str:
    """The rows behind a figure, a line each; text that a spreadsheet would run is made harmless."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(ReadRow)])
    writer.writerows([guarded_cell("" if value is None else str(value)) for value in astuple(row)] for row in rows)
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


def _latex(text: str) -> str:
    specials = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(specials.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
