"""A figure of the benchmarks page with its two buttons, which save it as PNG and as SVG without asking the server."""

from typing import Any

import gradio as gr

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
    """plot and buttons; both are hidden until there is something to draw. name: its element id, and its file's."""

    def __init__(self, name: str, label: str) -> None:
        self.plot = gr.Plot(label=label, show_label=False, visible=False, elem_id=name)
        self.buttons = gr.HTML(_buttons(name, label), label=f"Save: {label}", js_on_load=SAVE, visible=False)

    def drawn(self, figure: Any) -> dict[Any, Any]:
        """figure: None hides both."""
        there = figure is not None
        return {self.plot: gr.update(value=figure, visible=there), self.buttons: gr.update(visible=there)}


def _buttons(name: str, label: str) -> str:
    buttons = "".join(
        f"<button type='button' class='assay-job-button' data-figure='{name}' data-format='{form}' "
        f"aria-label='{escape(label)} as {form.upper()}'>{form.upper()}</button>"
        for form in ("png", "svg")
    )
    return f"<div class='assay-job-buttons'>{buttons}</div>"
