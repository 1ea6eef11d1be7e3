"""Keeps what a person typed in the browser itself, so that a refresh, a crash or a restart loses nothing.

Each tab has its own draft (sessionStorage), so that two tabs don't overwrite each other; a new tab
begins with what was typed last anywhere (localStorage).
"""

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency


def keep_draft(key: str, fields: Sequence[Component]) -> None:
    """Save the fields' values whenever one changes, in the browser, without asking the server."""
    script = f"""(...values) => {{
        const draft = JSON.stringify(values);
        for (const storage of [sessionStorage, localStorage]) {{
            try {{ storage.setItem({json.dumps(key)}, draft); }}
            catch (error) {{ console.warn("This draft is too large for the browser to keep.", error); }}
        }}
        return [];
    }}"""
    gr.on([field.change for field in fields], None, list(fields), None, js=script, api_visibility="private")


def restore_draft(after: Dependency, key: str, fields: Sequence[Component], defaults: Sequence[Any]) -> Dependency:
    """Put the draft of this tab, or else the last of any tab, into the fields; the defaults if there is none."""
    script = f"""() => {{
        const draft = sessionStorage.getItem({json.dumps(key)}) ?? localStorage.getItem({json.dumps(key)});
        const defaults = {json.dumps(list(defaults))};
        try {{
            const values = draft === null ? defaults : JSON.parse(draft);
            return values.length === defaults.length ? values : defaults;
        }} catch {{ return defaults; }}
    }}"""
    return after.then(None, None, list(fields), js=script, api_visibility="private")
