"""The projects page: make one, fill it, let the judge work on it, see how far everybody is, take it out."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.batch_job import BatchOrder
from backend.errors import InvalidInputError
from backend.jobs import JobKind, JobState, JobView
from backend.project_export import FORMS, SUFFIXES
from backend.project_rows import ColumnMapping, with_columns
from backend.projects import ItemOrder, ProjectDraft, ProjectState
from backend.row_files import is_on_hub
from backend.streams import Foremost
from backend.types import Mode
from ui.events import QUIET, Update, on_arrival
from ui.projects_render import import_report, preview_table, project_card, restored_report
from ui.services import Services
from ui.shell import shown, tell

REFRESH_SECONDS = 2.0
MODES = [("Score one response", Mode.DIRECT), ("Choose between two", Mode.PAIRWISE), ("Rank several", Mode.RANKING)]
COLUMNS = {
    "instruction": "Instruction column", "responses": "Response columns", "reference": "Reference column",
    "labels": "Human label column", "external_id": "Id column",
}  # fmt: skip


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _ProjectsPage(services).wire()


class _ProjectsPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._who = services.who
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=4, min_width=300):
                self._lay_out_new()
            with gr.Column(scale=7, min_width=300):
                self._lay_out_opened()
        self.timer = gr.Timer(REFRESH_SECONDS)

    def _lay_out_new(self) -> None:
        gr.HTML('<div class="assay-heading"><h2>New project</h2></div>', label="About the form")
        self.name = gr.Textbox(label="Name", max_lines=1)
        self.mode = gr.Radio(
            [(words, str(mode)) for words, mode in MODES], value=str(Mode.DIRECT), label="What people do"
        )
        self.rubrics = gr.Dropdown(
            [], label="Rubrics", multiselect=True, info="Each item is labelled once by each. Rows may bring their own."
        )
        self.guidelines = gr.Textbox(label="Guidelines", lines=3, max_lines=12, info="Markdown, always in view.")
        self.blind = gr.Checkbox(True, label="Blind: people label before they see the verdict")
        with gr.Row():
            self.people = gr.Number(1, label="People per item", precision=0, minimum=1, min_width=120)
            self.repeats = gr.Number(0, label="Items that come back", precision=0, minimum=0, min_width=120)
        self.order = gr.Radio([str(one) for one in ItemOrder], value="random", label="Order of items")
        with gr.Row(visible=False) as self.streams:
            self.share = gr.Number(
                30, label="Per cent drawn by chance", minimum=1, maximum=99, min_width=120,
                info="The audit stream: its labels make the estimates.",
            )  # fmt: skip
            self.foremost = gr.Radio(
                [str(one) for one in Foremost], value="uncertain", label="First among the others", min_width=160,
                info="Where the judge is unsure, or people or orders differ.",
            )  # fmt: skip
        self.create = gr.Button("Make project", variant="primary")
        with gr.Accordion("Restore a project", open=False):
            self.saved = gr.File(
                label="Its export, of the form long", file_count="single", type="filepath", height=150,
                file_types=[".csv", ".jsonl", ".parquet"],
            )  # fmt: skip
            self.new_name = gr.Textbox(
                label="New name", max_lines=1,
                info="Empty: as it was. Labels come back in their authors' names, so this is an admin's.",
            )  # fmt: skip
            self.restore = gr.Button("Restore", size="sm")
            self.restored = gr.HTML("", label="What was restored")

    def _lay_out_opened(self) -> None:
        with gr.Row(elem_classes="assay-tools"):
            self.project = gr.Dropdown([], label="Open project", filterable=False, min_width=180)
            self.archived = gr.Checkbox(label="Show archived", container=False)
        self.card = gr.HTML("", label="How far it is")
        with gr.Column(visible=False) as self.actions:
            with gr.Row(elem_classes="assay-tools"):
                self.judge = gr.Button("Judge all items", size="sm", min_width=120)
                self.retry = gr.Button("Try failed again", size="sm", min_width=120)
                self.pause = gr.Button("Pause", size="sm", min_width=80)
                self.resume = gr.Button("Resume", size="sm", min_width=80)
                self.cancel = gr.Button("Cancel", size="sm", min_width=80)
            with gr.Accordion("Import items", open=True):
                self.file = gr.File(
                    label="File", file_count="single", type="filepath", height=150,
                    file_types=[".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx"],
                )  # fmt: skip
                self.hub = gr.Textbox(
                    label="Or a data set of the hub", max_lines=1, placeholder="organisation/name, then Enter"
                )
                with gr.Row():
                    self.columns = {
                        part: gr.Textbox(label=label, max_lines=1, min_width=160) for part, label in COLUMNS.items()
                    }
                self.preview = gr.HTML("", label="Preview of the file")
                with gr.Row(elem_classes="assay-tools"):
                    self.look = gr.Button("Preview again", size="sm", min_width=120)
                    self.leave_out = gr.Checkbox(label="Leave out rows that can't be used", container=False)
                    self.take = gr.Button("Import", variant="primary", size="sm", min_width=100)
                self.report = gr.HTML("", label="What became of the import")
            with gr.Accordion("Export", open=False):
                with gr.Row():
                    self.form = gr.Dropdown(list(FORMS), value="long", label="Form", min_width=160)
                    self.suffix = gr.Dropdown(list(SUFFIXES), value=".csv", label="File type", min_width=120)
                self.export = gr.Button("Make the file", size="sm")
                self.exported = gr.File(label="Exported file", interactive=False, height=80)
            with gr.Row(elem_classes="assay-tools"):
                self.close = gr.Button("Close", size="sm", min_width=90)
                self.reopen = gr.Button("Reopen", size="sm", min_width=90)
                self.archive = gr.Button("Archive", size="sm", min_width=90)

    def wire(self) -> None:
        """Join the components to their handlers."""
        listed = [self.project, self.card, self.actions, self.rubrics]
        opened = {self.project, self.archived}
        on_arrival(self._arrive, opened, listed)
        self.archived.change(self._arrive, opened, listed, **QUIET)
        self.project.change(self._show, opened, [self.card], **QUIET)
        self.timer.tick(self._show, opened, [self.card], **QUIET)
        new = {self.name, self.mode, self.rubrics, self.guidelines, self.blind, self.people, self.repeats, self.order}
        new |= {self.share, self.foremost}
        self.order.change(self._show_streams, [self.order], [self.streams], **QUIET)
        self.create.click(self._create, {*new, *opened}, [self.project, self.card, self.actions, self.name], **QUIET)
        lost = {self.saved, self.new_name, *opened}
        self.restore.click(self._restore, lost, [self.project, self.card, self.actions, self.restored], **QUIET)
        fields = {self.project, self.file, self.hub, self.leave_out, *self.columns.values()}
        guessed = [self.preview, self.report, *self.columns.values()]
        gr.on([self.file.upload, self.hub.submit], self._guess, fields, guessed, **QUIET)
        self.look.click(self._preview, fields, [self.preview], **QUIET)
        self.take.click(self._take, fields, [self.report, self.card], **QUIET)
        for button, state in (
            (self.close, ProjectState.CLOSED),
            (self.reopen, ProjectState.OPEN),
            (self.archive, ProjectState.ARCHIVED),
        ):
            button.click(self._setter(state), opened, listed, **QUIET)
        self.judge.click(self._starter(failed_only=False), opened, [self.card], **QUIET)
        self.retry.click(self._starter(failed_only=True), opened, [self.card], **QUIET)
        for button, act in ((self.pause, "pause"), (self.resume, "resume"), (self.cancel, "cancel")):
            button.click(self._job_act(act), opened, [self.card], **QUIET)
        self.export.click(self._export, {self.project, self.form, self.suffix}, [self.exported], **QUIET)

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        views = self._services.projects.list(include_archived=bool(data[self.archived]))
        ids = [view.id for view in views]
        chosen = data[self.project] if data[self.project] in ids else (ids[-1] if ids else None)
        rubrics = [(view.name, view.version_id) for view in self._services.library.search()]
        return {
            self.project: gr.update(choices=[(view.name, view.id) for view in views], value=chosen),
            self.card: self._card(chosen),
            self.actions: gr.update(visible=chosen is not None),
            self.rubrics: gr.update(choices=rubrics),
        }

    @shown
    def _show(self, data: Mapping[Component, Any]) -> Update:
        return {self.card: self._card(data[self.project])}

    def _show_streams(self, order: str) -> Update:
        return {self.streams: gr.update(visible=order == ItemOrder.TWO_STREAMS)}

    @shown
    def _create(self, data: Mapping[Component, Any]) -> Update:
        draft = ProjectDraft(
            name=data[self.name] or "",
            mode=Mode(data[self.mode]),
            rubric_version_ids=tuple(data[self.rubrics] or ()),
            guidelines=data[self.guidelines] or "",
            blind=bool(data[self.blind]),
            people_per_item=int(data[self.people] or 0),
            item_order=ItemOrder(data[self.order]),
            repeats=int(data[self.repeats] or 0),
            audit_share=(data[self.share] or 0) / 100,
            foremost=Foremost(data[self.foremost]),
        )
        view = self._services.projects.create(draft, self._who())
        tell(f"“{view.name}” is made. Import items into it.")
        return {**self._opened(view.id, data), self.name: ""}

    @shown
    def _restore(self, data: Mapping[Component, Any]) -> Update:
        if not data[self.saved]:
            raise InvalidInputError("No file was chosen. Drop the export of a project, of the form long, into the box.")
        found = self._services.importing.restore(str(data[self.saved]), data[self.new_name] or "", self._who())
        return {**self._opened(found.project_id, data), self.restored: restored_report(found)}

    def _opened(self, project_id: int, data: Mapping[Component, Any]) -> Update:
        """The list with a project that is new in it, and that project open."""
        views = self._services.projects.list(include_archived=bool(data[self.archived]))
        chosen = gr.update(choices=[(one.name, one.id) for one in views], value=project_id)
        return {self.project: chosen, self.card: self._card(project_id), self.actions: gr.update(visible=True)}

    @shown
    def _guess(self, data: Mapping[Component, Any]) -> Update:
        view = self._services.projects.get(self._chosen(data))
        preview = self._services.importing.preview(self._place(data), view.mode)
        guessed = {field: _words(getattr(preview.mapping, part)) for part, field in self.columns.items()}
        return {self.preview: preview_table(preview), self.report: "", **guessed}

    @shown
    def _preview(self, data: Mapping[Component, Any]) -> Update:
        view = self._services.projects.get(self._chosen(data))
        mapping = self._mapping(data, view.mode)
        return {self.preview: preview_table(self._services.importing.preview(self._place(data), view.mode, mapping))}

    @shown
    def _take(self, data: Mapping[Component, Any]) -> Update:
        view = self._services.projects.get(self._chosen(data))
        report = self._services.importing.run(
            self._place(data), view.id, self._who(), self._mapping(data, view.mode),
            leave_out_refused=bool(data[self.leave_out]),
        )  # fmt: skip
        return {self.report: import_report(report), self.card: self._card(view.id)}

    def _setter(self, state: ProjectState) -> Any:
        @shown
        def change(data: Mapping[Component, Any]) -> Update:
            view = self._services.projects.set_state(self._chosen(data), state, self._who())
            tell(f"“{view.name}” is {view.state}.")
            return self._arrive(data)

        return change

    def _starter(self, *, failed_only: bool) -> Any:
        @shown
        def start(data: Mapping[Component, Any]) -> Update:
            served = self._services.serving.served
            order = BatchOrder(
                self._chosen(data),
                self._services.sampling,
                model_version_id=None if served is None else served.model_version_id,
                failed_only=failed_only,
            )
            self._services.batches.submit(self._services.jobs, order, self._who())
            return {self.card: self._card(order.project_id)}

        return start

    def _job_act(self, act: str) -> Any:
        @shown
        def change(data: Mapping[Component, Any]) -> Update:
            job, jobs = self._job(self._chosen(data)), self._services.jobs
            if job is None or job.finished:
                raise InvalidInputError("No batch of this project is going on. Press Judge all items to begin one.")
            {"pause": jobs.pause, "resume": jobs.resume, "cancel": jobs.cancel}[act](job.id, self._who())
            return {self.card: self._card(data[self.project])}

        return change

    @shown
    def _export(self, data: Mapping[Component, Any]) -> Update:
        view = self._services.projects.get(self._chosen(data))
        suffix = data[self.suffix] if data[self.form] == "long" else ".jsonl"
        out = Path(tempfile.mkdtemp(prefix="assay-")) / f"project-{view.id}-{data[self.form]}{suffix}"
        count = self._services.exporting.write(view.id, data[self.form], out, self._who())
        tell(f"{count:,} rows.")
        return {self.exported: str(out)}

    def _chosen(self, data: Mapping[Component, Any]) -> int:
        if data[self.project] is None:
            raise InvalidInputError("No project is open. Make one, or choose one.")
        return int(data[self.project])

    def _place(self, data: Mapping[Component, Any]) -> str:
        """An uploaded file, or a data set of the hub: never a file of this machine that somebody names."""
        hub = (data[self.hub] or "").strip()
        if data[self.file]:
            return str(data[self.file])
        if not hub:
            raise InvalidInputError("No file was chosen. Drop one into the box, or name a data set of the hub.")
        if not is_on_hub(hub):
            raise InvalidInputError(f"{hub[:100]!r} is no data set of the hub. Its name is organisation/name.")
        return hub

    def _mapping(self, data: Mapping[Component, Any], mode: Mode) -> ColumnMapping:
        guessed = self._services.importing.preview(self._place(data), mode).mapping
        return with_columns(guessed, {part: data[field] or "" for part, field in self.columns.items()})

    def _job(self, project_id: int) -> JobView | None:
        jobs = self._services.jobs.list(JobKind.JUDGE)
        return next((job for job in jobs if job.spec["project_id"] == project_id), None)

    def _card(self, project_id: int | None) -> str:
        if project_id is None:
            return project_card(None, None, None, ())
        projects = self._services.projects
        job = self._job(project_id)
        shown_job = None if job is None or job.state is JobState.CANCELLED else job
        failures = self._services.batches.failures(project_id)
        return project_card(projects.get(project_id), projects.progress(project_id), shown_job, failures)


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
