"""The sub-command `bench`: judges on labelled sets, as tables in the paper's layout."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Annotated

import typer

from backend.agreement import Share
from backend.bench import Bench, SetState
from backend.bench_forms import as_csv, as_latex, as_markdown, as_text
from backend.bench_result import BenchResult
from backend.bench_spec import BenchSpec
from backend.bench_table import not_drawn_words, share_text, tables
from backend.benchmarks.robustness import Robustness
from backend.benchmarks.rows import wanted_set
from backend.config import Settings
from backend.model_views import DIGITS
from backend.types import Sampling
from ui.bench_words import forecast_words
from ui.commands.terminal import progress_bar, told


@dataclass(frozen=True)
class BenchServices:
    """owner_id: the person at this machine, who asks."""

    bench: Bench
    owner_id: int


class Form(StrEnum):
    """How a run's result is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


JudgeOption = Annotated[
    list[str],
    typer.Option("--judge", help='A folder, a hub name, "starter", or "active" for the one in service. Repeatable.'),
]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="benchmarks/NAME, dev/NAME:200 for 200 rows, own/direct, project:NAME. Repeatable.",
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of the rows that are drawn where a set is given with a number.")]
FormOption = Annotated[Form, typer.Option("--as", help="How the tables are printed.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --as json.")]
ConsistencyOption = Annotated[
    bool, typer.Option("--consistency", help="Ask for scores of pairs' responses too, to compare the two formats.")
]
FeedbackOption = Annotated[bool, typer.Option("--feedback", help="Let the judge write feedback first; slower.")]


