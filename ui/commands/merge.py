"""The sub-command `merge`: make one judge of two experts."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from backend.config import Settings
from backend.errors import SettingsError
from backend.merge_spec import USES
from backend.mergeable import describe
from backend.merging import ask_once, merge
from ui.commands.terminal import told

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def merge_experts(
    context: typer.Context,
    direct: Annotated[Path, typer.Option(help="Folder of the expert of direct assessment.")],
    pairwise: Annotated[Path, typer.Option(help="Folder of the expert of pairwise ranking.")],
    alpha: Annotated[float, typer.Option(help="Weight of the direct-assessment expert, 0 to 1.")] = 0.5,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(USES)}.")] = "linear",
    base: Annotated[
        Path | None, typer.Option(help="Folder that both experts were trained from; for task_arithmetic, ties, dare.")
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="Share of each expert's changes that is kept, above 0 to 1; for ties, dare.")
    ] = None,
    lambda_: Annotated[
        float | None, typer.Option("--lambda", help="Scale of what was learned, from 0 (unset: 1).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of what the dare methods drop (unset: 0).")] = None,
    out_dtype: Annotated[str, typer.Option(help="Number format of the weights that are written.")] = "bfloat16",
    name: Annotated[str | None, typer.Option(help="Begins the folder's name (unset: method and alpha).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Merge two experts into one judge, in the home folder's models, and print where it is.

    The same recipe is made once; asked again it is answered at once. Ctrl-C leaves nothing behind.
    """
    settings: Settings = context.obj
    given = {"density": density, "lambda": lambda_, "seed": seed, "out_dtype": out_dtype}
    chosen = {option: value for option, value in given.items() if value is not None}
    home = settings.home_folder
    with told(), _bar() as report:
        _make_home(home)
        spec = describe(method, home, report, direct=direct, pairwise=pairwise, base=base, alpha=alpha, **chosen)
        folder = merge(spec, home, report, threading.Event(), name=name, ask=ask_once)
    if as_json:
        result = {"folder": str(folder), "recipe_digest": spec.digest, "recipe": spec.recipe()}
        typer.echo(json.dumps(result, indent=2))
    else:
        typer.echo(f"{folder}\nrecipe {spec.digest}")


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The home folder {home} can't be made: {error.strerror}. Choose another with --home."
        ) from error


@contextmanager
def _bar() -> Iterator[Callable[[str, float | None], None]]:
    """A progress bar on standard error; where that is no terminal, each new kind of message as a line."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    with tqdm(total=100, bar_format="{desc} |{bar}| {n:.0f}%", file=sys.stderr, leave=False) as bar:

        def report(message: str, fraction: float | None) -> None:
            bar.n = 100 * (fraction or 0)
            bar.set_description_str(message)

        yield report


def _lines() -> Callable[[str, float | None], None]:
    said = ""

    def report(message: str, _fraction: float | None) -> None:
        nonlocal said
        kind = message.partition(":")[0]
        if kind != said:
            typer.echo(message, err=True)
        said = kind

    return report
