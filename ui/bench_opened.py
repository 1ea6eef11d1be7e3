"""The opened benchmark run: its tables, its figures, the items behind each number, and all of it as files."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.bench import Bench
from backend.bench_forms import as_csv, as_latex, as_markdown, items_csv
from backend.bench_result import BenchResult
from backend.bench_spec import read_bench
from backend.bench_table import tables
from backend.errors import SHOWN
from backend.jobs import Jobs, JobState, JobView
from ui import bench_charts, bench_render
from ui.asker import Who
from ui.events import LATEST, QUIET, Update
from ui.fields import picked, shown_if_any
from ui.job_list import opened_head
from ui.saved_figure import SavedFigure
from ui.shell import escape, shown

FORMS = {"md": as_markdown, "tex": as_latex, "csv": as_csv}
FIGURES = {
    "bench-correlation": ("Correlation of judges", bench_charts.correlation),
    "bench-distribution": ("What judges say how often", bench_charts.distribution),
    "bench-categories": ("By category", bench_charts.by_category),
}
TO_ITEMS = "() => { document.querySelector('#bench-items')?.scrollIntoView({block: 'start'}); }"


class OpenedRun:
    """opened: the component that holds the opened job's id."""

    def __init__(self, bench: Bench, jobs: Jobs, who: Who, opened: Component) -> None:
        self._bench = bench
        self._jobs = jobs
        self._who = who
        self._opened = opened
        with gr.Column(visible=False, elem_id="opened-run") as self.panel:
            self.title = gr.HTML(label="Opened run")
            self.tables = gr.HTML(label="Tables", js_on_load=bench_render.BEHIND)
            with gr.Row(visible=False) as self.exports:
                self.files = [
                    gr.DownloadButton(f"Tables as {name}", size="sm") for name in ("Markdown", "LaTeX", "CSV")
                ]
            self.items = gr.HTML(label="Items behind a figure", visible=False, elem_id="bench-items")
            self.items_file = gr.DownloadButton("Items as CSV", size="sm", visible=False)
            self.drawn_set = gr.Dropdown([], label="Set drawn", visible=False)
            self.why = gr.HTML(label="Why there are no figures", visible=False)
            with gr.Row(elem_classes="assay-columns"):
                self.figures = {}
                for name, (label, _) in FIGURES.items():
                    self.figures[name] = SavedFigure(name, label)

    @property
    def outputs(self) -> list[Component]:
        figures = [part for figure in self.figures.values() for part in figure.parts]
        shown_of_it = [self.panel, self.title, self.tables, self.exports, *self.files]
        return [*shown_of_it, self.items, self.items_file, self.drawn_set, self.why, *figures]

    def wire(self) -> None:
        opened = self.tables.select(self._behind, {self._opened}, [self.items, self.items_file], **QUIET, **LATEST)
        opened.then(None, None, None, js=TO_ITEMS, **QUIET)
        self.drawn_set.input(self._redraw, {self._opened, self.drawn_set}, self.outputs, **QUIET, **LATEST)

    def show(self, job: JobView) -> Update:
        """The whole of it, its first set drawn."""
        hidden = [self.exports, self.items, self.items_file, self.drawn_set, self.why]
        updates: Update = {
            self.panel: gr.update(visible=True),
            self.title: opened_head(job),
            self.tables: "",
            **{part: gr.update(visible=False) for part in hidden},
            **self._figures_of(None),
        }
        if job.state is not JobState.DONE or job.result is None:
            return updates
        result = BenchResult.model_validate(job.result)
        names = [one.shown for one in result.sets]
        return {
            **updates,
            self.tables: bench_render.tables(tables(result)),
            self.exports: gr.update(visible=True),
            **self._written(job.id, result),
            self.drawn_set: gr.update(choices=names, value=names[0], visible=len(names) > 1),
            **self._drawn(job, result, 0),
        }

    @shown
    def _redraw(self, data: Mapping[Component, Any]) -> Update:
        job, result = self._result(data)
        names = [one.shown for one in result.sets]
        return self._drawn(job, result, names.index(data[self.drawn_set]))

    @shown
    def _behind(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        job, result = self._result(data)
        row, one = result.rows[int(event.judge)], result.sets[int(event.set)]
        wanted = read_bench(job.spec).sets[int(event.set)]
        judge_id = row.judge_id if row.judge_id is not None else -1
        rows = self._bench.items_of(judge_id, wanted, by_id=self._who())
        file = Path(tempfile.mkdtemp(prefix="assay-items-")) / f"items-{job.id}-{event.judge}-{event.set}.csv"
        file.write_text(items_csv(rows), encoding="utf-8")
        name = result.names()[int(event.judge)]
        return {
            self.items: gr.update(value=bench_render.items(name, one.shown, rows), visible=True),
            self.items_file: gr.update(value=str(file), visible=True),
        }

    def _result(self, data: Mapping[Component, Any]) -> tuple[JobView, BenchResult]:
        job = self._jobs.get(picked(data[self._opened]) or 0)
        return job, BenchResult.model_validate(job.result)

    def _written(self, job_id: int, result: BenchResult) -> Update:
        folder = Path(tempfile.mkdtemp(prefix="assay-benchmark-"))
        printed = tables(result)
        paths = [folder / f"benchmark-{job_id}.{suffix}" for suffix in FORMS]
        for path, written in zip(paths, FORMS.values(), strict=True):
            path.write_text(written(printed), encoding="utf-8")
        return {button: gr.update(value=str(path)) for button, path in zip(self.files, paths, strict=True)}

    def _drawn(self, job: JobView, result: BenchResult, place: int) -> Update:
        """The figures of one set; in words why there are none, such as a set that is another by now."""
        judges = [row.judge_id for row in result.rows if row.judge_id is not None]
        try:
            wanted = read_bench(job.spec).sets[place]
            opinions = self._bench.opinions(judges, wanted, by_id=self._who())
        except SHOWN as error:
            note = f"<p class='assay-note'>No figures: {escape(str(error))}</p>"
            return {**self._figures_of(None), self.why: shown_if_any(note)}
        return {**self._figures_of(opinions), self.why: gr.update(visible=False)}

    def _figures_of(self, opinions: Any) -> Update:
        updates: Update = {}
        for name, (_, draw) in FIGURES.items():
            updates |= self.figures[name].drawn(None if opinions is None else draw(opinions))
        return updates