def commands(open_bench: Callable[[Settings], AbstractContextManager[BenchServices]]) -> typer.Typer:
    """list, run and items; the service is opened when one is called, and closed after. context.obj: the settings."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, help="Judges on labelled sets, side by side.")

    @app.command(name="list")
    def list_(context: typer.Context) -> None:
        """The sets of the data folder, and those of the paper that are not there."""
        with told(), open_bench(context.obj) as services:
            typer.echo("\n".join(map(_set_line, services.bench.sets())))

    @app.command()
    def get(
        context: typer.Context,
        name: Annotated[str, typer.Argument(help="One of the paper's sets, as `bench list` names it.")],
        from_: Annotated[
            str | None,
            typer.Option("--from", help="A file in its published form, or a data set on the hub; else its own there."),
        ] = None,
        replace: Annotated[bool, typer.Option(help="Replace the set that is there, though it has changed.")] = False,
    ) -> None:
        """Bring a published set into the data folder, from the model hub or from a file."""
        with told(), open_bench(context.obj) as services:
            got = services.bench.get_set(name, place=from_, replace=replace)
        said = [f"Wrote {got.labelled.size:,} rows to {got.path} (digest {got.labelled.digest[:DIGITS]})."]
        said += [text for text in (got.changed, got.odd, *(one.reason for one in got.labelled.left_out)) if text]
        typer.echo("\n".join(said))

    @app.command()
    def run(
        context: typer.Context,
        judges: JudgeOption,
        sets: SetOption,
        form: FormOption = Form.TEXT,
        as_json: JsonOption = False,
        consistency: ConsistencyOption = False,
        repeats: Annotated[int, typer.Option(help="Ask everything so often, by other seeds; needs a temperature.")] = 1,
        estimate: Annotated[bool, typer.Option("--estimate", help="Only say how long it would take.")] = False,
        feedback: FeedbackOption = False,
        seed: SeedOption = 0,
    ) -> None:
        """Judge, and print the tables. Run it again after Ctrl-C: it goes on where it was."""
        with told(), open_bench(context.obj) as services, progress_bar() as report:
            spec = BenchSpec(
                judges=tuple(judges),
                sets=tuple(wanted_set(text, seed=seed) for text in sets),
                sampling=_sampling(context.obj, feedback=feedback),
                consistency=consistency,
                repeats=repeats,
            )
            if estimate:
                typer.echo(forecast_words(services.bench.forecast(spec, by_id=services.owner_id)))
                return
            result = services.bench.run(spec, report, threading.Event(), by_id=services.owner_id)
        typer.echo(_printed(result, Form.JSON if as_json else form))

    @app.command()
    def table(
        context: typer.Context,
        sets: SetOption,
        form: FormOption = Form.TEXT,
        as_json: JsonOption = False,
        seed: SeedOption = 0,
    ) -> None:
        """The tables of every judge that was measured on all of these sets before; nobody is asked."""
        with told(), open_bench(context.obj) as services:
            wanted = [wanted_set(text, seed=seed) for text in sets]
            result = services.bench.table(wanted, by_id=services.owner_id)
        typer.echo(_printed(result, Form.JSON if as_json else form))

    @app.command()
    def items(
        context: typer.Context,
        judge: Annotated[str, typer.Option(help="As of run.")],
        set_: Annotated[str, typer.Option("--set", help="As of run.")],
        feedback: FeedbackOption = False,
        seed: SeedOption = 0,
    ) -> None:
        """The rows behind a judge's figures on a set, a JSON object a line: the label and what the judge said."""
        with told(), open_bench(context.obj) as services, progress_bar() as report:
            sampling = _sampling(context.obj, feedback=feedback)
            wanted = wanted_set(set_, seed=seed)
            read = services.bench.items(judge, wanted, sampling, report, threading.Event(), by_id=services.owner_id)
        typer.echo("\n".join(json.dumps(asdict(row)) for row in read))

    @app.command()
    def robust(
        context: typer.Context,
        judge: Annotated[str, typer.Option(help="As of run.")],
        set_: Annotated[str, typer.Option("--set", help="As of run.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        feedback: FeedbackOption = False,
        seed: SeedOption = 0,
    ) -> None:
        """How often verdicts change when the order, empty words, a fake verdict, the wording or white space does."""
        with told(), open_bench(context.obj) as services, progress_bar() as report:
            sampling = _sampling(context.obj, feedback=feedback)
            wanted = wanted_set(set_, seed=seed)
            found = services.bench.robustness(
                judge, wanted, sampling, report, threading.Event(), by_id=services.owner_id
            )
        lines = [asdict(one) for one in found]
        typer.echo(json.dumps(lines, indent=2) if as_json else "\n".join(map(_robustness_line, found)))

    return app


def _robustness_line(one: Robustness) -> str:
    favoured = "" if one.gained is None else f"  in favour of what was tampered with {_share(one.gained)}"
    moved = "" if one.moved is None else f"  moved by {one.moved:.3f}"
    unread = f"  {one.unread:,} rows could not be compared" if one.unread else ""
    return f"{one.variant:<34} changed {_share(one.changed)}{moved}{favoured}{unread}"


def _share(share: Share | None) -> str:
    return "undefined: no row could be compared" if share is None else f"{share_text(share)} of {share.n:,}"


def _sampling(settings: Settings, *, feedback: bool) -> Sampling:
    return replace(settings.sampling, feedback=feedback)


def _set_line(state: SetState) -> str:
    labels = f" Labels: {state.labels}." if state.labels else ""
    licence = f"{state.licence}: {state.forbids}" if state.forbids else state.licence
    if state.size is None:
        return f"{state.name:<40}  not here. {state.cure}{labels} Licence: {licence}."
    source = f" From {state.source}." if state.source else ""
    about = f"Licence: {licence}.{labels}{source}{not_drawn_words(state.not_drawn)}"
    return f"{state.name:<40}  {state.mode}, {state.size:,} rows. {about}"


def _printed(result: BenchResult, form: Form) -> str:
    match form:
        case Form.JSON:
            return result.model_dump_json(indent=2)
        case Form.CSV:
            return as_csv(tables(result)).rstrip()
        case Form.MARKDOWN:
            return as_markdown(tables(result)).rstrip()
        case Form.LATEX:
            return as_latex(tables(result)).rstrip()
        case Form.TEXT:
            return as_text(tables(result)).rstrip()
