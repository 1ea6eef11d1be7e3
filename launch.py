"""Assay's one entry: settings, migrations, wiring, and then the app."""

import functools
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ui.own_python import require_packages

if __name__ == "__main__":
    require_packages(Path(__file__).resolve().parent)

import typer
from typer.core import TyperGroup

from backend.config import Settings, read_settings
from backend.errors import SHOWN, SettingsError

if TYPE_CHECKING:
    import click

    from backend.jobs import Handler
    from backend.registry import Registry
    from db.session import Store
    from ui.services import Services

UNASKED_SECONDS = 15.0


class _Commands(TyperGroup):
    """The sub-commands, each imported when it is asked for: the page should not wait for them."""

    def list_commands(self, ctx: "click.Context") -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: "click.Context", cmd_name: str) -> "click.Command | None":
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(COMMANDS[cmd_name]())
        command.name = cmd_name
        return command


cli = typer.Typer(cls=_Commands, add_completion=False, pretty_exceptions_enable=False)


def _option(name: str, *flags: str) -> Any:
    """A command-line option for a setting: its help, its default and its variable come from the setting itself."""
    field = Settings.model_fields[name]
    default = False if field.default is None or isinstance(field.default, bool) else str(field.default)
    return typer.Option(*flags, help=field.description, show_default=default, envvar=f"ASSAY_{name.upper()}")


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    home: Annotated[Path | None, _option("home")] = None,
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    auth: Annotated[bool | None, _option("auth", "--auth/--no-auth")] = None,
    mcp: Annotated[bool | None, _option("mcp", "--mcp/--no-mcp")] = None,
    database_url: Annotated[str | None, _option("database_url")] = None,
    data_folder: Annotated[Path | None, _option("data_folder")] = None,
    model: Annotated[str | None, _option("model")] = None,
    engine: Annotated[str | None, _option("engine")] = None,
    base_url: Annotated[str | None, _option("base_url")] = None,
    tokenizer: Annotated[Path | None, _option("tokenizer")] = None,
    vllm_python: Annotated[Path | None, _option("vllm_python")] = None,
    vllm_tensor_parallel: Annotated[int | None, _option("vllm_tensor_parallel")] = None,
    vllm_quantization: Annotated[str | None, _option("vllm_quantization")] = None,
    vllm_memory_share: Annotated[float | None, _option("vllm_memory_share")] = None,
    vllm_max_model_len: Annotated[int | None, _option("vllm_max_model_len")] = None,
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
    gc.disable()  # a fifth of the time to the page went into looking for garbage among what imports make, which stays
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    store = open_store(settings)
    services = wire(settings, store)
    if settings.auth and not services.sign_ins.anybody():
        raise SettingsError(
            "Nobody could sign in: there are no accounts yet. Make the first one, `python3 launch.py user add NAME "
            "--role admin`, and start again."
        )

    from ui.gradio_import import import_gradio

    import_gradio()
    from ui.app import build, front_door, look

    demo = build(services, accounts=settings.auth)
    if settings.mcp and find_spec("mcp") is None:
        raise SettingsError("--mcp needs the package mcp. Add it: `pip install -r requirements-mcp.txt`.")
    guarded = front_door(services, settings.port) if settings.auth else {}
    try:
        _, url, _ = demo.launch(
            server_name=settings.host,
            server_port=settings.port,
            inbrowser=_opens_browser(settings),
            prevent_thread_lock=True,
            quiet=True,
            mcp_server=settings.mcp,
            **look(),
            **guarded,
        )
    except OSError as error:
        raise SettingsError(
            f"Port {settings.port} on {settings.host} can't be used: {error}. If Assay runs there already, open it "
            f"in the browser; else choose another port with --port."
        ) from error
    gc.freeze()
    gc.enable()
    ends = _asked_to_end()
    try:
        typer.echo(f"Assay is open at {url} (data in {settings.home_folder}). Stop it with Ctrl-C.")
        # The first page to arrive starts the judge; without a visitor it starts by itself a little later.
        unasked = threading.Timer(UNASKED_SECONDS, services.serving.start)
        unasked.daemon = True
        unasked.start()
        services.jobs.start()
        while not ends():  # demo.block_thread() closes the server before it tells open pages so, and waits 5 s for them
            time.sleep(0.2)
        logging.getLogger(__name__).info("Assay ends.")
    finally:
        services.judging.close()
        services.jobs.close()
        demo.close()
        store.close()


