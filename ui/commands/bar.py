"""The progress bar of the sub-commands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float | None], None]]:
    """On standard error, drawn only where that is a terminal. Takes what is done and its fraction, 0..1."""
    with tqdm(total=100, bar_format="{desc} |{bar}| {n:.0f}%", leave=False, disable=not sys.stderr.isatty()) as bar:

        def report(message: str, fraction: float | None) -> None:
            bar.n = bar.n if fraction is None else 100 * fraction
            bar.set_description_str(message)

        yield report
