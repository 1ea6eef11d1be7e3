"""The labelling page: one item at a time, by keys or by buttons, with the rubric always in view."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import SHOWN, InvalidInputError
from backend.labelling_desk import Given, Task
from backend.projects import ProjectState, ProjectView
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.labelling_render import Seen, board, nothing_left, recent_list, reveal
from ui.services import Services
from ui.shell import shown, tell
from ui.word_diff import TOGGLE

KEYS = """
let shownAt = performance.now(), waiting = null, sending = false;
const task = () => element.querySelector(".assay-task");
const note = () => element.querySelector(".assay-note-field");
const choices = () => [...element.querySelectorAll("[data-choice]")];
const order = () => choices().filter((one) => one.dataset.rank).sort((a, b) => a.dataset.rank - b.dataset.rank);
const chosen = () => {
    if (task().dataset.mode === "ranking") return order().map((one) => one.dataset.choice).join(" > ");
    return choices().find((one) => one.getAttribute("aria-pressed") === "true")?.dataset.choice ?? "";
};
const say = (text) => { const place = element.querySelector(".assay-saved"); if (place) place.textContent = text; };
const send = (act, more) => {
    const here = task();
    trigger("select", {
        act, item: Number(here?.dataset.item ?? 0), click: here?.dataset.click ?? "", choice: here ? chosen() : "",
        note: here ? note().value : "", seconds: (performance.now() - shownAt) / 1000, ...more,
    });
};
const draft = () => {
    clearTimeout(waiting);
    say("Saving …");
    const here = task().dataset.item;
    waiting = setTimeout(async () => {
        if (task()?.dataset.item !== here) return;
        say(await server.keep({item: Number(here), choice: chosen(), note: note().value}));
    }, 400);
};
const pick = (button) => {
    if (task().dataset.mode === "ranking") {
        const ranked = order();
        const last = ranked.length;
        if (button.dataset.rank) {
            delete button.dataset.rank;
            order().forEach((one, place) => { one.dataset.rank = place + 1; });
        } else button.dataset.rank = last + 1;
        for (const one of choices()) {
            one.setAttribute("aria-pressed", String(Boolean(one.dataset.rank)));
            one.querySelector(".assay-rank").textContent = one.dataset.rank ? `place ${one.dataset.rank}` : "";
        }
    } else for (const one of choices()) one.setAttribute("aria-pressed", String(one === button));
    draft();
};
const act = (name) => {
    if (name === "help") { element.querySelector(".assay-keys")?.toggleAttribute("hidden"); return; }
    if (name === "submit" && !chosen()) { say("Choose first."); return; }
    if (name === "flag" && !note().value.trim()) {
        say("Write in the note what is wrong, then flag.");
        note().focus();
        return;
    }
    if (["submit", "skip", "flag", "undo"].includes(name)) {
        if (sending) return;
        sending = true;
        setTimeout(() => { sending = false; }, 3000);
        clearTimeout(waiting);
        say("Sending …");
    }
    send(name);
};
element.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-choice]"), button = event.target.closest("[data-act]");
    if (choice) pick(choice);
    else if (button) act(button.dataset.act);
});
element.addEventListener("input", (event) => { if (event.target === note()) draft(); });
const typing = (place) => place.closest?.("input, textarea, select, [contenteditable]");
document.addEventListener("keydown", (event) => {
    if (!element.isConnected || !element.offsetParent) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    if (key === "?") { act("help"); event.preventDefault(); return; }
    if (key === "U" || key === "Backspace") { act("undo"); event.preventDefault(); return; }
    if (!task() || event.repeat) return;
    const choice = choices().find((one) => one.dataset.key === key);
    const named = {Enter: "submit", S: "skip", F: "flag"}[key];
    if (choice) pick(choice);
    else if (named) act(named);
    else return;
    event.preventDefault();
});
watch("value", () => { shownAt = performance.now(); sending = false; });
"""
PICK_RECENT = """
element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-item]");
    if (button) trigger("select", {item: Number(button.dataset.item), round: Number(button.dataset.round)});
});
"""


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _LabellingPage(services).wire()


class _LabellingPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._labelling = services.labelling
        self._who = services.who
        self.project = gr.Dropdown([], label="Project", info="Those that are open.", filterable=False)
        self.board = gr.HTML(
            "",
            label="The item in hand",
            js_on_load=KEYS + TOGGLE,
            server_functions=[_keeper(services)],
            elem_id="labelling-board",
        )
        self.reveal = gr.HTML("", label="Your last label and the verdict")
        with gr.Accordion("Your last ten decisions", open=False):
            self.recent = gr.HTML("", label="Your last decisions", js_on_load=PICK_RECENT)

    def wire(self) -> None:
        """Join the components to their handlers."""
        outputs = [self.project, self.board, self.reveal, self.recent]
        on_arrival(self._arrive, {self.project}, outputs)
        self.project.input(self._choose, {self.project}, outputs, **QUIET, **LATEST)
        self.board.select(self._act, {self.project}, outputs, **QUIET)
        self.recent.select(self._reopen, {self.project}, outputs, **QUIET)

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        """A refresh shows the project and the item that this person has in hand."""
        views = [view for view in self._services.projects.list() if view.state is ProjectState.OPEN and view.items]
        ids = [view.id for view in views]
        wanted = data[self.project] if data[self.project] in ids else self._labelling.last_project(self._who())
        chosen = wanted if wanted in ids else (ids[0] if ids else None)
        choices = gr.update(choices=[(view.name, view.id) for view in views], value=chosen)
        if chosen is None:
            return {self.project: choices, self.board: nothing_left(None), self.reveal: "", self.recent: ""}
        return {self.project: choices, **self._next(chosen)}

    @shown
    def _choose(self, data: Mapping[Component, Any]) -> Update:
        return {**self._next(self._chosen(data)), self.reveal: ""}

    @shown
    def _act(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        project_id = self._chosen(data)
        match str(event.act):
            case "submit":
                given = self._labelling.submit(
                    int(event.item), self._who(), str(event.click), str(event.choice), str(event.note),
                    seconds=float(event.seconds),
                )  # fmt: skip
                return {**self._next(project_id), self.reveal: self._reveal(project_id, given)}
            case "skip":
                self._labelling.skip(int(event.item), self._who())
                return self._next(project_id)
            case "flag":
                self._labelling.flag(int(event.item), self._who(), f"flag-{event.click}", str(event.note))
                tell("The lead will see your note. Label the item, or skip it.")
                return self._next(project_id)
            case "undo":
                recent = self._labelling.recent(project_id, self._who())
                if not recent:
                    raise InvalidInputError("You have not decided anything in this project yet.")
                return self._open(project_id, recent[0].project_item_id, recent[0].round)
            case _:
                return {}

    @shown
    def _reopen(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        return self._open(self._chosen(data), int(event.item), int(event.round))

    def _chosen(self, data: Mapping[Component, Any]) -> int:
        if data[self.project] is None:
            raise InvalidInputError("No project is chosen. Choose one at the top.")
        return int(data[self.project])

    def _next(self, project_id: int) -> Update:
        view = self._services.projects.get(project_id)
        task = self._labelling.next(project_id, self._who())
        shown_board = nothing_left(view) if task is None else self._board(view, task)
        return {self.board: shown_board, self.recent: self._recent(project_id)}

    def _open(self, project_id: int, item_id: int, round: int) -> Update:
        view = self._services.projects.get(project_id)
        task = self._labelling.reopen(project_id, self._who(), item_id, round)
        return {self.board: self._board(view, task), self.reveal: "", self.recent: self._recent(project_id)}

    def _board(self, view: ProjectView, task: Task) -> str:
        done = self._labelling.done(view.id, self._who())
        return board(view, task, self._seen(view.id, task.verdict_id), done)

    def _reveal(self, project_id: int, given: Given) -> str:
        return reveal(given, self._seen(project_id, given.verdict_id))

    def _seen(self, project_id: int, verdict_id: int | None) -> Seen | None:
        if verdict_id is None:
            return None
        who = self._who()
        verdict = self._services.history.open(verdict_id, who)
        return Seen(verdict, self._services.recalibrating.score(project_id, verdict_id, who))

    def _recent(self, project_id: int) -> str:
        return recent_list(self._labelling.recent(project_id, self._who()))


def _keeper(services: Services) -> Callable[[dict[str, Any]], str]:
    """A plain function, since Gradio writes its notes on what the page may call by itself."""

    def keep(draft: dict[str, Any]) -> str:
        """Save a draft, and tell so."""
        try:
            services.labelling.keep_draft(int(draft["item"]), services.who(), str(draft["choice"]), str(draft["note"]))
        except SHOWN as error:
            return f"Not saved: {error}"
        return "Saved on the server."

    return keep
