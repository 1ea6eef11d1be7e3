"""A small real HTTP server that speaks as an OpenAI-compatible endpoint, with answers that the test decides."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local_server import LocalServer


@dataclass(frozen=True)
class Reply:
    """body: JSON, or bytes as they are. closes: hang up without an answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def user(self) -> str:
        return str(self.body["messages"][1]["content"])


def completion(text: str | None, *, prompt_tokens: int | None = 100, new_tokens: int = 20) -> Reply:
    body: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    if prompt_tokens is not None:
        body["usage"] = {"prompt_tokens": prompt_tokens, "completion_tokens": new_tokens}
    return Reply(body=body)


class Endpoint(LocalServer):
    """Answers every request by `answer`. requests: what it was asked."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        super().__init__(self._handler(), "/v1")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), json.loads(content))
                endpoint.requests.append(request)
                reply = endpoint._answer(request)
                if reply.closes:
                    self.close_connection = True
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests look at what was asked."""

        return Handler
