"""The benchmarks page's texts and tables, every text escaped."""

from collections.abc import Sequence

from backend.bench import SetState
from backend.bench_table import Line, Table
from backend.benchmarks.published import WHERE
from ui.shell import escape

NO_RUN = (
    "<p class='assay-note'>No run yet. Choose judges and sets, and start one: it goes on behind this page, and after a "
    "restart where it was.</p>"
)
MARKS = {"ours": "", "baseline": "reads nothing", "published": "published"}


def set_words(state: SetState) -> str:
    """Its name, what it holds, and under which licence."""
    rows = "" if state.size is None else f"{state.size:,} rows, "
    return f"{state.name} ({state.mode}; {rows}{state.licence})"


def lacking(names: Sequence[str]) -> str:
    """Which of the paper's sets are not in the data folder, and how to get them."""
    if not names:
        return ""
    return f"<p class='assay-note'>Not in the data folder: {escape(', '.join(names))}. {escape(WHERE)}</p>"


def size_note(judges: int, sets: int, rows: int | None) -> str:
    """How much a run is, before it is started."""
    if not judges or not sets:
        return "<p class='assay-note'>Choose at least one judge and one set.</p>"
    most = f" At most {judges * sets * rows * 2:,} readings: a pair takes two." if rows else ""
    return (
        f"<p class='assay-note'>{judges} judge{'' if judges == 1 else 's'} on {sets} set{'' if sets == 1 else 's'}.{most} "
        "What was read before is not read again.</p>"
    )


def tables(all_: Sequence[Table]) -> str:
    """Ours first; baselines and published rows in grey, each marked as what it is."""
    return "".join(map(_table, all_))


def _table(table: Table) -> str:
    heads = "".join(f"<th scope='col'>{escape(column)}</th>" for column in table.columns)
    rows = "".join(map(_row, table.lines))
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f"<section class='assay-block'><h3>{escape(table.title)}</h3><div class='assay-wide'><table "
        f"class='assay-figures' aria-label='{escape(table.title)}'><thead><tr><th scope='col'></th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div><ul class='assay-muted'>{notes}</ul></section>"
    )


def _row(line: Line) -> str:
    mark = f" <span class='assay-muted'>({MARKS[line.kind]})</span>" if MARKS[line.kind] else ""
    grey = "" if line.kind == "ours" else " class='assay-muted'"
    cells = "".join(f"<td>{escape(text)}</td>" for text in line.texts)
    return f"<tr{grey}><th scope='row'>{escape(line.name)}{mark}</th>{cells}</tr>"
