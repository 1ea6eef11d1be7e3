"""The rubrics page in a real browser: what a person does there, and what hostile texts don't."""

import json
from collections.abc import Iterator

import gradio as gr
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from backend.rubric_drafts import RubricDraft
from backend.rubrics import RubricLibrary
from db.session import Store
from tests.browser.conftest import Serve
from tests.test_rubrics import label
from ui import rubrics
from ui.shell import header

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.ran=1"> ${window.ran=1} {{value}} `'


@pytest.fixture
def library(store: Store) -> RubricLibrary:
    library = RubricLibrary(store)
    library.seed()
    return library


@pytest.fixture
def url(library: RubricLibrary, owner_id: int, serve: Serve) -> Iterator[str]:
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        header("The first page.")
    with demo.route("Rubrics", "rubrics"):
        header("What is judged.")
        rubrics.build(library, lambda: owner_id)
    with serve(demo) as url:
        yield f"{url}/rubrics"


def visit(page: Page, url: str) -> None:
    page.goto(url)
    expect(cards(page)).not_to_have_count(0)


def cards(page: Page) -> Locator:
    return page.get_by_role("list", name="Rubrics").get_by_role("button")


def open_rubric(page: Page, name: str) -> None:
    cards(page).filter(has_text=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def fill(page: Page, name: str, criterion: str = "Is it polite?") -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Criterion").fill(criterion)
    for score in range(1, 6):
        page.get_by_label(f"Score {score}").fill(f"Level {score} of {name}")


def test_a_rubric_is_written_found_edited_and_kept(page: Page, url: str, library: RubricLibrary) -> None:
    visit(page, url)
    fill(page, "Politeness")
    press(page, "Save")
    expect(page.get_by_text("“Politeness” is saved as version 1.")).to_be_visible()

    page.get_by_label("Search rubrics").fill("POLITE")
    expect(cards(page)).to_have_count(1)
    expect(cards(page)).to_have_attribute("aria-pressed", "true")

    page.get_by_label("Score 3").fill("Neither polite nor rude.")
    press(page, "Save")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("Neither polite nor rude.")
    (kept,) = library.search("politeness")
    assert kept.rubric.levels[2] == "Neither polite nor rude."


def test_everything_that_is_missing_is_named_and_what_was_typed_stays(page: Page, url: str) -> None:
    visit(page, url)
    page.get_by_label("Score 2").fill("Only this.")
    press(page, "Save")
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("The name is empty. The criterion is empty.")
    expect(toast).to_contain_text("scores 1, 3, 4 and 5 are empty")
    expect(page.get_by_label("Score 2")).to_have_value("Only this.")


def test_html_in_a_rubric_shows_as_text_and_runs_nothing(page: Page, url: str) -> None:
    visit(page, url)
    fill(page, HOSTILE, HOSTILE)
    press(page, "Save")
    expect(page.get_by_test_id("toast-body")).to_contain_text(HOSTILE)
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    press(page, "New rubric")
    expect(page.get_by_label("Name")).to_have_value("")
    expect(page.get_by_label("Score 5")).to_have_value("")
    fill(page, HOSTILE, HOSTILE)
    press(page, "Save")
    expect(page.get_by_text(f"Another rubric is named “{HOSTILE}”")).to_be_visible()
    page.reload()
    expect(cards(page).filter(has_text=HOSTILE)).to_be_visible()
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src=x]").count() == 0


def test_a_search_that_finds_nothing_says_what_to_try(page: Page, url: str) -> None:
    visit(page, url)
    page.get_by_label("Search rubrics").fill("100%")
    expect(page.get_by_text("No rubric has these words.")).to_be_visible()
    press(page, "Export this list")
    expect(page.get_by_text("there is nothing to export")).to_be_visible()


def test_a_bad_import_names_the_row_and_imports_nothing(page: Page, url: str, library: RubricLibrary) -> None:
    visit(page, url)
    rows = [json.loads(library.export_json())[0], {"name": "<b>Unfinished</b>", "criteria": "Is it?"}]
    content = json.dumps(rows).encode()
    page.locator("input[type=file]").set_input_files(
        {"name": "rubrics.json", "mimeType": "application/json", "buffer": content}
    )
    report = page.locator(".assay-report")
    expect(report).to_contain_text("Nothing was imported: 1 row can't be used.")
    expect(report).to_contain_text("Row 2: The descriptions of scores 1, 2, 3, 4 and 5 are empty.")
    assert library.search("unfinished") == []


