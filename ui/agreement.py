"""The agreement page: how far people and a model agree, how sure that is, and what people reach among themselves."""

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.agreement_report import Report
from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.errors import InvalidInputError
from backend.recalibrating import Recalibrating
from backend.types import Mode
from ui.agreement_export import csv_zip, figures, html_report, table_html
from ui.agreement_tables import tables
from ui.agreement_words import counts_words, missing_words, selection_words
from ui.events import LATEST, PRIVATE, QUIET, Update, on_arrival
from ui.figure_table import Table
from ui.saved_figure import SavedFigure
from ui.shell import escape, shown

MODES = [("Score", "direct"), ("Pair", "pairwise"), ("Ranking", "ranking")]
KINDS = [
    ("Blind if enough", ""),
    ("Blind only", "blind"),
    ("After the verdict only", "after"),
    ("Imported only", "imported"),
    ("Both, pooled", "pooled"),
]
SECTIONS = (
    ("agreement", ("agreement", "confusion")),
    ("position_and_length", ()),
    ("ceiling", ("ceiling",)),
    ("alternative_annotator", ()),
    ("powered_mean", ("powered_mean",)),
    ("sources", ("sources", "strengths")),
    ("anchoring", ("anchoring",)),
    ("calibration", ("calibration",)),
    ("slices", ("slices",)),
    ("disagreements", ()),
    ("drift", ("drift",)),
    ("people", ()),
)
"""Each table, and the figures above it."""
PLOT_NAMES = {
    "agreement": "Figures of agreement with intervals",
    "confusion": "What the model and the person said",
    "ceiling": "Everybody beside everybody",
    "powered_mean": "Means with intervals",
    "sources": "Sources with intervals",
    "strengths": "Strengths of the sources",
    "anchoring": "Blind and after",
    "calibration": "Reliability",
    "slices": "Gaps of the parts",
    "drift": "Error by month",
}


def build(comparing: Comparing, recalibrating: Recalibrating, who: Callable[[], int]) -> None:
    """Lay out the page inside the route that is open. who: for whom it works at this moment."""
    _AgreementPage(comparing, recalibrating, who).wire()


class _Section:
    """A heading, its figures and its table; hidden where it has nothing to say."""

    def __init__(self, key: str, plots: tuple[str, ...]) -> None:
        self.key = key
        with gr.Column(visible=False, elem_classes="assay-agreement-part") as self.column:
            self.title = gr.HTML(label=f"Heading of {key}")
            with gr.Row():
                self.plots = {name: SavedFigure(f"figure-{name.replace('_', '-')}", PLOT_NAMES[name]) for name in plots}
            self.table = gr.HTML(label=f"Table of {key}")

    @property
    def components(self) -> list[Component]:
        return [self.column, self.title, self.table, *self.figure_parts]

    @property
    def figure_parts(self) -> list[Component]:
        return [part for plot in self.plots.values() for part in plot.parts]

    def show(self, table: Table | None) -> Update:
        if table is None:
            return {self.column: gr.update(visible=False)}
        return {
            self.column: gr.update(visible=True),
            self.title: f"<h2>{escape(table.title)}</h2>",
            self.table: table_html(table),
        }

    def draw(self, report: Report) -> Update:
        drawn = figures(report, self.plots)
        updates = [plot.drawn(drawn.get(name)) for name, plot in self.plots.items()]
        return {part: change for update in updates for part, change in update.items()}


