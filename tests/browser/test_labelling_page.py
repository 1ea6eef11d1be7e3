"""The labelling page by keys: pairs and rankings, skipping, flagging, and a hostile text that stays text."""

import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

import launch
from backend.config import read_settings
from backend.types import Mode
from db.models import Flag, Label, Skip
from db.session import Store
from tests.browser.conftest import Serve
from tests.project_bench import ProjectBench
from ui import labelling
from ui.shell import header

pytestmark = pytest.mark.browser


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


@pytest.fixture
def url(bench: ProjectBench, tmp_path: Path, serve: Serve) -> Iterator[str]:
    services = launch.wire(read_settings(home=tmp_path), bench.store)
    with gr.Blocks(title="Assay", analytics_enabled=False) as demo:
        header("The first page.")
    with demo.route("Label", "label"):
        header("One item at a time.")
        labelling.build(services)
    with serve(demo) as url:
        yield f"{url}/label"


def board_of(page: Page, url: str) -> Locator:
    page.goto(url)
    board = page.locator("#labelling-board")
    expect(board.get_by_role("button", name="Submit")).to_be_visible()
    return board


def test_pairs_are_chosen_skipped_and_flagged_by_keys(page: Page, url: str, bench: ProjectBench) -> None:
    bench.filled(3, Mode.PAIRWISE)
    board = board_of(page, url)
    expect(board).to_contain_text("Question 0?")
    page.wait_for_timeout(300)  # nobody presses a key before they have read
    page.keyboard.press("?")
    expect(board.get_by_text("skip the item, for you alone")).to_be_visible()
    page.keyboard.press("f")
    expect(board.get_by_text("Write in the note what is wrong")).to_be_visible()
    page.keyboard.type("Both are the same.")
    expect(board.get_by_text("Saved on the server.")).to_be_visible()
    board.get_by_text("Question 0?").click()
    page.keyboard.press("f")
    expect(page.get_by_test_id("toast-body")).to_contain_text("The lead will see your note")
    expect(board.get_by_label("Note")).to_have_value("Both are the same.")
    page.wait_for_timeout(300)
    page.keyboard.press("t")
    expect(board.get_by_role("button", pressed=True)).to_contain_text("Tie")
    page.keyboard.press("Enter")
    expect(board).to_contain_text("Question 1?")
    page.wait_for_timeout(300)  # nobody presses a key before they have read
    page.keyboard.press("s")
    expect(board).to_contain_text("Question 2?")
    page.wait_for_timeout(300)  # nobody presses a key before they have read
    page.keyboard.press("b")
    expect(board.get_by_role("button", pressed=True)).to_contain_text("B is better")
    page.keyboard.press("Enter")
    expect(board).to_contain_text("Nothing waits for you")
    with bench.store.read() as session:
        labels = list(session.scalars(select(Label).order_by(Label.id)))
        assert [flag.note for flag in session.scalars(select(Flag))] == ["Both are the same."]
        assert len(list(session.scalars(select(Skip)))) == 1
    assert labels[0].winner == "tie"
    assert labels[1].winner == "AB"[labels[1].shown_order[1]]
    assert all(label.kind == "blind" and label.seconds > 0 for label in labels)


def test_a_ranking_is_pressed_from_best_to_worst(page: Page, url: str, bench: ProjectBench) -> None:
    bench.filled(1, Mode.RANKING)
    board = board_of(page, url)
    for key in "cab":
        page.keyboard.press(key)
    expect(board.get_by_text("place 3")).to_be_visible()
    page.keyboard.press("Enter")
    expect(board).to_contain_text("Nothing waits for you")
    with bench.store.read() as session:
        (label,) = session.scalars(select(Label))
    order = label.shown_order
    assert label.ranking == [order[2], order[0], order[1]]


def test_what_differs_between_two_responses_is_marked_by_a_key_and_remembered(
    page: Page, url: str, bench: ProjectBench
) -> None:
    bench.filled(2, Mode.PAIRWISE)
    board = board_of(page, url)
    toggle, word = board.get_by_role("button", name="Mark what differs"), board.locator(".assay-diff").first
    expect(word).to_have_text(re.compile("First|Second"))
    expect(word).not_to_have_css("text-decoration-line", "underline")
    board.get_by_label("Note").press_sequentially("d")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    board.get_by_text("Question 0?").click()
    page.keyboard.press("d")
    expect(word).to_have_css("text-decoration-line", "underline")
    board = board_of(page, url)
    expect(toggle).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    expect(board).to_contain_text("Question 1?")
    expect(board.locator(".assay-diff").first).to_have_css("text-decoration-line", "underline")
