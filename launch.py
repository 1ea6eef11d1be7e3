"""Assay's one entry: settings, migrations, wiring, and then the app."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.config import Settings, read_settings
from backend.errors import SHOWN, SettingsError

if TYPE_CHECKING:
    from backend.serving import Report, Served
    from db.session import Store
    from ui.services import Services

UNASKED_SECONDS = 15.0
cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _option(name: str, *flags: str) -> Any:
    """A command-line option for a setting: its help and its variable come from the setting itself."""
    return typer.Option(*flags, help=Settings.model_fields[name].description, envvar=f"ASSAY_{name.upper()}")


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    home: Annotated[Path | None, _option("home")] = None,
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    database_url: Annotated[str | None, _option("database_url")] = None,
    model: Annotated[str | None, _option("model")] = None,
    prompt_format: Annotated[str | None, _option("prompt_format")] = None,
    device: Annotated[str | None, _option("device")] = None,
    dtype: Annotated[str | None, _option("dtype")] = None,
    feedback: Annotated[bool | None, _option("feedback", "--feedback/--verdict-only")] = None,
    max_new_tokens: Annotated[int | None, _option("max_new_tokens")] = None,
    temperature: Annotated[float | None, _option("temperature")] = None,
    top_p: Annotated[float | None, _option("top_p")] = None,
    seed: Annotated[int | None, _option("seed")] = None,
    open_browser: Annotated[bool | None, _option("open_browser", "--open-browser/--no-browser")] = None,
) -> None:
    """Judge text with an open evaluator model on your own hardware. Without a command, starts the app."""
    given = {name: value for name, value in context.params.items() if name in Settings.model_fields}
    try:
        context.obj = read_settings(**given)
        if context.invoked_subcommand is None:
            serve(context.obj)
    except SHOWN as error:
        typer.echo(f"Assay: {error}", err=True)
        raise typer.Exit(1) from error


def serve(settings: Settings) -> None:
    """Open the page at once, load the judge behind it, and stay until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    store = open_store(settings)
    services = wire(settings, store)

    from ui.app import build, look

    demo = build(services)
    try:
        _, url, _ = demo.launch(
            server_name=settings.host,
            server_port=settings.port,
            inbrowser=_opens_browser(settings),
            prevent_thread_lock=True,
            quiet=True,
            **look(),
        )
    except OSError as error:
        raise SettingsError(
            f"Port {settings.port} on {settings.host} can't be used: {error}. If Assay runs there already, open it "
            f"in the browser; else choose another port with --port."
        ) from error
    typer.echo(f"Assay is open at {url} (data in {settings.home_folder}). Stop it with Ctrl-C.")
    # The first page to arrive starts the judge; without a visitor it starts by itself a little later.
    unasked = threading.Timer(UNASKED_SECONDS, services.serving.start)
    unasked.daemon = True
    unasked.start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        demo.block_thread()
    finally:
        services.judging.close()
        demo.close()
        store.close()


def open_store(settings: Settings) -> "Store":
    """The database, its tables brought up to date. Raises SettingsError if the home folder can't be made."""
    from db.session import Store

    try:
        settings.home_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The home folder {settings.home_folder} can't be made: {error.strerror}. Choose another with --home."
        ) from error
    store = Store(settings.store_url)
    store.migrate()
    return store


def wire(settings: Settings, store: "Store") -> "Services":
    """Make every service, each with what it depends on."""
    from backend.history import History
    from backend.judging import Judging
    from backend.labels import Labels
    from backend.rubrics import RubricLibrary
    from backend.serving import Serving
    from backend.users import owner
    from ui.services import Services

    owner_id = owner(store)
    library = RubricLibrary(store)
    library.seed()
    serving = Serving(lambda report: load_judge(settings, store, report))
    return Services(
        serving=serving,
        judging=Judging(store, serving),
        library=library,
        labels=Labels(store),
        history=History(store),
        owner_id=owner_id,
        sampling=settings.sampling,
    )


def load_judge(settings: Settings, store: "Store", report: "Report") -> "Served":
    """Find the model, load it, and record it. Slow: torch is first imported here."""
    from backend.formats import prompt_format
    from backend.models import ModelRegistry, find_model
    from backend.serving import Served

    files = find_model(settings.model, settings.home_folder, prompt_format=settings.prompt_format, report=report)
    format = prompt_format(files.prompt_format)
    report(f"Loading {files.name} …", None)

    from backend.engines.transformers import TransformersEngine

    engine = TransformersEngine(files.path, device=settings.device, dtype=settings.dtype)
    return Served(engine, files, format, ModelRegistry(store).record(files))


def _opens_browser(settings: Settings) -> bool:
    if settings.open_browser is not None:
        return settings.open_browser
    remote = "SSH_CONNECTION" in os.environ or "CI" in os.environ
    has_screen = sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return has_screen and not remote


if __name__ == "__main__":
    cli()
