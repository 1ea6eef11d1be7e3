"""The alpha lab's third pane: a grid of merges measured on labelled sets, and the curve that comes of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.alpha_lab import AlphaLab, SetChoice, SweepWish, read_alphas
from backend.errors import SHOWN, InvalidInputError
from backend.jobs import JobKind, Jobs, JobState, JobView
from backend.merge_spec import DEFAULTS, USES
from backend.sweep_results import SweepResult, SweptSet
from backend.types import Mode
from ui import alpha_charts, alpha_render, job_list, sweep_render
from ui.alpha_mix import MixPane
from ui.bench_render import rows_words
from ui.events import LATEST, QUIET, Update
from ui.fields import NONE, document, picked, picker, shown_if_any
from ui.job_list import PRESS, opened_head
from ui.shell import escape, shown, tell

LIST_NAME = "Sweeps"
GRID = "0..1 by 0.1"
ROWS = 100


class SweepPane:
    """The components, and the handlers that start sweeps and show what they found."""

    def __init__(self, lab: AlphaLab, jobs: Jobs, who: Callable[[], int]) -> None:
        self._lab = lab
        self._jobs = jobs
        self._who = who
        with gr.Row(elem_classes="assay-columns assay-lab"):
            with gr.Column(scale=5, min_width=300):
                self._lay_out_form()
            with gr.Column(scale=7, min_width=300):
                gr.HTML(f"<div class='assay-heading'><h2>{LIST_NAME}</h2></div>", label="Sweeps, newest first")
                self.list = gr.HTML(sweep_render.NO_SWEEP, label=LIST_NAME, js_on_load=PRESS)
        self._lay_out_opened()

    def _lay_out_form(self) -> None:
        gr.HTML(
            "<div class='assay-heading'><h2>Sweep</h2><p class='assay-muted'>The two experts above, at many alphas, "
            "measured without feedback.</p></div>",
            label="About sweeps",
        )
        self.alphas = gr.Textbox(
            GRID, label="Alphas", info="Numbers from 0 to 1, or a grid as 0..1 by 0.1.", max_lines=1
        )
        self.methods = gr.CheckboxGroup(
            [(name, method) for method, name in alpha_render.METHODS.items()], value=["linear"], label="Methods",
        )  # fmt: skip
        self.density = gr.Number(
            None, label="Density of the sweep", info="For the methods that drop changes.", minimum=0, maximum=1,
            step=0.05, visible=False,
        )  # fmt: skip
        self.lambda_ = gr.Number(
            DEFAULTS["lambda"], label="Lambda of the sweep", info="Scale of what was learned; 1 changes nothing.",
            minimum=0, step=0.1, visible=False,
        )  # fmt: skip
        self.sets = gr.CheckboxGroup([], label="Sets to measure on")
        self.sets_note = gr.HTML(label="Where sets come from", visible=False)
        self.rows = gr.Number(ROWS, label="Rows of each set (0: all)", precision=0, minimum=0)
        with gr.Row():
            self.base = picker("Base of the sweep", "Measured beside the merges.")
            self.joint = picker("Joint expert", "Trained on both formats; measured beside the merges.")
        self.size = gr.HTML(label="Size of the sweep")
        self.start = gr.Button("Start the sweep", variant="primary")

    def _lay_out_opened(self) -> None:
        self.opened = gr.Number(NONE, label="Open sweep", visible="hidden", precision=0)
        self.drawn = gr.Textbox(label="What is shown of it", visible="hidden")
        self.own_point = gr.State(None)
        with gr.Column(visible=False, elem_id="opened-sweep") as self.panel:
            self.title = gr.HTML(label="Opened sweep")
            self.flags = gr.HTML(label="What to know of this sweep")
            with gr.Row():
                self.direct_set = gr.Dropdown([], label="Direct set drawn", visible=False, min_width=200)
                self.pairwise_set = gr.Dropdown([], label="Pairwise set drawn", visible=False, min_width=200)
            with gr.Row(elem_classes="assay-columns"):
                with gr.Column(scale=7, min_width=300):
                    self.curve = gr.Plot(
                        label="Curve over alpha", show_label=False, visible=False, elem_id="alpha-curve"
                    )
                with gr.Column(scale=5, min_width=300):
                    self.pareto = gr.Plot(label="Pareto front", show_label=False, visible=False, elem_id="alpha-pareto")
            self.best = gr.HTML(label="Chosen points")
            self.table = gr.HTML(label="Single, joint, merged")
            with gr.Row(elem_classes="assay-register"):
                self.point = gr.Dropdown([], label="Merged point", info="Compared below.", visible=False, scale=2)
                self.activate = gr.Button("Merge and activate this alpha", visible=False, scale=0, min_width=240)
            self.choice = gr.HTML(label="Before this point is activated", visible=False)
            self.differences = gr.HTML(label="Paired differences")
            with gr.Accordion("Its exact specification", open=False):
                self.asked = document("Specification of this sweep", lines=8)

    @property
    def fields(self) -> list[Component]:
        grid = [self.alphas, self.methods, self.density, self.lambda_, self.sets, self.rows]
        return [*grid, self.base, self.joint, self.opened]

    @property
    def defaults(self) -> list[Any]:
        return [GRID, ["linear"], None, DEFAULTS["lambda"], [], ROWS, None, None, NONE]

    @property
    def seen(self) -> list[Component]:
        return [self.list, self.opened, self.drawn, self.direct_set, self.pairwise_set, self.point, self.own_point]

    @property
    def panel_outputs(self) -> list[Component]:
        figures = [self.curve, self.pareto, self.best, self.table, self.choice, self.differences]
        chosen = [self.direct_set, self.pairwise_set, self.point, self.own_point, self.activate]
        return [self.list, self.opened, self.drawn, self.panel, self.title, self.flags, *figures, *chosen, self.asked]

    def wire(self, mix: MixPane) -> None:
        outputs = self.panel_outputs
        wish = {mix.direct, mix.pairwise, *self.fields}
        self.start.click(self._starter(mix), wish | set(self.seen), outputs, **QUIET)
        self.list.select(self._press, set(self.seen), outputs, **QUIET)
        gr.on(
            [self.direct_set.input, self.pairwise_set.input],
            self._redraw, set(self.seen), outputs, **QUIET, **LATEST,
        )  # fmt: skip
        self.point.input(self._choose, set(self.seen), outputs, **QUIET, **LATEST)
        sized = [self.alphas, self.methods, self.sets, self.rows, self.base, self.joint]
        gr.on(
            [field.change for field in sized], self._measure, set(sized), [self.size, self.density, self.lambda_],
            **QUIET, **LATEST,
        )  # fmt: skip

    def offer_sets(self) -> Update:
        """The sets there are, or how to come by some."""
        sets = self._lab.sets()
        choices = [(_set_words(one), one.name) for one in sets]
        only_own = all(one.own for one in sets)
        note = sweep_render.no_sets(self._lab.data_folder)
        return {
            self.sets: gr.update(choices=choices),
            self.sets_note: shown_if_any(note if only_own else ""),
        }

    def likely_sets(self) -> list[str]:
        """Those to choose by."""
        return [one.name for one in self._lab.sets() if not one.is_benchmark and not one.own]

    def look(self, data: Mapping[Component, Any]) -> Update:
        """What differs from what the page shows already."""
        jobs = self._jobs.list(JobKind.SWEEP)
        there = job_list.listed(jobs, LIST_NAME, opened_id=picked(data[self.opened]), empty=sweep_render.NO_SWEEP)
        opened = there.opened
        updates: Update = {}
        if there.html != data[self.list]:
            updates[self.list] = there.html
        if opened is None:
            return updates
        if opened.id != picked(data[self.opened]):
            updates[self.opened] = opened.id
        now = _moment(opened)
        if now != data[self.drawn]:
            same = str(data[self.drawn] or "").startswith(f"{opened.id} ")
            updates |= {self.drawn: now, **self._whole(opened, data if same else {})}
        return updates

    # Handlers

    def _starter(self, mix: MixPane) -> Any:
        @shown
        def start(data: Mapping[Component, Any]) -> Update:
            job_id = self._lab.sweep(self._wish(mix, data), self._who())
            tell(f"Job {job_id} sweeps behind this page. What it has measured by now is drawn as it goes.")
            return self._shown({**data, self.opened: job_id, self.drawn: ""})

        return start

    @shown
    def _press(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        job_id = job_list.press(self._jobs, int(event.job), event.act, self._who())
        return self._shown({**data, self.opened: job_id})

    @shown
    def _redraw(self, data: Mapping[Component, Any]) -> Update:
        opened_id = picked(data[self.opened])
        if opened_id is None:
            return {self.opened: NONE}
        return {self.opened: opened_id, **self._whole(self._jobs.get(opened_id), data)}

    @shown
    def _choose(self, data: Mapping[Component, Any]) -> Update:
        """From now on the point is the person's, and not what seems best by what is measured."""
        return self._redraw({**data, self.own_point: data[self.point]})

    def _measure(self, data: Mapping[Component, Any]) -> Update:
        """How much would be measured: not an error while somebody types."""
        taken = {name for method in data[self.methods] or () for name in USES[method]}
        optional = {"density": self.density, "lambda": self.lambda_}
        updates: Update = {field: gr.update(visible=name in taken) for name, field in optional.items()}
        try:
            alphas = set(read_alphas(data[self.alphas] or ""))
        except InvalidInputError as error:
            return {**updates, self.size: f"<p class='assay-note'>{escape(str(error))}</p>"}
        others = sum(picked(data[field]) is not None for field in (self.base, self.joint))
        models = 2 + others + len(alphas) * len(data[self.methods] or ())
        return {
            **updates,
            self.size: sweep_render.size_note(models, len(data[self.sets] or ()), _rows(data[self.rows])),
        }

    # Gathering and rendering

    def _wish(self, mix: MixPane, data: Mapping[Component, Any]) -> SweepWish:
        return SweepWish(
            direct_id=picked(data[mix.direct]),
            pairwise_id=picked(data[mix.pairwise]),
            methods=data[self.methods] or [],
            alphas=data[self.alphas] or "",
            sets=data[self.sets] or [],
            rows=_rows(data[self.rows]),
            base_id=picked(data[self.base]),
            joint_id=picked(data[self.joint]),
            density=data[self.density],
            lambda_=data[self.lambda_],
        )

    def _shown(self, data: Mapping[Component, Any]) -> Update:
        return {self.opened: data[self.opened], **self.look(data)}

    def _whole(self, job: JobView, data: Mapping[Component, Any]) -> Update:
        """The opened sweep. data: what is chosen on it now, nothing where it was opened this moment."""
        updates: Update = {
            self.panel: gr.update(visible=True),
            self.title: opened_head(job),
            self.asked: json.dumps(job.spec, indent=2, ensure_ascii=False),
        }
        if job.state is JobState.QUEUED:
            return {**updates, **self._nothing("")}
        try:
            result = self._lab.sweep_result(job, self._who())
        except SHOWN as error:
            told_already = str(error) in job.message
            return {**updates, **self._nothing("" if told_already else alpha_render.not_live(str(error)))}
        return {**updates, **self._found(result, data)}

    def _nothing(self, why: str) -> Update:
        hidden = [self.curve, self.pareto, self.choice, self.point, self.activate, self.direct_set, self.pairwise_set]
        return {
            self.flags: shown_if_any(why),
            **{field: gr.update(visible=False) for field in hidden},
            **dict.fromkeys([self.best, self.table, self.differences], ""),
        }

    def _found(self, result: SweepResult, data: Mapping[Component, Any]) -> Update:
        direct, pairwise = (_of_mode(result, mode) for mode in (Mode.DIRECT, Mode.PAIRWISE))
        drawn_direct = _chosen(direct, data.get(self.direct_set))
        drawn_pairwise = _chosen(pairwise, data.get(self.pairwise_set))
        curve = alpha_charts.curve(result, [one for one in (drawn_direct, drawn_pairwise) if one is not None])
        pareto = alpha_charts.pareto(result)
        keys = [point.key for point in result.points if point.role == "merge"]
        likely = next((best.point for best in reversed(result.best) if best.point), next(iter(keys), None))
        wanted = data.get(self.own_point)
        key = wanted if wanted in keys else likely
        choice = sweep_render.choice_note(result, key) if key else ""
        return {
            self.flags: shown_if_any(sweep_render.flags(result)),
            self.direct_set: _set_picker(direct, drawn_direct),
            self.pairwise_set: _set_picker(pairwise, drawn_pairwise),
            self.curve: shown_if_any(curve),
            self.pareto: shown_if_any(pareto),
            self.best: sweep_render.best_list(result) if keys else "",
            self.table: sweep_render.single_joint_merged(result),
            self.point: gr.update(choices=keys, value=key, visible=bool(keys)),
            self.own_point: wanted,
            self.activate: gr.update(visible=bool(keys)),
            self.choice: shown_if_any(choice),
            self.differences: sweep_render.differences(result, key) if key else "",
        }


