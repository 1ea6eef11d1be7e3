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
def without_throwaways() -> Iterator[None]:
    """Lay out pages without what gradio 6.31 makes after each route and throws away at the next.

    That is the description of all components so far, and a web application of it (gradio.blocks.Blocks.__exit__);
    launch() makes both anew, of all pages. What Blocks.__exit__ itself reads of the description is its pages.
    """
    from gradio.blocks import Blocks
    from gradio.routes import App

    create_app, get_config_file = App.create_app, Blocks.get_config_file
    App.create_app = staticmethod(lambda *_args, **_options: None)
    Blocks.get_config_file = lambda blocks: {"pages": blocks.pages}
    try:
        yield
    finally:
        App.create_app, Blocks.get_config_file = staticmethod(create_app), get_config_file
