"""The rubrics page: the library on the left, the rubric that is open on the right."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import InvalidInputError
from backend.rubric_drafts import RubricDraft
from backend.rubrics import RubricLibrary, RubricView
from backend.types import SCORES, digest_of
from ui.draft import keep_draft, restore_draft
from ui.events import LATEST, PRIVATE, QUIET, Update, on_arrival
from ui.fields import shown_if_any
from ui.rubric_render import LEVEL_LABELS, card_list, heading, import_report, import_title, version_list
from ui.shell import shown, tell

DRAFT = "assay.rubrics.1"
LEVEL_HINTS = (
    "What the worst looks like.",
    "What sets it apart from a 1 and from a 3.",
    "What the middle looks like.",
    "What sets it apart from a 3 and from a 5.",
    "What the best looks like.",
)
PICK_CARD = """
element.addEventListener("click", (event) => {
    const card = event.target.closest("[data-rubric]");
    if (card) trigger("select", {rubric: Number(card.dataset.rubric)});
});
"""
DOWNLOAD = """(text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
    link.download = "assay-rubrics.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    return [];
}"""


def build(library: RubricLibrary, who: Callable[[], int]) -> None:
    """Lay out the page inside the route that is open."""
    page = _RubricsPage(library, who)
    page.wire()


@dataclass(frozen=True)
class _Opened:
    """What the form was filled from. rubric_id: None for a rubric that is new. filled: digest of the texts put in."""

    rubric_id: int | None
    revision: str
    filled: str

    @classmethod
    def of(cls, view: RubricView | None) -> "_Opened":
        if view is None:
            return cls(None, "", _digest(_blank()))
        return cls(view.id, view.revision, _digest(view.draft))

    @classmethod
    def parse(cls, text: str) -> "_Opened":
        return cls(**json.loads(text))

    def written(self) -> str:
        return json.dumps(asdict(self))


class _RubricsPage:
    """The components, and the handlers that gather from them, call the library, and render."""

    def __init__(self, library: RubricLibrary, who: Callable[[], int]) -> None:
        self._library = library
        self._who = who
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=4, min_width=300):
                self._lay_out_library()
            with gr.Column(scale=7, min_width=300):
                self._lay_out_editor()

    def _lay_out_library(self) -> None:
        self.search = gr.Textbox(label="Search rubrics", placeholder="A word of its name, criterion or levels", lines=1)
        with gr.Row(elem_classes="assay-tools"):
            self.archived = gr.Checkbox(label="Show archived", container=False)
            self.new = gr.Button("New rubric", size="sm", scale=0, min_width=110)
        self.cards = gr.HTML(label="Rubrics", js_on_load=PICK_CARD)
        # Above its button, which stands at the lower edge of many a screen: below it nobody would see it.
        self.report = gr.HTML(label="What became of the import", visible=False)
        with gr.Row(elem_classes="assay-tools"):
            self.upload = gr.UploadButton(
                "Import a file", type="binary", file_types=[".json", ".jsonl"], size="sm", min_width=110
            )
            self.export = gr.Button("Export this list", size="sm", min_width=110)
        self.payload = gr.Textbox(label="Exported rubrics", visible="hidden")

    def _lay_out_editor(self) -> None:
        self.opened = gr.Textbox(_Opened.of(None).written(), label="Open rubric", visible="hidden")
        self.heading = gr.HTML(heading(None), label="About this rubric")
        self.name = gr.Textbox(label="Name", lines=1, max_lines=1)
        self.criterion = gr.Textbox(
            label="Criterion", info="One question that the score answers.", lines=2, max_lines=8,
            placeholder="Does the response …?",
        )  # fmt: skip
        with gr.Group():
            self.levels = [
                gr.Textbox(label=label, lines=2, max_lines=8, placeholder=hint)
                for label, hint in zip(LEVEL_LABELS, LEVEL_HINTS, strict=True)
            ]
        with gr.Row(elem_classes="assay-tools"):
            self.save = gr.Button("Save", variant="primary", min_width=100)
            self.discard = gr.Button("Discard changes", min_width=160)
            self.clone = gr.Button("Clone", min_width=100)
            self.archive = gr.Button("Archive", min_width=100, visible=False)
            self.unarchive = gr.Button("Unarchive", min_width=100, visible=False)
        self.history = gr.HTML(label="Versions")

    def wire(self) -> None:
        """Join the components to their handlers."""
        fields = [self.opened, self.name, self.criterion, *self.levels]
        form = {*fields, self.search, self.archived}
        buttons = [self.save, self.archive, self.unarchive]
        outputs = [*fields, self.cards, self.heading, self.history, *buttons]

        gr.on(
            [self.search.change, self.archived.change], self._find, form, [self.cards],
            **QUIET, **LATEST,
        )  # fmt: skip
        self.cards.select(self._open, form, outputs, **QUIET, **LATEST)
        self.new.click(self._new, form, outputs, **QUIET)
        self.save.click(self._save, form, outputs, **QUIET)
        self.discard.click(self._discard, form, outputs, **QUIET)
        self.clone.click(self._clone, form, outputs, **QUIET)
        self.archive.click(self._archive, form, outputs, **QUIET)
        self.unarchive.click(self._unarchive, form, outputs, **QUIET)
        self.upload.upload(self._import, {*form, self.upload}, [self.cards, self.report, self.upload], **QUIET)
        exported = self.export.click(self._export, form, [self.payload], **QUIET)
        exported.success(None, [self.payload], None, js=DOWNLOAD, **PRIVATE)

        keep_draft(DRAFT, fields)
        loaded = on_arrival(self._find, form, [self.cards])
        restored = restore_draft(loaded, DRAFT, fields, [_Opened.of(None).written(), *[""] * (len(fields) - 1)])
        restored.then(self._arrive, form, outputs, **QUIET)

    # Handlers: the library

    @shown
    def _find(self, data: Mapping[Component, Any]) -> Update:
        return {self.cards: self._cards(data, _Opened.parse(data[self.opened]).rubric_id)}

    @shown
    def _export(self, data: Mapping[Component, Any]) -> Update:
        found = self._found(data)
        if not found:
            raise InvalidInputError("The list is empty: there is nothing to export. Clear the search first.")
        return {self.payload: self._library.export_json([view.id for view in found])}

    @shown
    def _import(self, data: Mapping[Component, Any]) -> Update:
        report = self._library.import_json(data[self.upload], self._who())
        tell(import_title(report))
        return {**self._find(data), self.report: shown_if_any(import_report(report)), self.upload: None}

    # Handlers: the rubric that is open

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        """After a refresh: unsaved texts stay as they were typed; others are read afresh."""
        opened = _Opened.parse(data[self.opened])
        if opened.rubric_id is None:
            return {self.heading: heading(None)}
        view = self._library.get(opened.rubric_id)
        if self._is_unsaved(data):
            return {**self._surroundings(view), self.cards: self._cards(data, view.id)}
        return self._show(data, view)

    @shown
    def _open(self, data: Mapping[Component, Any], event: gr.EventData) -> Update:
        self._require_saved(data)
        return self._show(data, self._library.get(int(event.rubric)))

    @shown
    def _new(self, data: Mapping[Component, Any]) -> Update:
        self._require_saved(data)
        return self._show(data, None)

    @shown
    def _discard(self, data: Mapping[Component, Any]) -> Update:
        rubric_id = _Opened.parse(data[self.opened]).rubric_id
        return self._show(data, None if rubric_id is None else self._library.get(rubric_id))

    @shown
    def _save(self, data: Mapping[Component, Any]) -> Update:
        opened, draft = _Opened.parse(data[self.opened]), self._draft(data)
        if opened.rubric_id is None:
            view = self._library.create(draft, self._who())
        else:
            view = self._library.edit(opened.rubric_id, opened.revision, draft, self._who())
        tell(f"“{view.name}” is saved as version {view.number}.")
        return self._show(data, view)

    @shown
    def _clone(self, data: Mapping[Component, Any]) -> Update:
        view = self._library.clone(self._draft(data), self._who())
        tell(f"“{view.name}” is in the library. You are editing it now.")
        return self._show(data, view)

    @shown
    def _archive(self, data: Mapping[Component, Any]) -> Update:
        self._require_saved(data)
        view = self._library.archive(_Opened.parse(data[self.opened]).rubric_id, self._who())
        tell(f"“{view.name}” is archived. What was judged by it stays as it is.")
        return self._show(data, view)

    @shown
    def _unarchive(self, data: Mapping[Component, Any]) -> Update:
        self._require_saved(data)
        view = self._library.unarchive(_Opened.parse(data[self.opened]).rubric_id, self._who())
        tell(f"“{view.name}” is in the library again.")
        return self._show(data, view)

    # Gathering

    def _draft(self, data: Mapping[Component, Any]) -> RubricDraft:
        levels = tuple(data[level] or "" for level in self.levels)
        return RubricDraft(data[self.name] or "", data[self.criterion] or "", levels)

    def _is_unsaved(self, data: Mapping[Component, Any]) -> bool:
        return _digest(self._draft(data)) != _Opened.parse(data[self.opened]).filled

    def _require_saved(self, data: Mapping[Component, Any]) -> None:
        if self._is_unsaved(data):
            raise InvalidInputError("The form holds changes that are not saved. Press Save or Discard changes first.")

    def _found(self, data: Mapping[Component, Any]) -> list[RubricView]:
        return self._library.search(data[self.search] or "", include_archived=bool(data[self.archived]))

    # Rendering

    def _show(self, data: Mapping[Component, Any], view: RubricView | None) -> Update:
        """The form filled with this rubric, or blank, and the list that marks it."""
        draft = _blank() if view is None else view.draft
        return {
            self.opened: _Opened.of(view).written(),
            self.name: draft.name,
            self.criterion: draft.criterion,
            **dict(zip(self.levels, draft.levels, strict=True)),
            self.cards: self._cards(data, None if view is None else view.id),
            **self._surroundings(view),
        }

    def _surroundings(self, view: RubricView | None) -> Update:
        versions = [] if view is None else self._library.versions(view.id)
        return {
            self.heading: heading(view),
            self.history: version_list(versions),
            self.save: gr.update(visible=view is None or not view.archived),
            self.archive: gr.update(visible=view is not None and not view.archived),
            self.unarchive: gr.update(visible=view is not None and view.archived),
        }

    def _cards(self, data: Mapping[Component, Any], opened_id: int | None) -> str:
        return card_list(self._found(data), opened_id, searched=bool(data[self.search]))


def _blank() -> RubricDraft:
    return RubricDraft("", "", ("",) * len(SCORES))


def _digest(draft: RubricDraft) -> str:
    return digest_of("draft", draft.name, draft.criterion, list(draft.levels))
