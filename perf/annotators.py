"""Many annotators at once in the real server: nothing lost or doubled, every lease honoured, and how long saving takes.

    python -m perf.annotators --people 50 --items 40

Starts `launch.py --auth` on a new home, signs everybody in, and lets each label through the Label page's own events,
as their browsers would send them, with a pause before each label: five seconds on average, half as long as people take
over a short item. "Saved" is from the key to the next item on the page: the label is stored, its reveal, the last ten
decisions and the next item are drawn. With --pause 0 nobody thinks at all: the most that the server can do. The
generator runs on the same machine.
"""

import argparse
import asyncio
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from backend.accounts import Accounts
from backend.project_import import ProjectImport
from backend.projects import ProjectDraft, Projects
from backend.rubrics import RubricLibrary
from backend.types import Mode
from backend.users import owner
from db.models import Label, Lease
from db.session import Store
from perf.options import add_folder, parser_of

PASSWORD = "correct horse"
TEXT = "Mix one part of white vinegar with two parts of water, and let it soak overnight. " * 6


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder)
        store = Store(f"sqlite:///{home / 'assay.db'}")
        project_id = _prepare(store, home, options)
        with _server(home) as url:
            started = time.perf_counter()
            times = asyncio.run(_label_all(url, options, project_id))
            seconds = time.perf_counter() - started
        print(
            f"{options.people} people, {len(times):,} labels in {seconds:.0f} s, {len(times) / seconds:.1f} a second; "
            f"pause {options.pause:g} s on average"
        )
        ordered = sorted(times)
        for name, share in (("median", 0.5), ("95th percentile", 0.95), ("99th percentile", 0.99)):
            print(f"saved, {name}: {ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000:.0f} ms")
        print(f"saved, mean: {statistics.mean(times) * 1000:.0f} ms, longest: {ordered[-1] * 1000:.0f} ms")
        _check(store, options)
        store.close()


def _prepare(store: Store, home: Path, options: argparse.Namespace) -> int:
    """People and a project of the items that they will label, and one more each, which they leave in hand."""
    store.migrate()
    owner_id = owner(store)
    accounts, library = Accounts(store), RubricLibrary(store)
    library.seed()
    for number in range(options.people):
        accounts.add(f"person {number}", PASSWORD, "annotator", owner_id)
    rubric = library.search("helpfulness")[0].version_id
    draft = ProjectDraft("Kettles", Mode.DIRECT, (rubric,), "Read **twice**.", people_per_item=options.each)
    view = Projects(store).create(draft, owner_id)
    items = options.people * (options.items + 1) // options.each
    rows = home / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"instruction": f"Question {n}?", "response": f"{n}. {TEXT}"}) + "\n" for n in range(items))
    )
    ProjectImport(store).run(str(rows), view.id, owner_id)
    return view.id


@contextmanager
def _server(home: Path) -> Iterator[str]:
    """Without a model: nobody asks for a verdict here."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    command = [sys.executable, "launch.py", "--home", str(home), "--port", str(port), "--auth", "--no-browser"]
    nowhere = ["--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "none"]
    process = subprocess.Popen([*command, *nowhere], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{url}/login", timeout=60)
                break
            except httpx.ConnectError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


async def _label_all(url: str, options: argparse.Namespace, project_id: int) -> list[float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await client.post("/login", data={"username": "person 0", "password": PASSWORD})
        config = (await client.get("/config")).json()
    events = [one for one in config["dependencies"] if one["id"] in config["page"]["label"]["dependencies"]]
    board = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "labelling-board")
    load = next(one for one in events if one["targets"][0][1] == "load" and len(one["outputs"]) > 1)
    act = next(one for one in events if one["targets"] == [[board, "select"]])
    people = [_Person(url, number, options, project_id, board) for number in range(options.people)]
    for person in people:
        await person.sign_in()
    done = await asyncio.gather(*(person.label(load, act) for person in people))
    return [seconds for times in done for seconds in times]


class _Person:
    """One annotator's browser."""

    def __init__(self, url: str, number: int, options: argparse.Namespace, project_id: int, board: int) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=120)
        self._name = f"person {number}"
        self._options = options
        self._project_id = project_id
        self._board = board
        self._session = uuid.uuid4().hex
        self._random = random.Random(number)

    async def sign_in(self) -> None:
        answer = await self._client.post("/login", data={"username": self._name, "password": PASSWORD})
        answer.raise_for_status()

    async def label(self, load: dict[str, Any], act: dict[str, Any]) -> list[float]:
        """Each item that is handed out, until there is none; the seconds of each save."""
        shown = await self._send(load, [None])
        times = []
        for _ in range(self._options.items):
            item, click = re.search(r'data-item=\\?"(\d+)\\?"', shown), re.search(r'data-click=\\?"(\w+)\\?"', shown)
            if item is None or click is None:
                break
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._options.pause)
            choice = str(self._random.randint(1, 5))
            said = {
                "act": "submit", "item": int(item[1]), "click": click[1], "choice": choice, "note": "", "seconds": 3,
            }  # fmt: skip
            began = time.perf_counter()
            shown = await self._send(act, [self._project_id], said)
            times.append(time.perf_counter() - began)
        await self._client.aclose()
        return times

    async def _send(self, event: dict[str, Any], data: list[Any], details: dict[str, Any] | None = None) -> str:
        """What the board shows after the event."""
        body = {
            "fn_index": event["id"], "session_hash": self._session, "event_data": details,
            "data": data[: len(event["inputs"])], "trigger_id": self._board,
        }  # fmt: skip
        joined = await self._client.post("/gradio_api/queue/join", json=body)
        joined.raise_for_status()
        async with self._client.stream("GET", f"/gradio_api/queue/data?session_hash={self._session}") as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise SystemExit(f"{self._name} was refused: {message['output']}")
                    return json.dumps(message["output"])
        raise SystemExit(f"{self._name} got no answer.")


def _check(store: Store, options: argparse.Namespace) -> None:
    """Every label once, and no item more often than it was wanted; everybody has their next item in hand."""
    wanted = options.people * options.items
    with store.read() as session:
        labels = session.scalar(select(func.count()).select_from(Label))
        pairs = session.scalar(
            select(func.count()).select_from(select(Label.project_item_id, Label.author_id).distinct().subquery())
        )
        per_item = select(func.count().label("people")).select_from(Label).group_by(Label.project_item_id).subquery()
        most = session.scalar(select(func.max(per_item.c.people)))
        held = session.scalar(select(func.count()).select_from(Lease))
    print(
        f"stored: {labels:,} of {wanted:,} labels, {pairs:,} of different people and items, at most {most} on an item, "
        f"{held} items in hand"
    )
    if (labels, pairs, most) != (wanted, wanted, options.each):
        raise SystemExit("Labels were lost or doubled.")


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--items", type=int, default=40, help="labels of each")
    parser.add_argument("--each", type=int, default=1, help="people per item")
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds before each label")
    add_folder(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
