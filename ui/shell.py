"""What every page shares: the look, the header, escaping, and the translator of errors into messages."""

import functools
import html
import inspect
import logging
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import gradio as gr

from backend.errors import SHOWN

CSS_PATH = Path(__file__).with_name("style.css")
Handler = TypeVar("Handler", bound=Callable[..., Any])


def theme() -> gr.themes.Base:
    """A quiet workbench in the system's own fonts, so that no page asks another machine for one."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_shadow="none",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_500",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        button_large_padding="*spacing_md *spacing_xl",
        button_large_text_size="*text_md",
        button_large_text_weight="600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_primary_border_color="*primary_700",
    )


def header(subtitle: str) -> None:
    """The name of the app and one line on what this page is for."""
    gr.HTML(
        f'<header class="assay-header"><span class="assay-name">Assay</span><p>{escape(subtitle)}</p></header>',
        label="About this page",
    )


def escape(text: str) -> str:
    """The text as HTML that shows exactly it, in an element or in a quoted attribute."""
    return html.escape(text, quote=True)


def counted(number: int, noun: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tell(message: str) -> None:
    """A short note on what was done. The message is plain text."""
    gr.Info(_as_html(message))


def shown(handler: Handler) -> Handler:
    """Translate what a handler raises: our own errors as they are worded, bugs as a reference to the log.

    Works on plain functions and on generator functions, which stay what they are for Gradio.
    """
    name = handler.__qualname__
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with _translated(name):
                return (yield from handler(*args, **kwargs))

        return cast(Handler, stream)

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _translated(name):
            return handler(*args, **kwargs)

    return cast(Handler, call)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except SHOWN as error:
        raise _toast(str(error)) from error
    except Exception as error:
        reference = secrets.token_hex(3)
        logging.getLogger(__name__).exception("%s failed (reference %s)", name, reference)
        message = (
            f"This failed because of a fault in Assay ({type(error).__name__}). The details are in the terminal "
            f"that Assay runs in, under the reference {reference}. Please report them."
        )
        raise _toast(message) from error


def _toast(message: str) -> gr.Error:
    return gr.Error(_as_html(message), duration=_reading_seconds(message), print_exception=False)


def _as_html(message: str) -> str:
    """Toasts are put into the page as HTML, and a message may quote what somebody pasted."""
    return escape(message).replace("\n", "<br>")


def _reading_seconds(message: str) -> float:
    return max(8.0, len(message) / 12)
