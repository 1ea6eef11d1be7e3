"""Two annotators and a lead through a whole blind project, each in a browser of their own, labelling by keys alone.

With ASSAY_DATA_FOLDER its items are rows of dev/direct_human_mix.jsonl.gz there, else small ones of ours. With
ASSAY_RECORD, a folder, it leaves a Playwright trace and a picture of each step there.
"""

import csv
import gzip
import json
import os
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from backend.accounts import Accounts
from backend.users import owner
from db.session import Store
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_judge_page import App, started
from tests.browser.test_signing_in import PASSWORD, sign_in, until_open
from tests.project_bench import rows_of

pytestmark = pytest.mark.browser

ITEMS = 8
RECORD = os.environ.get("ASSAY_RECORD")
CHOICES = {"ann": "34231254", "bob": "34231251"}
"""The keys they press; they differ on the last item that is imported."""
PEOPLE = {"ann": "annotator", "bob": "annotator", "lea": "lead"}


@pytest.fixture
def app(tiny_model: Path, tmp_path: Path) -> Iterator[App]:
    home = tmp_path / "home"
    home.mkdir()
    store = Store(f"sqlite:///{home / 'assay.db'}")
    store.migrate()
    for name, role in PEOPLE.items():
        Accounts(store).add(name, PASSWORD, role, owner(store))
    store.close()
    with started(home, tiny_model, "--verdict-only", "--auth") as app:
        until_open(app)
        yield app


@pytest.fixture
def pages(browser: Browser, app: App) -> Iterator[dict[str, Page]]:
    """A browser each, in which they are signed in."""
    contexts: dict[str, BrowserContext] = {}
    pages = {}
    expect.set_options(timeout=PATIENCE_MS)
    for name, role in PEOPLE.items():
        contexts[name] = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        contexts[name].set_default_timeout(PATIENCE_MS)
        if RECORD:
            contexts[name].tracing.start(screenshots=True, snapshots=True, title=f"A whole project: {name}")
        pages[name] = contexts[name].new_page()
        sign_in(pages[name], app, name)
        expect(pages[name].get_by_text(f"{name} ({role})")).to_be_visible()
    yield pages
    for name, context in contexts.items():
        if RECORD:
            context.tracing.stop(path=Path(RECORD) / f"whole-project-{name}.zip")
        context.close()


def dev_rows() -> list[dict[str, object]]:
    folder = os.environ.get("ASSAY_DATA_FOLDER")
    if folder is None:
        return rows_of(ITEMS)
    with gzip.open(Path(folder) / "dev" / "direct_human_mix.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, ITEMS)]


def picture(page: Page, step: str) -> None:
    if RECORD:
        page.screenshot(path=Path(RECORD) / f"{step}.png", full_page=True)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def make(page: Page, app: App, tmp_path: Path) -> None:
    """The lead makes the project, fills it, and has it judged."""
    page.goto(f"{app.url}projects")
    page.get_by_label("Name", exact=True).fill("Kettles")
    page.get_by_label("Rubrics").click()
    page.get_by_role("option", name="Helpfulness").click()
    page.get_by_label("Guidelines").fill("Read **twice**.")
    page.get_by_label("People per item").fill("2")
    page.get_by_label("given").check()
    press(page, "Make project")
    project = page.get_by_role("region", name="Project")
    expect(project).to_contain_text("2 per item")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in dev_rows()))
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.get_by_role("table", name="Preview")).to_be_visible()
    press(page, "Import")
    expect(page.get_by_text(f"{ITEMS} imported, 0 there already")).to_be_visible()
    press(page, "Judge all items")
    expect(project).to_contain_text(re.compile(rf"Judged\s*{ITEMS}"), timeout=120_000)
    picture(page, "1-judged")


