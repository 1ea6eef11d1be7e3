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
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