def _moment(job: JobView) -> str:
    """What the opened sweep depends on: its state, and of one that runs the point that it is at."""
    at = job.message.partition(",")[0] if job.state is JobState.RUNNING else ""
    return f"{job.id} {job.state} {at}"


def _of_mode(result: SweepResult, mode: Mode) -> list[SweptSet]:
    """Those to choose by first."""
    return sorted((swept for swept in result.sets if swept.mode is mode), key=lambda swept: swept.is_benchmark)


def _chosen(sets: Sequence[SweptSet], name: str | None) -> SweptSet | None:
    return next((swept for swept in sets if swept.name == name), next(iter(sets), None))


def _set_picker(sets: Sequence[SweptSet], drawn: SweptSet | None) -> Any:
    """Only where there is something to choose."""
    names = [swept.name for swept in sets]
    return gr.update(choices=names, value=None if drawn is None else drawn.name, visible=len(names) > 1)


def _set_words(one: SetChoice) -> str:
    if one.own is not None:
        return f"{one.name} ({one.mode}, {rows_words(one.own.size)}; {one.own.licence})"
    return f"{one.name} ({one.mode}, benchmark: report only)" if one.is_benchmark else f"{one.name} ({one.mode})"


def _rows(value: Any) -> int | None:
    """None is all of them."""
    return picked(value)
