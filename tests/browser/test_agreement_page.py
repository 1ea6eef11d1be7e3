"""The agreement page in a real browser: figures with their n, filters, what is lacking, and the report."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy
import pytest
from playwright.sync_api import Page, expect

from backend.agreement_rows import Selection
from backend.comparing import Comparing
from backend.recalibrating import Recalibrating
from db.session import Store
from tests.browser.conftest import Serve
from tests.test_comparing import Panel
from tests.test_recalibrating import filled
from ui import agreement
from ui.agreement_export import PRINTED, html_report
from ui.shell import header

pytestmark = pytest.mark.browser
PLOT_MS = 30_000


@pytest.fixture
def panel(store: Store) -> Panel:
    return Panel(store)


@pytest.fixture
def url(panel: Panel, serve: Serve) -> Iterator[str]:
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        header("The first page.")
    with demo.route("Agreement", "agreement"):
        header("How far people and the model agree.")
        comparing = Comparing(panel.store)
        agreement.build(comparing, Recalibrating(panel.store, comparing), lambda: panel.people[0])
    with serve(demo) as url:
        yield f"{url}/agreement"


def fill(panel: Panel, n: int = 60) -> None:
    """Three people, blind, on n items; one of them sees a third of the verdicts afterwards."""
    rng = numpy.random.default_rng(3)
    for number in range(n):
        score = int(rng.integers(1, 6))
        verdict = panel.bench.direct(score, response="word " * int(rng.integers(3, 200)))
        said = numpy.clip(score + rng.choice([-1, 0, 0, 1], size=3), 1, 5)
        for person, own in zip(panel.people, said, strict=True):
            panel.blind(verdict, person, score=int(own))
        if number % 3 == 0:
            panel.after(verdict, panel.people[1], score)


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_an_empty_page_says_what_to_do(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("No labels to compare.")).to_be_visible()
    expect(page.get_by_text("There is no label yet that scores a response from 1 to 5.")).to_be_visible()
    expect(page.get_by_text("after the verdict was seen")).to_be_hidden()
    choose(page, "Mode", "Ranking")
    expect(page.get_by_text("There is no label yet that orders several responses.")).to_be_visible()
    expect(page.get_by_role("heading", name="How far do they agree?")).to_be_hidden()


def test_the_figures_stand_with_their_n_and_follow_the_labels_chosen(page: Page, url: str, panel: Panel) -> None:
    fill(panel)
    page.goto(url)
    expect(page.get_by_text("180 labels compared")).to_be_visible()
    kappa = page.get_by_role("row", name="Quadratic weighted kappa")
    expect(kappa).to_contain_text(" to ")
    expect(kappa).to_contain_text("180")
    expect(page.locator(".js-plotly-plot", has_text="Agreement (1 is perfect), n = 180")).to_be_visible(timeout=PLOT_MS)
    expect(page.locator(".js-plotly-plot", has_text="n = 60 items a pair")).to_be_visible()
    for form, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Figures of agreement with intervals as {form}").click()
        assert download.value.path().read_bytes().startswith(start)
        assert download.value.suggested_filename == f"assay-figure-agreement.{form.lower()}"
    expect(page.get_by_text("By the alternative annotator test")).to_be_visible()
    expect(page.get_by_role("row", name="Anchoring gap")).to_contain_text("+0.")
    choose(page, "Labels", "After the verdict only")
    expect(page.get_by_text("20 labels compared")).to_be_visible()
    expect(page.get_by_text("anchored by it")).to_be_visible()
    choose(page, "Mode", "Pair")
    expect(page.get_by_text("No labels to compare.")).to_be_visible()


def test_a_day_that_is_none_is_refused_in_words(page: Page, url: str, panel: Panel) -> None:
    fill(panel, 12)
    page.goto(url)
    expect(page.get_by_text("36 labels compared")).to_be_visible()
    page.get_by_label("From day").fill("yesterday")
    page.get_by_label("From day").press("Enter")
    expect(page.get_by_text("is no day. Write it as 2026-01-31.")).to_be_visible()


def test_the_report_is_one_file_that_draws_itself(page: Page, url: str, panel: Panel, tmp_path: object) -> None:
    fill(panel, 40)
    page.goto(url)
    expect(page.get_by_text("120 labels compared")).to_be_visible()
    page.get_by_role("button", name="Make a report").click()
    with page.expect_download() as downloading:
        page.locator("a[download]").first.click()
    path = f"{tmp_path}/agreement.html"
    downloading.value.save_as(path)
    page.goto(f"file://{path}")
    expect(page.get_by_role("heading", name="Methods")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_contain_text("n = 120")


def test_a_lead_switches_the_recalibrated_score_of_a_project_on_and_off(page: Page, url: str, panel: Panel) -> None:
    filled(panel)
    page.goto(url)
    expect(page.get_by_text("80 labels compared")).to_be_visible()
    expect(page.get_by_role("button", name="Switch the recalibrated score on")).to_be_hidden()
    choose(page, "Project", "Kettles")
    expect(page.get_by_role("heading", name="Who wrote the better responses?")).to_be_visible()
    page.get_by_role("button", name="Switch the recalibrated score on").click()
    expect(page.get_by_text("is switched on in this project")).to_be_visible()
    page.get_by_role("button", name="Switch the recalibrated score off").click()
    expect(page.get_by_text("is switched on in this project")).to_be_hidden()


def test_figures_of_the_report_are_kept_as_pictures_and_it_prints_on_paper(
    page: Page, panel: Panel, tmp_path: Path
) -> None:
    fill(panel, 40)
    path = tmp_path / "agreement.html"
    path.write_bytes(html_report(Comparing(panel.store).report(Selection(), panel.people[0])))
    page.goto(f"file://{path}")
    for form, begins in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as downloading:
            page.get_by_role("button", name=form).first.click()
        downloading.value.save_as(tmp_path / form)
        assert (tmp_path / form).read_bytes().startswith(begins)
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = page.locator(".js-plotly-plot .main-svg").evaluate_all("all => all.map(one => one.clientWidth)")
    assert max(widths) == PRINTED
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page, url: str, panel: Panel, colours: str) -> None:
    panel.bench.judge_id = panel.bench.judge("a-model-with-a-long-name/" + "z" * 80)
    fill(panel, 40)
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{url}?__theme={colours}")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PLOT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
