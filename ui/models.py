"""The models page: what there is to judge with, where each comes from, which one serves, and who takes over."""

from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import InvalidInputError
from backend.model_views import ModelView, Presence
from backend.registering import RegisteringPhase
from backend.served import ChangePhase
from ui import making_charts, model_render, progress
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.fields import shown_if_any
from ui.services import Services
from ui.shell import shown, tell

BUSY_SECONDS, IDLE_SECONDS = 1.0, 5.0
"""How often the page looks how far things are."""
OPEN_ON_CLICK = """
element.addEventListener('click', async (event) => {
    const copy = event.target.closest('[data-copy]');
    if (copy) {
        await navigator.clipboard.writeText(copy.dataset.copy);
        copy.textContent = 'Copied';
        setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
        return;
    }
    const row = event.target.closest('[data-model]');
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || String(window.getSelection())) return;
    event.preventDefault();
    const address = new URL(window.location);
    address.searchParams.set('model', row.dataset.model);
    window.history.replaceState(window.history.state, '', address);
    trigger('select', {model: row.dataset.model});
});
"""
"""A click anywhere in a row opens it; its link works with the keyboard and in a tab of its own."""
SHOW_OPENED = "() => document.getElementById('opened-model')?.scrollIntoView({behavior: 'smooth', block: 'start'})"


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _ModelsPage(services).wire()


