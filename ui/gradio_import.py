"""Imports gradio, and lays out pages with it, in less time than it takes by itself, since the page waits for it."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def import_gradio() -> None:
    """Import gradio without the type stubs that it would render for its own source files.

    gradio 6.31 compiles a template and parses a source file for each of its components while it is imported
    (gradio.component_meta.create_or_modify_pyi), for editors' sake. It leaves that out for a component whose
    source file can't be found, so none is found meanwhile. To be called before anything else imports gradio.
    """
    real = inspect.getfile

    def no_file(_of: Any) -> NoReturn:
        raise OSError

    inspect.getfile = no_file
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile = real


@contextmanager
def without_web_applications() -> Iterator[None]:
    """Lay out pages without the web application that gradio 6.31 makes after each route, and then throws away.

    launch() makes the one that is served, of all pages (gradio.blocks.Blocks.__exit__ and launch).
    """
    from gradio.routes import App

    real = App.create_app
    App.create_app = staticmethod(lambda *_args, **_options: None)
    try:
        yield
    finally:
        App.create_app = staticmethod(real)
