"""The panel under a verdict where a person agrees, overrides, or takes it back; used on two pages."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from backend.errors import InvalidInputError
from backend.history import VerdictDetail
from backend.labels import Labels, LabelView
from backend.results import order_words, parse_order
from backend.types import SCORES, Mode
from ui import render
from ui.events import QUIET, Update
from ui.shell import shown

WINNER_CHOICES = [("A is better", "A"), ("B is better", "B"), ("Tie", "tie")]


@dataclass(frozen=True)
class Shown:
    """What the panel is about. client_id: of the next label. label_id: of the one that stands and is seen."""

    verdict_id: int
    mode: Mode
    responses: int
    client_id: str
    label_id: int | None


class LabelPanel:
    """Lays itself out where it is made, hidden until show().

    components: everything that show() and hide() update; list them among the outputs. saved: the events
    after which the stored labels are others; chain to them with .success.
    """

    def __init__(self, labels: Labels, who: Callable[[], int]) -> None:
        self._labels = labels
        self._who = who
        self._shown = gr.State(None)
        with gr.Column(visible=False, elem_classes="assay-panel") as self._group:
            self._standing = gr.HTML(label="Your label", elem_classes="assay-standing")
            self._note = gr.Textbox(
                label="Note (optional)", lines=1, max_lines=6, placeholder="Why you agree, or what the judge missed."
            )
            with gr.Row(elem_classes="assay-buttons"):
                self._agree = gr.Button("Agree", size="sm", min_width=90)
                self._override = gr.Button("Override", size="sm", min_width=90)
                self._undo = gr.Button("Undo", size="sm", min_width=90, interactive=False)
            with gr.Column(visible=False, elem_classes="assay-override") as self._form:
                self._score = gr.Radio(list(SCORES), label="Your score")
                self._winner = gr.Radio(WINNER_CHOICES, label="Your winner")
                self._order = gr.Textbox(label="Your order, the best first", max_lines=1)
                self._save = gr.Button("Save override", variant="primary", size="sm")
            self._trail = gr.HTML(label="Trail of labels")
        self.components: list[Component] = [
            self._shown, self._group, self._standing, self._note, self._agree, self._undo,
            self._form, self._score, self._winner, self._order, self._trail,
        ]  # fmt: skip
        self.saved: list[Dependency] = self._wire()

    def show(self, detail: VerdictDetail) -> Update:
        """The panel for this verdict, empty but for what was said of it before."""
        shown_now = Shown(detail.id, detail.mode, len(detail.item.responses), uuid.uuid4().hex, None)
        example = order_words(range(shown_now.responses))
        return {
            self._group: gr.update(visible=True),
            self._score: gr.update(value=None, visible=detail.mode is Mode.DIRECT),
            self._winner: gr.update(value=None, visible=detail.mode is Mode.PAIRWISE),
            self._order: gr.update(value="", visible=detail.mode is Mode.RANKING, placeholder=f"For example {example}"),
            self._agree: gr.update(interactive=detail.result is not None),
            **self._said(shown_now, detail.labels),
        }

    def hide(self) -> Update:
        return {self._group: gr.update(visible=False), self._shown: None}

    def _wire(self) -> list[Dependency]:
        said = [self._shown, self._standing, self._note, self._undo, self._form, self._trail]
        self._override.click(lambda: gr.update(visible=True), None, [self._form], **QUIET)
        choice = [self._shown, self._score, self._winner, self._order, self._note]
        return [
            self._agree.click(self._on_agree, [self._shown, self._note], said, **QUIET),
            gr.on([self._save.click, self._order.submit], self._on_save, choice, said, **QUIET),
            self._undo.click(self._on_undo, [self._shown], said, **QUIET),
        ]

    @shown
    def _on_agree(self, about: Shown | None, note: str) -> Update:
        about = _still_there(about)
        self._labels.agree(about.verdict_id, self._who(), about.client_id, note)
        return self._refreshed(about)

    @shown
    def _on_save(self, about: Shown | None, score: str | None, winner: str | None, order: str, note: str) -> Update:
        about = _still_there(about)
        label = (about.verdict_id, self._who(), about.client_id)
        match about.mode:
            case Mode.DIRECT:
                if score is None:
                    raise InvalidInputError("Choose a score from 1 to 5 first.")
                self._labels.override_score(*label, int(score), note)
            case Mode.PAIRWISE:
                if winner is None:
                    raise InvalidInputError("Choose a winner or a tie first.")
                self._labels.override_winner(*label, winner, note)
            case Mode.RANKING:
                self._labels.override_ranking(*label, parse_order(order, about.responses), note)
        return self._refreshed(about)

    @shown
    def _on_undo(self, about: Shown | None) -> Update:
        about = _still_there(about)
        self._labels.undo(about.verdict_id, self._who(), about.client_id, seen=about.label_id)
        return self._refreshed(about)

    def _refreshed(self, about: Shown) -> Update:
        """After a label: another id for the next one, so that it is a label of its own."""
        return self._said(replace(about, client_id=uuid.uuid4().hex), self._labels.trail(about.verdict_id, self._who()))

    def _said(self, about: Shown, trail: Sequence[LabelView]) -> Update:
        own = [label for label in trail if label.author_id == self._who() and label.current]
        standing = own[0] if own else None
        return {
            self._shown: replace(about, label_id=None if standing is None else standing.id),
            self._standing: render.standing_label(standing),
            self._note: "",
            self._undo: gr.update(interactive=standing is not None),
            self._form: gr.update(visible=False),
            self._trail: render.label_trail(trail),
        }


def _still_there(about: Shown | None) -> Shown:
    """A page that slept longer than the server remembers it has forgotten which verdict it shows."""
    if about is None:
        raise InvalidInputError("This page has been open for too long. Reload it and open the verdict again.")
    return about
