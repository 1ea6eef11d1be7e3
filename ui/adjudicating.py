"""The adjudication page: items on which people, or people and model, disagree, for a lead to settle."""

import uuid
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.adjudicating import Case, Why
from backend.errors import InvalidInputError
from backend.results import order_words, parse_order
from backend.types import SCORES, Mode
from ui.adjudicating_render import case_html, queue_list
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.labels import WINNER_CHOICES
from ui.services import Services
from ui.shell import shown, tell
from ui.word_diff import TOGGLE

QUEUES = [
    ("People disagree", str(Why.PEOPLE)), ("People and model disagree", str(Why.MODEL)),
    ("Decided", str(Why.DECIDED)),
]  # fmt: skip
PICK = """
element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-item]");
    if (!button) return;
    for (const one of element.querySelectorAll("[data-item]")) one.setAttribute("aria-pressed", one === button);
    trigger("select", {item: Number(button.dataset.item)});
});
"""


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _AdjudicationPage(services).wire()


class _AdjudicationPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._adjudicating = services.adjudicating
        self._who = services.who
        self.opened = gr.Number(label="Opened item", visible="hidden", precision=0)
        self.click = gr.Textbox(label="Click", visible="hidden")
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=4, min_width=280):
                self.project = gr.Dropdown([], label="Project", filterable=False)
                self.why = gr.Radio(QUEUES, value=str(Why.PEOPLE), label="Queue")
                self.queue = gr.HTML("", label="Items to settle", js_on_load=PICK)
            with gr.Column(scale=7, min_width=300):
                self.names = gr.Checkbox(label="Show names", container=False)
                self.case = gr.HTML("", label="The item", js_on_load=TOGGLE)
                with gr.Column(visible=False, elem_classes="assay-panel") as self.form:
                    self.score = gr.Radio(list(SCORES), label="Final score")
                    self.winner = gr.Radio(WINNER_CHOICES, label="Final winner")
                    self.order = gr.Textbox(
                        label="Final order, the best first", max_lines=1, placeholder="For example B > A > C."
                    )
                    self.reason = gr.Textbox(label="Reason", lines=2, max_lines=8, placeholder="Why it is so.")
                    self.decide = gr.Button("Decide", variant="primary")

    def wire(self) -> None:
        """Join the components to their handlers."""
        case = [self.opened, self.click, self.case, self.form, self.score, self.winner, self.order, self.reason]
        chosen = {self.project, self.why, self.names}
        on_arrival(self._arrive, chosen, [self.project, self.queue, *case])
        gr.on([self.project.input, self.why.input], self._choose, chosen, [self.queue, *case], **QUIET, **LATEST)
        self.queue.select(self._open, {self.names}, case, **QUIET, **LATEST)
        self.names.input(self._redraw, {self.opened, self.names}, [self.case], **QUIET, **LATEST)
        fields = {*chosen, self.opened, self.click, self.score, self.winner, self.order, self.reason}
        self.decide.click(self._decide, fields, [self.queue, *case], **QUIET)

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        views = [view for view in self._services.projects.list() if view.items]
        ids = [view.id for view in views]
        chosen = data[self.project] if data[self.project] in ids else (ids[0] if ids else None)
        choices = gr.update(choices=[(view.name, view.id) for view in views], value=chosen)
        if chosen is None:
            return {self.project: choices, self.queue: queue_list(None), self.case: ""}
        return {self.project: choices, **self._first(chosen, Why(data[self.why]), names=False)}

    @shown
    def _choose(self, data: Mapping[Component, Any]) -> Update:
        return self._first(self._project(data), Why(data[self.why]), names=bool(data[self.names]))

    @shown
    def _open(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        return self._case(int(event.item), names=bool(data[self.names]))

    @shown
    def _redraw(self, data: Mapping[Component, Any]) -> Update:
        if not data[self.opened]:
            return {self.case: gr.skip()}
        return {self.case: self._drawn(self._opened(data), names=bool(data[self.names]))}

    @shown
    def _decide(self, data: Mapping[Component, Any]) -> Update:
        case = self._opened(data)
        decision = self._adjudicating.decide(
            case.project_item_id, self._who(), data[self.click] or "", self._choice(case, data), data[self.reason] or ""
        )
        tell(f"Item {case.number:,} is decided: {decision.words}.")
        return self._first(case.project_id, Why(data[self.why]), names=bool(data[self.names]))

    def _choice(self, case: Case, data: Mapping[Component, Any]) -> str:
        match case.mode:
            case Mode.DIRECT:
                return str(data[self.score] or "")
            case Mode.PAIRWISE:
                return str(data[self.winner] or "")
            case Mode.RANKING:
                return order_words(parse_order(data[self.order] or "", len(case.item.responses)))

    def _project(self, data: Mapping[Component, Any]) -> int:
        if data[self.project] is None:
            raise InvalidInputError("No project is chosen. Choose one at the left.")
        return int(data[self.project])

    def _opened(self, data: Mapping[Component, Any]) -> Case:
        if not data[self.opened]:
            raise InvalidInputError("No item is open. Choose one at the left.")
        return self._adjudicating.open(int(data[self.opened]), self._who())

    def _first(self, project_id: int, why: Why, *, names: bool) -> Update:
        """The queue, and its first item opened."""
        disputes = self._adjudicating.queue(project_id, self._who(), why)
        listed: Update = {self.queue: queue_list(disputes, why)}
        if disputes:
            return {**listed, **self._case(disputes[0].project_item_id, names=names)}
        return {**listed, self.opened: None, self.case: "", self.form: gr.update(visible=False)}

    def _case(self, project_item_id: int, *, names: bool) -> Update:
        case = self._adjudicating.open(project_item_id, self._who())
        return {
            self.opened: case.project_item_id,
            self.click: uuid.uuid4().hex,
            self.case: self._drawn(case, names=names),
            self.form: gr.update(visible=True),
            self.score: gr.update(value=None, visible=case.mode is Mode.DIRECT),
            self.winner: gr.update(value=None, visible=case.mode is Mode.PAIRWISE),
            self.order: gr.update(value="", visible=case.mode is Mode.RANKING),
            self.reason: "",
        }

    def _drawn(self, case: Case, *, names: bool) -> str:
        seen = None if case.verdict_id is None else self._services.history.open(case.verdict_id, self._who())
        return case_html(case, seen, names=names)
