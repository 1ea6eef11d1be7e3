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

from ui.events import LATEST, PRIVATE


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
    gr.on([field.change for field in fields], None, list(fields), None, js=script, **PRIVATE, **LATEST)


def restore_draft(after: Dependency, key: str, fields: Sequence[Component], defaults: Sequence[Any]) -> Dependency:
    """Put the draft of this tab, or else the last of any tab, into the fields that still hold their default.

    A field that holds something else by then was filled in by a person who was faster than the page: it stays.
    """
    script = f"""(...present) => {{
        const draft = sessionStorage.getItem({json.dumps(key)}) ?? localStorage.getItem({json.dumps(key)});
        const defaults = {json.dumps(list(defaults))};
        const same = (one, other) => JSON.stringify(one ?? "") === JSON.stringify(other ?? "");
        // A number field without a value arrives as 0.
        const untouched = (position) => same(present[position], defaults[position])
            || (defaults[position] === null && !present[position]);
        // Says nothing of the field, so that what is typed while this runs is not put back.
        const stays = {{ __type__: "update" }};
        try {{
            const values = draft === null ? defaults : JSON.parse(draft);
            if (values.length !== defaults.length) return present.map(() => stays);
            // A number field without a value has to be told so, or it holds 0 from then on.
            const news = (position) => values[position] === null || !same(present[position], values[position]);
            return present.map((_, position) => untouched(position) && news(position) ? values[position] : stays);
        }} catch {{ return present.map(() => stays); }}
    }}"""
    return after.then(None, list(fields), list(fields), js=script, **PRIVATE)
