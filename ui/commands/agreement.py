"""The sub-command `agreement`: people and model compared, as words, JSON, a report or CSV."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from backend.agreement_report import Report, as_json
from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.config import Settings
from backend.errors import InvalidInputError
from backend.types import Mode
from ui.agreement_tables import tables
from ui.agreement_words import counts_words, missing_words, selection_words
from ui.commands.terminal import told


@dataclass(frozen=True)
class AgreementServices:
    """What the command works with. owner_id: for whom it compares."""

    comparing: Comparing
    owner_id: int


def commands(open_services: Callable[[Settings], AbstractContextManager[AgreementServices]]) -> typer.Typer:
    """The command; the store is opened when it is called, and closed after. context.obj: the settings."""
    app = typer.Typer(add_completion=False)

    @app.callback(invoke_without_command=True)
    def agreement(
        context: typer.Context,
        mode: Annotated[Mode, typer.Option(help="What was judged: scores, winners or rankings.")] = Mode.DIRECT,
        model: Annotated[
            int | None, typer.Option(help="Id of the model (unset: the one with most labelled verdicts).")
        ] = None,
        rubric: Annotated[int | None, typer.Option(help="Id of a rubric version (unset: all).")] = None,
        project: Annotated[int | None, typer.Option(help="Id of a project (unset: labels from everywhere).")] = None,
        kind: Annotated[
            Kind | None,
            typer.Option(help="Which labels (unset: blind if there are enough, else imported, else after)."),
        ] = None,
        people: Annotated[list[int] | None, typer.Option("--person", help="Id of a person. Repeatable.")] = None,
        since: Annotated[
            datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of the labels, UTC.")
        ] = None,
        until: Annotated[
            datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the labels, UTC.")
        ] = None,
        as_json_: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
        report_file: Annotated[
            Path | None, typer.Option("--report", help="Write a report with its figures, one HTML file.")
        ] = None,
        csv_file: Annotated[
            Path | None, typer.Option("--csv", help="Write all tables as CSV, in one zip file.")
        ] = None,
    ) -> None:
        """Compare people's labels with a model's verdicts: every figure with its 95% interval."""
        selection = Selection(
            mode=mode,
            model_version_id=model,
            rubric_version_id=rubric,
            kind=kind,
            project_id=project,
            people=tuple(people or ()),
            since=since and since.date(),
            until=until and until.date(),
        )
        with told():
            with open_services(context.obj) as services:
                report = services.comparing.report(selection, services.owner_id)
            _write_files(report, report_file, csv_file)
        typer.echo(as_json(report) if as_json_ else _words(report))

    return app


def _write_files(report: Report, report_file: Path | None, csv_file: Path | None) -> None:
    from ui.agreement_export import csv_zip, html_report

    for path, made in ((report_file, html_report), (csv_file, csv_zip)):
        if path is None:
            continue
        try:
            path.write_bytes(made(report))
        except OSError as error:
            raise InvalidInputError(f"{path} can't be written: {error.strerror}. Name another file.") from error


def _words(report: Report) -> str:
    lines = [words for words in (selection_words(report), counts_words(report), missing_words(report)) if words]
    for table in tables(report):
        lines += ["", table.title]
        rows = [table.heads, *table.rows] if table.rows else []
        widths = [max(len(row[place]) for row in rows) for place in range(len(table.heads))] if rows else []
        for row in rows:
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if table.note:
            lines.append(table.note)
    return "\n".join(lines)
