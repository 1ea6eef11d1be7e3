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
    expect(page.get_by_text("2 judges on 2 sets. At most 48 readings")).to_be_visible()
    page.reload()
    expect(page.get_by_label("dev/direct_kind (direct, 8 rows)")).to_be_checked()
    page.get_by_role("button", name="Start the run", exact=True).click()
    direct = page.get_by_role("table", name="Direct assessment")
    expect(direct).to_contain_text("pairwise-expert", timeout=JOB_MS)
    expect(direct).to_contain_text("dev/direct_kind (6 of 8)")
    expect(page.get_by_role("table", name="Pairwise ranking")).to_contain_text("order-sensitive share")
    with page.expect_download() as download:
        page.get_by_role("button", name="Tables as Markdown").click()
    assert "| direct-expert |" in download.value.path().read_text()


def test_nothing_chosen_is_said_and_starts_nothing(page: Page, house: House) -> None:
    page.goto(f"{house.url}/benchmarks")
    page.get_by_text("Licences").click()
    expect(page.get_by_text("dev/pairwise_kind: MIT")).to_be_visible()
    page.get_by_text("8 of the paper's sets are not in the data folder").click()
    expect(page.get_by_text("run `bench get benchmarks/direct_vicuna_bench --from FILE`")).to_be_visible()
    page.get_by_role("button", name="Start the run", exact=True).click()
    expect(page.get_by_text("A benchmark needs a judge and a set.")).to_be_visible()
    assert not house.services.jobs.list()
