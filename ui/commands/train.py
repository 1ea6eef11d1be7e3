"""The command `train`: makes an expert in the foreground, and goes on where it was if it is started again."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from tqdm import tqdm

from backend.config import Settings
from backend.errors import SHOWN, CancelledError, InvalidInputError
from backend.expert_job import placed
from backend.experts import PRESETS, ExpertSpec, read_spec
from backend.jobs import Handler, JobContext
from backend.models import find_model

FOREGROUND = 0
"""The job's id where there is no job."""
LINE_SECONDS = 15.0
Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class TrainServices:
    """The handler that the page's jobs have too, and who asks."""

    handler: Handler
    owner_id: int


def command(open_services: Callable[[Settings], TrainServices]) -> Callable[..., None]:
    """The command; context.obj: the settings."""

    def train(
        context: typer.Context,
        name: Annotated[
            str | None, typer.Option(help="Of the model and its folder: small letters, digits, . - _")
        ] = None,
        format: Annotated[str | None, typer.Option(help="direct, pairwise or joint.")] = None,
        data: Annotated[
            list[str] | None,
            typer.Option(help="Rows to learn from: a file, a pattern in quotes, or a hub data set. Repeatable."),
        ] = None,
        dev: Annotated[list[str] | None, typer.Option(help="Rows that are only measured. Repeatable.")] = None,
        base: Annotated[str | None, typer.Option(help="Model folder, hub name, or starter.")] = None,
        preset: Annotated[str | None, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = None,
        limit: Annotated[int | None, typer.Option(help="At most so many rows of each place of --data.")] = None,
        dev_limit: Annotated[int | None, typer.Option(help="The same of --dev.")] = None,
        criterion: Annotated[str | None, typer.Option(help="Of the rows that state none.")] = None,
        setting: Annotated[
            list[str] | None,
            typer.Option("--set", help="Any other setting, as NAME=VALUE: learning_rate=1e-4. Repeatable."),
        ] = None,
        spec: Annotated[
            Path | None, typer.Option(help="A specification as JSON, whole; the page shows it, and --json prints it.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on the output.")] = False,
    ) -> None:
        """Train an expert. Interrupted, it goes on from its last checkpoint when the same is asked again."""
        settings: Settings = context.obj
        given = {
            "name": name,
            "format": format,
            "base": base,
            "data": _sources(data, limit, criterion),
            "dev": _sources(dev, dev_limit, criterion),
            **_settings(setting or ()),
        }
        try:
            with _progress() as report:
                asked = _spec(settings, spec, given, preset, report)
                result = _run(open_services(settings), asked, report)
        except SHOWN as error:
            typer.echo(f"Assay: {error}", err=True)
            raise typer.Exit(130 if isinstance(error, CancelledError) else 1) from error
        if as_json:
            typer.echo(json.dumps({**result, "spec": asked.model_dump(mode="json")}, ensure_ascii=False, indent=2))
        else:
            typer.echo(f"{asked.name} is trained: model {result['model_version_id']}, in {result['folder']}.")

    return train


def _spec(
    settings: Settings, file: Path | None, given: dict[str, Any], preset: str | None, report: Report
) -> ExpertSpec:
    known = {} if file is None else _document(file)
    wanted = {**known, **{field: value for field, value in given.items() if value}}
    missing = [f"--{field}" for field in ("name", "format", "data", "base") if field not in wanted]
    if missing:
        raise InvalidInputError(f"It still needs {', '.join(missing)}; or give a whole specification with --spec.")
    wanted["base"] = str(find_model(wanted["base"], settings.home_folder, prompt_format=None, report=report).path)
    return placed(read_spec(wanted, preset=preset))


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"The specification {file} can't be read: {error}.") from error
    if not isinstance(document, dict):
        raise InvalidInputError(f"The specification {file} is no JSON object.")
    return document


def _sources(places: Sequence[str] | None, limit: int | None, criterion: str | None) -> list[dict[str, Any]]:
    return [{"place": place, "limit": limit, "criterion": criterion} for place in places or ()]


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE, such as learning_rate=1e-4.", param_hint="--set")
        settings[name] = value
    return settings


def _run(services: TrainServices, spec: ExpertSpec, report: Report) -> dict[str, Any]:
    with _stopped_by_signals() as cancel:
        document = spec.model_dump(mode="json")
        return services.handler(JobContext(FOREGROUND, services.owner_id, document, cancel, report))


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; the second does what it always does."""
    cancel = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        cancel.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on the standard error; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    with closing(tqdm(total=1.0, bar_format="{percentage:3.0f}% |{bar:30}| {elapsed} {desc}")) as bar:

        def report(message: str, fraction: float | None) -> None:
            bar.set_description_str(message, refresh=False)
            bar.n = fraction or 0.0
            bar.refresh()

        yield report


def _lines() -> Report:
    """Each new kind of message, and of one kind one now and then."""
    kind, told_at = "", 0.0

    def report(message: str, fraction: float | None) -> None:
        nonlocal kind, told_at
        if message.partition(" ")[0] == kind and time.monotonic() - told_at < LINE_SECONDS:
            return
        kind, told_at = message.partition(" ")[0], time.monotonic()
        typer.echo(message if fraction is None else f"{fraction:4.0%} {message}", err=True)

    return report
