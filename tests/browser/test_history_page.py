"""The history page in a real browser: find, open, label, undo and compare, and what hostile texts don't do."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, expect

from backend.history import History, HistoryPage
from backend.labels import Labels
from db.session import Store
from tests.browser.conftest import Serve
from tests.factories import Bench
from ui import history
from ui.shell import header

pytestmark = pytest.mark.browser

HOSTILE = (
    '<img src=x onerror="window.ran=1"> <script>window.ran=1</script> ${window.ran=1} {{value}} ` ![i](http://x.test/i)'
)
PLOT_MS = 30_000
"""The first plot of a page waits for Plotly, 4 MB of script, however busy the machine is."""


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


@pytest.fixture
def labels(bench: Bench) -> Labels:
    return Labels(bench.store)


@pytest.fixture
def found(bench: Bench) -> History:
    return History(bench.store)


@pytest.fixture
def url(bench: Bench, labels: Labels, found: History, serve: Serve) -> Iterator[str]:
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        header("The first page.")
    with demo.route("History", "history"):
        header("What was said of what.")
        history.build(found, labels, lambda: bench.author_id)
    with serve(demo) as url:
        yield f"{url}/history"


def visit(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(".assay-history, .assay-history-pane .assay-empty")).to_be_visible()


def rows(page: Page) -> Locator:
    return page.locator(".assay-history tbody tr")


def opened(page: Page) -> Locator:
    return page.locator("#opened-verdict")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def said(bench: Bench, verdict: int) -> list[str]:
    return [label.words for label in Labels(bench.store).trail(verdict, bench.author_id)]


def test_an_empty_history_says_what_to_do(page: Page, url: str) -> None:
    visit(page, url)
    expect(page.get_by_text("No verdicts yet.")).to_be_visible()
    expect(opened(page)).to_be_hidden()


def test_a_click_on_a_row_opens_the_verdict_whole(page: Page, url: str, bench: Bench) -> None:
    bench.direct(2, instruction="An older question?")
    verdict = bench.direct(
        4, instruction="Why is the sky blue?", response="Rayleigh scattering.", feedback="Right.\nShort."
    )
    visit(page, url)
    rows(page).first.locator("td").last.click()
    expect(opened(page).get_by_role("heading", name=f"Verdict {verdict}")).to_be_visible()
    expect(opened(page)).to_contain_text("4 of 5")
    expect(opened(page)).to_contain_text("Rayleigh scattering.")
    expect(opened(page)).to_contain_text("Right.\nShort.")
    expect(opened(page).locator(".js-plotly-plot")).to_be_visible(timeout=PLOT_MS)
    assert page.url.endswith(f"?verdict={verdict}")


def test_the_keyboard_opens_a_verdict(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.direct(4, instruction="Why is the sky blue?")
    visit(page, url)
    page.get_by_role("link", name=f"Open verdict {verdict}").focus()
    page.keyboard.press("Enter")
    expect(opened(page).get_by_role("heading", name=f"Verdict {verdict}")).to_be_visible()


def test_an_address_opens_its_verdict(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.pairwise("B", p_a_first=0.7, p_a_second=0.1)
    visit(page, f"{url}?verdict={verdict}")
    expect(opened(page)).to_contain_text("B is better")
    expect(opened(page)).to_contain_text("The two orders name different winners.")


def test_an_address_of_no_verdict_says_so(page: Page, url: str) -> None:
    page.goto(f"{url}?verdict=404")
    expect(page.get_by_text("There is no verdict 404")).to_be_visible()


def test_an_override_is_stored_shown_and_undone(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.direct(4)
    visit(page, f"{url}?verdict={verdict}")
    page.get_by_label("Note (optional)").fill("It never says to rinse.")
    press(page, "Override")
    page.get_by_role("radio", name="2", exact=True).check()
    press(page, "Save override")
    expect(opened(page)).to_contain_text("Your label: 2 of 5 Overridden")
    expect(opened(page)).to_contain_text("It never says to rinse.")
    expect(rows(page).first).to_contain_text("2 of 5 owner")
    press(page, "Undo")
    expect(opened(page)).to_contain_text("You have not labelled this verdict.")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    assert said(bench, verdict) == ["2 of 5", "withdrawn"]


def test_agreeing_survives_a_reload(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.pairwise("A")
    visit(page, f"{url}?verdict={verdict}")
    press(page, "Agree")
    expect(opened(page)).to_contain_text("Your label: A Agrees")
    page.reload()
    expect(opened(page)).to_contain_text("Your label: A Agrees")
    assert said(bench, verdict) == ["A"]


def test_a_double_click_is_one_label(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.pairwise("A")
    visit(page, f"{url}?verdict={verdict}")
    page.get_by_role("button", name="Agree", exact=True).dblclick()
    expect(opened(page)).to_contain_text("Your label: A Agrees")
    page.wait_for_timeout(500)
    assert said(bench, verdict) == ["A"]


def test_an_order_that_cannot_be_read_is_told_with_the_cure(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.ranking((2, 1, 3))
    visit(page, f"{url}?verdict={verdict}")
    press(page, "Override")
    order = page.get_by_label("Your order, the best first")
    order.fill("B > A")
    press(page, "Save override")
    expect(page.get_by_text("Name each of A, B, C once")).to_be_visible()
    assert said(bench, verdict) == []
    order.fill("c > a > b")
    press(page, "Save override")
    expect(opened(page)).to_contain_text("Your label: C > A > B Overridden")


def test_nothing_chosen_is_told(page: Page, url: str, bench: Bench) -> None:
    visit(page, f"{url}?verdict={bench.direct(4)}")
    press(page, "Override")
    press(page, "Save override")
    expect(page.get_by_text("Choose a score from 1 to 5 first.")).to_be_visible()


def test_a_verdict_without_a_result_can_be_overridden_but_not_agreed_with(page: Page, url: str, bench: Bench) -> None:
    verdict = bench.unparsed("I would rather not say.")
    visit(page, f"{url}?verdict={verdict}")
    expect(opened(page)).to_contain_text("No result could be read")
    expect(opened(page)).to_contain_text("I would rather not say.")
    expect(page.get_by_role("button", name="Agree", exact=True)).to_be_disabled()
    expect(page.get_by_role("button", name="Override", exact=True)).to_be_enabled()


def test_a_stale_tab_cannot_undo_what_it_has_not_seen(page: Page, url: str, bench: Bench, labels: Labels) -> None:
    verdict = bench.direct(4)
    labels.override_score(verdict, bench.author_id, uuid.uuid4().hex, 1)
    visit(page, f"{url}?verdict={verdict}")
    expect(opened(page)).to_contain_text("Your label: 1 of 5")
    labels.override_score(verdict, bench.author_id, uuid.uuid4().hex, 5)
    press(page, "Undo")
    expect(page.get_by_text("has changed in another tab: it is now 5 of 5")).to_be_visible()
    assert said(bench, verdict) == ["1 of 5", "5 of 5"]


def test_filters_and_search_narrow_the_table(page: Page, url: str, bench: Bench, labels: Labels) -> None:
    bench.direct(4, instruction="Where do otters sleep?")
    bench.pairwise("A", instruction="Which otter is faster?")
    labelled = bench.direct(2, instruction="What do whales eat?")
    labels.override_score(labelled, bench.author_id, uuid.uuid4().hex, 5)
    visit(page, url)
    expect(rows(page)).to_have_count(3)
    choose(page, "Mode", "Pair")
    expect(rows(page)).to_have_count(1)
    choose(page, "Mode", "Any")
    choose(page, "Agreement", "Overridden")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("What do whales eat?")
    choose(page, "Agreement", "Any")
    expect(rows(page)).to_have_count(3)
    page.get_by_label("Search").fill("OTTER")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Search").fill("penguin")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_a_filter_chosen_while_the_one_before_is_being_answered_counts(
    page: Page, url: str, bench: Bench, found: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.direct(4)
    bench.pairwise("A")
    visit(page, url)
    expect(rows(page)).to_have_count(2)
    at_once, both_chosen = found.page, threading.Event()

    def slowly(*asked: Any) -> HistoryPage:
        both_chosen.wait(20)
        return at_once(*asked)

    monkeypatch.setattr(found, "page", slowly)
    choose(page, "Mode", "Score")
    choose(page, "Agreement", "Overridden")
    both_chosen.set()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_pages_are_turned(page: Page, url: str, bench: Bench) -> None:
    for number in range(27):
        bench.direct(3, instruction=f"Question {number}?")
    visit(page, url)
    expect(page.get_by_text("1–25 of 27")).to_be_visible()
    press(page, "Older →")
    expect(page.get_by_text("26–27 of 27")).to_be_visible()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).last).to_contain_text("Question 0?")
    expect(page.get_by_role("button", name="Older →")).to_be_disabled()
    press(page, "← Newer")
    expect(rows(page)).to_have_count(25)


def test_hostile_texts_are_shown_and_never_run(page: Page, url: str, bench: Bench) -> None:
    bench.rubric_version_id = bench.rubric(f"R {HOSTILE}"[:200], HOSTILE)
    bench.judge_id = bench.judge(f"M {HOSTILE}")
    verdict = bench.direct(4, instruction=HOSTILE, response=HOSTILE, reference=HOSTILE, feedback=HOSTILE)
    visit(page, f"{url}?verdict={verdict}")
    page.get_by_label("Note (optional)").fill(HOSTILE)
    press(page, "Agree")
    expect(opened(page)).to_contain_text("Your label: 4 of 5")
    expect(rows(page).first).to_contain_text(HOSTILE)
    expect(opened(page).locator(".assay-text", has_text=HOSTILE)).to_have_count(6)
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page, url: str, bench: Bench, colours: str) -> None:
    verdict = bench.ranking((2, 1, 3), responses=("word " * 200, "x" * 2_000, "short"), instruction="y" * 3_000)
    bench.judge_id = bench.judge("a-model-with-a-long-name/" + "z" * 80)
    bench.direct(4)
    page.set_viewport_size({"width": 400, "height": 800})
    visit(page, f"{url}?verdict={verdict}&__theme={colours}")
    expect(opened(page).locator(".js-plotly-plot")).to_be_visible(timeout=PLOT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
