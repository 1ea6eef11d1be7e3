"""The front door of a served Assay with accounts: nothing behind it is reached by who is not signed in."""

import base64
from collections.abc import Mapping
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.accounts import Person, Role
from backend.errors import NotAllowedError, SlowDownError
from backend.sign_in import DAYS, SignIns
from ui.asker import PERSON
from ui.front_door_render import refused_page, sign_in_page

COOKIE = "assay-session"
OPEN = ("/favicon.ico", "/manifest.json", "/gradio_api/startup-events")
"""Told to anybody: the icon, what a browser installs the app by, and the knock by which gradio learns that it runs."""
OPEN_FOLDERS = ("/assets/", "/static/", "/pwa_icon")
"""Gradio's own files, the same in every app."""
MAX_FORM_BYTES = 10_000


class FrontDoor:
    """Around the whole app. Signs in at /login, out at /logout, and leaves the person in the request's scope.

    least: the lowest role that opens each page, by its path. port: part of the cookie's name, since browsers send a
    cookie to every port of a host.
    """

    def __init__(self, app: ASGIApp, sign_ins: SignIns, least: Mapping[str, Role], port: int) -> None:
        self._app = app
        self._sign_ins = sign_ins
        self._least = least
        self._cookie = f"{COOKIE}-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no page opens one
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        path = scope["path"].rstrip("/") or "/"
        if path in OPEN or path.startswith(OPEN_FOLDERS):
            await self._app(scope, receive, send)
            return
        token = request.cookies.get(self._cookie, "")
        try:
            person = await run_in_threadpool(self._person, token, request.headers.get("authorization", ""))
        except (NotAllowedError, SlowDownError) as error:
            await _refusal(error)(scope, receive, send)
            return
        if path == "/login" and scope["method"] == "POST":
            response = await self._sign_in(request)
        elif path == "/logout" and scope["method"] == "POST":
            response = await self._sign_out(token)
        elif path == "/login":
            response = sign_in_page(_next(request))
        elif person is None:
            response = _to_login(request)
        elif not person.may(self._least.get(path.strip("/"), Role.ANNOTATOR)):
            response = refused_page(person, self._least[path.strip("/")])
        else:
            scope[PERSON] = person
            await self._app(scope, receive, send)
            return
        await response(scope, receive, send)

    def _person(self, token: str, authorization: str) -> Person | None:
        """By the browser's session, or by name and password in the header of a program."""
        if token:
            return self._sign_ins.person(token)
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # no base64, or no UTF-8 in it
            return None
        return self._sign_ins.checked(name, password)

    async def _sign_in(self, request: Request) -> Response:
        fields = await _form(request)
        name, password = fields.get("username", ""), fields.get("password", "")
        try:
            token = await run_in_threadpool(self._sign_ins.sign_in, name, password)
        except (NotAllowedError, SlowDownError) as error:
            if _is_browser(request):
                return sign_in_page(_next(request), name, str(error), _status(error))
            return _refusal(error)
        response: Response = JSONResponse({"success": True})
        if _is_browser(request):
            response = RedirectResponse(_next(request), 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            self._cookie, token, max_age=DAYS * 86_400, httponly=True, samesite="lax", secure=secure, path="/"
        )
        return response

    async def _sign_out(self, token: str) -> Response:
        await run_in_threadpool(self._sign_ins.sign_out, token)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._cookie, path="/")
        response.headers["Clear-Site-Data"] = '"storage"'  # the next person at this browser sees no draft of this one
        return response


def _refusal(error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, _status(error))


def _status(error: Exception) -> int:
    return 429 if isinstance(error, SlowDownError) else 401


def _to_login(request: Request) -> Response:
    if request.method == "GET" and _is_browser(request):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(asked, safe='')}", 303)
    return JSONResponse({"detail": "You are not signed in. Open the app's page /login, or sign in again."}, 401)


def _next(request: Request) -> str:
    """Where to go after signing in: a page of this app and never of another."""
    asked = request.query_params.get("next", "/")
    ours = asked.startswith("/") and not asked.startswith(("//", "/\\", "/log"))
    return asked if ours and asked.isprintable() else "/"


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


async def _form(request: Request) -> dict[str, str]:
    """The first value of each field; nothing of a form that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}
