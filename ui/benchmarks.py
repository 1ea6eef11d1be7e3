"""The benchmarks page: judges on labelled sets, and the paper's tables of what they came to."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.bench import Bench
from backend.bench_forms import as_csv, as_latex, as_markdown
from backend.bench_result import BenchResult
from backend.bench_spec import BenchSpec
from backend.bench_table import tables
from backend.benchmarks.rows import WantedSet
from backend.jobs import JobKind, Jobs, JobState, JobView
from backend.measuring import VERDICT_ONLY
from backend.registry import Registry
from ui import bench_render, progress
from ui.alpha_mix import NONE, picked, shown_if_any
from ui.draft import keep_draft, restore_draft
from ui.job_list import AGAIN, CANCEL, PRESS, badge, job_list, job_status
from ui.services import Services
from ui.shell import escape, shown, tell

DRAFT = "assay.benchmarks.1"
LIST_NAME = "Benchmark runs"
REFRESH_SECONDS = 1.0
ROWS = 200
FORMS = {"md": as_markdown, "tex": as_latex, "csv": as_csv}
Update = dict[Component, Any]


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _BenchmarksPage(services).wire()


class _BenchmarksPage:
    """The components, and the handlers that start runs and show what they found."""

    def __init__(self, services: Services) -> None:
        self._bench: Bench = services.bench
        self._jobs: Jobs = services.jobs
        self._registry: Registry = services.registry
        self._serving = services.serving
        self._who = services.who
        self.status = gr.HTML(progress.serving_status(self._serving.state), label="State of the judge")
        with gr.Row(elem_classes="assay-columns assay-lab"):
            with gr.Column(scale=5, min_width=300):
                self.judges = gr.CheckboxGroup([], label="Judges", info="One is in memory at a time.")
                self.sets = gr.CheckboxGroup([], label="Sets to measure on")
                self.note = gr.HTML(label="Where sets come from", visible=False)
                self.rows = gr.Number(
                    ROWS, label="Rows of each set (0: all)", precision=0, minimum=0,
                    info="As many of each label as in the whole, always the same ones.",
                )  # fmt: skip
                self.consistency = gr.Checkbox(
                    False, label="Compare both formats on pairs",
                    info="Asks for a score of each response too: two readings a pair more.",
                )  # fmt: skip
                self.size = gr.HTML(label="Size of the run")
                self.start = gr.Button("Start the run", variant="primary")
            with gr.Column(scale=7, min_width=300):
                gr.HTML(f"<div class='assay-heading'><h2>{LIST_NAME}</h2></div>", label="Runs, newest first")
                self.list = gr.HTML(bench_render.NO_RUN, label=LIST_NAME, js_on_load=PRESS)
        self.opened = gr.Number(NONE, label="Open run", visible="hidden", precision=0)
        self.drawn = gr.Textbox(label="What is shown of it", visible="hidden")
        with gr.Column(visible=False, elem_id="opened-run") as self.panel:
            self.title = gr.HTML(label="Opened run")
            self.tables = gr.HTML(label="Tables")
            with gr.Row(visible=False) as self.exports:
                self.files = [
                    gr.DownloadButton(f"Tables as {name}", size="sm") for name in ("Markdown", "LaTeX", "CSV")
                ]
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)

    def wire(self) -> None:
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        asked = [self.judges, self.sets, self.rows, self.consistency]
        seen = {self.status, self.list, self.opened, self.drawn}
        looked = [self.status, self.list, self.opened, self.drawn, self.panel, self.title, self.tables, self.exports]
        looked = [*looked, *self.files]
        self.start.click(self._start, set(asked) | seen, looked, **private)
        self.list.select(self._press, seen, looked, **private)
        self.timer.tick(self._look, seen, looked, **private)
        gr.on(
            [field.change for field in asked], self._measure, set(asked), [self.size],
            trigger_mode="always_last", **private,
        )  # fmt: skip
        kept = [*asked, self.opened]
        keep_draft(DRAFT, kept)
        loaded = gr.context.Context.root_block.load(
            self._arrive, None, [self.judges, self.sets, self.note, self.timer], **private
        )
        restored = restore_draft(loaded, DRAFT, kept, [[], [], ROWS, False, NONE])
        restored.then(self._look, seen, looked, **private)

    # Handlers

    @shown
    def _arrive(self) -> Update:
        """What there is to choose from."""
        states = self._bench.sets()
        here = [(bench_render.set_words(state), state.name) for state in states if state.size is not None]
        models = [(f"{view.name} ({view.kind})", view.path) for view in self._registry.list() if not view.removed_at]
        return {
            self.judges: gr.update(choices=models),
            self.sets: gr.update(choices=here),
            self.note: shown_if_any(bench_render.about_sets(states)),
            self.timer: gr.Timer(REFRESH_SECONDS, active=True),
        }

    @shown
    def _start(self, data: Mapping[Component, Any]) -> Update:
        size = picked(data[self.rows])
        sets = tuple(WantedSet(name=name, size=size) for name in data[self.sets] or ())
        spec = BenchSpec(tuple(data[self.judges] or ()), sets, VERDICT_ONLY, consistency=bool(data[self.consistency]))
        title = ", ".join(self._names(spec))
        job_id = self._jobs.submit(JobKind.BENCH, title, spec.document(), self._who())
        tell(f"Job {job_id} measures behind this page.")
        return self._look({**data, self.opened: job_id, self.drawn: ""}) | {self.opened: job_id}

    @shown
    def _press(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        job_id = int(event.job)
        if event.act == CANCEL:
            self._jobs.cancel(job_id, self._who())
        elif event.act == AGAIN:
            job_id = self._jobs.again(job_id, self._who())
        return self._look({**data, self.opened: job_id}) | {self.opened: job_id}

    def _measure(self, data: Mapping[Component, Any]) -> Update:
        counts = len(data[self.judges] or ()), len(data[self.sets] or ())
        return {self.size: bench_render.size_note(*counts, picked(data[self.rows]))}

    @shown
    def _look(self, data: Mapping[Component, Any]) -> Update:
        """What differs from what the page shows already."""
        jobs = self._jobs.list(JobKind.BENCH)
        ids = [job.id for job in jobs]
        opened_id = picked(data[self.opened])
        if opened_id not in ids:
            opened_id = next(iter(ids), None)
        updates: Update = {}
        status = progress.serving_status(self._serving.state)
        if status != data[self.status]:
            updates[self.status] = status
        listed = job_list(jobs, LIST_NAME, opened_id=opened_id, notes={}) if jobs else bench_render.NO_RUN
        if listed != data[self.list]:
            updates[self.list] = listed
        opened = next((job for job in jobs if job.id == opened_id), None)
        if opened is not None and (now := f"{opened.id} {opened.state} {opened.message}") != data[self.drawn]:
            updates |= {self.drawn: now, **self._whole(opened)}
        return updates or {self.drawn: data[self.drawn]}

    # Rendering

    def _names(self, spec: BenchSpec) -> list[str]:
        by_path = {view.path: view.name for view in self._registry.list()}
        return [by_path.get(judge, Path(judge).name) for judge in spec.judges]

    def _whole(self, job: JobView) -> Update:
        head = f"<div class='assay-opened-head'><h2 dir='auto'>{escape(job.title)}</h2>{badge(job.state)}</div>"
        updates: Update = {
            self.panel: gr.update(visible=True),
            self.title: head + job_status(job),
            self.tables: "",
            self.exports: gr.update(visible=False),
        }
        if job.state is not JobState.DONE or job.result is None:
            return updates
        printed = tables(BenchResult.model_validate(job.result))
        folder = Path(tempfile.mkdtemp(prefix="assay-benchmark-"))
        for suffix, written in FORMS.items():
            (folder / f"benchmark-{job.id}.{suffix}").write_text(written(printed), encoding="utf-8")
        return {
            **updates,
            self.tables: bench_render.tables(printed),
            self.exports: gr.update(visible=True),
            **{
                button: gr.update(value=str(folder / f"benchmark-{job.id}.{suffix}"))
                for button, suffix in zip(self.files, FORMS, strict=True)
            },
        }
