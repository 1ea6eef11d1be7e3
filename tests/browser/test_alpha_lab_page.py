"""The alpha lab in a real browser: two tiny real experts are mixed, asked live, merged, judged with and swept."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.config import read_settings
from backend.history import Filter
from backend.jobs import JobKind, JobState
from backend.live_alpha import LiveAlpha
from backend.model_views import ModelView
from launch import open_store, wire
from tests.browser.conftest import Serve
from tests.experts import Family, make_family
from tests.labelled import write_sets
from tests.test_registry import silent
from ui.app import build
from ui.services import Services

pytestmark = pytest.mark.browser

JOB_MS = 400_000
"""Until a job has ended, on a busy machine: DBOS makes its tables, and mergekit is imported in a process of its own."""
ROWS = 8
MORE_ROWS = 4000
"""Of a set that is not judged whole before somebody cancels, however slowly the page follows."""
HOSTILE = '<img src=x onerror="window.ran=1">'


class House:
    """A running app with two experts in its registry, and its services."""

    def __init__(self, services: Services, url: str, home: Path) -> None:
        self.services, self.url, self.home = services, url, home

    def named(self, name: str) -> ModelView:
        (view,) = [view for view in self.services.registry.list() if view.name == name]
        return view


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(tmp_path_factory.mktemp("experts"))


@pytest.fixture
def house(parts: Family, tmp_path: Path, serve: Serve) -> Iterator[House]:
    """The base serves; the experts are as Assay makes them; small sets lie in home/data."""
    yield from running(parts, tmp_path / "home", serve, experts=True)


@pytest.fixture
def bare(parts: Family, tmp_path: Path, serve: Serve) -> Iterator[House]:
    """Only the base is there: no experts, no sets."""
    yield from running(parts, tmp_path / "home", serve, experts=False)


def running(parts: Family, home: Path, serve: Serve, *, experts: bool) -> Iterator[House]:
    (home / "models").mkdir(parents=True)
    settings = read_settings(home=home, model=str(parts.base), device="cpu", dtype="float32", feedback=False)
    store = open_store(settings)
    services = wire(settings, store)
    services.serving.start()
    with services.serving.use(threading.Event()) as served:
        base = served.files.digest
    if experts:
        write_sets(home / "data", ROWS)
        for role, folder in (("direct", parts.direct), ("pairwise", parts.pairwise)):
            register_expert(services, folder, home / "models" / f"{role}-expert", role, base)
    services.jobs.start()
    with serve(build(services)) as url:
        yield House(services, url, home)
    services.jobs.close(patience=20)
    services.alpha_lab.bench.clear(services.owner_id)
    services.serving.close()
    store.close()


def register_expert(services: Services, source: Path, folder: Path, role: str, base: str) -> None:
    shutil.copytree(source, folder)
    manifest = {"kind": "expert", "trained_on": role, "parents": {"base": base}, "spec": {"prompt_format": "assay"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    services.registry.register(str(folder), silent)


def visit(page: Page, house: House) -> None:
    page.goto(f"{house.url}/alpha-lab")
    expect(recipe(page)).to_have_value(re.compile("method: linear"), timeout=30_000)


def recipe(page: Page) -> Locator:
    return page.get_by_label("Recipe as YAML")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def set_alpha(page: Page, alpha: str) -> None:
    number = page.get_by_label("number input for Alpha")
    number.fill(alpha)
    number.press("Enter")
    number.blur()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def status(page: Page, text: str) -> Locator:
    return page.get_by_role("status").filter(has_text=text)


def toast(page: Page) -> Locator:
    return page.get_by_test_id("toast-body").last


def test_a_merge_at_a_chosen_alpha_is_activated_and_the_verdict_names_its_recipe(page: Page, house: House) -> None:
    visit(page, house)
    set_alpha(page, "0.3")
    expect(recipe(page)).to_have_value(re.compile(r"alpha: 0\.3\n"))
    expect(page.get_by_text("70.0% pairwise · 30.0% direct")).to_be_visible()
    digest = re.search(r"# recipe (\w{12})", recipe(page).input_value()).group(1)
    press(page, "Merge and activate")
    expect(page.get_by_role("article", name="Job 1")).to_contain_text("linear at alpha 0.3")
    name = f"linear-alpha0.3-{digest}"
    expect(status(page, f"Merged: {name}")).to_be_visible(timeout=JOB_MS)
    expect(status(page, f"{name} serves now.")).to_be_visible(timeout=JOB_MS)
    merged = house.named(name)
    parents = {parent.role: parent.name for parent in merged.parents}
    assert parents == {"direct": "direct-expert", "pairwise": "pairwise-expert"}

    page.goto(house.url)
    page.get_by_label("Instruction", exact=True).fill("Say hello to a friend.")
    page.get_by_label("Response", exact=True).fill("Hello, my friend!")
    choose(page, "Rubric from the library", "Tone")
    press(page, "Judge")
    expect(page.locator("#verdict .assay-verdict")).to_contain_text("of 5", timeout=60_000)
    page.get_by_text("Who said this").click()
    details = page.locator("#verdict-details")
    expect(details).to_contain_text("Merge alpha (weight of the direct expert)0.3")
    expect(details).to_contain_text(digest)
    expect(details).to_contain_text(merged.digest)


def test_the_same_recipe_is_answered_at_once_and_an_end_is_the_expert_itself(page: Page, house: House) -> None:
    visit(page, house)
    set_alpha(page, "1")
    expect(page.get_by_text("At alpha 1 this is the direct expert itself.")).to_be_visible()
    press(page, "Merge")
    expect(status(page, "This recipe is there already: direct-expert")).to_be_visible()
    assert house.services.jobs.list(JobKind.MERGE) == []


def test_live_alpha_answers_and_changes_with_the_slider_and_writes_nothing(page: Page, house: House) -> None:
    visit(page, house)
    press(page, "Score one response")
    expect(page.get_by_label("Response A")).to_have_value(re.compile("acetone"))
    press(page, "Ask at this alpha")
    expect(status(page, "These two experts are not loaded.")).to_be_visible()
    before = [view.id for view in house.services.registry.list()]
    press(page, "Load both experts")
    expect(status(page, "direct-expert and pairwise-expert are loaded.")).to_be_visible(timeout=60_000)
    said = {}
    for alpha in ("0", "0.4", "1"):
        set_alpha(page, alpha)
        opinion = page.get_by_label(f"Live opinion at alpha {alpha}", exact=True)
        expect(opinion).to_contain_text("nothing was written to disk", timeout=30_000)
        expect(opinion).to_contain_text("s from slider to verdict")
        said[alpha] = opinion.locator(".assay-verdict-value").inner_text()
    assert len(set(said.values())) == 3
    cards = page.get_by_role("list", name="Opinions by alpha").get_by_role("article")
    expect(cards).to_have_count(3)
    for card, (alpha, value) in zip(cards.all(), said.items(), strict=True):
        expect(card).to_contain_text(f"alpha {alpha}")
        expect(card).to_contain_text(value)

    press(page, "Compare two")
    expect(page.get_by_label("Response B (optional)")).to_have_value(re.compile("wonderful question"))
    press(page, "Ask at this alpha")
    expect(page.locator("#live-opinion")).to_contain_text("A shown first", timeout=30_000)
    expect(cards).to_have_count(0)
    assert [view.id for view in house.services.registry.list()] == before
    assert list(house.services.history.page(Filter(), 1, house.services.owner_id).rows) == []
    assert house.services.serving.served.files.name == "base"

    choose(page, "Method", "SLERP (along the arc)")
    press(page, "Ask at this alpha")
    expect(status(page, "Live alpha mixes linearly.")).to_be_visible()
    press(page, "Free the memory")
    expect(page.get_by_text("Hear how alpha changes an opinion.")).to_be_visible()


def test_a_drag_is_told_at_once_and_only_its_newest_alpha_is_asked_after_the_one_that_runs(
    page: Page, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(page, house)
    press(page, "Score one response")
    expect(page.get_by_label("Response A")).to_have_value(re.compile("acetone"))
    press(page, "Load both experts")
    expect(status(page, "direct-expert and pairwise-expert are loaded.")).to_be_visible(timeout=60_000)
    press(page, "Ask at this alpha")
    expect(page.get_by_label("Live opinion at alpha 0.5", exact=True)).to_be_visible(timeout=30_000)

    mix, go_on, asked = LiveAlpha.mix, threading.Event(), list[float]()

    def held(self: LiveAlpha, alpha: float) -> str:
        asked.append(alpha)
        go_on.wait(60)
        return mix(self, alpha)

    monkeypatch.setattr(LiveAlpha, "mix", held)
    set_alpha(page, "0.1")
    expect(status(page, "Mixing and reading at alpha 0.1 …")).to_be_visible()
    earlier = page.get_by_label("Earlier opinion at alpha 0.5", exact=True)
    expect(earlier).to_contain_text("as of alpha 0.5, not of 0.1")
    for alpha in ("0.2", "0.3", "0.4"):
        set_alpha(page, alpha)
    page.wait_for_timeout(2_500)  # a refresh of the status in between says the same
    expect(status(page, "Mixing and reading at alpha 0.1 …")).to_be_visible()
    go_on.set()
    expect(page.get_by_label("Live opinion at alpha 0.4", exact=True)).to_be_visible(timeout=30_000)
    expect(status(page, "direct-expert and pairwise-expert are loaded.")).to_be_visible()
    assert asked == [0.1, 0.4]


def test_a_sweep_over_three_alphas_draws_the_curve_and_a_point_of_it_is_activated(page: Page, house: House) -> None:
    visit(page, house)
    page.get_by_label("Alphas").fill("0, 0.5, 1")
    page.get_by_label("Rows of each set").fill("4")
    expect(page.get_by_text("6 models on 2 sets, at most 4 rows each.")).to_be_visible()
    press(page, "Start the sweep")
    sweep = page.get_by_role("article", name="Job 1")
    expect(sweep).to_contain_text("linear, 3 alphas, 2 sets")
    expect(sweep).to_contain_text("done", timeout=JOB_MS)
    curve = page.locator("#alpha-curve")
    expect(curve).to_contain_text("Direct: Pearson, n = 4", timeout=30_000)
    expect(curve).to_contain_text("Pairwise: Accuracy, n = ")
    for name in ("base", "direct", "pairwise"):
        expect(curve.locator(".annotation").filter(has_text=re.compile(rf"\b{name}\b"))).not_to_have_count(0)
    expect(page.locator("#alpha-pareto")).to_contain_text("Pareto front")
    table = page.get_by_role("table", name="Single, joint, merged")
    expect(table.get_by_role("row")).to_have_count(5)
    choose(page, "Merged point", "linear 0.5")
    differences = page.get_by_role("table", name="Paired differences")
    expect(differences).to_contain_text("dev/direct_kind (4 of 8), Pearson")
    expect(page.get_by_role("heading", name="linear 0.5 against the others")).to_be_visible()

    press(page, "Merge and activate this alpha")
    merged = status(page, "Merged: linear-alpha0.5")
    expect(merged).to_be_visible(timeout=JOB_MS)
    expect(page.locator(".assay-status-ready").first).to_contain_text("linear-alpha0.5", timeout=JOB_MS)

    page.reload()
    expect(curve).to_contain_text("Direct: Pearson, n = 4", timeout=60_000)
    expect(page.get_by_label("Alphas")).to_have_value("0, 0.5, 1")
    expect(merged).to_be_visible(timeout=30_000)


def test_a_sweep_by_benchmarks_alone_is_flagged_and_one_can_be_cancelled(page: Page, house: House) -> None:
    visit(page, house)
    page.get_by_label("Alphas").fill("0.5")
    for name in ("dev/direct_kind", "dev/pairwise_kind"):
        page.get_by_label(name).uncheck()
    page.get_by_label("benchmarks/direct_bench").check()
    page.get_by_label("Rows of each set").fill("4")
    press(page, "Start the sweep")
    expect(page.get_by_role("article", name="Job 1")).to_contain_text("done", timeout=JOB_MS)
    expect(page.get_by_text("Chosen by a benchmark")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Nothing is chosen by benchmarks/direct_bench").first).to_be_visible()

    write_sets(house.home / "data", MORE_ROWS)
    page.get_by_label("Rows of each set").fill("0")
    press(page, "Start the sweep")
    page.get_by_role("article", name="Job 2").get_by_role("button", name=re.compile("^Cancel")).click()
    expect(page.get_by_role("article", name="Job 2")).to_contain_text("cancelled", timeout=JOB_MS)
    assert house.services.jobs.get(2).state is JobState.CANCELLED


def test_what_cannot_be_used_is_refused_with_its_reason(page: Page, house: House) -> None:
    visit(page, house)
    choose(page, "Method", "TIES")
    expect(status(page, "the method ties needs a density")).to_be_visible()
    expect(recipe(page)).to_have_value("")
    expect(page.get_by_text("Density has no default")).to_be_visible()
    press(page, "Merge")
    expect(toast(page)).to_contain_text("The method ties needs a density", timeout=15_000)
    page.get_by_label("Density", exact=True).fill("0.2")
    page.get_by_label("Density", exact=True).blur()
    expect(recipe(page)).to_have_value(re.compile(r"density: 0\.2\n"))
    expect(page.get_by_text("the ends of the curve are not the experts")).to_be_visible()

    page.get_by_label("Alphas").fill("0, half, 1")
    press(page, "Start the sweep")
    expect(toast(page)).to_contain_text("'half' is no number", timeout=15_000)
    page.get_by_label("Alphas").fill("0, 1.5")
    press(page, "Start the sweep")
    expect(toast(page)).to_contain_text("1.5 is no weight of the direct-assessment expert", timeout=15_000)
    assert house.services.jobs.list() == []

    page.get_by_label("Direct expert", exact=True).fill(HOSTILE)
    page.get_by_label("Direct expert", exact=True).press("Enter")
    expect(status(page, "No direct expert is chosen.")).to_be_visible()
    assert page.evaluate("window.ran") is None


def test_without_experts_the_page_says_what_to_do_first(page: Page, bare: House) -> None:
    page.goto(f"{bare.url}/alpha-lab")
    expect(page.get_by_text("There are no two experts to mix yet.")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Merge", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Models").last.click()
    expect(page).to_have_url(re.compile("/models$"))


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_screen(page: Page, house: House, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    visit(page, house)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
