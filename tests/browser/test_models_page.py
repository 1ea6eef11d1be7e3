"""The models page in a real browser: register, put into service, judge with it, delete; all models tiny and real."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import BrowserContext, Locator, Page, expect
from safetensors.torch import load_file, save_file

from backend.config import read_settings
from backend.model_views import ModelView, Presence
from db import models as rows
from launch import open_store, wire
from tests.browser.conftest import Serve
from tests.factories import START
from tests.test_registry import family, make_model, silent
from ui.app import build
from ui.services import Services

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.ran=1> ${window.ran=1} {{value}}"
CARD = f"""# A card

{HOSTILE} ![a picture](http://10.0.0.1/x.png) [a page](https://example.org) [a trap](javascript:window.ran=1)

| source | rows |
| --- | --- |
| ours | 920 |
"""


@pytest.fixture(autouse=True, scope="module")
def _patience() -> Iterator[None]:
    """Server, judge and browser share this machine's cores, and a swap loads a model meanwhile."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


class House:
    """A running app with a home of its own, and its services."""

    def __init__(self, services: Services, url: str, home: Path, tiny_model: Path) -> None:
        self.services, self.url, self.home, self.tiny_model = services, url, home, tiny_model

    def make(self, name: str, **manifest: Any) -> Path:
        """A model folder as Assay makes it, in home/models; each has weights of its own."""
        return make_model(self.tiny_model, self.home / "models" / name, **manifest)

    def register(self, folder: Path) -> ModelView:
        return self.services.registry.get(self.services.registry.register(str(folder), silent).id)

    def named(self, name: str) -> ModelView:
        (view,) = [view for view in self.services.registry.list() if view.name == name]
        return view

    @property
    def serving(self) -> str:
        served = self.services.serving.served
        return "" if served is None else served.files.name


@pytest.fixture
def house(tiny_model: Path, tmp_path: Path, serve: Serve) -> Iterator[House]:
    """The tiny model serves."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    store = open_store(settings := read_settings(home=home, model=str(tiny_model), device="cpu", feedback=False))
    services = wire(settings, store)
    services.serving.start()
    with services.serving.use(threading.Event()):
        pass
    with serve(build(services)) as url:
        yield House(services, url, home, tiny_model)
    services.serving.close()
    store.close()


def visit(page: Page, house: House, path: str = "models") -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{house.url}/{path}")
    expect(models(page)).not_to_have_count(0)


def models(page: Page) -> Locator:
    return page.get_by_role("table", name="Models, the latest first").locator("tbody tr")


def row(page: Page, name: str) -> Locator:
    return models(page).filter(has=page.get_by_role("link", name=f"Open {name} ("))


def open_model(page: Page, name: str) -> None:
    row(page, name).get_by_role("link").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def toast(page: Page) -> Locator:
    return page.get_by_test_id("toast-body")


def register(page: Page, place: Path | str) -> None:
    page.get_by_label("Register a model").fill(str(place))
    press(page, "Register")


def activate(page: Page, name: str) -> None:
    open_model(page, name)
    press(page, "Activate")
    expect(page.get_by_role("status").filter(has_text=f"{name} serves now.")).to_be_visible()


def delete(page: Page, *, gone: str = "") -> None:
    """gone: the name whose row has to leave the list."""
    press(page, "Delete")
    press(page, "Yes, delete it")
    if gone:
        expect(toast(page).filter(has_text=f"{gone} is deleted.")).to_be_visible()
        expect(row(page, gone)).to_have_count(0)


def judge(page: Page, house: House, response: str) -> None:
    page.goto(house.url)
    page.get_by_label("Instruction", exact=True).fill("Say hello to a friend.")
    page.get_by_label("Response", exact=True).fill(response)
    page.get_by_label("Rubric from the library").click()
    page.get_by_role("option", name="Tone").click()
    press(page, "Judge")
    expect(page.locator("#verdict .assay-verdict")).to_contain_text("of 5")


def test_a_model_is_registered_put_into_service_judged_with_and_deleted_after_another_took_over(
    page: Page, house: House
) -> None:
    folder = house.make("new-judge")
    visit(page, house)
    expect(row(page, "tiny")).to_contain_text("Serving")
    expect(row(page, "tiny")).to_contain_text("not measured")

    register(page, folder)
    expect(page.get_by_role("status").filter(has_text="is registered.")).to_contain_text("new-judge")
    expect(page.get_by_role("heading", name="new-judge")).to_be_visible()
    press(page, "Activate")
    expect(page.get_by_role("status").filter(has_text="new-judge serves now.")).to_be_visible()
    expect(row(page, "new-judge")).to_contain_text("Serving")
    expect(page.get_by_role("button", name="Activate", exact=True)).to_be_disabled()

    judge(page, house, "Hello, my friend!")
    expect(page.locator("#verdict")).to_contain_text("new-judge")
    page.get_by_text("Who said this").click()
    expect(page.locator("#verdict-details")).to_contain_text(house.named("new-judge").digest)
    expect(page.locator("#verdict-details")).to_contain_text("Merge recipenone")

    visit(page, house)
    open_model(page, "new-judge")
    delete(page)
    expect(toast(page)).to_contain_text("new-judge can't be deleted: it is the judge that serves now")
    assert folder.is_dir()

    activate(page, "tiny")
    open_model(page, "new-judge")
    expect(page.locator("#opened-model")).to_contain_text("Verdicts given1")
    press(page, "Delete")
    expect(page.get_by_role("alert").filter(has_text="Delete new-judge?")).to_contain_text("its verdict stay")
    press(page, "Keep it")
    expect(page.get_by_role("button", name="Yes, delete it")).to_be_hidden()
    delete(page, gone="new-judge")
    assert not folder.exists()

    expect(page.get_by_text("1 model that was deleted or is only in memory not shown.")).to_be_visible()
    page.get_by_label("Show models that were deleted").check()
    expect(row(page, "new-judge")).to_contain_text("Deleted")
    expect(row(page, "new-judge").locator("td").nth(5)).to_have_text("1")


def test_a_verdict_of_a_merge_names_its_method_alpha_and_parents(page: Page, house: House) -> None:
    made = family(house.services.registry, house.make, house.home)
    visit(page, house)
    activate(page, "merged-model-of-both")
    judge(page, house, "Hello, my dear friend!")
    page.get_by_text("Who said this").click()
    details = page.locator("#verdict-details")
    for words in (
        "Merge methodlinear",
        "Merge alpha (weight of the direct expert)0.3",
        f"Parent: direct expert{made['direct'].digest}",
        f"Parent: pairwise expert{made['pairwise'].digest}",
    ):
        expect(details).to_contain_text(words)


def test_a_family_is_drawn_told_in_words_and_walked_through(page: Page, house: House) -> None:
    family(house.services.registry, house.make, house.home)
    visit(page, house)
    open_model(page, "merged-model-of-both")
    words = page.get_by_role("list", name="Lineage in words")
    expect(words).to_contain_text(
        "merged-model-of-both (merge at alpha 0.3) is a merge of direct-expert (direct, weight 0.3) and "
        "pairwise-expert-1 (pairwise, weight 0.7)."
    )
    boxes = page.locator("#lineage .annotation")
    expect(boxes.filter(has_text="Direct")).not_to_have_count(0)
    expect(boxes.filter(has_text="0.7")).to_have_count(1)
    page.get_by_text("Recipe", exact=True).click()
    expect(page.locator("#opened-model pre").first).to_contain_text("method: linear\nalpha: 0.3")
    page.get_by_text("Manifest", exact=True).click()
    expect(page.locator("#opened-model pre").nth(1)).to_contain_text('"kind": "merge"')

    words.get_by_role("link", name="direct-expert").first.click()
    expect(page.get_by_role("heading", name="direct-expert", exact=True)).to_be_visible()
    assert f"model={house.named('direct-expert').id}" in page.url
    page.reload()
    expect(page.get_by_role("heading", name="direct-expert", exact=True)).to_be_visible()


def test_a_parent_is_not_deleted_before_what_was_made_of_it(page: Page, house: House) -> None:
    family(house.services.registry, house.make, house.home)
    visit(page, house)
    open_model(page, "direct-expert")
    delete(page)
    expect(toast(page)).to_contain_text("direct-expert can't be deleted: merged-model-of-both")
    expect(toast(page)).to_contain_text("Delete that first.")
    open_model(page, "merged-model-of-both")
    delete(page, gone="merged-model-of-both")
    open_model(page, "direct-expert")
    delete(page, gone="direct-expert")
    assert house.named("direct-expert").presence is Presence.REMOVED


def test_a_broken_model_leaves_the_old_judge_and_says_why(page: Page, house: House) -> None:
    folder = house.make("broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    visit(page, house)
    register(page, folder)
    expect(page.get_by_role("heading", name="broken")).to_be_visible()
    press(page, "Activate")
    alert = page.get_by_role("alert").filter(has_text="broken was not put into service.")
    expect(alert).to_contain_text("values that are not numbers")
    expect(row(page, "tiny")).to_contain_text("Serving")
    assert house.serving == "tiny"
    expect(page.get_by_role("button", name="Activate", exact=True)).to_be_enabled()


def test_a_change_shows_its_progress_and_can_be_cancelled(page: Page, house: House) -> None:
    house.register(house.make("next-judge"))
    visit(page, house)
    open_model(page, "next-judge")
    with house.services.serving.use(threading.Event()):  # a verdict in progress
        press(page, "Activate")
        waiting = page.get_by_role("status").filter(has_text="takes over after the verdict in progress")
        expect(waiting).to_be_visible()
        expect(page.get_by_role("status").filter(has_text="tiny is ready")).to_be_visible()
        expect(row(page, "next-judge")).to_contain_text("Loading")
        expect(page.get_by_role("button", name="Activate", exact=True)).to_be_disabled()
        press(page, "Cancel the change")
        expect(page.get_by_role("status").filter(has_text="that was cancelled")).to_be_visible()
    assert house.serving == "tiny"
    expect(page.get_by_role("button", name="Cancel the change")).to_be_hidden()


def test_the_judge_page_learns_of_a_change_that_was_made_elsewhere(page: Page, house: House) -> None:
    view = house.register(house.make("next-judge"))
    page.goto(house.url)
    expect(page.locator(".assay-status-ready")).to_contain_text("tiny is ready")
    house.services.activating.start(view.id, house.services.owner_id)
    expect(page.locator(".assay-status-ready")).to_contain_text("next-judge is ready")


def test_registering_the_same_folder_twice_says_that_nothing_changed(page: Page, house: House) -> None:
    visit(page, house)
    register(page, house.tiny_model)
    expect(page.get_by_role("status").filter(has_text="is registered already: nothing was changed.")).to_be_visible()
    expect(models(page)).to_have_count(1)


def test_a_folder_with_other_files_than_before_is_another_model_and_says_so(page: Page, house: House) -> None:
    folder = house.make("changing")
    before = house.register(folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "max_length": 7}))
    visit(page, house)
    register(page, folder)
    told = page.get_by_role("status").filter(has_text="this is another model version")
    expect(told).to_contain_text(f"have changed since they were registered as changing ({before.digest[:12]})")
    expect(row(page, "changing")).to_have_count(2)
    expect(models(page).filter(has_text="Files changed")).to_have_count(1)
    page.goto(f"{house.url}/models?model={before.id}")
    expect(page.locator("#opened-model")).to_contain_text("its folder holds another model by now")
    expect(page.get_by_role("button", name="Activate", exact=True)).to_be_disabled()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/nowhere/at/all", "There is no model folder '/nowhere/at/all' on this machine."),
        (HOSTILE, "There is no model folder"),
        ("   ", "The folder or hub name is empty. Fill it in."),
    ],
)
def test_a_place_without_a_model_is_told(place: str, reason: str, page: Page, house: House) -> None:
    visit(page, house)
    register(page, place)
    expect(page.get_by_text(reason).first).to_be_visible()
    assert page.evaluate("window.ran") is None
    expect(models(page)).to_have_count(1)


def test_html_in_a_name_and_in_a_card_runs_nothing_and_fetches_nothing(page: Page, house: House) -> None:
    folder = house.make(HOSTILE, kind="expert", trained_on="direct")
    (folder / "README.md").write_text(CARD)
    view = house.register(folder)
    visit(page, house, f"models?model={view.id}")
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    card = page.locator(".assay-card-page")
    expect(card).to_contain_text(HOSTILE)
    expect(card.get_by_role("cell", name="920")).to_be_visible()
    expect(card.get_by_role("link", name="a page")).to_have_attribute("href", "https://example.org")
    expect(card.get_by_role("link", name="a trap")).to_have_count(0)
    activate(page, HOSTILE)
    assert page.locator("main img[src=x], main img[src*='10.0.0.1']").count() == 0
    assert page.evaluate("window.ran") is None


def test_measured_agreement_stands_beside_the_name_with_interval_and_n(page: Page, house: House) -> None:
    with open_store(read_settings(home=house.home)).write() as session:
        judge = rows.Judge(
            digest="j" * 64, model_version_id=house.named("tiny").id, prompt_format="assay", format_digest="f" * 64,
            engine="transformers", engine_version="5", device="cpu", dtype="float32", temperature=0.0, top_p=1.0,
            seed=0, max_new_tokens=256, feedback=False,
        )  # fmt: skip
        session.add(judge)
        session.flush()
        for metric, value in (("pearson", 0.329), ("kendall", None)):
            session.add(
                rows.Measurement(
                    judge_id=judge.id, set_name="Vicuna Bench", set_digest="s" * 64, mode="direct", metric=metric,
                    value=value, low=value and 0.21, high=value and 0.43, n=158, total=160, created_at=START,
                )
            )  # fmt: skip
    visit(page, house)
    expect(row(page, "tiny")).to_contain_text("Vicuna Bench: Pearson 0.329 [0.210, 0.430], n = 158")
    open_model(page, "tiny")
    measured = page.locator("#opened-model").get_by_role("table").filter(has_text="95% interval")
    expect(measured.get_by_role("row", name=re.compile("Kendall"))).to_contain_text("undefined")
    expect(page.locator("#opened-model")).to_contain_text("160 rows (ssssssssssss), verdict only, transformers on cpu")


def test_a_digest_is_copied_whole(page: Page, context: BrowserContext, house: House) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(page, house)
    row(page, "tiny").get_by_role("button", name="Copy the digest of tiny").click()
    expect(row(page, "tiny").get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == house.named("tiny").digest
    expect(page.locator("#opened-model")).to_be_hidden()


def test_an_unknown_model_in_the_address_is_told(page: Page, house: House) -> None:
    page.goto(f"{house.url}/models?model=99")
    expect(toast(page)).to_contain_text("There is no model 99.")


def test_a_model_is_opened_by_the_keyboard_alone(page: Page, house: House) -> None:
    visit(page, house)
    page.get_by_label("Show models that were deleted").focus()
    page.keyboard.press("Tab")
    expect(row(page, "tiny").get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="tiny", exact=True)).to_be_visible()


def test_nothing_is_wider_than_a_narrow_screen(page: Page, house: House) -> None:
    made = family(house.services.registry, house.make, house.home)
    long = house.register(house.make("a-name-without-end-" + "x" * 200))
    page.set_viewport_size({"width": 400, "height": 900})
    for view in (made["merged"], long):
        visit(page, house, f"models?model={view.id}")
        expect(page.get_by_role("heading", name=view.name, exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_a_deleted_model_shows_when_a_page_still_has_it_open(page: Page, house: House) -> None:
    view = house.register(house.make("short-lived"))
    visit(page, house, f"models?model={view.id}")
    expect(page.get_by_role("heading", name="short-lived")).to_be_visible()
    house.services.registry.remove(view.id, house.services.owner_id)
    press(page, "Activate")
    expect(toast(page)).to_contain_text("short-lived was deleted. Register or make it again to use it.")
    assert house.services.registry.get(view.id).presence is Presence.REMOVED


def test_before_any_model_was_loaded_the_page_says_what_will_come(
    page: Page, tmp_path: Path, tiny_model: Path, serve: Serve
) -> None:
    home = tmp_path / "empty"
    store = open_store(settings := read_settings(home=home, model=str(tiny_model), device="cpu"))
    services = wire(settings, store)
    with serve(build(services)) as url:
        page.goto(f"{url}/models")
        expect(page.get_by_text("No models yet.")).to_be_visible()
        services.serving.start()
        expect(row(page, "tiny")).to_contain_text("Serving")
    services.serving.close()
    store.close()
