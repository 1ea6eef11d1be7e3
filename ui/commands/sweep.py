"""The sub-command `sweep`: merge two experts at many alphas, measure each, and print the curve."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from backend.benchmarks.metrics import Estimate
from backend.benchmarks.rows import wanted_set
from backend.config import Settings
from backend.errors import InvalidInputError
from backend.merge_spec import USES
from backend.sweep_results import HEADLINE, SweepResult
from backend.sweep_spec import read_sweep
from backend.sweeps import Sweeps
from ui.commands.terminal import progress_bar, told

ALPHAS = "0,.1,.2,.3,.4,.5,.6,.7,.8,.9,1"


@dataclass(frozen=True)
class SweepServices:
    """What the command needs of this store. user_id: who asks."""

    sweeps: Sweeps
    user_id: int


def commands(open_services: Callable[[Settings], AbstractContextManager[SweepServices]]) -> typer.Typer:
    """The command; the services are opened when it is called, and closed after. context.obj: the settings."""
    app = typer.Typer(add_completion=False)

    @app.callback(invoke_without_command=True)
    def sweep(
        context: typer.Context,
        direct: Annotated[Path, typer.Option(help="Folder of the expert of direct assessment.")],
        pairwise: Annotated[Path, typer.Option(help="Folder of the expert of pairwise ranking.")],
        sets: Annotated[
            list[str],
            typer.Option("--set", help="dev/NAME, dev/NAME:100 for 100 rows, own/direct, project:NAME. Repeatable."),
        ],
        base: Annotated[Path | None, typer.Option(help="What both experts were trained from: a baseline.")] = None,
        joint: Annotated[Path | None, typer.Option(help="A model trained on both formats: a baseline.")] = None,
        alphas: Annotated[str, typer.Option(help="Weights of the direct-assessment expert, 0 to 1.")] = ALPHAS,
        methods: Annotated[
            list[str] | None, typer.Option("--method", help=f"One of {', '.join(USES)}. Repeatable (unset: linear).")
        ] = None,
        density: Annotated[float | None, typer.Option(help="Share of each expert's changes kept; ties, dare.")] = None,
        lambda_: Annotated[
            float | None,
            typer.Option("--lambda", help="Scale of what was learned; task_arithmetic, ties, dare (unset: 1)."),
        ] = None,
        seed: Annotated[int, typer.Option(help="Of the rows that are drawn where a set is given with a number.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    ) -> None:
        """Measure merges of two experts at many alphas. Run it again after Ctrl-C: it goes on where it was."""
        settings: Settings = context.obj
        document = {
            "direct": direct, "pairwise": pairwise, "base": base, "joint": joint, "density": density,
            "lambda": lambda_, "methods": methods or ["linear"], "dtype": settings.torch_dtype,
        }  # fmt: skip
        with told():
            wanted = [wanted_set(text, seed=seed) for text in sets]
            spec = read_sweep({**document, "alphas": _numbers(alphas), "sets": wanted})
            with open_services(settings) as services, progress_bar() as report:
                result = services.sweeps.run(spec, services.user_id, report, threading.Event())
        typer.echo(result.model_dump_json(indent=2) if as_json else _words(result))

    return app


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InvalidInputError(
            f"The alphas {text!r} are not numbers with commas between them. Write them as {ALPHAS}."
        ) from error


def _words(result: SweepResult) -> str:
    """The curve as a table, then what is best by which sets, then the table single / joint / merged."""
    names = [swept.name for swept in result.sets]
    lines = ["  ".join([f"{'':26}", *(f"{name:<30}" for name in names)]).rstrip()]
    for point in result.points:
        cells = zip(result.sets, point.cells, strict=True)
        figures = [cell.figure(HEADLINE[swept.mode]) for swept, cell in cells]
        lines.append(_line(point.key, figures))
    for best in result.best:
        chosen = f"{best.point}, by {', '.join(best.sets)}" if best.point else f"none. {best.why}"
        lines.append(f"Best for {best.target}: {chosen}")
    lines.append(f"Not beaten in both formats at once: {', '.join(result.pareto) or 'not known'}")
    lines += [_line(row.name, list(row.figures.values())) for row in result.table()]
    for swept in result.sets:
        lines.append(f"{swept.name}: {HEADLINE[swept.mode]}, 95% interval; {swept.size:,} rows; {swept.licence}")
    return "\n".join(lines)


def _line(name: str, figures: Sequence[Estimate]) -> str:
    return "  ".join([f"{name:<26}", *(f"{_figure(figure):<30}" for figure in figures)]).rstrip()


def _figure(figure: Estimate) -> str:
    if figure.value is None:
        return "undefined"
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{interval}"
