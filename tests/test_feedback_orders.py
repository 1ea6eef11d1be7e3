"""A feedback on a pair says the same of the two responses when they change places, or is not said at all."""

import pytest

from backend.feedback_orders import in_other_order


@pytest.mark.parametrize(
    ("feedback", "other"),
    [
        ("Response A is right; Response B guesses.", "Response B is right; Response A guesses."),
        ("Response B's tone is warmer than response A's.", "Response A's tone is warmer than response B's."),
        ("Responses A and B are short, Response A is right.", "Responses B and A are short, Response B is right."),
        ("Response A or B would do.", "Response B or A would do."),
        ("Both answers say the same.", "Both answers say the same."),
    ],
)
def test_the_names_change_places(feedback: str, other: str) -> None:
    assert in_other_order(feedback) == other
    assert in_other_order(other) == feedback


@pytest.mark.parametrize(
    "feedback",
    [
        "Response A is right; B guesses.",
        "Option A is better than Option B.",
        "Response A is ranked first.",
        "First one is short, unlike Response B.",
        "Response 1 is better.",
        "The former is right, unlike Response B.",
        "Copy it from server A; Response B does so.",
        "A clear answer, unlike Response B.",
    ],
)
def test_what_may_be_a_name_in_another_form_is_left_alone(feedback: str) -> None:
    assert in_other_order(feedback) is None
