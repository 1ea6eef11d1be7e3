"""The experts page in a real browser, over real jobs whose handler writes what a training writes."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, expect

from backend.errors import CancelledError, InvalidInputError
from backend.expert_job import expert_handler
from backend.experts import ExpertSpec, TrainedExpert
from backend.jobs import JobKind, Jobs, JobState
from backend.registry import Registry
from db.session import Store
from tests.browser.conftest import Serve
from ui import experts
from ui.shell import header

pytestmark = pytest.mark.browser

STEPS = 40
PATIENCE_MS = 20_000
"""Until a job's progress shows: DBOS is first imported and makes its tables."""
PLAYWRIGHTS_PATIENCE_MS = 5_000
HOSTILE = '<img src=x onerror="window.ran=1">'
CARD = (
    f"# An expert\n\n| step | dev set |\n|---|---|\n| 40 | {HOSTILE} |\n\n![picture](http://elsewhere.example/x.png)\n"
)


@dataclass
class FakeTrainer:
    """Writes the lines of a training, a step whenever it is let; fails with `failure` if there is one."""

    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    failure: str | None = None
    trained: list[ExpertSpec] = field(default_factory=list)

    def __call__(self, spec: ExpertSpec, home: Path, report: Any, cancel: threading.Event) -> TrainedExpert:
        if self.failure:
            raise InvalidInputError(self.failure)
        for step in range(1, STEPS + 1):
            while not self.let.acquire(timeout=0.05):
                if cancel.is_set():
                    raise CancelledError("The training was stopped. It goes on from its last checkpoint.")
            write_step(spec.workplace(home), step)
            report(f"Step {step} of {STEPS}, loss 1.234.", step / STEPS)
        self.trained.append(spec)
        return TrainedExpert(spec.folder(home), CARD)

    def go_on(self, steps: int) -> None:
        self.let.release(steps)


def write_step(workplace: Path, step: int) -> None:
    lines = [{"step": step, "of": STEPS, "loss": 2.0 / step**0.3 + 0.1 * (step % 3), "seconds": step * 33.0}]
    if step % 10 == 0:
        direct = {"metric": "pearson", "value": 0.2 + step / 200, "n": 120}
        pairs = {"metric": "accuracy", "value": 0.5 + step / 250, "n": 80}
        lines.append({"step": step, "dev": {"vicuna": direct, "autoj": pairs}})
    with (workplace / "progress.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=PLAYWRIGHTS_PATIENCE_MS)


@pytest.fixture
def trainer() -> FakeTrainer:
    return FakeTrainer()


@pytest.fixture
def jobs(store: Store, tmp_path: Path, trainer: FakeTrainer) -> Iterator[Jobs]:
    jobs = Jobs(store, tmp_path, {JobKind.TRAIN: expert_handler(tmp_path, trainer, lambda folder: 7)})
    jobs.start()
    yield jobs
    jobs.close(patience=5)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "a-base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for place in rows_of(folder):
        place.write_text("")
    return folder


@pytest.fixture
def url(jobs: Jobs, store: Store, tmp_path: Path, owner_id: int, serve: Serve) -> Iterator[str]:
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        header("The first page.")
    with demo.route("Experts", "experts"):
        header("Make a judge's halves.")
        experts.build(jobs, Registry(store, tmp_path), tmp_path, lambda: owner_id)
    with serve(demo) as url:
        yield f"{url}/experts"


def rows_of(base: Path) -> list[Path]:
    return [base.with_name("direct.jsonl"), base.with_name("more.jsonl")]


def visit(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("No expert was trained yet.")).to_be_visible()


def fill(page: Page, base: Path, name: str = "direct-1") -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Base model").fill(str(base))
    page.get_by_label("Base model").press("Enter")
    page.get_by_label("Rows to learn from").fill("\n".join(map(str, rows_of(base))))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def job(page: Page, number: int) -> Locator:
    return page.get_by_role("article", name=f"Job {number}")


def test_an_expert_is_trained_watched_and_its_card_shown(
    page: Page, url: str, base: Path, trainer: FakeTrainer
) -> None:
    visit(page, url)
    fill(page, base)
    press(page, "Train")
    expect(page.get_by_text("Job 1 trains “direct-1” behind this page.")).to_be_visible()
    trainer.go_on(20)
    expect(job(page, 1)).to_contain_text("Step 20 of 40")
    expect(job(page, 1)).to_contain_text("About 11 minutes left.")
    expect(job(page, 1).get_by_role("progressbar")).to_have_attribute("value", "0.500")
    opened = page.locator("#opened-training")
    expect(opened.locator(".js-plotly-plot")).to_have_count(2)
    expect(opened).to_contain_text("vicuna (Pearson, n = 120)")
    trainer.go_on(20)
    expect(opened.get_by_role("heading", name="An expert")).to_be_visible()
    expect(job(page, 1)).to_contain_text("done")
    assert [Path(source.place) for source in trainer.trained[0].data] == rows_of(base)
    assert page.evaluate("window.ran") is None
    assert opened.locator("img").count() == 0


def test_a_training_is_cancelled_and_tried_again(
    page: Page, url: str, base: Path, trainer: FakeTrainer, jobs: Jobs
) -> None:
    visit(page, url)
    fill(page, base)
    press(page, "Train")
    trainer.go_on(3)
    expect(job(page, 1)).to_contain_text("Step 3 of 40")
    press(page, "Cancel: direct-1 (direct)")
    expect(job(page, 1)).to_contain_text("It goes on from its last checkpoint.")
    expect(job(page, 1)).to_contain_text("cancelled")
    press(page, "Try again: direct-1 (direct)")
    trainer.go_on(2 * STEPS)
    expect(job(page, 2)).to_contain_text("done")
    assert jobs.get(2).spec == jobs.get(1).spec


def make_adapter(expert: Path) -> Path:
    adapter = expert / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "layers_to_transform": [1]})
    )
    (adapter / "adapter_model.safetensors").touch()
    return adapter


