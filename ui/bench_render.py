"""The benchmarks page's texts and tables, every text escaped."""

from collections.abc import Sequence

from backend.bench import SetState
from backend.bench_table import Line, Table
from ui.shell import escape

NO_RUN = (
    "<p class='assay-note'>No run yet. Choose judges and sets, and start one: it goes on behind this page, and after a "
    "restart where it was.</p>"
)
MARKS = {"baseline": "reads nothing", "published": "published"}


def set_words(state: SetState) -> str:
    """Its name and what it holds."""
    return state.name if state.size is None else f"{state.name} ({state.mode}, {state.size:,} rows)"


def about_sets(states: Sequence[SetState]) -> str:
    """Licences and labels of the sets that are there, and how to get those of the paper that are not."""
    here = _listed("Licences", [_about(state) for state in states if state.size is not None])
    lacking = [f"{_about(state)} {state.cure}" for state in states if state.size is None]
    missing = _listed(f"{len(lacking)} of the paper's sets are not in the data folder", lacking)
    return f"<div class='assay-note'>{here}{missing}</div>" if here or missing else ""


def _about(state: SetState) -> str:
    licence = f"{state.licence} ({state.forbids})" if state.forbids else state.licence
    labels = f" Labels: {state.labels}." if state.labels else ""
    source = f" From {state.source}." if state.source else ""
    return f"{state.name}: {licence}.{labels}{source}"


def _listed(summary: str, texts: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<details><summary>{escape(summary)}</summary><ul>{items}</ul></details>" if texts else ""


def size_note(judges: int, sets: int, rows: int | None) -> str:
    """How much a run is, before it is started."""
    if not judges or not sets:
        return "<p class='assay-note'>Choose at least one judge and one set.</p>"
    most = f" At most {judges * sets * rows * 2:,} readings: a pair takes two." if rows else ""
    asked = f"{judges} judge{'' if judges == 1 else 's'} on {sets} set{'' if sets == 1 else 's'}."
    return f"<p class='assay-note'>{asked}{most} What was read before is not read again.</p>"


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
    if line.kind == "ours":
        name, begin, end = escape(line.name), "", ""
    else:
        name, begin, end = f"{escape(line.name)} ({MARKS[line.kind]})", "<span class='assay-muted'>", "</span>"
    cells = "".join(f"<td>{begin}{escape(text)}{end}</td>" for text in line.texts)
    return f"<tr><th scope='row'>{begin}{name}{end}</th>{cells}</tr>"
