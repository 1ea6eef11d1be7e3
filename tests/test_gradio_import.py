"""gradio is imported without its type stubs, and is otherwise the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_gradio_renders_no_type_stub_while_it_is_imported() -> None:
    program = """
import inspect
import jinja2

rendered = []
real = jinja2.Template.render
jinja2.Template.render = lambda self, *args, **given: rendered.append(given.keys()) or real(self, *args, **given)
getfile = inspect.getfile

from ui.gradio_import import import_gradio

import_gradio()
import gradio

assert inspect.getfile is getfile
assert not [given for given in rendered if "events" in given]
with gradio.Blocks():
    box = gradio.Textbox(label="It works")
    box.change(lambda text: text, box, box)
"""
    _passes(program)


def test_gradio_describes_all_pages_at_the_end_and_none_in_between() -> None:
    program = """
import gradio
from gradio.routes import App

from ui.gradio_import import without_throwaways

described, made = gradio.Blocks.get_config_file, App.create_app
with without_throwaways():
    assert App.create_app(object()) is None
    with gradio.Blocks() as demo:
        gradio.Textbox(label="First page")
    with demo.route("Other", "other"):
        gradio.Textbox(label="Other page")
    assert demo.config == {"pages": [("", "Home", True), ("other", "Other", True)]}, demo.config
assert (gradio.Blocks.get_config_file, App.create_app) == (described, made)
labels = [component["props"].get("label") for component in demo.get_config_file()["components"]]
assert {"First page", "Other page"} <= set(labels)
"""
    _passes(program)


def _passes(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