class _ModelsPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._registry = services.registry
        self._registering = services.registering
        self._activating = services.activating
        self._serving = services.serving
        self._who = services.who
        self._opened_id = gr.State(None)
        self._seen = gr.State(None)
        self._poll = gr.Timer(BUSY_SECONDS)
        self._lay_out_state()
        self._lay_out_register()
        self._lay_out_table()
        self._lay_out_opened()

    # Layout

    def _lay_out_state(self) -> None:
        with gr.Row(elem_classes="assay-status-row"):
            self._status = gr.HTML(progress.serving_status(self._serving.state), label="State of the judge")
            self._give_up = gr.Button("Cancel the change", size="sm", visible=False, scale=0, min_width=150)
        self._outcome = gr.HTML(label="What became of the change", visible=False)

    def _lay_out_register(self) -> None:
        with gr.Row(elem_classes="assay-register"):
            self._place = gr.Textbox(
                label="Register a model",
                info="A folder on this machine, or a model of the hub as organisation/name.",
                max_lines=1, scale=4, min_width=240,
            )  # fmt: skip
            self._register = gr.Button("Register", scale=0, min_width=110)
            self._stop = gr.Button("Cancel registering", visible=False, scale=0, min_width=150)
        self._registered = gr.HTML(label="State of the registration", visible=False)

    def _lay_out_table(self) -> None:
        with gr.Row(elem_classes="assay-tools"):
            self._all = gr.Checkbox(label="Show models that were deleted or are only in memory", container=False)
        self._table = gr.HTML(label="Models", js_on_load=OPEN_ON_CLICK, elem_classes="assay-history-pane")

    def _lay_out_opened(self) -> None:
        with gr.Column(visible=False, elem_id="opened-model") as self._opened:
            with gr.Row(elem_classes="assay-columns"):
                with gr.Column(scale=6, min_width=300):
                    self._heading = gr.HTML(label="Opened model")
                    with gr.Row(elem_classes="assay-tools"):
                        self._activate = gr.Button("Activate", variant="primary", min_width=110)
                        self._delete = gr.Button("Delete", min_width=110)
                    with gr.Column(visible=False) as self._confirm:
                        self._question = gr.HTML(label="Before it is deleted")
                        with gr.Row(elem_classes="assay-tools"):
                            self._do_delete = gr.Button("Yes, delete it", variant="stop", min_width=110)
                            self._keep = gr.Button("Keep it", min_width=110)
                with gr.Column(scale=6, min_width=300):
                    self._words = gr.HTML(label="Lineage", js_on_load=OPEN_ON_CLICK)
                    self._graph = gr.Plot(
                        label="Lineage as a graph", show_label=False, visible=False, elem_id="lineage"
                    )
            self._figures = gr.HTML(label="Measured agreement")
            self._papers = gr.HTML(label="Card, recipe and manifest")

    # Events

    def wire(self) -> None:
        told: list[Component] = [
            self._status, self._give_up, self._outcome, self._register, self._stop, self._registered, self._poll,
            self._seen,
        ]  # fmt: skip
        opened: list[Component] = [
            self._opened_id, self._opened, self._heading, self._activate, self._delete, self._confirm, self._words,
            self._graph, self._figures, self._papers,
        ]  # fmt: skip
        everything = [*told, self._table, *opened]
        now: list[Component] = [self._opened_id, self._all]

        arrived = on_arrival(self._arrive, now, everything)
        arrived.success(None, None, None, js=SHOW_OPENED, **QUIET)
        self._poll.tick(self._look, [*now, self._seen], everything, **QUIET)
        self._all.input(self._list, now, [self._table], **QUIET, **LATEST)
        for clicked in (self._table, self._words):
            clicked.select(self._open, now, everything, **QUIET, **LATEST).success(
                None, None, None, js=SHOW_OPENED, **QUIET
            )
        gr.on(
            [self._register.click, self._place.submit], self._begin_to_register, [self._place], told, **QUIET
        ).success(lambda: "", None, [self._place], **QUIET)
        self._stop.click(self._cancel_registering, None, told, **QUIET)
        self._activate.click(self._begin_to_activate, now, everything, **QUIET)
        self._give_up.click(self._cancel_activating, None, told, **QUIET)
        self._delete.click(self._ask, [self._opened_id], [self._question, self._confirm], **QUIET)
        self._keep.click(lambda: gr.update(visible=False), None, [self._confirm], **QUIET)
        self._do_delete.click(self._remove, now, everything, **QUIET)

    # Handlers

    @shown
    def _arrive(self, _opened_id: int | None, show_all: bool, request: gr.Request) -> Update:
        """A fresh page, with the model that its address names opened."""
        named = request.query_params.get("model", "")
        model_id = int(named) if named.isascii() and named.isdigit() else None
        return self._whole(model_id, show_all)

    @shown
    def _look(self, opened_id: int | None, show_all: bool, seen: list[Any] | None) -> Update:
        """How far things are; where something has ended, what it changed too."""
        state = self._registering.state
        if seen == self._moment():
            return self._told()
        if seen and state and seen[2] == RegisteringPhase.RUNNING and state.phase is RegisteringPhase.DONE:
            return self._whole(state.id, show_all)
        updates = self._whole(opened_id, show_all)
        updates.pop(self._confirm, None)  # somebody may be about to answer it
        return updates

    @shown
    def _list(self, _opened_id: int | None, show_all: bool) -> Update:
        return {self._table: self._models(show_all)}

    @shown
    def _open(self, _opened_id: int | None, show_all: bool, event: gr.EventData) -> Update:
        return self._whole(int(event.model), show_all)

    @shown
    def _begin_to_register(self, place: str) -> Update:
        self._registering.start(place or "", self._who())
        return self._told()

    @shown
    def _cancel_registering(self) -> Update:
        self._registering.cancel(self._who())
        return self._told()

    @shown
    def _begin_to_activate(self, opened_id: int | None, show_all: bool) -> Update:
        tell(self._activating.start(_required(opened_id), self._who()))
        return self._whole(opened_id, show_all)

    @shown
    def _cancel_activating(self) -> Update:
        self._activating.cancel(self._who())
        return self._told()

    @shown
    def _ask(self, opened_id: int | None) -> Update:
        view = self._registry.get(_required(opened_id))
        question = model_render.delete_question(view, ours=self._registry.owns_files(view))
        return {self._question: question, self._confirm: gr.update(visible=True)}

    @shown
    def _remove(self, opened_id: int | None, show_all: bool) -> Update:
        view = self._registry.get(_required(opened_id))
        self._registry.remove(view.id, self._who())
        tell(f"{view.name} is deleted. What it said stays.")
        return self._whole(opened_id, show_all)

    # Rendering

    def _whole(self, opened_id: int | None, show_all: bool) -> Update:
        return {**self._told(), self._table: self._models(show_all), **self._one(opened_id)}

    def _told(self) -> Update:
        """What is going on."""
        state, registering = self._serving.state, self._registering.state
        changing = state.change is not None and state.change.phase is ChangePhase.LOADING
        running = registering is not None and registering.phase is RegisteringPhase.RUNNING
        busy = changing or running or progress.is_under_way(state)
        return {
            self._status: progress.serving_status(state),
            self._give_up: gr.update(visible=changing),
            self._outcome: shown_if_any(progress.change_outcome(state)),
            self._register: gr.update(interactive=not running),
            self._stop: gr.update(visible=running),
            self._registered: shown_if_any(model_render.registering_status(registering)),
            self._poll: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS),
            self._seen: self._moment(),
        }

    def _moment(self) -> list[Any]:
        """What the list and the opened model depend on, beside the store; the third is the registration's phase."""
        state, registering = self._serving.state, self._registering.state
        return [
            self._serving_id(),
            None if state.change is None else [state.change.model_version_id, state.change.phase.value],
            None if registering is None else registering.phase.value,
            None if registering is None else [registering.place, registering.id],
        ]

    def _models(self, show_all: bool) -> str:
        views = self._registry.list()
        shown_views = [view for view in views if show_all or view.presence not in _OUT_OF_SIGHT]
        return model_render.model_table(
            shown_views,
            serving_id=self._serving_id(),
            loading_id=self._loading_id(),
            hidden=len(views) - len(shown_views),
        )

    def _one(self, opened_id: int | None) -> Update:
        if opened_id is None:
            return {self._opened_id: None, self._opened: gr.update(visible=False)}
        view, family = self._registry.get(opened_id), self._registry.lineage(opened_id)
        figure = making_charts.lineage(family)
        return {
            self._opened_id: opened_id,
            self._opened: gr.update(visible=True),
            self._heading: model_render.model_heading(
                view, serving_id=self._serving_id(), loading_id=self._loading_id()
            ),
            self._activate: gr.update(interactive=self._can_be_activated(view)),
            self._delete: gr.update(interactive=view.presence is not Presence.REMOVED),
            self._confirm: gr.update(visible=False),
            self._words: model_render.lineage_words(family),
            self._graph: shown_if_any(figure),
            self._figures: model_render.measurement_table(view.measurements),
            self._papers: model_render.model_papers(view, self._registry.manifest(opened_id)),
        }

    def _can_be_activated(self, view: ModelView) -> bool:
        settled = view.active and view.id == self._serving_id()
        return view.presence is Presence.HERE and not settled and self._loading_id() is None

    def _serving_id(self) -> int | None:
        served = self._serving.served
        return None if served is None else served.model_version_id

    def _loading_id(self) -> int | None:
        change = self._serving.state.change
        return change.model_version_id if change and change.phase is ChangePhase.LOADING else None


_OUT_OF_SIGHT = (Presence.REMOVED, Presence.IN_MEMORY, Presence.ELSEWHERE)


def _required(opened_id: int | None) -> int:
    if opened_id is None:
        raise InvalidInputError("No model is opened. Press one in the list first.")
    return opened_id
