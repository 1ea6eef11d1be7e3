"""The benchmarks page's texts and tables, every text escaped."""

from collections.abc import Sequence

from backend.agreement import WINNERS
from backend.bench import ReadRow, SetState
from backend.bench_pace import Forecast
from backend.bench_table import Line, Table, not_drawn_words
from ui.bench_words import forecast_words
from ui.shell import counted, escape

NO_RUN = (
    "<p class='assay-note'>No run yet. Choose judges and sets, and start one: it goes on behind this page, and after a "
    "restart where it was.</p>"
)
MOST_ITEMS = 200
BEHIND = """
element.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-judge]");
    if (pressed) trigger("select", {judge: Number(pressed.dataset.judge), set: Number(pressed.dataset.set)});
});
"""
"""For the gr.HTML that shows the tables: a press on a figure arrives as its select event, with judge and set."""
MARKS = {"baseline": "reads nothing", "published": "published"}


def set_words(state: SetState) -> str:
    """Its name and what it holds."""
    return state.name if state.size is None else f"{state.name} ({state.mode}, {rows_words(state.size)})"


def rows_words(rows: int) -> str:
    return "no row yet" if rows == 0 else counted(rows, "row")


def about_sets(states: Sequence[SetState]) -> str:
    """Licences and labels of the sets that are there, and how to get those of the paper that are not."""
    here = _listed("About these sets", [_about(state) for state in states if state.size is not None])
    lacking = [f"{_about(state)} {state.cure}" for state in states if state.size is None]
    missing = _listed(f"{len(lacking)} of the paper's sets are not in the data folder", lacking)
    return f"<div class='assay-note'>{here}{missing}</div>" if here or missing else ""


def _about(state: SetState) -> str:
    licence = f"{state.licence} ({state.forbids})" if state.forbids else state.licence
    labels = f" Labels: {state.labels}." if state.labels else ""
    source = f" From {state.source}." if state.source else ""
    return f"{state.name}: {licence}.{labels}{source}{not_drawn_words(state.not_drawn)}"


def _listed(summary: str, texts: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<details><summary>{escape(summary)}</summary><ul>{items}</ul></details>" if texts else ""


def size_note(judges: int, sets: int, forecast: Forecast | None) -> str:
    """How much a run is, before it is started. forecast: None where there is none yet."""
    if forecast is None:
        return "<p class='assay-note'>Choose at least one judge and one set.</p>"
    asked = f"{counted(judges, 'judge')} on {counted(sets, 'set')}."
    return f"<p class='assay-note'>{asked} {escape(forecast_words(forecast))}</p>"


def curve_note(title: str) -> str:
    """Above the curve of the latest sweep."""
    return (
        f"<section class='assay-block'><h3>Over alpha</h3><p class='assay-note'>The latest sweep, {escape(title)}; its "
        "whole is in the <a href='alpha-lab'>alpha lab</a>.</p></section>"
    )


def tables(all_: Sequence[Table]) -> str:
    """Ours first; baselines and published rows in grey, each marked as what it is."""
    return "".join(map(_table, all_))


def _table(table: Table) -> str:
    heads = "".join(f"<th scope='col'>{escape(column)}</th>" for column in table.columns)
    rows = "".join(_row(table, line) for line in table.lines)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f"<section class='assay-block'><h3>{escape(table.title)}</h3><div class='assay-wide'><table "
        f"class='assay-figures' aria-label='{escape(table.title)}'><thead><tr><th scope='col'></th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div><ul class='assay-muted'>{notes}</ul></section>"
    )


def _row(table: Table, line: Line) -> str:
    if line.kind == "ours":
        name, begin, end = escape(line.name), "", ""
    else:
        name, begin, end = f"{escape(line.name)} ({MARKS[line.kind]})", "<span class='assay-muted'>", "</span>"
    cells = "".join(f"<td>{begin}{_cell(table, line, place)}{end}</td>" for place in range(len(line.texts)))
    return f"<tr><th scope='row'>{begin}{name}{end}</th>{cells}</tr>"


def _cell(table: Table, line: Line, place: int) -> str:
    """A figure of a judge opens the items behind it."""
    text = escape(line.texts[place])
    if line.judge is None or not text or not table.places:
        return text
    return (
        f"<button type='button' class='assay-behind' data-judge='{line.judge}' data-set='{table.places[place]}' "
        f"aria-label='{text}: the items behind {escape(line.name)} on {escape(table.columns[place])}'>{text}</button>"
    )


def items(name: str, set_name: str, rows: Sequence[ReadRow]) -> str:
    """The rows behind a judge's figures on a set, the largest misses first."""
    ordered = sorted(rows, key=lambda row: (bool(row.reason), -(row.miss or 0.0)))
    body = "".join(map(_item, ordered[:MOST_ITEMS]))
    heads = "".join(f"<th scope='col'>{head}</th>" for head in ("Row", "Label", "Said", "Value", "Instruction"))
    more = f" The first {MOST_ITEMS} of {len(rows):,}; all are in the file." if len(rows) > MOST_ITEMS else ""
    title = f"{name} on {set_name}"
    return (
        f"<section class='assay-block'><h3 dir='auto'>Items behind {escape(title)}</h3><p class='assay-muted'>The "
        f"largest misses first; those that could not be read or were left out last. Value: the expected score, or the "
        f"probability of A by the mean of both orders.{more}</p><div class='assay-wide assay-scroll'><table "
        f"class='assay-figures' aria-label='Items behind {escape(title)}'><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _item(row: ReadRow) -> str:
    value = "" if row.value is None else f"{row.value:.2f}"
    label = row.label if row.label in WINNERS or not row.label else f"{float(row.label):.3g}"
    cells = "".join(f"<td>{escape(text)}</td>" for text in (label, row.said, value))
    words = escape(row.reason or row.instruction)
    return f"<tr><th scope='row'>{escape(row.row_id)}</th>{cells}<td class='assay-words' dir='auto'>{words}</td></tr>"
