"""The history page: find a verdict, open it whole, and label it."""

from collections.abc import Callable

import gradio as gr
from gradio.components import Component

from backend.history import Agreement, Filter, History, HistoryPage
from backend.labels import Labels
from backend.types import Mode
from ui import charts, render
from ui.events import LATEST, PRIVATE, QUIET, Update, on_arrival
from ui.fields import shown_if_any
from ui.history_render import MODE_NAMES, history_table, pager_words
from ui.labels import LabelPanel
from ui.shell import shown

MODE_CHOICES = [("Any", ""), *((name, str(mode)) for mode, name in MODE_NAMES.items())]
AGREEMENT_CHOICES = [
    ("Any", "any"),
    ("Agreed", "agreed"),
    ("Overridden", "overridden"),
    ("Not labelled", "unlabelled"),
]
OPEN_ON_CLICK = """
element.addEventListener('click', (event) => {
    const row = event.target.closest('[data-verdict]');
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || String(window.getSelection())) return;
    event.preventDefault();
    const address = new URL(window.location);
    address.searchParams.set('verdict', row.dataset.verdict);
    window.history.replaceState(window.history.state, '', address);
    trigger('select', {verdict: row.dataset.verdict});
});
"""
"""A click anywhere in a row opens it; its link works with the keyboard and in a tab of its own."""
COMPARED = "<p class='assay-note'>How far people and the model agree: <a href='agreement'>Agreement</a>.</p>"
SHOW_OPENED = "() => document.getElementById('opened-verdict')?.scrollIntoView({behavior: 'smooth', block: 'start'})"


def build(history: History, labels: Labels, who: Callable[[], int]) -> None:
    """Lay out the page inside the route that is open."""
    _HistoryPage(history, labels, who).wire()


