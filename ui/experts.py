"""The experts page: what to train on the left, the trainings on the right, and the one that is open below."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import InvalidInputError
from backend.expert_job import submit_training
from backend.experts import PRESETS, ExpertSpec, read_spec
from backend.jobs import JobKind, Jobs, JobState, JobView
from backend.model_views import Presence
from backend.registry import Registry
from backend.training_progress import Progress, progress_of
from backend.training_start import has_adapter
from ui import training_charts
from ui.draft import keep_draft, restore_draft
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.fields import shown_if_any
from ui.job_list import PRESS, duration, job_list, opened_head, press
from ui.model_render import KINDS
from ui.shell import escape, shown, tell

DRAFT = "assay.experts.1"
REFRESH_SECONDS = 2.0
DEV_LIMIT = 100
BESIDE_WEIGHT = 1.0
LIST_NAME = "Trainings"
FORMATS = [("Direct assessment", "direct"), ("Pairwise ranking", "pairwise"), ("Joint (both)", "joint")]
PRESET_CHOICES = [
    ("Starter: LoRA, as the shipped experts", "starter"),
    ("Paper, 7B: all weights", "paper-7b-full"),
    ("Paper, 8x7B: LoRA of rank 256", "paper-8x7b-lora"),
]
NO_TRAINING = (
    "<div class='assay-empty'><p><strong>No expert was trained yet.</strong></p><p>Choose a base model, name the files "
    "with rows to learn from, and press Train. It goes on behind the page, survives a restart, and can be stopped and "
    "gone on with. Train one expert for each format from the same base: those two can be merged.</p></div>"
)


def build(jobs: Jobs, registry: Registry, home: Path, who: Callable[[], int]) -> None:
    """Lay out the page inside the route that is open."""
    _ExpertsPage(jobs, registry, home, who).wire()


@dataclass(frozen=True)
class _Setting:
    """A field of the specification that is worth a field on the page. whole: it is a whole number."""

    name: str
    label: str
    info: str
    whole: bool = True


SETTINGS = (
    _Setting("learning_rate", "Learning rate", "The highest one; it rises at first and falls to the end.", whole=False),
    _Setting("epochs", "Epochs", "How often each row is seen; .5 is half of them once.", whole=False),
    _Setting("rows_per_step", "Rows a step", "About so many rows make one step."),
    _Setting("max_tokens", "Most tokens of a row", "Longer rows are left out whole."),
    _Setting("lora_rank", "LoRA rank", "Without effect where all weights are trained."),
    _Setting("lora_alpha", "LoRA alpha", "Its ratio to the rank scales what is learned."),
    _Setting("evaluate_steps", "Measure every … steps", "On the rows that are only measured."),
    _Setting("seed", "Seed", "Decides which rows are drawn, and their order."),
)


class _ExpertsPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, jobs: Jobs, registry: Registry, home: Path, who: Callable[[], int]) -> None:
        self._jobs = jobs
        self._registry = registry
        self._home = home
        self._who = who
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=5, min_width=300):
                self._lay_out_form()
            with gr.Column(scale=6, min_width=300):
                gr.HTML(f"<div class='assay-heading'><h2>{LIST_NAME}</h2></div>", label="Trainings, newest first")
                self.list = gr.HTML(NO_TRAINING, label=LIST_NAME, js_on_load=PRESS)
        self._lay_out_opened()

    def _lay_out_form(self) -> None:
        gr.HTML("<div class='assay-heading'><h2>New expert</h2></div>", label="About the form")
        self.name = gr.Textbox(
            label="Name", info="Small letters, digits, dots, dashes. It names the model and its folder.", max_lines=1,
            placeholder="direct-1",
        )  # fmt: skip
        self.format = gr.Radio(FORMATS, value="direct", label="Format", info="What it learns to do.")
        self.base = gr.Dropdown(
            [], label="Base model", info="One of the store's, or any model folder.", allow_custom_value=True
        )
        self.start_from = gr.Dropdown(
            [], label="Go on from (optional)", allow_custom_value=True,
            info="An expert that LoRA made on this base; its rank and layers are taken.",
        )  # fmt: skip
        with gr.Row():
            self.beside = gr.Dropdown(
                [], label="Train beside (optional)", allow_custom_value=True, min_width=180,
                info="Whom it shall be merged with.",
            )  # fmt: skip
            self.beside_weight = gr.Number(
                BESIDE_WEIGHT, label="Its weight", minimum=0.01, maximum=2, min_width=120,
                info="How much of it the merge adds.",
            )  # fmt: skip
        self.preset = gr.Dropdown(PRESET_CHOICES, value="starter", label="Preset", info="Fills the settings.")
        with gr.Group():
            self.data = gr.Textbox(
                label="Rows to learn from", info="One place a line: a file, a pattern, or a hub data set.", lines=3,
                max_lines=8, placeholder="rows/direct/*.jsonl",
            )  # fmt: skip
            with gr.Row():
                self.limit = gr.Number(0, label="At most of each place (0: all)", precision=0, minimum=0, min_width=180)
                self.criterion = gr.Textbox(
                    label="Criterion of rows that state none", max_lines=3, min_width=180, placeholder="Optional",
                )  # fmt: skip
        with gr.Accordion("Rows that are only measured (optional)", open=False):
            self.dev = gr.Textbox(
                label="Rows to measure", lines=2, max_lines=6, placeholder="rows/dev.jsonl",
                info="One place a line. The agreement curve is drawn on them; nothing is learned from them.",
            )  # fmt: skip
            self.dev_limit = gr.Number(
                DEV_LIMIT, label="At most measured of each place (0: all)", precision=0, minimum=0
            )
        with gr.Accordion("Settings", open=False), gr.Row():
            chosen = _preset_values("starter")
            self.settings = {
                setting.name: gr.Number(
                    chosen[setting.name], label=setting.label, info=setting.info, min_width=140,
                    precision=0 if setting.whole else None,
                )
                for setting in SETTINGS
            }  # fmt: skip
        with gr.Accordion("The exact specification", open=False):
            self.faults = gr.HTML(label="What is missing")
            self.exact = _document("Exact specification")
        self.train = gr.Button("Train", variant="primary")

    def _lay_out_opened(self) -> None:
        self.opened = gr.Number(label="Open training", visible="hidden", precision=0)
        self.seen = gr.Textbox(label="What is shown of it", visible="hidden")
        with gr.Column(visible=False, elem_id="opened-training") as self.panel:
            self.title = gr.HTML(label="Opened training")
            with gr.Row():
                self.loss = gr.Plot(label="Loss", visible=False, min_width=300)
                self.agreement = gr.Plot(label="Agreement", visible=False, min_width=300)
            self.card = gr.Markdown(label="Card", visible=False, elem_classes="assay-model-card", line_breaks=False)
            with gr.Accordion("Its exact specification", open=False):
                self.asked = _document("Specification of this training")

    @property
    def _fields(self) -> list[Component]:
        places = [self.data, self.limit, self.criterion, self.dev, self.dev_limit]
        models = [self.base, self.start_from, self.beside, self.beside_weight]
        return [self.name, self.format, *models, self.preset, *places, *self.settings.values()]

    def wire(self) -> None:
        shown_now = [self.list, self.opened, self.seen]
        panel = [self.panel, self.title, self.loss, self.agreement, self.card, self.asked]
        outputs = [*shown_now, *panel]

        self.preset.input(self._fill, [self.preset], list(self.settings.values()), **QUIET, **LATEST)
        gr.on(
            [field.change for field in self._fields], self._preview, set(self._fields), [self.faults, self.exact],
            **QUIET, **LATEST,
        )  # fmt: skip
        self.train.click(self._train, {*self._fields, *shown_now}, outputs, **QUIET)
        self.list.select(self._press, set(shown_now), outputs, **QUIET)
        gr.Timer(REFRESH_SECONDS).tick(self._refresh, set(shown_now), outputs, **QUIET)

        keep_draft(DRAFT, self._fields)
        loaded = on_arrival(self._arrive, set(shown_now), [self.base, self.start_from, self.beside, *outputs])
        models, places = [None, None, None, BESIDE_WEIGHT], ["", 0, "", "", DEV_LIMIT]
        defaults = ["", "direct", *models, "starter", *places, *_preset_values("starter").values()]
        restored = restore_draft(loaded, DRAFT, self._fields, defaults)
        restored.then(self._preview, set(self._fields), [self.faults, self.exact], **QUIET)

    # Handlers

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        kinds = list(KINDS)  # bases first: from those most experts are trained
        here = [view for view in self._registry.list() if view.presence is Presence.HERE]
        here.sort(key=lambda view: kinds.index(view.kind) if view.kind in KINDS else len(kinds))
        bases = [(f"{view.name} ({view.kind}, {view.digest[:12]})", view.path) for view in here]
        experts = [(name, path) for name, path in bases if has_adapter(path)]
        return {
            self.base: gr.update(choices=bases),
            self.start_from: gr.update(choices=[("Nothing: from the base alone", ""), *experts]),
            self.beside: gr.update(choices=[("Nothing: on the base alone", ""), *experts]),
            **self._refreshed(data),
        }

    def _fill(self, preset: str) -> list[Any]:
        return list(_preset_values(preset).values())

    def _preview(self, data: Mapping[Component, Any]) -> Update:
        """What would be trained, or what is missing: not an error while somebody types."""
        try:
            spec = self._spec(data)
        except InvalidInputError as error:
            return {self.faults: f"<p class='assay-muted'>{escape(str(error))}</p>", self.exact: ""}
        return {self.faults: "", self.exact: spec.model_dump_json(indent=2)}

    @shown
    def _train(self, data: Mapping[Component, Any]) -> Update:
        job_id = submit_training(self._jobs, self._spec(data), self._who())
        tell(f"Job {job_id} trains “{data[self.name]}” behind this page.")
        return self._refreshed({**data, self.opened: job_id})

    @shown
    def _press(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        job_id = press(self._jobs, int(event.job), event.act, self._who())
        return self._refreshed({**data, self.opened: job_id})

    @shown
    def _refresh(self, data: Mapping[Component, Any]) -> Update:
        return self._refreshed(data)

    # Gathering

    def _spec(self, data: Mapping[Component, Any]) -> ExpertSpec:
        criterion = (data[self.criterion] or "").strip() or None
        given = {
            "name": (data[self.name] or "").strip(),
            "format": data[self.format],
            "base": (data[self.base] or "").strip(),
            "data": _sources(data[self.data], data[self.limit], criterion),
            "dev": _sources(data[self.dev], data[self.dev_limit], criterion),
            "start_from": (data[self.start_from] or "").strip() or None,
        }
        beside = (data[self.beside] or "").strip()
        if beside:
            given |= {"beside": beside, "beside_weight": data[self.beside_weight]}
        missing = [
            label
            for name, label in (("name", "a name"), ("base", "a base model"), ("data", "rows to learn from"))
            if not given[name]
        ]
        if missing:
            raise InvalidInputError(f"It still needs {', '.join(missing)}.")
        settings = {name: data[field] for name, field in self.settings.items() if data[field] is not None}
        return read_spec({**given, **settings}, preset=data[self.preset])

    # Rendering

    def _refreshed(self, data: Mapping[Component, Any]) -> Update:
        """What differs from what the page shows already."""
        jobs = self._jobs.list(JobKind.TRAIN)
        ids = [job.id for job in jobs]
        opened_id = int(data[self.opened]) if data[self.opened] in ids else next(iter(ids), None)
        progress = {job.id: self._progress(job) for job in jobs if job.state is JobState.RUNNING or job.id == opened_id}
        notes = {job.id: _time_left(progress[job.id]) for job in jobs if job.state is JobState.RUNNING}
        listed = job_list(jobs, LIST_NAME, opened_id=opened_id, notes=notes) if jobs else NO_TRAINING
        updates: Update = {self.opened: opened_id}
        if listed != data[self.list]:
            updates[self.list] = listed
        opened = next((job for job in jobs if job.id == opened_id), None)
        if opened is not None:
            updates |= self._whole(opened, progress[opened.id], data[self.seen] or "")
        return updates

    def _whole(self, job: JobView, progress: Progress, seen: str) -> Update:
        note = _time_left(progress) if job.state is JobState.RUNNING else ""
        updates: Update = {self.panel: gr.update(visible=True), self.title: opened_head(job, note)}
        now = f"{job.id} {job.state} {progress.step} {len(progress.dev)}"
        if now == seen:
            return updates
        agreement = training_charts.agreement(progress.dev, progress.of)
        loss = training_charts.loss(progress.losses, progress.of) if progress.losses else None
        card = (job.result or {}).get("card")
        return updates | {
            self.seen: now,
            self.loss: shown_if_any(loss),
            self.agreement: shown_if_any(agreement),
            self.card: shown_if_any(None if card is None else _harmless(card)),
            self.asked: json.dumps(job.spec, indent=2, ensure_ascii=False),
        }

    def _progress(self, job: JobView) -> Progress:
        try:
            return progress_of(read_spec(job.spec).workplace(self._home))
        except InvalidInputError:  # asked for by an earlier version, whose settings had other names
            return Progress()


def _document(label: str) -> gr.Textbox:
    return gr.Textbox(label=label, lines=8, max_lines=30, interactive=False, elem_classes="assay-document")


def _preset_values(preset: str) -> dict[str, Any]:
    """The settings of the page as the preset has them, or else as the specification's own defaults are."""
    return {
        setting.name: PRESETS[preset].get(setting.name, ExpertSpec.model_fields[setting.name].default)
        for setting in SETTINGS
    }


def _sources(places: str | None, limit: float | None, criterion: str | None) -> list[dict[str, Any]]:
    lines = [line.strip() for line in (places or "").splitlines() if line.strip()]
    return [{"place": place, "limit": int(limit or 0) or None, "criterion": criterion} for place in lines]


def _time_left(progress: Progress) -> str:
    """In words; empty where it isn't known."""
    if progress.seconds_left is None:
        return ""
    words = duration(progress.seconds_left)
    return f"{words.capitalize()} left." if words.startswith("less") else f"About {words} left."


def _harmless(card: str) -> str:
    """The card without HTML and without images: it quotes data sets, and no page asks another machine for anything."""
    return card.replace("<", "&lt;").replace("![", "!\\[")
