"""The benchmarks page: judges on labelled sets, and the paper's tables of what they came to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.bench import Bench
from backend.bench_spec import BenchSpec
from backend.benchmarks.rows import WantedSet
from backend.errors import SHOWN
from backend.jobs import JobKind, Jobs, JobState
from backend.measuring import VERDICT_ONLY
from backend.registry import Registry
from backend.types import Mode
from ui import alpha_charts, bench_render, job_list, progress
from ui.bench_opened import OpenedRun
from ui.draft import keep_draft, restore_draft
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.fields import NONE, picked, shown_if_any
from ui.job_list import PRESS
from ui.saved_figure import SavedFigure
from ui.services import Services
from ui.shell import escape, shown, tell

DRAFT = "assay.benchmarks.2"
LIST_NAME = "Benchmark runs"
REFRESH_SECONDS = 1.0
ROWS = 200


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _BenchmarksPage(services).wire()


class _BenchmarksPage:
    """The components, and the handlers that start runs and show what they found."""

    def __init__(self, services: Services) -> None:
        self._bench: Bench = services.bench
        self._jobs: Jobs = services.jobs
        self._registry: Registry = services.registry
        self._lab = services.alpha_lab
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
        self.ended = gr.Number(0, label="Runs that ended", visible="hidden", precision=0)
        self.run = OpenedRun(self._bench, self._jobs, self._who, self.opened)
        self.curve_note = gr.HTML(label="About the curve over alpha", visible=False)
        self.curve = SavedFigure("bench-alpha", "Curve over alpha of the latest sweep")
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)

    def wire(self) -> None:
        asked = [self.judges, self.sets, self.rows, self.consistency]
        seen = {self.status, self.list, self.opened, self.drawn, self.ended}
        looked = [self.status, self.list, self.opened, self.drawn, self.ended, *self.run.outputs]
        self.start.click(self._start, set(asked) | seen, looked, **QUIET)
        self.list.select(self._press, seen, looked, **QUIET)
        self.timer.tick(self._look, seen, looked, **QUIET)
        gr.on(  # what a run has read by its end is not missing any more
            [field.change for field in (*asked, self.ended)], self._measure, set(asked), [self.size],
            **QUIET, **LATEST,
        )  # fmt: skip
        self.run.wire()
        kept = [*asked, self.opened]
        keep_draft(DRAFT, kept)
        arrived = [self.judges, self.sets, self.note, self.timer, self.curve_note, *self.curve.parts]
        loaded = on_arrival(self._arrive, None, arrived)
        restored = restore_draft(loaded, DRAFT, kept, [[], [], ROWS, False, NONE])
        restored.then(self._look, seen, looked, **QUIET)

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
            **self._latest_curve(),
        }

    def _latest_curve(self) -> Update:
        """Of the last sweep that was done; nothing where there is none, or where it can't be read any more."""
        done = [job for job in self._jobs.list(JobKind.SWEEP) if job.state is JobState.DONE]
        figure = None
        if done:
            try:
                result = self._lab.sweep_result(done[0], self._who())
            except SHOWN:
                return {self.curve_note: gr.update(visible=False), **self.curve.drawn(None)}
            firsts = {one.mode: one for one in reversed(result.sets)}
            figure = alpha_charts.curve(result, [firsts[mode] for mode in Mode if mode in firsts])
        note = bench_render.curve_note(done[0].title) if figure is not None else ""
        return {self.curve_note: shown_if_any(note), **self.curve.drawn(figure)}

    @shown
    def _start(self, data: Mapping[Component, Any]) -> Update:
        spec = self._spec(data)
        self._bench.check(spec, by_id=self._who())
        title = ", ".join(self._names(spec))
        job_id = self._jobs.submit(JobKind.BENCH, title, spec.document(), self._who())
        tell(f"Job {job_id} measures behind this page.")
        return self._look({**data, self.opened: job_id, self.drawn: ""}) | {self.opened: job_id}

    @shown
    def _press(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        job_id = job_list.press(self._jobs, int(event.job), event.act, self._who())
        return self._look({**data, self.opened: job_id}) | {self.opened: job_id}

    def _measure(self, data: Mapping[Component, Any]) -> Update:
        """How much would be read, and how long that takes: not an error while somebody still chooses."""
        judges, sets = data[self.judges] or (), data[self.sets] or ()
        try:
            forecast = self._bench.forecast(self._spec(data), by_id=self._who()) if judges and sets else None
        except SHOWN as error:
            return {self.size: f"<p class='assay-note'>{escape(str(error))}</p>"}
        return {self.size: bench_render.size_note(len(judges), len(sets), forecast)}

    @shown
    def _look(self, data: Mapping[Component, Any]) -> Update:
        """What differs from what the page shows already."""
        jobs = self._jobs.list(JobKind.BENCH)
        there = job_list.listed(jobs, LIST_NAME, opened_id=picked(data[self.opened]), empty=bench_render.NO_RUN)
        opened, ended = there.opened, sum(job.finished for job in jobs)
        updates: Update = {} if ended == data[self.ended] else {self.ended: ended}
        status = progress.serving_status(self._serving.state)
        if status != data[self.status]:
            updates[self.status] = status
        if there.html != data[self.list]:
            updates[self.list] = there.html
        if opened is not None and (now := f"{opened.id} {opened.state} {opened.message}") != data[self.drawn]:
            updates |= {self.drawn: now, self.opened: opened.id, **self.run.show(opened)}
        return updates or {self.drawn: data[self.drawn]}

    # Gathering

    def _spec(self, data: Mapping[Component, Any]) -> BenchSpec:
        size = picked(data[self.rows])
        sets = tuple(WantedSet(name=name, size=size) for name in data[self.sets] or ())
        consistency = bool(data[self.consistency])
        return BenchSpec(tuple(data[self.judges] or ()), sets, VERDICT_ONLY, consistency=consistency)

    def _names(self, spec: BenchSpec) -> list[str]:
        by_path = {view.path: view.name for view in self._registry.list()}
        return [by_path.get(judge, Path(judge).name) for judge in spec.judges]
