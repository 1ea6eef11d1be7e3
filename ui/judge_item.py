"""What is judged, as a person types it: an instruction, one to eight responses, perhaps a reference answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.types import Item, letter
from ui.events import QUIET, Update

BOXES = 8
"""Responses that the page takes; an item of a project may have more."""


class ItemPane:
    """The components of an item; the boxes of responses can be added, moved and removed."""

    def __init__(self) -> None:
        self.count = gr.Number(1, label="Number of responses", visible="hidden", precision=0)
        self.instruction = gr.Textbox(
            label="Instruction", lines=3, max_lines=14, placeholder="What the responses were asked to do."
        )
        self.responses, self.groups, self.tools = [], [], []
        for position in range(BOXES):
            with gr.Group(visible=position == 0, elem_classes="assay-response") as group:
                self.responses.append(
                    gr.Textbox(
                        label="Response" if position == 0 else f"Response {letter(position)}",
                        lines=4,
                        max_lines=18,
                        placeholder="Paste the text that is to be judged.",
                    )
                )
                with gr.Row(visible=False, elem_classes="assay-response-tools") as tools:
                    up = gr.Button("↑ Up", size="sm", min_width=60, interactive=position > 0)
                    down = gr.Button("↓ Down", size="sm", min_width=60)
                    remove = gr.Button("✕ Remove", size="sm", min_width=60)
            self.groups.append(group)
            self.tools.append((tools, up, down, remove))
        self.add = gr.Button("+ Add a response", size="sm")
        with gr.Accordion("Reference answer (optional)", open=False) as self.reference_box:
            self.reference = gr.Textbox(
                label="Reference answer", lines=3, max_lines=14, placeholder="An answer that would deserve a 5."
            )

    @property
    def fields(self) -> list[Component]:
        """What a refresh brings back."""
        return [self.instruction, *self.responses, self.count, self.reference]

    @property
    def shape(self) -> list[Component]:
        """What changes with the number of responses."""
        tools = [part for tools in self.tools for part in tools]
        return [self.count, *self.responses, *self.groups, self.add, *tools]

    def wire(self, judge: gr.Button) -> None:
        """judge: the button that names what is done with so many responses."""
        arranged, shape = {self.count, *self.responses}, [*self.shape, judge]

        def arranges(button: gr.Button, arrange: Callable[[list[str], int], tuple[list[str], int]]) -> None:
            def handle(data: Mapping[Component, Any]) -> Update:
                texts, count = arrange(self.texts(data), int(data[self.count]))
                return {**self.shaped(texts, count), judge: judge_label(count)}

            button.click(handle, arranged, shape, **QUIET)

        arranges(self.add, lambda texts, count: (texts, count + 1))
        for position, (_, up, down, remove) in enumerate(self.tools):
            arranges(up, _swapping(position, position - 1))
            arranges(down, _swapping(position, position + 1))
            arranges(remove, _removing(position))

    def item(self, data: Mapping[Component, Any]) -> Item:
        """Raises InvalidInputError for what can't be judged."""
        return Item(
            instruction=data[self.instruction] or "",
            responses=tuple(self.texts(data)[: int(data[self.count])]),
            reference=data[self.reference] if (data[self.reference] or "").strip() else None,
        )

    def texts(self, data: Mapping[Component, Any]) -> list[str]:
        """Of every box, also of those that are not shown."""
        return [data[box] or "" for box in self.responses]

    def filled(self, item: Item) -> Update:
        """With this item in it."""
        texts = [*item.responses, *[""] * (BOXES - len(item.responses))]
        return {
            **self.shaped(texts, len(item.responses)),
            self.instruction: item.instruction,
            self.reference: item.reference or "",
            self.reference_box: gr.update(open=bool(item.reference)),
        }

    def shaped(self, texts: Sequence[str], count: int) -> Update:
        """`count` response boxes with these texts, and the tools that make sense for so many."""
        updates = self.frame(count)
        for box, text in zip(self.responses, texts, strict=True):
            updates[box]["value"] = text
        return updates

    def frame(self, count: int) -> Update:
        """`count` response boxes, whatever they hold."""
        updates: Update = {self.count: count, self.add: gr.update(interactive=count < BOXES)}
        for position, (box, group) in enumerate(zip(self.responses, self.groups, strict=True)):
            updates[box] = gr.update(label="Response" if count == 1 else f"Response {letter(position)}")
            updates[group] = gr.update(visible=position < count)
            tools, _, down, _ = self.tools[position]
            updates[tools] = gr.update(visible=count > 1)
            updates[down] = gr.update(interactive=position < count - 1)
        return updates


def judge_label(count: int) -> dict[str, Any]:
    """The judge button's update for so many responses."""
    update: dict[str, Any] = gr.update(value={1: "Judge", 2: "Compare"}.get(count, f"Rank {count} responses"))
    return update


def _swapping(position: int, other: int) -> Callable[[list[str], int], tuple[list[str], int]]:
    def swap(texts: list[str], count: int) -> tuple[list[str], int]:
        texts[position], texts[other] = texts[other], texts[position]
        return texts, count

    return swap


def _removing(position: int) -> Callable[[list[str], int], tuple[list[str], int]]:
    def remove(texts: list[str], count: int) -> tuple[list[str], int]:
        del texts[position]
        return [*texts, ""], count - 1

    return remove
