"""The benchmarks page in a real browser: two tiny real judges on small sets of ours, and the tables that come of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Serve
from tests.browser.test_alpha_lab_page import JOB_MS, House, running
from tests.experts import Family, make_family

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(tmp_path_factory.mktemp("experts"))


@pytest.fixture
def house(parts: Family, tmp_path: Path, serve: Serve) -> Iterator[House]:
    yield from running(parts, tmp_path / "home", serve, experts=True)


def test_two_judges_are_measured_and_stand_in_the_tables(page: Page, house: House) -> None:
    page.goto(f"{house.url}/benchmarks")
    page.get_by_label("direct-expert (expert)").check()
    page.get_by_label("pairwise-expert (expert)").check()
    page.get_by_label("dev/direct_kind (direct, 8 rows)").check()
    page.get_by_label("dev/pairwise_kind (pairwise, 8 rows)").check()
    page.get_by_label("Rows of each set (0: all)").fill("6")
    page.keyboard.press("Tab")
    page.get_by_label("Compare both formats on pairs").check()
    expect(page.get_by_text("2 judges on 2 sets.")).to_contain_text("readings are missing")
    expect(page.get_by_text("nothing was read by it here yet")).to_be_visible()
    page.reload()
    expect(page.get_by_label("dev/direct_kind (direct, 8 rows)")).to_be_checked()
    page.get_by_role("button", name="Start the run", exact=True).click()
    direct = page.get_by_role("table", name="Direct assessment")
    expect(direct).to_contain_text("pairwise-expert", timeout=JOB_MS)
    expect(direct).to_contain_text("dev/direct_kind (6 of 8)")
    expect(page.get_by_text("2 judges on 2 sets.")).to_contain_text("Everything was read before")
    expect(page.get_by_role("table", name="Pairwise ranking")).to_contain_text("order-sensitive share")
    with page.expect_download() as download:
        page.get_by_role("button", name="Tables as Markdown").click()
    assert "| direct-expert |" in download.value.path().read_text()
    expect(page.get_by_role("table", name="Consistency across formats")).to_contain_text("direct-expert, delta")
    expect(page.get_by_role("table", name="Single, joint, merged")).to_contain_text("pairwise expert: pairwise-expert")
    behind(page)
    figures(page)
    page.get_by_label("Rows of each set (0: all)").fill("5")
    page.keyboard.press("Tab")
    expect(page.get_by_text("2 judges on 2 sets.")).to_be_visible()


def behind(page: Page) -> None:
    """Each number opens the items behind it, and they are a file too."""
    page.get_by_role("button", name="the items behind pairwise-expert on dev/pairwise_kind (6 of 8)").first.click()
    items = page.get_by_role("table", name="Items behind pairwise-expert on dev/pairwise_kind (6 of 8)")
    expect(items.locator("tbody tr")).to_have_count(6)
    expect(items).to_contain_text("Say hello.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Items as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 7


def figures(page: Page) -> None:
    """They are drawn of the set that is chosen, and saved without the server."""
    spread = page.locator("#bench-distribution")
    expect(spread).to_contain_text("Scores given, share of rows, n = 6")
    page.get_by_label("Set drawn").click()
    page.get_by_role("option", name="dev/pairwise_kind (6 of 8)").click()
    expect(spread).to_contain_text("Probability of A, share of pairs, n = 6")
    for form, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"What judges say how often as {form}").click()
        assert download.value.path().read_bytes().startswith(start)
        assert download.value.suggested_filename == f"assay-bench-distribution.{form.lower()}"


def test_nothing_chosen_is_said_and_starts_nothing(page: Page, house: House) -> None:
    page.goto(f"{house.url}/benchmarks")
    page.get_by_text("About these sets").click()
    expect(page.get_by_text("dev/pairwise_kind: MIT")).to_be_visible()
    page.get_by_text("8 of the paper's sets are not in the data folder").click()
    expect(page.get_by_text("python3 launch.py bench get benchmarks/direct_vicuna_bench --from FILE")).to_be_visible()
    page.get_by_role("button", name="Start the run", exact=True).click()
    expect(page.get_by_text("A benchmark needs a judge and a set.")).to_be_visible()
    assert not house.services.jobs.list()
