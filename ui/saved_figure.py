"""A figure with its two buttons, which save it as PNG and as SVG without asking the server."""

from typing import Any

import gradio as gr
from gradio.components import Component

from ui.shell import escape

SAVE = """
element.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-format]");
    const plot = pressed && document.querySelector(`#${pressed.dataset.figure} .js-plotly-plot`);
    if (!plot) return;
    const filename = `assay-${pressed.dataset.figure}`;
    plot._context.toImageButtonOptions = {format: pressed.dataset.format, filename, scale: 2};
    plot.querySelector(".modebar-btn[data-title^='Download']").click();
});
"""
"""Presses Plotly's own button, which is in the page but hidden, after telling it the format."""


class SavedFigure:
    """A plot above its buttons, all hidden until there is something to draw. name: its element id, and its file's."""

    def __init__(self, name: str, label: str) -> None:
        with gr.Column(min_width=300, visible=False) as self.column:
            self.plot = gr.Plot(label=label, show_label=False, visible=False, elem_id=name)
            gr.HTML(_buttons(name, label), label=f"Save: {label}", js_on_load=SAVE)

    @property
    def parts(self) -> list[Component]:
        """What drawn() changes."""
        return [self.column, self.plot]

    def drawn(self, figure: Any) -> dict[Any, Any]:
        """figure: None hides it all."""
        there = figure is not None
        if there:
            bar = [name for name in figure.layout.modebar.remove if name != "toimage"]
            figure.update_layout(modebar={"remove": bar})
        return {self.column: gr.update(visible=there), self.plot: gr.update(value=figure, visible=there)}


def _buttons(name: str, label: str) -> str:
    buttons = "".join(
        f"<button type='button' class='assay-job-button' data-figure='{name}' data-format='{form}' "
        f"aria-label='{escape(label)} as {form.upper()}'>{form.upper()}</button>"
        for form in ("png", "svg")
    )
    return f"<div class='assay-job-buttons'>{buttons}</div>"
