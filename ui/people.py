"""The people page: an admin makes accounts, changes roles and passwords, and keeps people out."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from backend.accounts import Person, Role
from backend.errors import InvalidInputError
from ui.events import LATEST, QUIET, Update, on_arrival
from ui.services import Services
from ui.shell import escape, shown, tell

ROLES = [
    ("annotator: labels, judges, sees their own history", str(Role.ANNOTATOR)),
    ("lead: projects, rubrics, agreement, adjudication", str(Role.LEAD)),
    ("admin: everything, also models and people", str(Role.ADMIN)),
]


def build(services: Services) -> None:
    """Lay out the page inside the route that is open."""
    _PeoplePage(services).wire()


class _PeoplePage:
    """The components, and the handlers that gather from them, call one service, and render."""

    def __init__(self, services: Services) -> None:
        self._accounts = services.accounts
        self._who = services.who
        with gr.Row(elem_classes="assay-columns"):
            with gr.Column(scale=4, min_width=300):
                gr.HTML('<div class="assay-heading"><h2>New person</h2></div>', label="About the form")
                self.name = gr.Textbox(label="Name", max_lines=1, placeholder="It stands beside their labels")
                self.password = gr.Textbox(
                    label="Password", type="password", max_lines=1, placeholder="8 characters or more"
                )
                self.role = gr.Radio(ROLES, value=str(Role.ANNOTATOR), label="Role")
                self.add = gr.Button("Add person", variant="primary")
            with gr.Column(scale=7, min_width=300):
                gr.HTML('<div class="assay-heading"><h2>Everybody</h2></div>', label="About the list")
                self.table = gr.HTML("", label="Everybody")
                self.person = gr.Dropdown([], label="Person to change", filterable=False)
                with gr.Row():
                    self.new_role = gr.Dropdown(
                        [str(role) for role in Role], value=None, label="New role", min_width=160
                    )
                    self.new_password = gr.Textbox(label="New password", type="password", max_lines=1, min_width=200)
                with gr.Row(elem_classes="assay-tools"):
                    self.change_role = gr.Button("Change role", size="sm", min_width=120)
                    self.reset = gr.Button("Reset password", size="sm", min_width=120)
                    self.disable = gr.Button("Disable", size="sm", min_width=90)
                    self.enable = gr.Button("Enable", size="sm", min_width=90)

    def wire(self) -> None:
        """Join the components to their handlers."""
        listed = [self.table, self.person]
        on_arrival(self._arrive, None, listed)
        self.person.input(self._show_role, {self.person}, [self.new_role], **QUIET, **LATEST)
        new = {self.name, self.password, self.role}
        self.add.click(self._add, new, [*listed, self.name, self.password], **QUIET)
        self.change_role.click(self._change_role, {self.person, self.new_role}, listed, **QUIET)
        fields = {self.person, self.new_password}
        self.reset.click(self._reset, fields, [*listed, self.new_password], **QUIET)
        self.disable.click(self._setter(disabled=True), {self.person}, listed, **QUIET)
        self.enable.click(self._setter(disabled=False), {self.person}, listed, **QUIET)

    @shown
    def _arrive(self) -> Update:
        return self._listed()

    @shown
    def _add(self, data: Mapping[Component, Any]) -> Update:
        person = self._accounts.add(data[self.name] or "", data[self.password] or "", data[self.role], self._who())
        tell(f"{person.name} can sign in as {person.role}. Tell them the password; it is shown nowhere.")
        return {**self._listed(), self.name: "", self.password: ""}

    @shown
    def _show_role(self, data: Mapping[Component, Any]) -> Update:
        """The present one, so that who is demoted is never an accident."""
        chosen = self._chosen(data)
        return {self.new_role: next(str(person.role) for person in self._accounts.people() if person.id == chosen)}

    @shown
    def _change_role(self, data: Mapping[Component, Any]) -> Update:
        person = self._accounts.set_role(self._chosen(data), data[self.new_role] or "", self._who())
        tell(f"{person.name} is {person.role} from now on.")
        return self._listed()

    @shown
    def _reset(self, data: Mapping[Component, Any]) -> Update:
        person = self._accounts.set_password(self._chosen(data), data[self.new_password] or "", self._who())
        tell(f"{person.name} has a new password, and is signed out everywhere.")
        return {**self._listed(), self.new_password: ""}

    def _setter(self, *, disabled: bool) -> Any:
        @shown
        def change(data: Mapping[Component, Any]) -> Update:
            person = self._accounts.set_disabled(self._chosen(data), disabled, self._who())
            tell(f"{person.name} {'can not sign in any more' if disabled else 'can sign in again'}.")
            return self._listed()

        return change

    def _chosen(self, data: Mapping[Component, Any]) -> int:
        if data[self.person] is None:
            raise InvalidInputError("Nobody is chosen. Choose the person to change.")
        return int(data[self.person])

    def _listed(self) -> Update:
        people = self._accounts.people()
        return {
            self.table: people_table(people),
            self.person: gr.update(choices=[(person.name, person.id) for person in people]),
        }


def people_table(people: Sequence[Person]) -> str:
    rows = "".join(
        f'<tr><td dir="auto">{escape(person.name)}<td class="assay-word">{person.role}<td>{_state(person)}</tr>'
        for person in people
    )
    return (
        '<table class="assay-table" aria-label="Everybody"><thead><tr><th>Name<th>Role<th>Sign-in</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _state(person: Person) -> str:
    if person.disabled:
        return "disabled"
    return "by password" if person.signs_in else "none: the owner of this machine"
