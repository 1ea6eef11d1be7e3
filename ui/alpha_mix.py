"""The alpha lab's first pane: what is mixed and how, the recipe that it makes, and the merge that comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.alpha_lab import AlphaLab, Merging, Mix
from backend.errors import SHOWN, NotFoundError
from backend.jobs import JobKind, Jobs, JobState
from backend.merge_spec import DEFAULTS, USES
from ui import alpha_render
from ui.events import Update
from ui.fields import NONE, document, picked, picker, shown_if_any
from ui.job_list import PRESS, job_list, press
from ui.shell import escape

LIST_NAME = "Merges under way"
DEFAULT_ALPHA = 0.5


class MixPane:
    """What is mixed and how: the fields, the recipe that they make, and the merge that comes of it."""

    def __init__(self, lab: AlphaLab, jobs: Jobs, who: Callable[[], int]) -> None:
        self._lab = lab
        self._jobs = jobs
        self._who = who
        self._lay_out_fields()

    def _lay_out_fields(self) -> None:
        with gr.Row():
            self.direct = picker("Direct expert", "Trained on direct assessment.")
            self.pairwise = picker("Pairwise expert", "Trained on pairwise ranking.")
            self.method = gr.Dropdown(
                [(name, method) for method, name in alpha_render.METHODS.items()],
                value="linear",
                label="Method",
                info="How the two are merged.",
                min_width=220,
            )
        with gr.Row(visible=False) as self.extras:
            self.base = picker("Base model", "What both were trained from.", visible=False)
            self.density = gr.Number(
                None, label="Density", info="Share of the changes that is kept, above 0 to 1.", minimum=0, maximum=1,
                step=0.05, visible=False, min_width=160,
            )  # fmt: skip
            self.lambda_ = gr.Number(
                DEFAULTS["lambda"], label="Lambda", info="Scale of what was learned; 1 changes nothing.", minimum=0,
                step=0.1, visible=False, min_width=160,
            )  # fmt: skip
            self.seed = gr.Number(
                DEFAULTS["seed"], label="Merge seed", info="Decides what is dropped.", precision=0, minimum=0,
                visible=False, min_width=160,
            )  # fmt: skip
        with gr.Group(elem_classes="assay-alpha"):
            self.alpha = gr.Slider(
                0, 1, value=DEFAULT_ALPHA, step=0.01, label="Alpha: the weight of the direct expert",
                info="0 is the pairwise expert, 1 the direct expert.", elem_id="alpha",
            )  # fmt: skip
            self.ends = gr.HTML(alpha_render.ends(DEFAULT_ALPHA), label="Shares at this alpha")
        self.notes = gr.HTML(label="Notes on the method", visible=False)

    def lay_out_recipe(self) -> None:
        """What the fields mean, and the buttons that make it."""
        gr.HTML("<div class='assay-heading'><h2>Merge</h2></div>", label="About merging")
        self.faults = gr.HTML(label="What is missing", visible=False)
        self.recipe = document("Recipe as YAML", lines=10)
        with gr.Accordion("What mergekit is given", open=False):
            self.mergekit = document("Configuration for mergekit", lines=12)
        with gr.Row():
            self.merge = gr.Button("Merge", min_width=110)
            self.merge_and_activate = gr.Button("Merge and activate", variant="primary", min_width=180)
        self.under_way = gr.HTML(label=LIST_NAME, js_on_load=PRESS, visible=False)
        self.outcome = gr.HTML(label="What became of the merge", visible=False)
        self.last_job = gr.Number(NONE, label="Last merge", visible="hidden", precision=0)
        self.said = gr.Textbox(label="What is shown of merges", visible="hidden")

    @property
    def fields(self) -> list[Component]:
        own = [self.base, self.density, self.lambda_, self.seed]
        return [self.direct, self.pairwise, self.method, *own, self.alpha]

    @property
    def defaults(self) -> list[Any]:
        return [None, None, "linear", None, None, DEFAULTS["lambda"], DEFAULTS["seed"], DEFAULT_ALPHA]

    @property
    def previewed(self) -> list[Component]:
        shapes: list[Any] = [self.extras, self.base, self.density, self.lambda_, self.seed]
        return [*shapes, self.ends, self.notes, self.faults, self.recipe, self.mergekit]

    @property
    def told(self) -> list[Component]:
        return [self.under_way, self.outcome, self.last_job, self.said]

    def mix(self, data: Mapping[Component, Any]) -> Mix:
        """What is picked at this moment."""
        return Mix(
            direct_id=picked(data[self.direct]),
            pairwise_id=picked(data[self.pairwise]),
            method=data[self.method],
            alpha=float(data[self.alpha]),
            base_id=picked(data[self.base]),
            density=data[self.density],
            lambda_=data[self.lambda_],
            seed=None if data[self.seed] is None else int(data[self.seed]),
        )

    def preview(self, data: Mapping[Component, Any]) -> Update:
        """The recipe, or what is missing: not an error while somebody picks."""
        mix, uses = self.mix(data), USES[data[self.method]]
        shapes = {self.base: "base", self.density: "density", self.lambda_: "lambda", self.seed: "seed"}
        updates: Update = {field: gr.update(visible=name in uses) for field, name in shapes.items()}
        updates[self.extras] = gr.update(visible=bool(uses))
        updates[self.ends] = alpha_render.ends(mix.alpha)
        updates[self.notes] = shown_if_any(self._notes(mix))
        try:
            spec = self._lab.spec(mix)
        except SHOWN as error:
            fault = f"<p class='assay-note' role='status'>{escape(str(error))}</p>"
            return {**updates, self.faults: shown_if_any(fault), self.recipe: "", self.mergekit: ""}
        document = alpha_render.recipe_document(spec, self._lab.names(spec))
        return {
            **updates,
            self.faults: shown_if_any(""),
            self.recipe: document,
            self.mergekit: spec.mergekit_yaml(),
        }

    def _notes(self, mix: Mix) -> str:
        views = {view.id: view for view in self._lab.shelf().direct}
        trained = alpha_render.trained_note("direct", views.get(mix.direct_id or 0))
        trained += alpha_render.trained_note("pairwise", views.get(mix.pairwise_id or 0))
        return trained + alpha_render.notes(mix.method, mix.alpha, mix.density, mix.lambda_)

    def begin(self, merging: Merging) -> Update:
        """Show what a wish to merge has led to."""
        if merging.job_id is not None:
            return {self.last_job: merging.job_id, **self.look({self.last_job: merging.job_id, self.said: ""})}
        assert merging.model_version_id is not None, "a wish to merge leads to a job or to a model"
        view = self._lab.model(merging.model_version_id)
        shown_now = alpha_render.made(view, merging.recipe_digest, merging.activation, before=True)
        return {
            self.last_job: NONE,
            self.said: "",
            self.under_way: gr.update(visible=False),
            self.outcome: shown_if_any(shown_now),
        }

    def press(self, job_id: int, act: str) -> Update:
        """Cancel a merge, or try a failed one again."""
        job_id = press(self._jobs, job_id, act, self._who())
        return {self.last_job: job_id, **self.look({self.last_job: job_id, self.said: ""})}

    def look(self, data: Mapping[Component, Any]) -> Update:
        """How far merges are, if that differs from what the page shows."""
        last_id = picked(data[self.last_job])
        jobs = [job for job in self._jobs.list(JobKind.MERGE, limit=10) if not job.finished or job.id == last_id]
        done = next((job for job in jobs if job.id == last_id and job.state is JobState.DONE), None)
        listed = [job for job in jobs if job is not done]
        html = job_list(listed, LIST_NAME, opened_id=last_id, notes={}) if listed else ""
        outcome = ""
        if done is not None and done.result is not None:
            outcome = self._outcome(done.result)
        if data[self.said] == html + outcome:
            return {}
        updates: Update = {self.said: html + outcome, self.under_way: shown_if_any(html)}
        if outcome or listed:
            updates[self.outcome] = shown_if_any(outcome)
        return updates

    def _outcome(self, result: dict[str, Any]) -> str:
        try:
            view = self._lab.model(int(result["model_version_id"]))
        except NotFoundError as error:
            return alpha_render.not_live(str(error))
        return alpha_render.made(view, result["recipe_digest"], result.get("activation"), before=False)
