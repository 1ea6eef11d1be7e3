"""The app: its pages, its look, and how it is served."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui import agreement, alpha_lab, benchmarks, experts, history, judge, labelling, models, projects, rubrics
from ui.gradio_import import without_web_applications
from ui.services import Services
from ui.shell import CSS_PATH, header, theme

ICON = Path(__file__).parent / "icon.svg"


def build(services: Services) -> gr.Blocks:
    """All pages, one route each."""
    with without_web_applications():
        return _pages(services)


def _pages(services: Services) -> gr.Blocks:
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        _top("Judge text with an open model on your own hardware, and keep your own opinion beside it.")
        judge.build(services)
    with demo.route("Rubrics", "rubrics"):
        _top("What is judged: one criterion, and what each score means.")
        rubrics.build(services.library, services.owner_id)
    with demo.route("Projects", "projects"):
        _top("Many items, many people: import, judge in batch, label by the same rules, export.")
        projects.build(services)
    with demo.route("Label", "label"):
        _top("One item at a time, by keys: your own opinion first.")
        labelling.build(services)
    with demo.route("History", "history"):
        _top("What was said of what: every verdict, and what people said of it.")
        history.build(services.history, services.labels, services.owner_id)
    with demo.route("Agreement", "agreement"):
        _top("How far people and the model agree, and how sure that is.")
        agreement.build(services.comparing)
    with demo.route("Experts", "experts"):
        _top("The two halves of a judge: one trained on scores, one on pairs.")
        experts.build(services.jobs, services.registry, services.home, services.owner_id)
    with demo.route("Models", "models"):
        _top("What judges: the base, the experts, their merges, and the one that serves.")
        models.build(services)
    with demo.route("Alpha lab", "alpha-lab"):
        _top("How a judge is made: two experts, mixed at an alpha, and measured.")
        alpha_lab.build(services)
    with demo.route("Benchmarks", "benchmarks"):
        _top("How good a judge is: labelled sets, side by side, beside what others have published.")
        benchmarks.build(services)
    return demo


def _top(subtitle: str) -> None:
    """What stands above every page."""
    gr.Navbar(main_page_name="Judge")
    header(subtitle)


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
