"""A blind project from its making to its export: the real app, a real model, keys only, a refresh in between."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_judge_page import App, started, visit
from tests.project_bench import rows_of

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.ran=1"> {braces} ${window.ran=1}'


@pytest.fixture
def app(tiny_model: Path, tmp_path: Path) -> Iterator[App]:
    with started(tmp_path / "home", tiny_model, "--verdict-only") as app:
        yield app


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def make_project(page: Page, app: App, tmp_path: Path) -> None:
    """Three items, judged."""
    visit(page, app, ready=False)
    page.goto(f"{app.url}projects")
    page.get_by_label("Name", exact=True).fill("Kettles")
    page.get_by_label("Rubrics").click()
    page.get_by_role("option", name="Helpfulness").click()
    page.get_by_label("Guidelines").fill(f"Read **twice**. {HOSTILE}")
    press(page, "Make project")
    project = page.get_by_role("region", name="Project")
    expect(project).to_contain_text("Kettles")
    rows = rows_of(3)
    rows[0]["instruction"] = HOSTILE
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.get_by_role("table", name="Preview")).to_contain_text("Answer 1.")
    expect(page.get_by_label("Response columns")).to_have_value("response")
    press(page, "Import")
    expect(page.get_by_text("3 imported, 0 there already")).to_be_visible()
    press(page, "Judge all items")
    expect(project).to_contain_text(re.compile(r"Judged\s*3"), timeout=60_000)


def test_a_place_of_this_machine_is_no_data_set_of_the_hub(page: Page, app: App) -> None:
    visit(page, app, ready=False)
    page.goto(f"{app.url}projects")
    page.get_by_label("Name", exact=True).fill("Kettles")
    press(page, "Make project")
    expect(page.get_by_role("region", name="Project")).to_contain_text("Kettles")
    hub = page.get_by_label("Or a data set of the hub")
    for place in ("/etc/passwd", "../launch", "docs/api.md", "tests/drills"):
        hub.fill(place)
        hub.press("Enter")
        expect(page.get_by_text(f"'{place}' is no data set of the hub")).to_be_visible()


def test_a_blind_project_is_labelled_by_keys_and_exported(page: Page, app: App, tmp_path: Path) -> None:
    make_project(page, app, tmp_path)
    page.goto(f"{app.url}label")
    board = page.locator("#labelling-board")
    expect(board.get_by_role("complementary", name="Rubric and guidelines")).to_contain_text("Read twice")
    expect(board.get_by_role("region", name="The verdict")).to_have_count(0)

    note = board.get_by_label("Note")
    note.click()
    page.keyboard.type("s5 fu?")  # keys do nothing while one types
    page.keyboard.press("Escape")
    expect(note).to_have_value("s5 fu?")
    expect(board.get_by_role("button", pressed=True)).to_have_count(0)
    expect(board.get_by_text("Saved on the server.")).to_be_visible()
    board.get_by_text("Kettles").click()
    page.keyboard.press("4")
    expect(board.get_by_role("button", name="4", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(board.get_by_text("Saved on the server.")).to_be_visible()
    page.wait_for_timeout(800)
    page.reload()
    expect(board.get_by_label("Note")).to_have_value("s5 fu?")
    expect(board.get_by_role("button", name="4", exact=True)).to_have_attribute("aria-pressed", "true")
    assert app.rows("SELECT count(*) FROM reveals") == [(0,)]

    page.keyboard.press("Enter")
    last = page.get_by_role("region", name="Your last label")
    expect(last).to_contain_text("4 of 5")
    expect(last).to_contain_text("blind")
    expect(last.locator(".assay-verdict")).to_be_visible()
    expect(board).to_contain_text("1 done by you")

    page.keyboard.press("u")
    expect(board).to_contain_text("change it, or submit it as it is")
    expect(board.get_by_role("region", name="The verdict")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(last).to_contain_text("1 of 5")
    for _ in range(2):
        expect(board.get_by_role("button", pressed=True)).to_have_count(0)
        page.keyboard.press("3")
        expect(board.get_by_role("button", name="3", exact=True)).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Enter")
    expect(board).to_contain_text("Nothing waits for you")
    kinds = [kind for (kind,) in app.rows("SELECT kind FROM labels ORDER BY id")]
    assert kinds[0] == "blind"
    assert kinds.count("blind") == 3
    assert len(kinds) == 4

    page.goto(f"{app.url}projects")
    project = page.get_by_role("region", name="Project")
    expect(project).to_contain_text(re.compile(r"Labels\s*3 of 3"))
    expect(page.get_by_role("table", name="People")).to_contain_text("owner")
    page.get_by_role("button", name=re.compile("^Export")).click()
    press(page, "Make the file")
    with page.expect_download() as download:
        page.locator("a[download]").last.click()
    export = tmp_path / "kettles.csv"
    download.value.save_as(export)
    assert "Kettles" in export.read_text("utf-8-sig")

    page.get_by_role("button", name="Restore a project").click()
    press(page, "Restore")
    expect(page.get_by_text("No file was chosen. Drop the export")).to_be_visible()
    page.locator("input[type=file]").first.set_input_files(export)
    expect(page.get_by_text("kettles.csv")).to_be_visible()
    page.get_by_label("New name").fill("Kettles again")
    press(page, "Restore")
    expect(page.get_by_role("status").filter(has_text="3 items, 4 labels, 0 decisions, 3 verdicts.")).to_be_visible()
    expect(project).to_contain_text("Kettles again")
    expect(project).to_contain_text(re.compile(r"Labels\s*3 of 3"))
    assert page.evaluate("window.ran") is None
