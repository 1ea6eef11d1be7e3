"""What the pages wire their events with."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

Update = dict[Component, Any]
"""What a handler returns: the components that change, each with its new value or gr.update()."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Of an event that is no endpoint: what programs may call is in endpoints.py."""
QUIET: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}
"""And it draws no spinner over what it changes: it is quick, or tells by itself how far it is."""
LATEST: dict[str, Any] = {"trigger_mode": "always_last"}
"""Of an event by which a person chooses what to see: a choice made while the one before is still being answered is
answered next. Gradio's own default drops it, and the page would show what nobody asked for."""


def on_arrival(
    handler: Callable[..., Any],
    inputs: set[Component] | Sequence[Component] | None,
    outputs: Sequence[Component],
    **how: Any,
) -> Dependency:
    """Run the handler, quietly, when somebody comes to the page that is being laid out, or refreshes it."""
    return gr.context.Context.root_block.load(handler, inputs, outputs, **QUIET, **how)
