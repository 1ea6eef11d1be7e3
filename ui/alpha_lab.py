"""The alpha lab: two experts and a slider between them; what the mix says, what it becomes, and how good it is."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import InvalidInputError
from backend.model_views import DIGITS, ModelView
from ui import alpha_render, progress
from ui.alpha_live import LivePane
from ui.alpha_mix import MixPane
from ui.alpha_sweep import SweepPane
from ui.draft import keep_draft, restore_draft
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.fields import NONE, picked, shown_if_any
from ui.model_render import kind_words
from ui.services import Services
from ui.shell import shown, tell

DRAFT = "assay.alpha-lab.1"
REFRESH_SECONDS = 1.0


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _AlphaLabPage(services).wire()


class _AlphaLabPage:
    """The panes, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._lab = services.alpha_lab
        self._jobs = services.jobs
        self._serving = services.serving
        self._who = services.who
        self.status = gr.HTML(progress.serving_status(self._serving.state), label="State of the judge")
        self.change = gr.HTML(label="What became of the change", visible=False)
        self.empty = gr.HTML(label="What to do first", visible=False)
        with gr.Column() as self.bench:
            self.mix = MixPane(self._lab, self._jobs, self._who)
            with gr.Row(elem_classes="assay-columns assay-lab"):
                with gr.Column(scale=5, min_width=300):
                    self.mix.lay_out_recipe()
                with gr.Column(scale=7, min_width=300):
                    self.live = LivePane(self._lab.bench, services.library, services.who)
            self.sweeps = SweepPane(self._lab, self._jobs, self._who)
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)

    @property
    def _kept(self) -> list[Component]:
        """What a refresh brings back."""
        return [*self.mix.fields, self.mix.last_job, *self.live.fields, *self.sweeps.fields]

    def wire(self) -> None:
        mixed = set(self.mix.fields)
        told = self.mix.told

        gr.on(
            [field.change for field in self.mix.fields], self._preview, mixed, self.mix.previewed,
            **QUIET, **LATEST,
        )  # fmt: skip
        self.mix.merge.click(self._merge, mixed, told, **QUIET)
        self.mix.merge_and_activate.click(self._merge_and_activate, mixed, told, **QUIET)
        self.mix.under_way.select(self._press, None, told, **QUIET)

        self.live.wire(self.mix)
        self.sweeps.wire(self.mix)
        self.sweeps.activate.click(self._merge_point, {self.sweeps.opened, self.sweeps.point}, told, **QUIET)

        seen = {self.status, self.change, self.mix.last_job, self.mix.said, *self.live.seen, *self.sweeps.seen}
        looked = [self.status, self.change, *told, *self.live.looked, *self.sweeps.panel_outputs, self.timer]
        self.timer.tick(self._look, seen, looked, **QUIET)

        keep_draft(DRAFT, self._kept)
        choices = [self.empty, self.bench, *self._pickers, self.live.rubric, self.sweeps.sets, self.sweeps.sets_note]
        loaded = on_arrival(self._arrive, None, choices)
        defaults = [*self.mix.defaults, NONE, *self.live.defaults, *self.sweeps.defaults]
        restored = restore_draft(loaded, DRAFT, self._kept, defaults)
        filled = [*self._pickers, self.sweeps.sets]
        settled = restored.then(self._fill_gaps, set(filled), filled, **QUIET)
        settled.then(self._preview, mixed, self.mix.previewed, **QUIET).then(self._look, seen, looked, **QUIET)

    @property
    def _pickers(self) -> list[Component]:
        return [self.mix.direct, self.mix.pairwise, self.mix.base, self.sweeps.base, self.sweeps.joint]

    # Handlers

    @shown
    def _arrive(self) -> Update:
        """What there is to pick from. A column that is shown anew would show what is hidden in it, too."""
        shelf = self._lab.shelf()
        enough = shelf.has_experts or len(shelf.direct) > 1
        return {
            self.empty: shown_if_any("" if shelf.has_experts else alpha_render.NO_EXPERTS),
            self.bench: gr.skip() if enough else gr.update(visible=False),
            self.mix.direct: gr.update(choices=_choices(shelf.direct)),
            self.mix.pairwise: gr.update(choices=_choices(shelf.pairwise)),
            self.mix.base: gr.update(choices=_choices(shelf.base)),
            self.sweeps.base: gr.update(choices=_choices(shelf.base)),
            self.sweeps.joint: gr.update(choices=_choices(shelf.joint)),
            self.live.rubric: gr.update(choices=self.live.rubric_choices()),
            **self.sweeps.offer_sets(),
        }

    @shown
    def _fill_gaps(self, data: Mapping[Component, Any]) -> Update:
        """Pick what is most likely meant where nothing is picked."""
        shelf = self._lab.shelf()
        direct = picked(data[self.mix.direct]) or _trained(shelf.direct, "direct")
        pairwise = picked(data[self.mix.pairwise]) or _trained(shelf.pairwise, "pairwise")
        base = shelf.base_of(direct)
        return {
            self.mix.direct: direct,
            self.mix.pairwise: pairwise,
            self.mix.base: picked(data[self.mix.base]) or base,
            self.sweeps.base: picked(data[self.sweeps.base]) or base,
            self.sweeps.joint: picked(data[self.sweeps.joint]) or _trained(shelf.joint, "joint"),
            self.sweeps.sets: data[self.sweeps.sets] or self.sweeps.likely_sets(),
        }

    @shown
    def _preview(self, data: Mapping[Component, Any]) -> Update:
        return self.mix.preview(data)

    @shown
    def _merge(self, data: Mapping[Component, Any]) -> Update:
        return self.mix.begin(self._lab.merge(self.mix.mix(data), self._who(), activate=False))

    @shown
    def _merge_and_activate(self, data: Mapping[Component, Any]) -> Update:
        return self.mix.begin(self._lab.merge(self.mix.mix(data), self._who(), activate=True))

    @shown
    def _merge_point(self, data: Mapping[Component, Any]) -> Update:
        job_id, key = picked(data[self.sweeps.opened]), data[self.sweeps.point]
        if job_id is None or not key:
            raise InvalidInputError("No point is chosen. Open a sweep, and choose one of its merged points.")
        merging = self._lab.merge_point(job_id, key, self._who())
        what = "is there already" if merging.job_id is None else f"is merged by job {merging.job_id}"
        tell(f"{key} {what} and then put into service. Under “Merge” above you see how far that is.")
        return self.mix.begin(merging)

    @shown
    def _press(self, event: gr.EventData) -> Update:
        return self.mix.press(int(event.job), event.act)

    @shown
    def _look(self, data: Mapping[Component, Any]) -> Update:
        """What differs from what the page shows already. The first look, when the draft is back, starts the timer."""
        state = self._serving.state
        updates: Update = {self.timer: gr.Timer(REFRESH_SECONDS, active=True)}
        status, change = progress.serving_status(state), progress.change_outcome(state)
        if status != data[self.status]:
            updates[self.status] = status
        if change != (data[self.change] or ""):
            updates[self.change] = shown_if_any(change)
        return updates | self.mix.look(data) | self.live.look(data) | self.sweeps.look(data)


def _choices(views: tuple[ModelView, ...]) -> list[tuple[str, int]]:
    """By name and kind; two that share them also by digest."""
    called = [f"{view.name} ({kind_words(view).lower()})" for view in views]
    return [
        (name if called.count(name) == 1 else f"{name} {view.digest[:DIGITS]}", view.id)
        for name, view in zip(called, views, strict=True)
    ]


def _trained(views: tuple[ModelView, ...], trained_on: str) -> int | None:
    """The newest one that was trained for this."""
    return next((view.id for view in views if view.trained_on == trained_on), None)
