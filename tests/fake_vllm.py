"""Stands in for vLLM's command where a test needs a fault that the real one can't be made to have.

Run as `python fake_vllm.py FOLDER serve MODEL --host H --port P --served-model-name N ...`. FOLDER/plan has a line for
each start, in their order: `ok`, `dies` (while it loads), `taken` (the port), `hangs` (never answers), `slow` (for two
seconds), or `dies-after N` (requests to POST). The last line stands for all further starts. It appends its pid and its
command to FOLDER/starts, and starts a child of its own, as vLLM does, whose pid goes to FOLDER/children.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

folder, arguments = Path(sys.argv[1]), sys.argv[2:]
given = dict(pairwise(arguments))
starts = folder / "starts"
number = len(starts.read_text().splitlines()) if starts.exists() else 0
with starts.open("a") as file:
    file.write(json.dumps({"pid": os.getpid(), "arguments": arguments, "key": os.environ["VLLM_API_KEY"]}) + "\n")
plan = (folder / "plan").read_text().splitlines()
wanted = plan[min(number, len(plan) - 1)].split()

print("INFO Loading weights", flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with (folder / "children").open("a") as file:
    file.write(f"{child.pid}\n")
if wanted[0] == "dies":
    sys.exit("ValueError: the weights are of clay")
if wanted[0] == "taken":
    sys.exit("OSError: [Errno 98] Address already in use")
if wanted[0] == "hangs":
    time.sleep(600)
if wanted[0] == "slow":
    time.sleep(2)
left = [int(wanted[1]) if wanted[0] == "dies-after" else -1]
"""Requests that are still answered; below 0 all are."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {os.environ['VLLM_API_KEY']}":
            self.send_error(401)
            return
        self.answer({"data": [{"id": given["--served-model-name"], "max_model_len": 4096}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if left[0] == 0:
            os._exit(1)
        left[0] -= 1
        if body.get("stream"):
            self.stream()
        else:
            self.answer({"model": given["--served-model-name"], "choices": [{"message": {"content": "Hello."}}]})

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in ("It ", "is ", "warm. ", "[RESULT] ", "4"):
            choice = {"delta": {"content": word}, "finish_reason": None}
            said = json.dumps({"model": given["--served-model-name"], "choices": [choice]})
            self.wfile.write(f"data: {said}\n\n".encode())
            self.wfile.flush()
            if left[0] == 0:
                os._exit(1)
        self.wfile.write(b"data: [DONE]\n\n")

    def answer(self, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


ThreadingHTTPServer(("127.0.0.1", int(given["--port"])), Handler).serve_forever()
