"""A small real HTTP server that answers as vLLM does, with a tiny real model behind it, and fails as a test wishes."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.local_server import LocalServer

KEY = "sk-very-secret"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. after: of the stream's pieces, how many go out before it does.

    hangs: seconds without a word. raw: these bytes instead of JSON. changes: what is different in each answer.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hangs: float = 0.0
    cuts: bool = False
    after: int = 0
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass
class ModelServer(LocalServer):
    """Answers out of the model in `folder`.

    own: it knows vLLM's own parameters. takes_ids: prompts may be token ids. hides: tokens whose log-probabilities it
    keeps to itself. tells_while_it_writes: log-probabilities too, not just of a verdict alone. refuses_to_tell: whoever
    asks for them while it streams. says: what chat answers.
    faults: of the coming requests to /completions or /chat/completions, in their order; None lets one pass. requests,
    cancelled: what it was asked, and how many hung up in mid-stream. listed: how often it was asked what it serves.
    """

    folder: Path
    name: str = "tiny"
    root: str = "somewhere/tiny"
    own: bool = True
    takes_ids: bool = True
    hides: tuple[int, ...] = ()
    tells_while_it_writes: bool = True
    refuses_to_tell: bool = False
    says: Callable[[dict[str, Any]], str] = lambda body: "It is warm. [RESULT] 4"
    slow: float = 0.0
    faults: deque[Fault | None] = field(default_factory=deque)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    cancelled: int = 0
    listed: int = 0
    busiest: int = 0

    def __post_init__(self) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)
        self.active = 0
        self.lock = threading.Lock()
        super().__init__(_handler(self), "/v1")

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> torch.Tensor:
        with self.lock:
            return self.model(torch.tensor([ids])).logits[0, -1]

    def text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        fault = Fault()
        """Of the request that is answered."""

        def do_GET(self) -> None:
            match self.path:
                case "/v1/models":
                    server.listed += 1
                    card = {"id": server.name, "root": server.root, "max_model_len": 4096, "created": int(time.time())}
                    self.send(200, {"object": "list", "data": [card]})
                case "/version":
                    self.send(200, {"version": "0.0.tiny"})
                case _:
                    self.send(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append((self.path, body))
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                self.send(401, {"error": f"no such key: {self.headers.get('Authorization')}"})
                return
            self.fault = (server.faults.popleft() if server.faults else None) or Fault()
            if self.fault.hangs:
                time.sleep(self.fault.hangs)
            if self.fault.raw is not None:
                self.send_bytes(self.fault.status, self.fault.raw)
            elif self.fault.status != 200:
                self.send(self.fault.status, {"detail": "as the test wishes"})
            else:
                server.active += 1
                server.busiest = max(server.busiest, server.active)
                self.answer(body)
                server.active -= 1

        def answer(self, body: dict[str, Any]) -> None:
            if self.path == "/v1/chat/completions":
                self.chat(body)
            elif not server.takes_ids and not isinstance(body["prompt"], str):
                self.send(400, {"error": {"message": "prompt must be a string"}})
            elif body.get("stream") and server.refuses_to_tell and "logprobs" in body:
                self.send(400, {"error": {"message": "no log-probabilities while streaming"}})
            elif body.get("stream"):
                self.stream(self.written(body))
            else:
                self.verdict(body)

        def chat(self, body: dict[str, Any]) -> None:
            words = server.says(body).split(" ")
            pieces = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
            if body.get("stream"):
                self.stream([{"delta": {"content": piece}, "finish_reason": None} for piece in pieces])
            else:
                self.send(200, {"model": server.name, "choices": [{"message": {"content": "".join(pieces)}}]})

        def written(self, body: dict[str, Any]) -> Any:
            """Pieces of stream_interval tokens, as vLLM's: the first token alone, and the last ones as they end."""
            interval = body.get("stream_interval", 1) if server.own else 1
            ids, new, told, sent = list(body["prompt"]), list[int](), list[dict[str, float]](), 0
            for number in range(body["max_tokens"]):
                logits = server.logits(ids + new)
                new.append(int(logits.argmax()))
                if server.own and "logprobs" in body:
                    told.append(self.named(torch.log_softmax(logits, -1), [new[-1], *body["logprob_token_ids"]]))
                text = server.text(new)
                stopped = new[-1] == server.tokenizer.eos_token_id
                reason = "stop" if stopped else "length" if number + 1 == body["max_tokens"] else None
                if sent and len(new) - sent < interval and reason is None:
                    continue
                piece: dict[str, Any] = {"text": text[len(server.text(new[:sent])) :], "finish_reason": reason}
                if server.own and body.get("return_token_ids"):
                    piece["token_ids"] = new[sent:]
                    piece["logprobs"] = {"top_logprobs": told[sent:]} if server.tells_while_it_writes else None
                sent = len(new)
                yield piece
                if stopped:
                    return

        def verdict(self, body: dict[str, Any]) -> None:
            ids = list(body["prompt"])
            logs = torch.log_softmax(server.logits(ids), -1)
            allowed = body.get("allowed_token_ids") if server.own else None
            picked = int(max(allowed, key=lambda token: float(logs[token]))) if allowed else int(logs.argmax())
            named = logs.topk(body["logprobs"]).indices.tolist()
            if server.own:
                named = [picked, *body["logprob_token_ids"]]
            told = {"top_logprobs": [self.named(logs, named)]}
            choice = {"text": server.text([picked]), "finish_reason": "length", "logprobs": told}
            if server.own:
                choice["token_ids"] = [picked]
            self.send(200, {"model": server.name, "choices": [choice], "usage": {"prompt_tokens": len(ids)}})

        def named(self, logs: torch.Tensor, tokens: list[int]) -> dict[str, float]:
            spell = (lambda token: f"token_id:{token}") if server.own else (lambda token: server.text([token]))
            return {spell(token): float(logs[token]) for token in tokens if token not in server.hides}

        def stream(self, choices: Any) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for number, choice in enumerate(choices):
                    if self.fault.cuts and number == self.fault.after:
                        return
                    time.sleep(server.slow)
                    self.event({"model": server.name, "choices": [choice], **self.fault.changes})
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                server.cancelled += 1

        def event(self, answer: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(answer)}\n\n".encode())
            self.wfile.flush()

        def send(self, status: int, answer: dict[str, Any]) -> None:
            self.send_bytes(status, json.dumps({**answer, **self.fault.changes}).encode())

        def send_bytes(self, status: int, content: bytes) -> None:
            self.send_response(status)
            for name, value in {**self.fault.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing: the tests look at what was asked."""

    return Handler