def label_all(page: Page, app: App, name: str) -> float:
    """By keys alone; the labels a minute, from the first item in view to the last label stored."""
    page.goto(f"{app.url}label")
    board = page.locator("#labelling-board")
    expect(board.get_by_role("complementary", name="Rubric and guidelines")).to_contain_text("Read twice")
    picture(page, f"2-{name}-before")
    began = time.monotonic()
    for number, key in enumerate(CHOICES[name]):
        expect(board).to_contain_text(f"{number} done by you")
        expect(board.get_by_role("region", name="The verdict")).to_have_count(0)
        expect(board.get_by_role("button", pressed=True)).to_have_count(0)
        page.keyboard.press(key)
        expect(board.get_by_role("button", name=key, exact=True)).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Enter")
    expect(board).to_contain_text("Nothing waits for you")
    rate = ITEMS / (time.monotonic() - began) * 60
    last = page.get_by_role("region", name="Your last label")
    expect(last).to_contain_text(f"{CHOICES[name][-1]} of 5 (blind)")
    expect(last.locator(".assay-verdict")).to_be_visible()
    picture(page, f"3-{name}-revealed")
    return rate


def override_last(page: Page, app: App) -> int:
    """Go back to the last item, see its verdict, and say otherwise than it; the score that is said."""
    board = page.locator("#labelling-board")
    page.keyboard.press("u")
    expect(board.get_by_role("region", name="The verdict")).to_be_visible()
    of_last = "SELECT score FROM verdicts JOIN project_items USING (item_id) WHERE position = ?"
    ((verdict,),) = app.rows(of_last, ITEMS - 1)
    other = 1 + verdict % 5
    page.keyboard.press(str(other))
    expect(board.get_by_role("button", name=str(other), exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Your last label")).to_contain_text(f"{other} of 5 (override)")
    return int(other)


def adjudicate(page: Page, app: App) -> None:
    page.goto(f"{app.url}adjudicate")
    expect(page.get_by_role("list", name="Items to settle")).to_contain_text(f"Item {ITEMS} · 2 labels")
    case = page.get_by_role("region", name=f"Item {ITEMS}")
    labels = case.get_by_role("group", name="Labels")
    expect(labels).to_contain_text("4 of 5")
    expect(labels).to_contain_text("1 of 5")
    expect(labels).not_to_contain_text("ann")
    expect(case.locator(".assay-verdict")).to_be_hidden()
    page.get_by_label("Show names").check()
    expect(labels).to_contain_text("ann")
    case.get_by_text("Show the verdict").click()
    expect(case.locator(".assay-verdict")).to_be_visible()
    picture(page, "4-adjudicate")
    page.get_by_role("radio", name="4", exact=True).check()
    press(page, "Decide")
    expect(page.get_by_test_id("toast-body")).to_contain_text("The reason is empty")
    page.get_by_label("Reason").fill("It answers the question; bob missed the second paragraph.")
    press(page, "Decide")
    expect(page.get_by_text("Nothing is here.")).to_be_visible()


def exported(page: Page, app: App) -> list[dict[str, str]]:
    page.goto(f"{app.url}projects")
    expect(page.get_by_role("region", name="Project")).to_contain_text(re.compile(r"Decided\s*1"))
    page.get_by_role("button", name=re.compile("^Export")).click()
    press(page, "Make the file")
    with page.expect_download() as download:
        page.locator("a[download]").last.click()
    picture(page, "5-exported")
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_two_annotators_and_a_lead_go_through_a_whole_blind_project(
    pages: dict[str, Page], app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(pages["lea"], app, tmp_path)
    rates = {name: label_all(pages[name], app, name) for name in CHOICES}
    overridden = override_last(pages["ann"], app)
    adjudicate(pages["lea"], app)
    rows = exported(pages["lea"], app)

    blind = {
        name: [row["score"] for row in rows if (row["kind"], row["annotator"]) == ("blind", name)] for name in rates
    }
    assert blind == {name: list(keys) for name, keys in CHOICES.items()}
    (override,) = [row for row in rows if row["kind"] == "override"]
    assert (override["annotator"], override["score"], override["position"]) == ("ann", str(overridden), str(ITEMS - 1))
    (decision,) = [row for row in rows if row["kind"] == "adjudication"]
    assert (decision["annotator"], decision["score"], decision["position"]) == ("lea", "4", str(ITEMS - 1))
    assert sum(row["kind"] == "verdict" for row in rows) == ITEMS
    assert all(row["blind"] == "true" and not row["seen_verdict"] for row in rows if row["kind"] == "blind")
    with capsys.disabled():
        print("\nlabels a minute by keys, two keys each:", {name: round(rate) for name, rate in rates.items()})
