"""The sub-command `project`: make, fill, judge, export and look at projects."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.batch_job import BatchOrder
from backend.config import Settings
from backend.errors import InvalidInputError
from backend.project_export import FORMS
from backend.project_rows import guess_mapping, with_columns
from backend.projects import ItemOrder, ProjectDraft
from backend.rubrics import RubricLibrary, RubricView
from backend.streams import Foremost
from backend.types import Mode
from ui.commands.terminal import progress_bar, told
from ui.projects_render import restored_words
from ui.services import Services

MODES = {"score": Mode.DIRECT, "pair": Mode.PAIRWISE, "rank": Mode.RANKING}
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Name = Annotated[str, typer.Argument(help="The project's name or number.")]
Open = Callable[[Settings], AbstractContextManager[Services]]


def commands(open_services: Open) -> typer.Typer:
    """The services are opened when a command is called, and closed after. context.obj: the settings."""
    app = typer.Typer(add_completion=False, help="Items that several people label.")
    _making(app, open_services)
    _looking(app, open_services)
    return app


def _making(app: typer.Typer, open_services: Open) -> None:
    @app.command()
    def create(
        context: typer.Context,
        name: Annotated[str, typer.Argument(help="The new project's name.")],
        mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "score",
        rubric: Annotated[list[str] | None, typer.Option(help="Name of a library rubric. Repeatable.")] = None,
        guidelines: Annotated[Path | None, typer.Option(help="A Markdown file for those who label.")] = None,
        blind: Annotated[bool, typer.Option("--blind/--not-blind", help="Label before the verdict is seen.")] = True,
        people: Annotated[int, typer.Option(help="How many people label each item.")] = 1,
        order: Annotated[str, typer.Option(help=f"One of {', '.join(ItemOrder)}.")] = "random",
        audit_share: Annotated[float, typer.Option(help="Of two streams: the share drawn by chance.")] = 0.3,
        foremost: Annotated[str, typer.Option(help=f"Of two streams, first: {' or '.join(Foremost)}.")] = "uncertain",
        repeats: Annotated[int, typer.Option(help="How many items come back to each person.")] = 0,
        as_json: AsJson = False,
    ) -> None:
        """Make a project."""
        with told(), open_services(context.obj) as services:
            if mode not in MODES or order not in list(ItemOrder) or foremost not in list(Foremost):
                raise InvalidInputError(
                    f"--mode {mode} --order {order!r} --foremost {foremost}: known are {', '.join(MODES)}; "
                    f"{', '.join(ItemOrder)}; {', '.join(Foremost)}."
                )
            ids = tuple(rubric_named(services.library, one).version_id for one in rubric or ())
            text = guidelines.read_text(encoding="utf-8") if guidelines else ""
            draft = ProjectDraft(
                name, MODES[mode], ids, text, blind=blind, people_per_item=people, item_order=ItemOrder(order),
                repeats=repeats, audit_share=audit_share, foremost=Foremost(foremost),
            )  # fmt: skip
            view = services.projects.create(draft, services.owner_id)
            _say(as_json, {"id": view.id, "name": view.name}, f"“{view.name}” is project {view.id}.")

    @app.command("import")
    def import_rows(
        context: typer.Context,
        name: Name,
        place: Annotated[str, typer.Argument(help="A file (csv, tsv, jsonl, json, parquet, xlsx) or a hub data set.")],
        column: Annotated[
            list[str] | None,
            typer.Option(help="By hand: instruction=COLUMN, responses=ONE,TWO, labels=COLUMN … Repeatable."),
        ] = None,
        leave_out_refused: Annotated[bool, typer.Option(help="Import the other rows if some can't be used.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Take rows into a project, all of them or none."""
        with told(), open_services(context.obj) as services:
            view = services.projects.named(name)
            given = dict(one.split("=", 1) if "=" in one else (one, "") for one in column or ())
            columns = services.importing.preview(place, view.mode).columns if given else ()
            mapping = with_columns(guess_mapping(columns, view.mode), given) if given else None
            report = services.importing.run(
                place, view.id, services.owner_id, mapping, leave_out_refused=leave_out_refused
            )
            lines = [
                f"{report.imported:,} imported, {report.duplicates:,} duplicates, {report.refused_count:,} refused."
            ]
            lines += [f"{row.where}: {row.reason}" for row in report.refused]
            _say(as_json, asdict(report), "\n".join(lines))
        if report.refused_count and not leave_out_refused:
            raise typer.Exit(1)

    @app.command()
    def restore(
        context: typer.Context,
        place: Annotated[str, typer.Argument(help="An export of the form long: csv, jsonl or parquet.")],
        name: Annotated[str, typer.Option(help="The new project's name, if not as it was.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Make a project again from its export: policy, items, labels, decisions and verdicts."""
        with told(), open_services(context.obj) as services:
            found = services.importing.restore(place, name, services.owner_id)
            _say(as_json, asdict(found), restored_words(found))

    @app.command()
    def judge(
        context: typer.Context,
        name: Name,
        failed_only: Annotated[bool, typer.Option(help="Only what has no result so far.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Judge what is not judged yet. Run it again after Ctrl-C: it goes on where it was."""
        with told(), open_services(context.obj) as services:
            view = services.projects.named(name)
            order = BatchOrder(view.id, services.sampling, failed_only=failed_only)
            with progress_bar() as report:
                result = services.batches.run(order, services.owner_id, report, threading.Event())
            lines = [f"{result.judged:,} of {result.items:,} items are judged, {result.failed:,} failed."]
            lines += [f"item {number:,}: {reason}" for number, reason in services.batches.failures(view.id)]
            _say(as_json, asdict(result), "\n".join(lines))

    @app.command()
    def recalibrate(
        context: typer.Context,
        name: Name,
        on: Annotated[bool, typer.Option("--on/--off", help="Switch the recalibrated score on, or off.")] = True,
    ) -> None:
        """Set the judge's scores right by the project's labels, wherever the project shows or exports them."""
        with told(), open_services(context.obj) as services:
            view = services.projects.named(name)
            if on:
                services.recalibrating.switch_on(view.id, services.owner_id)
            else:
                services.recalibrating.switch_off(view.id, services.owner_id)
        typer.echo(f"The recalibrated score of “{view.name}” is switched {'on' if on else 'off'}.")


def _looking(app: typer.Typer, open_services: Open) -> None:
    @app.command()
    def export(
        context: typer.Context,
        name: Name,
        out: Annotated[Path, typer.Argument(help="A new file: .csv, .jsonl or .parquet.")],
        form: Annotated[str, typer.Option(help=f"One of {', '.join(FORMS)}.")] = "long",
        as_json: AsJson = False,
    ) -> None:
        """Write a project's labels and verdicts, or rows to train on."""
        with told(), open_services(context.obj) as services:
            count = services.exporting.write(services.projects.named(name).id, form, out, services.owner_id)
            _say(as_json, {"rows": count, "file": str(out)}, f"{count:,} rows are in {out}.")

    @app.command()
    def status(
        context: typer.Context,
        name: Annotated[str | None, typer.Argument(help="The project's name or number; without it all.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """How far a project is, and each of its people."""
        with told(), open_services(context.obj) as services:
            projects = services.projects
            views = [projects.named(name)] if name else projects.list(include_archived=True)
            found = [(view, projects.progress(view.id)) for view in views]
            said = [{"id": view.id, "name": view.name, "state": view.state, **asdict(at)} for view, at in found]
            lines = []
            for view, at in found:
                lines.append(f"{view.id:>4}  {view.name}: {view.state}, {at.labels:,} of {at.wanted:,} labels, "
                             f"{at.judged:,} of {at.items:,} judged, {at.failed:,} failed")  # fmt: skip
                lines += [f"      {one.name}: {one.labels:,} labels, {one.skipped:,} skipped" for one in at.people]
            _say(as_json, said, "\n".join(lines) or "There is no project yet. Make one: launch.py project create NAME.")


def rubric_named(library: RubricLibrary, name: str) -> RubricView:
    """The library's rubric of this name, whatever its case. Raises InvalidInputError."""
    found = [one for one in library.search(name) if one.name.lower() == name.lower()]
    if not found:
        names = ", ".join(one.name for one in library.search())
        raise InvalidInputError(f"There is no rubric {name!r} in the library. It has: {names}.")
    return found[0]


def _say(as_json: bool, result: Any, words: str) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False) if as_json else words)