def test_an_exported_file_is_imported_again(page: Page, url: str, library: RubricLibrary) -> None:
    visit(page, url)
    page.get_by_label("Search rubrics").fill("tone")
    expect(cards(page)).to_have_count(1)
    with page.expect_download() as download:
        press(page, "Export this list")
    path = download.value.path()
    assert [row["name"] for row in json.loads(path.read_text())] == ["Tone"]

    renamed = path.read_text().replace('"Tone"', '"Our tone"')
    page.get_by_label("Search rubrics").fill("")
    expect(cards(page)).to_have_count(12)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Import a file").scroll_into_view_if_needed()
    page.locator("input[type=file]").set_input_files(
        {"name": "rubrics.json", "mimeType": "application/json", "buffer": renamed.encode()}
    )
    expect(page.get_by_test_id("toast-body")).to_contain_text("1 imported.")
    report = page.locator(".assay-report")
    expect(report).to_have_text("1 imported.")
    expect(report).to_be_in_viewport()
    expect(cards(page).filter(has_text="Our tone")).to_be_visible()


def test_of_two_tabs_the_second_learns_of_the_conflict_and_keeps_its_text(
    context: BrowserContext, page: Page, url: str, library: RubricLibrary
) -> None:
    visit(page, url)
    open_rubric(page, "Tone")
    second = context.new_page()
    visit(second, url)
    expect(second.get_by_role("heading", name="Tone")).to_be_visible()

    page.get_by_label("Criterion").fill("The first tab's?")
    press(page, "Save")
    expect(page.get_by_text("“Tone” is saved as version 1.")).to_be_visible()

    second.get_by_label("Criterion").fill("The second tab's?")
    press(second, "Save")
    expect(second.get_by_text("“Tone” was changed since you opened it")).to_be_visible()
    expect(second.get_by_label("Criterion")).to_have_value("The second tab's?")
    assert library.search("tone")[0].rubric.criterion == "The first tab's?"

    press(second, "Clone")
    expect(second.get_by_role("heading", name="Tone (2)")).to_be_visible()
    assert library.search("second tab's")[0].name == "Tone (2)"


def test_unsaved_changes_survive_a_refresh_and_are_not_left_by_accident(page: Page, url: str) -> None:
    visit(page, url)
    open_rubric(page, "Tone")
    page.get_by_label("Score 1").fill("Not saved yet.")
    page.reload()
    expect(page.get_by_label("Score 1")).to_have_value("Not saved yet.")
    expect(page.get_by_role("heading", name="Tone")).to_be_visible()

    cards(page).filter(has_text="Clarity").click()
    expect(page.get_by_text("changes that are not saved")).to_be_visible()
    expect(page.get_by_label("Score 1")).to_have_value("Not saved yet.")

    press(page, "Discard changes")
    expect(page.get_by_label("Score 1")).not_to_have_value("Not saved yet.")
    open_rubric(page, "Clarity")


def test_an_archived_rubric_leaves_the_list_and_comes_back(page: Page, url: str) -> None:
    visit(page, url)
    open_rubric(page, "Tone")
    press(page, "Archive")
    expect(cards(page).filter(has_text="Tone")).to_have_count(0)
    page.get_by_label("Show archived").check()
    expect(cards(page).filter(has_text="archived")).to_have_count(1)
    press(page, "Unarchive")
    expect(cards(page).filter(has_text="archived")).to_have_count(0)
    expect(page.get_by_role("button", name="Archive", exact=True)).to_be_visible()


def test_the_library_is_reached_and_a_rubric_opened_by_the_keyboard_alone(page: Page, url: str) -> None:
    visit(page, url)
    page.get_by_label("Search rubrics").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(cards(page).first).to_have_attribute("aria-pressed", "true")
    expect(cards(page).first).to_be_focused()


def test_an_older_version_can_be_read(
    page: Page, url: str, store: Store, library: RubricLibrary, owner_id: int
) -> None:
    draft = RubricDraft("Politeness", "The old criterion?", tuple(f"Level {score}" for score in range(1, 6)))
    created = library.create(draft, owner_id)
    label(store, created.version_id, owner_id)
    visit(page, url)
    open_rubric(page, "Politeness")
    page.get_by_label("Criterion").fill("The new criterion?")
    press(page, "Save")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("Version 2 ·")
    page.get_by_text("Version 1 ·").click()
    expect(page.get_by_text("The old criterion?")).to_be_visible()
