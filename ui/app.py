"""The app: its pages, its look, and how it is served."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from backend.accounts import Role
from ui import (
    adjudicating,
    agreement,
    alpha_lab,
    benchmarks,
    endpoints,
    experts,
    history,
    judge,
    labelling,
    models,
    people,
    projects,
    rubrics,
)
from ui.asker import guard, who_is_here
from ui.front_door import FrontDoor
from ui.gradio_import import without_throwaways
from ui.services import Services
from ui.shell import CSS_PATH, header, theme

ICON = Path(__file__).parent / "icon.svg"


@dataclass(frozen=True)
class Place:
    """A page. least: the lowest role that opens it."""

    name: str
    path: str
    least: Role
    subtitle: str
    build: Callable[[Services], None]


PLACES = (
    Place("Judge", "", Role.ANNOTATOR,
          "Judge text with an open model on your own hardware, and keep your own opinion beside it.", judge.build),
    Place("Rubrics", "rubrics", Role.LEAD, "What is judged: one criterion, and what each score means.",
          lambda services: rubrics.build(services.library, services.who)),
    Place("Projects", "projects", Role.LEAD,
          "Many items, many people: import, judge in batch, label by the same rules, export.", projects.build),
    Place("Label", "label", Role.ANNOTATOR, "One item at a time, by keys: your own opinion first.", labelling.build),
    Place(
        "Adjudicate", "adjudicate", Role.LEAD,
        "Where people, or people and model, disagree: the final word, with its reason.", adjudicating.build,
    ),
    Place("History", "history", Role.ANNOTATOR,
          "What was said of what: every verdict, and what people said of it.",
          lambda services: history.build(services.history, services.labels, services.who)),
    Place("Agreement", "agreement", Role.LEAD, "How far people and the model agree, and how sure that is.",
          lambda services: agreement.build(services.comparing, services.recalibrating, services.who)),
    Place("Experts", "experts", Role.ADMIN, "The two halves of a judge: one trained on scores, one on pairs.",
          lambda services: experts.build(services.jobs, services.registry, services.home, services.who)),
    Place("Models", "models", Role.ADMIN,
          "What judges: the base, the experts, their merges, and the one that serves.", models.build),
    Place("Alpha lab", "alpha-lab", Role.ADMIN,
          "How a judge is made: two experts, mixed at an alpha, and measured.", alpha_lab.build),
    Place("Benchmarks", "benchmarks", Role.LEAD,
          "How good a judge is: labelled sets, side by side, beside what others have published.", benchmarks.build),
)  # fmt: skip
PEOPLE = Place("People", "people", Role.ADMIN, "Who may sign in, and what each may do.", people.build)


def build(services: Services, *, accounts: bool = False) -> gr.Blocks:
    """All pages, one route each. accounts: people sign in, so each sees the pages that their role opens."""
    places = (*PLACES, PEOPLE) if accounts else PLACES
    with without_throwaways():
        demo = _pages(services, places, accounts=accounts)
    if accounts:
        guard(demo, {place.path: place.least for place in places}, services.who, services.accounts)
    return demo


def _pages(services: Services, places: Sequence[Place], *, accounts: bool) -> gr.Blocks:
    first, *others = places
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        _page(services, first, accounts=accounts)
        endpoints.build(services)
    for place in others:
        with demo.route(place.name, place.path):
            _page(services, place, accounts=accounts)
    return demo


def _page(services: Services, place: Place, *, accounts: bool) -> None:
    gr.Navbar(main_page_name=PLACES[0].name)
    header(place.subtitle)
    if accounts:
        who_is_here({one.path: one.least for one in (*PLACES, PEOPLE)})
    place.build(services)


def front_door(services: Services, port: int) -> dict[str, Any]:
    """The arguments of launch() that let nobody in who is not signed in."""
    least = {place.path: place.least for place in (*PLACES, PEOPLE)}
    door = Middleware(FrontDoor, sign_ins=services.sign_ins, least=least, port=port)
    return {"app_kwargs": {"middleware": [door]}}


def look() -> dict[str, Any]:
    """The arguments of launch() that make the app look and install as one."""
    return {
        "theme": theme(),
        "css_paths": CSS_PATH,
        "favicon_path": ICON,
        "pwa": True,
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "enable_monitoring": False,
    }
