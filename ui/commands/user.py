"""The sub-command `user`: add and list the people who label."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from backend.accounts import Accounts, Person, Role
from backend.config import Settings
from ui.commands.terminal import told


@dataclass(frozen=True)
class UserServices:
    """owner_id: who runs the command."""

    accounts: Accounts
    owner_id: int


def commands(open_services: Callable[[Settings], UserServices]) -> typer.Typer:
    """context.obj: the settings."""
    app = typer.Typer(add_completion=False, help="The people who label.")

    @app.command()
    def add(
        context: typer.Context,
        name: Annotated[str, typer.Argument(help="The name that stands beside their labels.")],
        role: Annotated[str, typer.Option(help=f"One of {', '.join(Role)}.")] = Role.ANNOTATOR,
        password: Annotated[
            str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="ASSAY_PASSWORD")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    ) -> None:
        """Add a person. The password is asked for, or taken from ASSAY_PASSWORD."""
        with told():
            services = open_services(context.obj)
            person = services.accounts.add(name, password, role, services.owner_id)
        made = {"id": person.id, "name": person.name, "role": person.role}
        typer.echo(json.dumps(made) if as_json else f"{person.name} is added as {person.role}.")

    @app.command("list")
    def list_people(
        context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
    ) -> None:
        """Everybody, with their roles."""
        people = open_services(context.obj).accounts.people()
        if as_json:
            typer.echo(json.dumps([{"id": one.id, "name": one.name, "role": one.role} for one in people]))
        for one in () if as_json else people:
            typer.echo(f"{one.name:<30} {one.role}{_state(one)}")

    return app


def _state(person: Person) -> str:
    return " (disabled)" if person.disabled else "" if person.signs_in else " (no password)"