def _asked_to_end() -> Callable[[], bool]:
    """Whether Ctrl-C or SIGTERM has come since.

    The first one is only noted: an interrupt in the middle of a start leaves threads that keep the process. A second
    one interrupts.
    """
    come: list[int] = []

    def note(number: int, _frame: object) -> None:
        if come:
            raise KeyboardInterrupt
        come.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return lambda: bool(come)


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
    from backend.accounts import Accounts, Role
    from backend.activating import Activating
    from backend.adjudicating import Adjudicating
    from backend.alpha_lab import AlphaLab
    from backend.batch_job import BatchJudging
    from backend.bench import Bench
    from backend.comparing import Comparing
    from backend.history import History
    from backend.jobs import JobKind, Jobs
    from backend.judging import Judging
    from backend.labelling import Labelling
    from backend.labels import Labels
    from backend.live_bench import LiveBench
    from backend.loading import JudgeLoader
    from backend.merge_job import merge_handler
    from backend.project_export import ProjectExport
    from backend.project_import import ProjectImport
    from backend.projects import Projects
    from backend.recalibrating import Recalibrating
    from backend.registering import Registering
    from backend.registry import Registry
    from backend.rubrics import RubricLibrary
    from backend.serving import Serving
    from backend.sign_in import SignIns
    from backend.sweeps import Sweeps
    from backend.users import owner
    from ui.services import Services

    owner_id, home, accounts = owner(store), settings.home_folder, Accounts(store)
    admins = functools.partial(accounts.permit, Role.ADMIN)
    library = RubricLibrary(store)
    library.seed()
    registry = Registry(store, home, in_use=lambda: serving.in_use())  # noqa: PLW0108 - made below
    loader = JudgeLoader(settings, registry)
    serving = Serving(loader.first, loader.available)
    activating = Activating(registry, serving, loader, admins("put a model into service"))
    sweeps = Sweeps(store, registry, home, settings.sets_folder, device=settings.device)
    benchmarks = Bench(store, settings.sets_folder, loader.by_name)
    batches = BatchJudging(store, serving)
    handlers = {
        JobKind.JUDGE: batches.handle,
        JobKind.MERGE: merge_handler(home, registry, activating.start),
        JobKind.SWEEP: sweeps.handle,
        JobKind.BENCH: benchmarks.handle,
        JobKind.TRAIN: train_handler(home, registry),
    }
    jobs = Jobs(store, home, handlers)
    bench = LiveBench(
        registry, serving, home, admins("mix experts"), device=settings.device, dtype=settings.torch_dtype
    )
    lab = AlphaLab(store, registry, jobs, sweeps, bench, activating.start, home=home, data_folder=settings.sets_folder)
    comparing = Comparing(store)
    return Services(
        serving=serving,
        judging=Judging(store, serving),
        library=library,
        labels=Labels(store),
        history=History(store),
        comparing=comparing,
        recalibrating=Recalibrating(store, comparing),
        registry=registry,
        registering=Registering(registry, admins("register models")),
        activating=activating,
        jobs=jobs,
        alpha_lab=lab,
        projects=Projects(store),
        importing=ProjectImport(store),
        exporting=ProjectExport(store),
        labelling=Labelling(store),
        batches=batches,
        adjudicating=Adjudicating(store),
        accounts=accounts,
        sign_ins=SignIns(store, accounts),
        bench=benchmarks,
        home=home,
        owner_id=owner_id,
        who=_signed_in_person if settings.auth else lambda: owner_id,
        sampling=settings.sampling,
    )


