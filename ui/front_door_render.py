"""What is shown at the front door: a form to sign in, and who may not go further."""

from urllib.parse import quote

from starlette.responses import HTMLResponse

from backend.accounts import Person, Role
from ui.shell import escape

STYLE = """
:root { color-scheme: light dark; --ink: #0f172a; --muted: #475569; --paper: #f8fafc; --card: #fff; --line: #cbd5e1;
    --wrong: #991b1b; --wrong-paper: #fef2f2; --wrong-line: #fecaca; }
@media (prefers-color-scheme: dark) {
    :root { --ink: #f1f5f9; --muted: #94a3b8; --paper: #020617; --card: #0f172a; --line: #334155;
        --wrong: #fecaca; --wrong-paper: #450a0a; --wrong-line: #7f1d1d; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
    font: 16px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: min(24rem, calc(100vw - 2rem)); padding: 2rem; background: var(--card); border: 1px solid var(--line);
    border-radius: 10px; }
h1 { margin: 0; font-size: 1.4rem; }
p { margin: .25rem 0 1.25rem; color: var(--muted); }
label { display: block; margin-bottom: 1rem; font-weight: 600; }
input { display: block; width: 100%; margin-top: .25rem; padding: .6rem .7rem; font: inherit; font-weight: 400;
    color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 6px; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid #0d9488; outline-offset: 1px; }
button { width: 100%; padding: .65rem; font: inherit; font-weight: 600; color: #fff; background: #0f766e; border: 0;
    border-radius: 6px; cursor: pointer; }
button:hover { background: #115e59; }
.wrong { margin: 0 0 1rem; padding: .6rem .7rem; color: var(--wrong); background: var(--wrong-paper);
    border: 1px solid var(--wrong-line); border-radius: 6px; }
a { color: inherit; }
"""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'",
}


def sign_in_page(after: str, name: str = "", wrong: str = "", status: int = 200) -> HTMLResponse:
    """after: the page to go to then. wrong: what was wrong with the last try."""
    said = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    body = (
        f'<h1>Assay</h1><p>Sign in to judge and to label.</p>{said}<form method="post" action="/login?next='
        f'{quote(after, safe="")}"><label>Name<input name="username" value="{escape(name)}" autocomplete="username" '
        f'required {"" if name else "autofocus"}></label><label>Password<input name="password" type="password" '
        f'autocomplete="current-password" required {"autofocus" if name else ""}></label>'
        "<button>Sign in</button></form>"
    )
    return _page("Sign in", body, status)


def refused_page(person: Person, least: Role) -> HTMLResponse:
    """For a page that the person's role does not open."""
    article = "an" if least is Role.ADMIN else "a"
    body = (
        f"<h1>Not for you</h1><p>This page is for {article} {least}, and {escape(person.name)} is signed in as "
        f'{person.role}. Ask an admin to change that, or go back to <a href="/label">labelling</a>.</p>'
        '<form method="post" action="/logout"><button>Sign out</button></form>'
    )
    return _page("Not for you", body, 403)


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Assay</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="/favicon.ico">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>",
        status,
        HEADERS,
    )