class _AgreementPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, comparing: Comparing, recalibrating: Recalibrating, who: Callable[[], int]) -> None:
        self._comparing = comparing
        self._recalibrating = recalibrating
        self._who = who
        with gr.Row(elem_classes="assay-filters"):
            self._mode = gr.Dropdown(MODES, value="direct", label="Mode", min_width=110)
            self._model = gr.Dropdown([("Most labelled", "")], value="", label="Model", min_width=230)
            self._project = gr.Dropdown([("Any", "")], value="", label="Project", min_width=230)
            self._rubric = gr.Dropdown([("Any", "")], value="", label="Rubric", min_width=230)
            self._kind = gr.Dropdown(KINDS, value="", label="Labels", min_width=200)
            self._people = gr.Dropdown([], value=[], multiselect=True, label="People (none: all)", min_width=150)
            self._since = gr.Textbox(label="From day", placeholder="2026-01-31", max_lines=1, min_width=110)
            self._until = gr.Textbox(label="Until day", placeholder="2026-12-31", max_lines=1, min_width=110)
        self._filters: list[Component] = [
            self._mode, self._model, self._rubric, self._kind, self._people, self._since, self._until,
            self._project,
        ]  # fmt: skip
        self._summary = gr.HTML(label="What is compared")
        self._sections = [_Section(key, plots) for key, plots in SECTIONS]
        with gr.Row(elem_classes="assay-tools"):
            self._make_report = gr.Button("Make a report", size="sm", min_width=120, scale=0)
            self._make_tables = gr.Button("Make CSV tables", size="sm", min_width=120, scale=0)
            self._switch_on = gr.Button(
                "Switch the recalibrated score on", size="sm", min_width=220, scale=0, visible=False
            )
            self._switch_off = gr.Button(
                "Switch the recalibrated score off", size="sm", min_width=220, scale=0, visible=False
            )
        self._file = gr.File(label="To hand over", visible=False)

    def wire(self) -> None:
        found: list[Component] = [self._summary, self._switch_on, self._switch_off]
        below: list[Component] = []
        for section in self._sections:
            found += section.components
            below += section.figure_parts
        choices: list[Component] = [self._model, self._rubric, self._people, self._project]
        arrived = on_arrival(self._choices, [self._mode], choices)
        switched = self._mode.input(self._choices, [self._mode], choices, **QUIET, **LATEST)
        changes = [
            self._model.input, self._rubric.input, self._kind.input, self._people.input,
            self._project.input, self._since.submit, self._until.submit,
        ]  # fmt: skip
        for compared in (
            arrived.success(self._compare, self._filters, found, **QUIET),
            switched.success(self._compare, self._filters, found, **QUIET, **LATEST),
            gr.on(changes, self._compare, self._filters, found, **PRIVATE, **LATEST, show_progress_on=[self._summary]),
        ):
            compared.success(self._draw, self._filters, below, **QUIET, **LATEST)
        for button, switch in ((self._switch_on, self._recalibrate), (self._switch_off, self._leave_as_it_is)):
            switched = button.click(switch, [self._project], [], **PRIVATE)
            switched.success(self._compare, self._filters, found, **QUIET)
        self._make_report.click(self._report, self._filters, [self._file], **PRIVATE)
        self._make_tables.click(self._tables, self._filters, [self._file], **PRIVATE)

    # Handlers

    @shown
    def _choices(self, mode: str) -> Update:
        choices = self._comparing.choices(Mode(mode), self._who())
        return {
            self._model: gr.update(choices=[("Most labelled", ""), *_keyed(choices.models)], value=""),
            self._rubric: gr.update(choices=[("Any", ""), *_keyed(choices.rubrics)], value=""),
            self._project: gr.update(choices=[("Any", ""), *_keyed(choices.projects)], value=""),
            self._people: gr.update(choices=_keyed(choices.people), value=[]),
        }

    @shown
    def _compare(self, *filters: Any) -> Update:
        report = self._comparing.report(_selection(filters), self._who())
        can = report.selection.project_id is not None and report.selection.mode is Mode.DIRECT
        update: Update = {
            self._summary: _summary(report),
            self._switch_on: gr.update(visible=can and report.recalibrated is None),
            self._switch_off: gr.update(visible=can and report.recalibrated is not None),
        }
        made = {table.key: table for table in tables(report)} if report.counts.compared else {}
        for section in self._sections:
            update |= section.show(made.get(section.key))
        return update | self._sections[0].draw(report)

    @shown
    def _draw(self, *filters: Any) -> Update:
        """The figures below the first ones, which nobody has to wait for."""
        report = self._comparing.report(_selection(filters), self._who())
        update: Update = {}
        for section in self._sections[1:]:
            update |= section.draw(report)
        return update

    @shown
    def _recalibrate(self, project: str) -> None:
        self._recalibrating.switch_on(int(project), self._who())

    @shown
    def _leave_as_it_is(self, project: str) -> None:
        self._recalibrating.switch_off(int(project), self._who())

    @shown
    def _report(self, *filters: Any) -> Update:
        report = self._comparing.report(_selection(filters), self._who())
        return {self._file: gr.update(value=_kept("agreement.html", html_report(report)), visible=True)}

    @shown
    def _tables(self, *filters: Any) -> Update:
        report = self._comparing.report(_selection(filters), self._who())
        return {self._file: gr.update(value=_kept("agreement-tables.zip", csv_zip(report)), visible=True)}


def _selection(filters: tuple[Any, ...]) -> Selection:
    mode, model, rubric, kind, people, since, until, project = filters
    return Selection(
        mode=Mode(mode),
        model_version_id=int(model) if model else None,
        rubric_version_id=int(rubric) if rubric else None,
        kind=Kind(kind) if kind else None,
        project_id=int(project) if project else None,
        people=tuple(int(person) for person in people or ()),
        since=_day(since),
        until=_day(until),
    )


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInputError(f"{text.strip()!r} is no day. Write it as 2026-01-31.") from error


def _summary(report: Report) -> str:
    if report.counts.compared:
        words = f"<p class='assay-note'>{escape(selection_words(report))}</p>"
        return f"{words}<p class='assay-note'>{escape(counts_words(report))}</p>"
    return (
        "<div class='assay-empty'><p><strong>No labels to compare.</strong></p>"
        f"<p>{escape(selection_words(report))}</p><p>{escape(counts_words(report))}</p>"
        f"<p>{escape(missing_words(report))}</p></div>"
    )


def _keyed(named: tuple[tuple[int, str], ...]) -> list[tuple[str, str]]:
    """Drop-down choices. Two of the same name are told apart by their number."""
    names = [name for _, name in named]
    return [(name if names.count(name) == 1 else f"{name} ({key})", str(key)) for key, name in named]


def _kept(name: str, content: bytes) -> str:
    path = Path(tempfile.mkdtemp(prefix="assay-")) / name
    path.write_bytes(content)
    return str(path)
