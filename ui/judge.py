"""The judge page: an item and a rubric on the left, what the judge says of it on the right."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.errors import InvalidInputError, NotReadyError
from backend.judging import Question, Run, RunPhase
from backend.passes import prompts_of
from backend.rubrics import RubricView
from backend.served import Phase
from backend.types import SCORES, Item, Rubric, Sampling
from ui import charts, progress, render
from ui.draft import keep_draft, restore_draft
from ui.events import LATEST, PRIVATE, QUIET, Update, on_arrival
from ui.examples import EXAMPLES, Example
from ui.fields import picked, shown_if_any
from ui.judge_item import BOXES, ItemPane, judge_label
from ui.labels import LabelPanel
from ui.services import Services
from ui.shell import shown

DRAFT = "assay.judge.1"
BUSY_SECONDS, IDLE_SECONDS = 1.0, 10.0
"""How often the page looks how far the judge is; an admin may put another one into service at any time."""
FROM_LIBRARY, IN_PLACE = "From the library", "Write one here"
HAS_CHANGED = f"""(asked, count, instruction, reference, source, library, ...texts) => {{
    const written = texts.slice(0, {1 + len(SCORES)}), responses = texts.slice(written.length, written.length + count);
    const rubric = source === {json.dumps(IN_PLACE)} ? written : library && JSON.parse(library);
    // Until the server has told what the library's rubric says, nothing is known to have changed.
    if (!asked || !rubric) return {{ __type__: "update", visible: false }};
    const now = [instruction ?? "", reference?.trim() ? reference : "", rubric, responses];
    return {{ __type__: "update", visible: JSON.stringify(now) !== JSON.stringify(JSON.parse(asked)) }};
}}"""
"""Shows the mark on a verdict while the form holds something else than was asked. It runs in the browser at every
key, so that the mark is there at once and what is typed goes nowhere."""


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    page = _JudgePage(services)
    page.wire()


@dataclass(frozen=True)
class _Form:
    """What the fields hold at one moment."""

    item: Item
    rubric_id: int | None
    rubric: Rubric | None
    sampling: Sampling
    anew: bool


class _JudgePage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lay_out_state()
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=5, min_width=320):
                self._lay_out_examples()
                self.pane = ItemPane()
                self._lay_out_rubric()
                self._lay_out_settings()
                self._lay_out_buttons()
            with gr.Column(scale=6, min_width=320):
                self._lay_out_result()

    # Layout

    def _lay_out_state(self) -> None:
        with gr.Row(elem_classes="assay-status-row"):
            self.status = gr.HTML(progress.serving_status(self._services.serving.state), label="State of the judge")
            self.retry = gr.Button("Try again", size="sm", visible=False, scale=0, min_width=110)
        self.poll = gr.Timer(BUSY_SECONDS)
        self.run_id = gr.Textbox(label="Run", visible="hidden")
        self.verdict_id = gr.Number(label="Verdict", visible="hidden", precision=0)
        self.asked = gr.Textbox(label="What the verdict answers", visible="hidden")

    def _lay_out_examples(self) -> None:
        with gr.Row(elem_classes="assay-examples"):
            gr.HTML("<span class='assay-muted'>Try an example:</span>", label="Examples")
            self.examples = [
                gr.Button(example.label, size="sm", variant="secondary", min_width=120) for example in EXAMPLES
            ]

    def _lay_out_rubric(self) -> None:
        with gr.Group():
            self.rubric_source = gr.Radio([FROM_LIBRARY, IN_PLACE], value=FROM_LIBRARY, label="Rubric")
            self.rubric_id = gr.Dropdown(
                label="Rubric from the library", choices=[], allow_custom_value=True, filterable=True
            )
            self.rubric_text = gr.HTML(label="What the rubric says")
            self.library_rubric = gr.Textbox(label="The same as JSON", visible="hidden")
            with gr.Column(visible=False) as self.in_place:
                self.criterion = gr.Textbox(
                    label="Criterion",
                    lines=2,
                    placeholder="One question that the score answers, e.g. Is the answer kind?",
                )
                self.levels = [
                    gr.Textbox(label=f"Score {score}", lines=1, max_lines=4, placeholder=f"What a {score} looks like.")
                    for score in SCORES
                ]

    def _lay_out_settings(self) -> None:
        sampling = self._services.sampling
        with gr.Accordion("Settings", open=False):
            self.feedback = gr.Checkbox(
                sampling.feedback,
                label="Write feedback",
                info="Off: the verdict alone, several times faster.",
            )
            self.max_new_tokens = gr.Slider(
                16, 2048, value=sampling.max_new_tokens, step=16, label="Most tokens of feedback"
            )
            self.temperature = gr.Slider(
                0,
                2,
                value=sampling.temperature,
                step=0.05,
                label="Temperature",
                info="0: always the same; top-p and seed then change nothing.",
            )
            self.top_p = gr.Slider(0.05, 1, value=sampling.top_p, step=0.05, label="Top-p")
            self.seed = gr.Number(sampling.seed, label="Seed", precision=0, minimum=0)
            self.anew = gr.Checkbox(
                False, label="Ask anew", info="Ask the judge again even if it has answered this before."
            )

    def _lay_out_buttons(self) -> None:
        with gr.Row(elem_classes="assay-actions"):
            self.judge = gr.Button("Judge", variant="primary", scale=3, elem_id="judge-button")
            self.cancel = gr.Button("Cancel", variant="stop", interactive=False, scale=1, min_width=90)
        with gr.Accordion("The exact prompt", open=False):
            self.show_prompt = gr.Button("Show what the judge will read", size="sm")
            self.prompt = gr.Textbox(label="Exact prompt", lines=10, max_lines=30, interactive=False, visible=False)

    def _lay_out_result(self) -> None:
        self.outdated = gr.HTML(
            progress.outdated(),
            label="Whether the verdict is of what the form holds",
            visible=False,
            elem_id="outdated",
        )
        self.result = gr.HTML(progress.no_verdict_yet(), label="Verdict", elem_id="verdict")
        self.chart = gr.Plot(label="Distribution", visible=False, elem_id="verdict-chart")
        self.panel = LabelPanel(self._services.labels, self._services.who)
        self.details = gr.HTML(label="Feedback and maker", elem_id="verdict-details")

    # Events

    @property
    def _rubric_fields(self) -> list[Component]:
        return [self.rubric_source, self.rubric_id, self.criterion, *self.levels]

    @property
    def _sampling_fields(self) -> list[Component]:
        return [self.feedback, self.max_new_tokens, self.temperature, self.top_p, self.seed]

    @property
    def _compared_fields(self) -> list[Component]:
        """What HAS_CHANGED takes."""
        return [
            self.asked, self.pane.count, self.pane.instruction, self.pane.reference, self.rubric_source,
            self.library_rubric, self.criterion, *self.levels, *self.pane.responses,
        ]  # fmt: skip

    @property
    def _kept_fields(self) -> list[Component]:
        """What a refresh brings back."""
        return [*self.pane.fields, *self._rubric_fields, *self._sampling_fields, self.run_id, self.verdict_id]

    def wire(self) -> None:
        form = {*self._kept_fields, self.anew}
        outputs = [
            self.result, self.chart, self.details, self.judge, self.cancel,
            self.run_id, self.verdict_id, self.asked, self.anew, *self.panel.components,
        ]  # fmt: skip
        self.pane.wire(self.judge)
        shape = [*self.pane.shape, self.judge]
        filled = [self.pane.instruction, self.pane.reference, self.pane.reference_box, *self._rubric_fields, *shape]
        for button, example in zip(self.examples, EXAMPLES, strict=True):
            button.click(self._filler(example), None, filled, **QUIET)

        gr.on(
            [self.rubric_source.change, self.rubric_id.change],
            self._show_rubric, {self.rubric_source, self.rubric_id},
            [self.rubric_id, self.rubric_text, self.library_rubric, self.in_place], **QUIET, **LATEST,
        )  # fmt: skip
        compared = self._compared_fields
        gr.on([field.change for field in compared], None, compared, [self.outdated], js=HAS_CHANGED, **QUIET, **LATEST)

        self.judge.click(self._judge, form, outputs, concurrency_limit=None, **QUIET)
        self.cancel.click(self._cancel, [self.run_id], None, queue=False, **QUIET)
        self.show_prompt.click(self._show_prompt, form, [self.prompt], **PRIVATE)
        self.poll.tick(self._poll, None, [self.status, self.retry, self.poll], **QUIET)
        self.retry.click(self._retry, None, [self.status, self.retry, self.poll], **QUIET)

        keep_draft(DRAFT, self._kept_fields)
        opened = on_arrival(self._choices, None, [self.rubric_id])
        defaults = [field.value for field in self._kept_fields]
        restored = restore_draft(opened, DRAFT, self._kept_fields, defaults)
        arrived = restored.then(self._arrive, form, [*shape, self.pane.reference_box, self.rubric_id], **QUIET)
        arrived.then(
            self._come_back, [self.run_id, self.verdict_id], outputs,
            concurrency_limit=None, **QUIET,
        )  # fmt: skip

    # Handlers: the form

    def _filler(self, example: Example) -> Any:
        def fill() -> Update:
            return {
                **self.pane.filled(Item(example.instruction, example.responses, example.reference or None)),
                self.judge: judge_label(len(example.responses)),
                self.rubric_source: FROM_LIBRARY,
                self.rubric_id: self._named(example.rubric),
            }

        return fill

    def _named(self, rubric: str) -> int | None:
        """The library's rubric of this name; if it is gone, the first there is."""
        named = {view.name: view.id for view in self._services.library.search()}
        return named.get(rubric, next(iter(named.values()), None))

    @shown
    def _choices(self) -> Update:
        views = self._services.library.search()
        choices = [
            (view.name if view.number == 1 else f"{view.name} (version {view.number})", view.id) for view in views
        ]
        return {self.rubric_id: gr.update(choices=choices)}

    @shown
    def _show_rubric(self, data: Mapping[Component, Any]) -> Update:
        in_place = data[self.rubric_source] == IN_PLACE
        rubric_id = picked(data[self.rubric_id])
        text, said = "", ()
        if not in_place and rubric_id is not None:
            rubric = self._services.library.get(rubric_id).rubric
            text, said = render.rubric_text(rubric), _texts(rubric)
        return {
            self.rubric_id: gr.update(visible=not in_place),
            self.rubric_text: shown_if_any(text),
            self.library_rubric: json.dumps(said),
            self.in_place: gr.update(visible=in_place),
        }

    # Handlers: judging

    @shown
    def _judge(self, data: Mapping[Component, Any]) -> Iterator[Update]:
        form = self._gather(data)
        run = self._services.judging.start(self._question(form), form.sampling, self._services.who(), anew=form.anew)
        yield {
            self.run_id: run.id,
            self.asked: "",
            self.result: progress.run_progress(run.state),
            self.chart: gr.update(visible=False),
            self.details: "",
            self.judge: gr.update(interactive=False),
            self.cancel: gr.update(interactive=True),
            **self.panel.hide(),
        }
        yield from self._follow(run, picked(data[self.verdict_id]))

    def _follow(self, run: Run, earlier: int | None) -> Iterator[Update]:
        """Until the run has ended. earlier: the verdict that comes back where the run ends without one."""
        for state in run.watch():
            yield {self.result: progress.run_progress(state)}
        state = run.state
        settled: Update = {
            self.judge: gr.update(interactive=True),
            self.cancel: gr.update(interactive=False),
            self.run_id: "",
        }
        if state.phase is RunPhase.DONE and state.verdict_id is not None:
            settled |= {self.anew: False, **self._verdict(state.verdict_id, from_store=state.from_store)}
        yield settled
        if state.verdict_id is None and earlier is not None:
            yield self._verdict(earlier, ended=progress.run_message(state))

    def _verdict(self, verdict_id: int, *, from_store: bool = False, ended: str = "") -> Update:
        """ended: how a later run ended that made no verdict, as HTML that stands above this one."""
        detail = self._services.history.open(verdict_id, self._services.who())
        return {
            self.verdict_id: verdict_id,
            self.asked: json.dumps(
                [detail.item.instruction, detail.item.reference or "", _texts(detail.rubric), detail.item.responses]
            ),
            self.result: ended + render.verdict_card(detail, from_store=from_store),
            self.chart: shown_if_any(charts.verdict(detail.result), label=render.chart_name(detail)),
            self.details: render.verdict_details(detail),
            **self.panel.show(detail),
        }

    def _cancel(self, run_id: str) -> None:
        run = self._services.judging.run(run_id)
        if run is not None:
            run.cancel.set()

    @shown
    def _come_back(self, run_id: str, verdict_id: float | None) -> Iterator[Update]:
        """After a refresh: go on watching what is being judged, or show what had been.

        The page stands by now, so the judge may begin to load: torch's import would have slowed the page.
        """
        self._services.serving.start()
        run, earlier = self._services.judging.run(run_id), picked(verdict_id)
        lost = progress.interrupted() if run_id and run is None else ""
        if run is not None and not run.state.finished:
            yield {self.judge: gr.update(interactive=False), self.cancel: gr.update(interactive=True)}
            yield from self._follow(run, earlier)
        elif run is not None and run.state.verdict_id is not None:
            yield {self.run_id: "", **self._verdict(run.state.verdict_id, from_store=run.state.from_store)}
        elif earlier is not None:
            yield {self.run_id: "", **self._verdict(earlier, ended=lost)}
        else:
            yield {self.run_id: "", **({self.result: lost} if lost else {})}

    @shown
    def _arrive(self, data: Mapping[Component, Any]) -> Update:
        """After a refresh: as many boxes as there were; at the first visit, a rubric. What was filled by now stays."""
        count = min(max(picked(data[self.pane.count]) or 1, 1), BOXES)
        updates: Update = {self.pane.reference_box: gr.update(open=True) if data[self.pane.reference] else gr.update()}
        if picked(data[self.rubric_id]) is None:
            updates[self.rubric_id] = self._named(EXAMPLES[0].rubric)
        if count > 1:
            updates |= {**self.pane.frame(count), self.judge: judge_label(count)}
        return updates

    @shown
    def _show_prompt(self, data: Mapping[Component, Any]) -> Update:
        form = self._gather(data)
        served = self._services.serving.served
        if served is None:
            raise NotReadyError(
                "The exact prompt depends on the judge, which is not loaded yet. Try again in a moment."
            )
        rubric = self._chosen(form).rubric if form.rubric is None else form.rubric
        texts = [
            f"――― {asked.label} ―――\n{served.engine.render(prompt)}"
            for asked, prompt in prompts_of(form.item, rubric, served.format).items()
        ]
        return {self.prompt: gr.update(value="\n\n".join(texts), visible=True)}

    # Handlers: the judge's state

    def _poll(self) -> Update:
        state = self._services.serving.state
        return {
            self.status: progress.serving_status(state),
            self.retry: gr.update(visible=state.phase is Phase.FAILED),
            self.poll: gr.Timer(BUSY_SECONDS if progress.is_under_way(state) else IDLE_SECONDS),
        }

    def _retry(self) -> Update:
        self._services.serving.start()
        return self._poll()

    # Gathering

    def _gather(self, data: Mapping[Component, Any]) -> _Form:
        in_place = data[self.rubric_source] == IN_PLACE
        return _Form(
            item=self.pane.item(data),
            rubric_id=None if in_place else picked(data[self.rubric_id]),
            rubric=Rubric(data[self.criterion] or "", tuple(data[level] or "" for level in self.levels))
            if in_place
            else None,
            sampling=Sampling(
                temperature=float(data[self.temperature]),
                top_p=float(data[self.top_p]),
                seed=int(data[self.seed] or 0),
                max_new_tokens=int(data[self.max_new_tokens]),
                feedback=bool(data[self.feedback]),
            ),
            anew=bool(data[self.anew]),
        )

    def _question(self, form: _Form) -> Question:
        if form.rubric is not None:
            version_id = self._services.library.in_place(form.rubric, self._services.who())
            return Question(form.item, form.rubric, version_id)
        view = self._chosen(form)
        return Question(form.item, view.rubric, view.version_id)

    def _chosen(self, form: _Form) -> RubricView:
        """The library's rubric that is picked."""
        if form.rubric_id is None:
            raise InvalidInputError(f"No rubric is chosen. Pick one, or choose “{IN_PLACE}”.")
        return self._services.library.get(form.rubric_id)


def _texts(rubric: Rubric) -> tuple[str, ...]:
    return (rubric.criterion, *rubric.levels)
