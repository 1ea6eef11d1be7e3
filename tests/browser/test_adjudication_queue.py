"""The queue of the adjudication page in a real browser: the mark goes with the item that is opened."""

import pytest
from playwright.sync_api import Page, expect

from backend.adjudicating import Dispute
from ui.adjudicating import PICK
from ui.adjudicating_render import queue_list

pytestmark = pytest.mark.browser


def test_opening_another_item_moves_the_mark_to_it(page: Page) -> None:
    page.set_content(queue_list([Dispute(70 + number, number, f"Question {number}?", people=2) for number in (1, 2)]))
    page.evaluate(
        f"() => {{ const element = document.body; const trigger = (event, told) => {{ window.told = told; }}; {PICK} }}"
    )
    marked = page.get_by_role("button", pressed=True)
    expect(marked).to_have_count(1)
    expect(marked).to_contain_text("Item 1")
    page.get_by_text("Question 2?").click()
    expect(marked).to_have_count(1)
    expect(marked).to_contain_text("Item 2")
    assert page.evaluate("window.told") == {"item": 72}
