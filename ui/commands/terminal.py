"""What the sub-commands say on a terminal: how far they are, and what is wrong."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from tqdm import tqdm

from backend.errors import SHOWN


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float | None], None]]:
    """On standard error, drawn only where that is a terminal. Takes what is done and its fraction, 0..1."""
    with tqdm(total=100, bar_format="{desc} |{bar}| {n:.0f}%", leave=False, disable=not sys.stderr.isatty()) as bar:

        def report(message: str, fraction: float | None) -> None:
            bar.n = bar.n if fraction is None else 100 * fraction
            bar.set_description_str(message)

        yield report


@contextmanager
def told() -> Iterator[None]:
    """An error that is meant for people becomes one line on standard error, and exit code 1."""
    try:
        yield
    except SHOWN as error:
        typer.echo(f"Assay: {error}", err=True)
        raise typer.Exit(1) from error
