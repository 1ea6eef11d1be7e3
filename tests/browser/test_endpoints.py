"""The named endpoints of the real server: the documented example, roles, and the same as MCP tools."""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from backend.accounts import Accounts
from backend.users import owner
from db.session import Store
from tests.browser.test_judge_page import App, started
from tests.browser.test_signing_in import PASSWORD, until_open
from tests.project_bench import rows_of

pytestmark = pytest.mark.browser

DOCS = Path(__file__).parent.parent.parent / "docs" / "api.md"
FOR_LEADS: dict[str, dict[str, Any]] = {
    "/project_create": {"name": "Mine"},
    "/project_import": {"project": "Roles", "rows": rows_of(1)},
    "/project_judge": {"project": "Roles"},
    "/project_status": {},
    "/project_export": {"project": "Roles"},
    "/disputed_items": {"project": "Roles"},
    "/decide_item": {"item": 1, "choice": "4", "reason": "So.", "client_id": "c"},
    "/agreement": {},
}


@pytest.fixture(scope="module")
def app(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    home = tmp_path_factory.mktemp("endpoints") / "home"
    home.mkdir()
    store = Store(f"sqlite:///{home / 'assay.db'}")
    store.migrate()
    for name, role in {"ann": "annotator", "lea": "lead", "ada": "admin"}.items():
        Accounts(store).add(name, PASSWORD, role, owner(store))
    store.close()
    with started(home, tiny_model, "--verdict-only", "--auth", "--mcp") as app:
        until_open(app)
        yield app


def client_of(app: App, name: str) -> Client:
    return Client(app.url, auth=(name, PASSWORD), verbose=False)


def test_every_endpoint_is_named_and_documented_and_nothing_else_is_offered(app: App) -> None:
    client = client_of(app, "ann")
    offered = client.view_api(return_format="dict", print_info=False)
    assert offered["unnamed_endpoints"] == {}
    documented = set(re.findall(r"^\| (`.*?) \|", DOCS.read_text(), re.MULTILINE))
    assert set(re.findall(r"/\w+", " ".join(documented))) == set(offered["named_endpoints"])


def test_the_documented_example_runs_as_it_stands(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {"URL": app.url, "PASSWORD": PASSWORD})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("What is limescale? ['A chalky deposit.']")
    assert said[1:3] == ["4 of 5 blind None", "1"]
    assert [json.loads(line)["kind"] for line in said[3:] if line] == ["item", "blind"]


def test_a_project_is_judged_and_settled_without_a_page(app: App) -> None:
    lead, ann = client_of(app, "lea"), client_of(app, "ann")
    lead.predict(name="Whole", rubrics=["helpfulness"], people_per_item=2, order="given", api_name="/project_create")
    report = lead.predict(project="Whole", rows=rows_of(2), api_name="/project_import")
    assert (report["imported"], report["refused"]) == (2, [])
    lead.predict(project="Whole", api_name="/project_judge")
    while lead.predict(project="Whole", api_name="/project_status")[0]["judged"] < 2:
        pass
    for client, choice in ((ann, "2"), (lead, "5")):
        task = client.predict(project="Whole", api_name="/next_item")
        assert (task["instruction"], task["verdict"]) == ("Question 0?", None)
        given = client.predict(item=task["item"], choice=choice, client_id=uuid.uuid4().hex, api_name="/save_label")
        assert given["verdict"]["details"]["score"] in range(1, 6)
    (dispute,) = lead.predict(project="Whole", api_name="/disputed_items")
    decided = {"item": dispute["project_item_id"], "choice": "4", "reason": "So.", "client_id": uuid.uuid4().hex}
    assert lead.predict(**decided, api_name="/decide_item")["decided"] == "4 of 5"
    assert lead.predict(project="Whole", api_name="/agreement")["selection"]


def test_a_project_is_restored_by_an_admin_alone(app: App) -> None:
    lead, admin = client_of(app, "lea"), client_of(app, "ada")
    lead.predict(name="Lost", rubrics=["clarity"], api_name="/project_create")
    lead.predict(project="Lost", rows=rows_of(2), api_name="/project_import")
    export = lead.predict(project="Lost", api_name="/project_export")
    with pytest.raises(AppError, match="lea has the role lead, and only an admin"):
        lead.predict(export=export, name="Found", api_name="/project_restore")
    restored = admin.predict(export=export, name="Found", api_name="/project_restore")
    assert (restored["items"], restored["labels"], restored["new_people"]) == (2, 0, [])
    assert admin.predict(project="Found", api_name="/project_export") == export.replace('"Lost"', '"Found"')


def test_one_response_is_judged(app: App) -> None:
    asked = {"instruction": "What is tea?", "responses": ["A drink."], "rubric": "Clarity", "feedback": False}
    verdict = client_of(app, "ann").predict(**asked, api_name="/judge")
    assert re.fullmatch(r"[1-5] of 5", verdict["result"])
    assert sum(verdict["details"]["distribution"]) == pytest.approx(1)
    assert client_of(app, "ann").predict(**asked, api_name="/judge")["from_store"] is True


@pytest.mark.parametrize("endpoint", FOR_LEADS)
def test_an_annotator_is_refused_what_is_for_leads(app: App, endpoint: str) -> None:
    lead = client_of(app, "lea")
    if not any(one["name"] == "Roles" for one in lead.predict(api_name="/project_status")):
        lead.predict(name="Roles", rubrics=["Clarity"], api_name="/project_create")
    with pytest.raises(AppError, match="ann has the role annotator, and only a lead"):
        client_of(app, "ann").predict(**FOR_LEADS[endpoint], api_name=endpoint)


def test_a_header_with_name_and_password_signs_a_program_in(app: App) -> None:
    for name, password, status in (("ann", PASSWORD, 200), ("ann", "wrong horse", 401), ("nobody", PASSWORD, 401)):
        assert httpx.get(f"{app.url}config", auth=(name, password)).status_code == status
    assert httpx.get(f"{app.url}config", headers={"Authorization": "Basic ***"}).status_code == 401


def test_mcp_tools_act_for_who_is_named_in_the_header(app: App) -> None:
    async def call(name: str, tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
        async with (
            httpx.AsyncClient(auth=(name, PASSWORD), timeout=30) as http,
            streamable_http_client(f"{app.url}gradio_api/mcp/", http_client=http) as (read, write, _),
            ClientSession(read, write) as one,
        ):
            await one.initialize()
            tools = {found.name: found for found in (await one.list_tools()).tools}
            assert "What the responses were asked to do." in str(tools["judge"].inputSchema)
            answer = await one.call_tool(tool, arguments)
            return bool(answer.isError), str(answer.content)

    with ThreadPoolExecutor(1) as elsewhere:  # a browser that an earlier test opened has this thread's event loop
        said = [
            elsewhere.submit(lambda asked=asked: asyncio.run(call(*asked))).result()
            for asked in (
                ("ann", "list_rubrics", {}),
                ("ann", "project_create", {"name": "By MCP"}),
                ("lea", "project_create", {"name": "By MCP"}),
            )
        ]
    assert [failed for failed, _ in said] == [False, True, False]
    assert "Helpfulness" in said[0][1]
    assert "only a lead or above may make a project" in said[1][1]
    assert "By MCP" in said[2][1]
    assert httpx.post(f"{app.url}gradio_api/mcp/").status_code == 401
