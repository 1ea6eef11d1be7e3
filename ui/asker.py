"""Whose click is being handled: the one place where pages and endpoints learn for whom they work."""

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

import gradio as gr

from backend.accounts import Accounts, Person, Role
from ui.events import on_arrival
from ui.shell import escape, shown

PERSON = "assay_person"
"""The key under which the front door leaves the signed-in Person in a request's scope."""
Who = Callable[[], int]
"""The id of the person whose click is being handled."""


def signed_in() -> Person:
    """The person of the request that is being handled, as the front door knows them."""
    request = gr.context.LocalContext.request.get(None)
    assert request is not None, "somebody's click is being handled"
    asked = request.request if isinstance(request, gr.Request) else request  # a page's own calls bring it unwrapped
    person = asked.scope[PERSON]
    assert isinstance(person, Person), "nothing passes the front door without a person"
    return person


def person_id() -> int:
    return signed_in().id


def who_is_here(least: dict[str, Role]) -> None:
    """A line under the header: who is signed in, and the way out. Hides the links to pages that are not theirs."""
    line = gr.HTML("", label="Signed in", elem_classes="assay-signed-in")

    def tell_who() -> str:
        person = signed_in()
        closed = [path for path, role in least.items() if not person.may(role)]
        links = ", ".join(f'nav a[href$="/{path}"], .nav-holder a[href$="/{path}"]' for path in closed)
        style = f"<style>{links} {{ display: none }}</style>" if closed else ""
        return (
            f'{style}<form method="post" action="/logout"><span dir="auto">{escape(person.name)}</span> '
            f"({person.role}) <button>Sign out</button></form>"
        )

    on_arrival(tell_who, None, [line], queue=False)


def guard(demo: gr.Blocks, least: dict[str, Role], who: Who, accounts: Accounts) -> None:
    """Refuse every event of a page, by its path, to who has a lower role: anybody signed in can replay any event."""
    for event in demo.fns.values():
        role = least[event.page]
        if event.fn is not None and role is not Role.ANNOTATOR:
            event.fn = shown(_guarded(event.fn, role, who, accounts))


def _guarded(handler: Callable[..., Any], least: Role, who: Who, accounts: Accounts) -> Callable[..., Any]:
    def check() -> None:
        accounts.require(who(), least, "use this page")

    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            check()
            return (yield from handler(*args, **kwargs))

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        check()
        return handler(*args, **kwargs)

    return call
