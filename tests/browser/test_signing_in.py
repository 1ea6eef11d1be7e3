"""Accounts in the real server: signing in and out, pages by role, and every event of a page replayed by hand."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from backend.accounts import Accounts
from backend.batch_job import BatchJudging, BatchOrder
from backend.types import Sampling
from backend.users import owner
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.browser.test_judge_page import App, started
from tests.project_bench import ProjectBench

pytestmark = pytest.mark.browser

PASSWORD = "correct horse"
FEEDBACK = "Because."
"""What the fast engine writes of everything."""


@pytest.fixture(scope="module")
def app(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """People of each role, and a blind project that is judged: ann has to label it."""
    home = tmp_path_factory.mktemp("accounts") / "home"
    home.mkdir()
    store = Store(f"sqlite:///{home / 'assay.db'}")
    store.migrate()
    bench = ProjectBench(store, home)
    view = bench.filled(2)
    judging = BatchJudging(store, fast_serving(store, home, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())
    accounts = Accounts(store)
    for user_id in (bench.lead, bench.ann):
        accounts.set_password(user_id, PASSWORD, owner(store))
    accounts.add("boss", PASSWORD, "admin", owner(store))
    store.close()
    with started(home, tiny_model, "--auth") as app:
        until_open(app)
        yield app


def until_open(app: App) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
        client.get(f"{app.url}login", timeout=60)


def sign_in(page: Page, app: App, name: str, password: str = PASSWORD) -> None:
    page.goto(app.url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@contextmanager
def client_of(app: App, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=30) as client:
        assert client.post("login", data={"username": name, "password": PASSWORD}).status_code == 200
        yield client


def replay(
    client: httpx.Client, event: dict[str, Any], data: list[Any] | None = None, **details: Any
) -> dict[str, Any]:
    """Send an event as a page would, and wait for what became of it."""
    session = uuid.uuid4().hex
    body = {
        "fn_index": event["id"], "session_hash": session, "event_data": details or None,
        "data": [None] * len(event["inputs"]) if data is None else data,
    }  # fmt: skip
    client.post("gradio_api/queue/join", json=body).raise_for_status()
    with client.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return message
    raise AssertionError("the stream ended without an answer")


def events_of(client: httpx.Client, page: str) -> list[dict[str, Any]]:
    config = client.get("config").raise_for_status().json()
    ids = config["page"][page]["dependencies"]
    return [one for one in config["dependencies"] if one["id"] in ids and one["backend_fn"]]


def test_nothing_is_told_to_who_is_not_signed_in(app: App) -> None:
    with httpx.Client(base_url=app.url) as client:
        for path in ("config", "gradio_api/info", "gradio_api/queue/data?session_hash=x", "gradio_api/file=/etc/hosts"):
            assert client.get(path).status_code == 401, path
        assert client.post("gradio_api/queue/join", json={}).status_code == 401
        assert client.post("gradio_api/upload").status_code == 401
        to_login = client.get("models?verdict=1", headers={"Accept": "text/html"})
        assert to_login.headers["location"] == "/login?next=%2Fmodels%3Fverdict%3D1"
        wrong = client.post("login", data={"username": "ann", "password": "wrong horse"})
        assert (wrong.status_code, "don't belong together" in wrong.json()["detail"]) == (401, True)
        outside = client.post(
            "login?next=//evil.example", data={"username": "ann", "password": PASSWORD}, headers={"Accept": "text/html"}
        )
        assert outside.headers["location"] == "/"


def test_a_person_signs_in_sees_their_pages_and_signs_out(page: Page, app: App) -> None:
    sign_in(page, app, "ann", "wrong horse")
    expect(page.get_by_role("alert")).to_contain_text("don't belong together")
    expect(page.get_by_label("Name")).to_have_value("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("ann (annotator)")).to_be_visible()
    page.reload()
    expect(page.get_by_text("ann (annotator)")).to_be_visible()
    expect(page.get_by_role("link", name="Label")).to_be_visible()
    expect(page.get_by_role("link", name="Models")).to_be_hidden()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(f"{app.url}label")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_an_admin_adds_a_person_and_disables_them(context: BrowserContext, app: App) -> None:
    page = context.new_page()
    sign_in(page, app, "boss")
    expect(page.get_by_text("boss (admin)")).to_be_visible()
    page.goto(f"{app.url}people")
    page.get_by_label("Name", exact=True).fill("Cleo")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Add person").click()
    table = page.get_by_role("table", name="Everybody")
    expect(table).to_contain_text("Cleo")
    with client_of(app, "Cleo") as cleo:
        assert cleo.get("config").status_code == 200
        for name, role in {"boss": "admin", "Cleo": "annotator"}.items():
            page.get_by_label("Person to change").click()
            page.get_by_role("option", name=name).click()
            expect(page.get_by_label("New role")).to_have_value(role)
        page.get_by_role("button", name="Disable").click()
        expect(table).to_contain_text("disabled")
        assert cleo.get("config").status_code == 401


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        (
            "ann",
            [
                "rubrics",
                "projects",
                "adjudicate",
                "agreement",
                "experts",
                "models",
                "alpha-lab",
                "benchmarks",
                "people",
            ],
        ),
        ("lead", ["experts", "models", "alpha-lab", "people"]),
    ],
)
def test_every_event_of_a_page_that_is_not_theirs_is_refused(app: App, name: str, closed: list[str]) -> None:
    with client_of(app, name) as client:
        for path in closed:
            assert client.get(path, headers={"Accept": "text/html"}).status_code == 403
            events = events_of(client, path)
            assert len(events) > 1
            answers = [replay(client, one) for one in events]
            assert not any(answer["success"] for answer in answers), path
            assert "may use this page" in str(answers), "what was not refused by the role was no value for its field"


def test_no_event_of_an_annotators_pages_tells_a_blind_verdict(app: App) -> None:
    with client_of(app, "ann") as client:
        for path in ("", "history", "label"):
            for event in events_of(client, path):
                for data in (None, [1] * len(event["inputs"])):
                    said = json.dumps(replay(client, event, data, verdict="1", act="submit", item=1, round=1))
                    assert FEEDBACK not in said, (path, event["id"])
        (opens,) = [one for one in events_of(client, "history") if one["targets"][0][1] == "select"]
        assert "is not shown to you" in str(replay(client, opens, verdict="1")["output"])
    with client_of(app, "lead") as client:
        (opens,) = [one for one in events_of(client, "history") if one["targets"][0][1] == "select"]
        assert FEEDBACK in str(replay(client, opens, verdict="1")["output"])


def test_the_judge_page_does_not_answer_what_waits_blind(page: Page, app: App) -> None:
    sign_in(page, app, "ann")
    expect(page.get_by_label("Instruction", exact=True)).to_be_visible()
    expect(page.get_by_label("Rubric from the library")).to_have_value(re.compile("."))
    page.get_by_label("Instruction", exact=True).fill("Question 0?")
    page.get_by_label("Response", exact=True).fill("Answer 0.")
    page.get_by_role("button", name="Judge", exact=True).click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("you label before you see what the judge says")