def _signed_in_person() -> int:
    from ui.asker import person_id

    return person_id()


def train_handler(home: Path, registry: "Registry") -> "Handler":
    """Trains an expert and takes it into the registry: for the page's jobs and for the command."""
    from backend.expert_job import expert_handler
    from backend.experts import train
    from backend.models import find_model

    def record(folder: Path) -> int:
        files = find_model(str(folder), home, prompt_format=None, report=lambda _message, _fraction: None)
        return registry.record(files)

    return expert_handler(home, train, record)


@contextmanager
def _services(settings: Settings) -> Iterator[tuple["Store", "Services"]]:
    """Everything wired, for a command in the foreground."""
    store = open_store(settings)
    try:
        yield store, wire(settings, store)
    finally:
        store.close()


def _data_commands() -> typer.Typer:
    from backend.own_rows import own_rows
    from backend.teachers import JudgeTeacher
    from ui.commands import data

    def open_services(settings: Settings) -> data.DataServices:
        store = open_store(settings)
        serving = wire(settings, store).serving

        def judge() -> JudgeTeacher:
            serving.start()
            return JudgeTeacher(serving, threading.Event())

        return data.DataServices(lambda: own_rows(store), judge)

    return data.commands(open_services)


def _train_command() -> typer.Typer:
    from ui.commands import train

    def open_services(settings: Settings) -> train.TrainServices:
        services = wire(settings, open_store(settings))
        return train.TrainServices(train_handler(settings.home_folder, services.registry), services.owner_id)

    app = typer.Typer(add_completion=False)
    app.command()(train.command(open_services))
    return app


def _merge_command() -> typer.Typer:
    from ui.commands import merge

    return merge.app


def _sweep_command() -> typer.Typer:
    from backend.sweeps import Sweeps
    from ui.commands import sweep

    @contextmanager
    def open_services(settings: Settings) -> Iterator[sweep.SweepServices]:
        with _services(settings) as (store, services):
            sweeps = Sweeps(
                store, services.registry, settings.home_folder, settings.sets_folder, device=settings.device
            )
            yield sweep.SweepServices(sweeps, services.owner_id)

    return sweep.commands(open_services)


def _agreement_command() -> typer.Typer:
    from backend.comparing import Comparing
    from backend.users import owner
    from ui.commands import agreement

    @contextmanager
    def open_services(settings: Settings) -> Iterator[agreement.AgreementServices]:
        store = open_store(settings)
        try:
            yield agreement.AgreementServices(Comparing(store), owner(store))
        finally:
            store.close()

    return agreement.commands(open_services)


def _bench_command() -> typer.Typer:
    from backend.bench import Bench
    from backend.loading import JudgeLoader
    from backend.registry import Registry
    from backend.users import owner
    from ui.commands import bench

    @contextmanager
    def open_bench(settings: Settings) -> Iterator[bench.BenchServices]:
        store = open_store(settings)
        loader = JudgeLoader(settings, Registry(store, settings.home_folder))
        try:
            yield bench.BenchServices(Bench(store, settings.sets_folder, loader.by_name), owner(store))
        finally:
            store.close()

    return bench.commands(open_bench)


def _project_commands() -> typer.Typer:
    from ui.commands import project

    @contextmanager
    def open_services(settings: Settings) -> Iterator["Services"]:
        with _services(settings) as (_store, services):
            yield services

    return project.commands(open_services)


def _user_commands() -> typer.Typer:
    from backend.accounts import Accounts
    from backend.users import owner
    from ui.commands import user

    def open_accounts(settings: Settings) -> user.UserServices:
        store = open_store(settings)
        return user.UserServices(Accounts(store), owner(store))

    return user.commands(open_accounts)


COMMANDS: dict[str, Callable[[], typer.Typer]] = {
    "agreement": _agreement_command,
    "bench": _bench_command,
    "data": _data_commands,
    "train": _train_command,
    "merge": _merge_command,
    "sweep": _sweep_command,
    "project": _project_commands,
    "user": _user_commands,
}


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