class _HistoryPage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, history: History, labels: Labels, who: Callable[[], int]) -> None:
        self._history = history
        self._who = who
        self._lay_out_filters()
        self._lay_out_table()
        self._lay_out_opened(labels, who)
        gr.HTML(COMPARED, label="Where people and model are compared")

    def _lay_out_filters(self) -> None:
        with gr.Row(elem_classes="assay-filters"):
            self._model = gr.Dropdown([("Any", "")], value="", label="Model", min_width=130)
            self._rubric = gr.Dropdown([("Any", "")], value="", label="Rubric", min_width=130)
            self._mode = gr.Dropdown(MODE_CHOICES, value="", label="Mode", min_width=110)
            self._agreement = gr.Dropdown(AGREEMENT_CHOICES, value="any", label="Agreement", min_width=130)
            self._text = gr.Textbox(
                label="Search", placeholder="Words, then Enter", max_lines=1, min_width=150, scale=2
            )
        self._filters: list[Component] = [self._model, self._rubric, self._mode, self._agreement, self._text]

    def _lay_out_table(self) -> None:
        self._number = gr.State(1)
        self._table = gr.HTML(label="Verdicts", js_on_load=OPEN_ON_CLICK, elem_classes="assay-history-pane")
        with gr.Row(elem_classes="assay-pager-row"):
            self._previous = gr.Button("← Newer", size="sm", min_width=90, scale=0, visible=False)
            self._where = gr.HTML(label="Which verdicts are shown")
            self._next = gr.Button("Older →", size="sm", min_width=90, scale=0, visible=False)

    def _lay_out_opened(self, labels: Labels, who: Callable[[], int]) -> None:
        with gr.Column(visible=False, elem_id="opened-verdict") as self._opened:
            self._title = gr.HTML(label="Opened verdict")
            with gr.Row(elem_classes="assay-columns"):
                with gr.Column(scale=5, min_width=320):
                    self._item = gr.HTML(label="What was judged")
                with gr.Column(scale=6, min_width=320):
                    self._card = gr.HTML(label="Verdict")
                    self._chart = gr.Plot(label="Distribution", visible=False)
                    self._panel = LabelPanel(labels, who)
                    self._details = gr.HTML(label="Feedback and maker")

    def wire(self) -> None:
        paged: list[Component] = [self._number, self._table, self._previous, self._where, self._next]
        opened: list[Component] = [
            self._opened, self._title, self._item, self._card, self._chart, self._details, *self._panel.components,
        ]  # fmt: skip

        arrived = on_arrival(self._arrive, None, [self._model, self._rubric, *paged, *opened])
        arrived.success(None, None, None, js=SHOW_OPENED, **QUIET)
        changes = [self._model.input, self._rubric.input, self._mode.input, self._agreement.input, self._text.submit]
        gr.on(changes, self._first_page, self._filters, paged, **PRIVATE, **LATEST, show_progress_on=[self._table])
        self._previous.click(self._newer, [self._number, *self._filters], paged, **QUIET)
        self._next.click(self._older, [self._number, *self._filters], paged, **QUIET)
        self._table.select(self._open, None, opened, **QUIET, **LATEST).success(
            None, None, None, js=SHOW_OPENED, **QUIET
        )
        for saved in self._panel.saved:
            saved.success(self._same_page, [self._number, *self._filters], paged, **QUIET)

    # Handlers

    @shown
    def _arrive(self, request: gr.Request) -> Update:
        """A fresh page, with the verdict that its address names opened."""
        choices = self._history.choices()
        updates: Update = {
            self._model: gr.update(choices=_with_any(choices.models), value=""),
            self._rubric: gr.update(choices=_with_any(choices.rubrics), value=""),
            **self._paged(Filter(), 1),
        }
        named = request.query_params.get("verdict", "")
        if named.isascii() and named.isdigit():
            updates |= self._whole(int(named))
        return updates

    @shown
    def _first_page(self, *filters: str) -> Update:
        return self._paged(_filter(*filters), 1)

    @shown
    def _newer(self, number: int, *filters: str) -> Update:
        return self._paged(_filter(*filters), max(1, number - 1))

    @shown
    def _older(self, number: int, *filters: str) -> Update:
        return self._paged(_filter(*filters), number + 1)

    @shown
    def _same_page(self, number: int, *filters: str) -> Update:
        return self._paged(_filter(*filters), number)

    @shown
    def _open(self, event: gr.EventData) -> Update:
        return self._whole(int(event.verdict))

    # Rendering

    def _paged(self, filter: Filter, number: int) -> Update:
        page: HistoryPage = self._history.page(filter, number, self._who())
        return {
            self._number: page.number,
            self._table: history_table(page, filtered=filter != Filter()),
            self._where: pager_words(page),
            self._previous: gr.update(interactive=page.number > 1, visible=page.pages > 1),
            self._next: gr.update(interactive=page.number < page.pages, visible=page.pages > 1),
        }

    def _whole(self, verdict_id: int) -> Update:
        detail = self._history.open(verdict_id, self._who())
        return {
            self._opened: gr.update(visible=True),
            self._title: f"<h2>Verdict {detail.id}</h2>",
            self._item: render.item_block(detail) + render.rubric_block(detail),
            self._card: render.verdict_card(detail),
            self._chart: shown_if_any(charts.verdict(detail.result), label=render.chart_name(detail)),
            self._details: render.verdict_details(detail),
            **self._panel.show(detail),
        }


def _with_any(named: tuple[tuple[int, str], ...]) -> list[tuple[str, str]]:
    """Drop-down choices. Two of the same name are told apart by their number."""
    names = [name for _, name in named]
    return [("Any", ""), *((name if names.count(name) == 1 else f"{name} ({key})", str(key)) for key, name in named)]


def _filter(model: str, rubric: str, mode: str, agreement: str, text: str) -> Filter:
    return Filter(
        model_version_id=int(model) if model else None,
        rubric_id=int(rubric) if rubric else None,
        mode=Mode(mode) if mode else None,
        agreement=Agreement(agreement),
        text=text,
    )
