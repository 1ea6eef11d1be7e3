"""Fields that several pages have, and what is in them or goes into them."""

from typing import Any

import gradio as gr

NONE = 0
"""In a hidden field for an id: the browser has no other value for an empty number."""


def picker(label: str, info: str, *, visible: bool = True) -> gr.Dropdown:
    """A choice among models; its value is the id."""
    return gr.Dropdown([], label=label, info=info, allow_custom_value=True, visible=visible, min_width=220)


def document(label: str, *, lines: int) -> gr.Textbox:
    """A text to read and to copy."""
    classes = ["assay-document", "assay-code"]
    return gr.Textbox(label=label, lines=lines, max_lines=30, interactive=False, elem_classes=classes)


def picked(value: Any) -> int | None:
    """The id that a field holds, if it holds one."""
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None


def shown_if_any(value: Any, **changes: Any) -> Any:
    """Puts HTML or a figure into its place, which is hidden for None and for "": an empty one would leave a gap."""
    return gr.update(value=value, visible=value is not None and value != "", **changes)