def test_a_training_goes_on_from_an_expert_and_takes_its_form(
    page: Page, url: str, base: Path, trainer: FakeTrainer, jobs: Jobs, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "expert")
    visit(page, url)
    fill(page, base)
    start = page.get_by_label("Go on from")
    for place in (tmp_path / "nowhere", adapter.parent):
        start.fill(str(place))
        start.press("Enter")
        expect(start).to_have_value(str(place))
        press(page, "Train")
    expect(page.get_by_test_id("toast-body").first).to_contain_text("holds no LoRA adapter to go on from")
    trainer.go_on(2 * STEPS)
    expect(job(page, 1)).to_contain_text("done")
    [asked] = trainer.trained
    assert (asked.start_from, asked.lora_rank, asked.layers_from) == (str(adapter.parent), 3, 1)
    assert len(jobs.list()) == 1


def test_a_training_takes_place_beside_the_expert_that_it_shall_be_merged_with(
    page: Page, url: str, base: Path, trainer: FakeTrainer, tmp_path: Path
) -> None:
    other = make_adapter(tmp_path / "other").parent
    visit(page, url)
    fill(page, base)
    beside = page.get_by_label("Train beside")
    beside.fill(str(other))
    beside.press("Enter")
    page.get_by_label("Its weight").fill("0.9")
    press(page, "Train")
    trainer.go_on(2 * STEPS)
    expect(job(page, 1)).to_contain_text("done")
    [asked] = trainer.trained
    assert (asked.beside, asked.beside_weight) == (str(other), 0.9)


def test_a_failure_tells_its_cure_and_html_in_it_runs_nothing(
    page: Page, url: str, base: Path, trainer: FakeTrainer
) -> None:
    trainer.failure = f"The file {HOSTILE} is missing. Name another."
    visit(page, url)
    fill(page, base)
    press(page, "Train")
    expect(job(page, 1).get_by_role("alert")).to_have_text(trainer.failure)
    assert page.evaluate("window.ran") is None


def test_what_is_missing_is_named_and_what_was_typed_stays(page: Page, url: str, jobs: Jobs) -> None:
    visit(page, url)
    page.get_by_label("Name").fill("direct-1")
    press(page, "Train")
    expect(page.get_by_test_id("toast-body")).to_contain_text("It still needs a base model, rows to learn from.")
    page.get_by_label("Base model").fill("/nowhere")
    page.get_by_label("Base model").press("Enter")
    page.get_by_label("Rows to learn from").fill("rows.jsonl")
    press(page, "Train")
    expect(page.get_by_test_id("toast-body").last).to_contain_text("/nowhere is no model folder")
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("direct-1")
    expect(page.get_by_label("Rows to learn from")).to_have_value("rows.jsonl")
    assert jobs.list() == []


def test_the_same_training_is_not_queued_twice(page: Page, url: str, base: Path, jobs: Jobs) -> None:
    visit(page, url)
    fill(page, base)
    press(page, "Train")
    expect(job(page, 1)).to_be_visible()
    press(page, "Train")
    expect(page.get_by_text("trains exactly this already")).to_be_visible()
    assert len(jobs.list()) == 1


def test_the_exact_specification_follows_the_form_and_the_preset(page: Page, url: str, base: Path) -> None:
    visit(page, url)
    fill(page, base)
    page.get_by_text("The exact specification", exact=True).click()
    exact = page.get_by_label("Exact specification", exact=True)
    expect(exact).to_have_value(re.compile('"lora_rank": 8,'))
    page.get_by_label("Preset").click()
    page.get_by_role("option", name="Paper, 7B: all weights").click()
    expect(exact).to_have_value(re.compile('"method": "full",'))
    expect(exact).to_have_value(re.compile('"learning_rate": (0.00001|1e-05),'))
    page.get_by_label("Joint (both)").check()
    expect(exact).to_have_value(re.compile('"format": "joint",'))


def test_a_button_keeps_the_focus_while_the_list_is_refreshed(
    page: Page, url: str, base: Path, trainer: FakeTrainer
) -> None:
    visit(page, url)
    fill(page, base)
    press(page, "Train")
    trainer.go_on(1)
    expect(job(page, 1)).to_contain_text("Step 1 of 40")
    cancel = page.get_by_role("button", name="Cancel: direct-1 (direct)")
    cancel.focus()
    trainer.go_on(1)
    expect(job(page, 1)).to_contain_text("Step 2 of 40")
    expect(cancel).to_be_focused()


def test_another_training_is_opened_from_the_list(
    page: Page, url: str, base: Path, trainer: FakeTrainer, jobs: Jobs
) -> None:
    visit(page, url)
    fill(page, base, "first")
    press(page, "Train")
    expect(job(page, 1)).to_be_visible()
    fill(page, base, "second")
    press(page, "Train")
    heading = page.locator("#opened-training").get_by_role("heading", level=2).first
    expect(heading).to_have_text("second (direct)")
    press(page, "first (direct)")
    expect(heading).to_have_text("first (direct)")
    time.sleep(2.5)
    expect(heading).to_have_text("first (direct)")
    assert jobs.get(1).state is JobState.RUNNING
