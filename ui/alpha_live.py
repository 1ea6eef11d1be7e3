"""The alpha lab's second pane: an item, two experts in memory, and what their mix says as alpha moves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import SHOWN, InvalidInputError
from backend.live_bench import BenchPhase, LiveBench, Opinion
from backend.rubrics import RubricLibrary
from backend.types import Item, Rubric
from ui import alpha_render, charts
from ui.alpha_mix import MixPane
from ui.events import LATEST, QUIET, Update
from ui.examples import EXAMPLES, Example
from ui.fields import picked, shown_if_any
from ui.shell import shown

KEPT_OPINIONS = 6
MOST_RESPONSES = 2


@dataclass(frozen=True)
class Trail:
    """The last opinions on one question, the newest last. key: what was asked of which pair."""

    key: tuple[Any, ...] = ()
    opinions: tuple[Opinion, ...] = ()

    def after(self, key: tuple[Any, ...], opinion: Opinion) -> "Trail":
        """With this one too; another question begins anew, and of one alpha the newest counts."""
        kept = [one for one in self.opinions if one.alpha != opinion.alpha] if key == self.key else []
        return Trail(key, (*kept, opinion)[-KEPT_OPINIONS:])


class LivePane:
    """The components, and the handlers that ask the bench."""

    def __init__(self, bench: LiveBench, library: RubricLibrary, who: Callable[[], int]) -> None:
        self._bench = bench
        self._who = who
        self._library = library
        gr.HTML("<div class='assay-heading'><h2>Live</h2></div>", label="About live alpha")
        self.status = gr.HTML(alpha_render.bench_status(bench.state), label="State of live alpha")
        with gr.Row(elem_classes="assay-tools"):
            self.load = gr.Button("Load both experts", min_width=150)
            self.clear = gr.Button("Free the memory", visible=False, min_width=150)
        self.result = gr.HTML(label="Live opinion", visible=False, elem_id="live-opinion")
        self.chart = gr.Plot(label="Live distribution", show_label=False, visible=False)
        self.side_by_side = gr.HTML(label="Opinions at the last alphas", visible=False)
        self.trail = gr.State(Trail())
        with gr.Accordion("The item", open=True):
            with gr.Row(elem_classes="assay-examples"):
                gr.HTML("<span class='assay-muted'>Try an example:</span>", label="Examples")
                self.examples = [
                    (gr.Button(example.label, size="sm", min_width=120), example)
                    for example in EXAMPLES
                    if len(example.responses) <= MOST_RESPONSES
                ]
            self.instruction = gr.Textbox(
                label="Instruction", lines=2, max_lines=8, placeholder="What the responses were asked to do."
            )
            self.response_a = gr.Textbox(label="Response A", lines=2, max_lines=8, placeholder="For a score, this one.")
            self.response_b = gr.Textbox(
                label="Response B (optional)", lines=2, max_lines=8, placeholder="For a winner, a second one."
            )
            self.rubric = gr.Dropdown(label="Rubric from the library", choices=[], allow_custom_value=True)
        self.ask = gr.Button("Ask at this alpha", min_width=150)

    @property
    def fields(self) -> list[Component]:
        return [self.instruction, self.response_a, self.response_b, self.rubric]

    @property
    def defaults(self) -> list[Any]:
        return ["", "", "", None]

    @property
    def seen(self) -> list[Component]:
        return [self.status]

    @property
    def looked(self) -> list[Component]:
        return [self.status, self.load, self.clear]

    def wire(self, mix: MixPane) -> None:
        asked = {*mix.fields, *self.fields, self.trail}
        answered = [self.status, self.result, self.chart, self.side_by_side, self.trail]
        self.load.click(self._loader(mix), set(mix.fields), self.looked, **QUIET)
        self.clear.click(self._clear, None, self.looked, **QUIET)
        mix.alpha.change(self._mover(mix), asked, answered, **QUIET, **LATEST)
        self.ask.click(self._asker(mix), asked, answered, **QUIET, **LATEST)
        for button, example in self.examples:
            button.click(self._filler(example), None, self.fields, **QUIET)

    def look(self, data: Mapping[Component, Any]) -> Update:
        """How far loading is, if that differs from what the page shows."""
        return {} if alpha_render.bench_status(self._bench.state) == data[self.status] else self._told()

    def rubric_choices(self) -> list[tuple[str, int]]:
        return [(view.name, view.id) for view in self._library.search()]

    # Handlers

    def _loader(self, mix: MixPane) -> Any:
        @shown
        def load(data: Mapping[Component, Any]) -> Update:
            wanted = mix.mix(data)
            _require_linear(wanted.method)
            if wanted.direct_id is None or wanted.pairwise_id is None:
                raise InvalidInputError("Pick a direct expert and a pairwise expert first.")
            self._bench.load(wanted.direct_id, wanted.pairwise_id, self._who())
            return self._told()

        return load

    @shown
    def _clear(self) -> Update:
        self._bench.clear(self._who())
        return self._told()

    def _mover(self, mix: MixPane) -> Any:
        """The slider was moved: an answer where everything is there, and else no complaint."""

        @shown
        def move(data: Mapping[Component, Any]) -> Iterator[Update]:
            ready = self._bench.state.phase is BenchPhase.READY
            if ready and (data[self.instruction] or "").strip():
                yield from self._answer(mix, data)
            else:
                yield {self.trail: data[self.trail], **self._said_before(data, mix.mix(data).alpha)}

        return move

    def _asker(self, mix: MixPane) -> Any:
        @shown
        def ask(data: Mapping[Component, Any]) -> Iterator[Update]:
            yield from self._answer(mix, data)

        return ask

    def _answer(self, mix: MixPane, data: Mapping[Component, Any]) -> Iterator[Update]:
        """At once that it is asked, then the mix's opinion, or in its place why there is none."""
        wanted = mix.mix(data)
        try:
            _require_linear(wanted.method)
            item, rubric = self._item(data), self._rubric(data)
            pair = (wanted.direct_id or 0, wanted.pairwise_id or 0)
            asked = replace(self._bench.state, asked_at=wanted.alpha)
            yield {self.status: alpha_render.bench_status(asked), **self._said_before(data, wanted.alpha)}
            opinion = self._bench.ask(pair, wanted.alpha, item, rubric, self._who())
        except SHOWN as error:
            reason = alpha_render.not_live(str(error))
            yield {
                self.status: alpha_render.bench_status(self._bench.state),
                self.result: shown_if_any(reason),
                self.chart: gr.update(visible=False),
                self.side_by_side: gr.update(visible=False),
                self.trail: data[self.trail],
            }
            return
        trail = data[self.trail].after((pair, item.digest, rubric.digest), opinion)
        beside = alpha_render.side_by_side(trail.opinions, opinion.alpha)
        yield {
            self.status: alpha_render.bench_status(self._bench.state),
            self.result: shown_if_any(alpha_render.opinion(opinion, now=opinion.alpha)),
            self.chart: gr.update(value=charts.verdict(opinion.result), visible=True),
            self.side_by_side: shown_if_any(beside),
            self.trail: trail,
        }

    def _said_before(self, data: Mapping[Component, Any], alpha: float) -> Update:
        """The last opinion, marked where it is of another alpha than this; nothing where there is none."""
        opinions = data[self.trail].opinions
        return {self.result: shown_if_any(alpha_render.opinion(opinions[-1], now=alpha))} if opinions else {}

    def _filler(self, example: Example) -> Any:
        def fill() -> Update:
            named = {view.name: view.id for view in self._library.search()}
            second = example.responses[1] if len(example.responses) > 1 else ""
            return {
                self.instruction: example.instruction,
                self.response_a: example.responses[0],
                self.response_b: second,
                self.rubric: named.get(example.rubric, next(iter(named.values()), None)),
            }

        return fill

    # Gathering and rendering

    def _item(self, data: Mapping[Component, Any]) -> Item:
        second = data[self.response_b] or ""
        responses = (data[self.response_a] or "", *((second,) if second.strip() else ()))
        return Item(data[self.instruction] or "", responses)

    def _rubric(self, data: Mapping[Component, Any]) -> Rubric:
        rubric_id = picked(data[self.rubric])
        if rubric_id is None:
            raise InvalidInputError("No rubric is chosen. Pick one of the list.")
        return self._library.get(rubric_id).rubric

    def _told(self) -> Update:
        state = self._bench.state
        loading = state.phase is BenchPhase.LOADING
        return {
            self.status: alpha_render.bench_status(state),
            self.load: gr.update(interactive=not loading),
            self.clear: gr.update(
                visible=loading or state.phase is BenchPhase.READY, value="Cancel" if loading else "Free the memory"
            ),
        }


def _require_linear(method: str) -> None:
    if method != alpha_render.LIVE_ONLY:
        raise InvalidInputError(
            f"Live alpha mixes linearly. {alpha_render.METHODS.get(method, method)} has to be merged to disk for each "
            "alpha: choose the linear method, or press Merge."
        )
