"""A comparison in sentences: where nothing can be compared they say what is missing and what to do next."""

from dataclasses import replace
from datetime import date

import pytest

from backend.agreement_report import Counts, Report
from backend.agreement_rows import Kind, Selection
from backend.types import Mode
from db.session import Store
from tests.test_comparing import Panel
from ui.agreement_export import html_report
from ui.agreement_words import missing_words, selection_words


def found(selection: Selection, kind: Kind = Kind.AFTER, **counts: int) -> Report:
    """What a comparison of this selection found, with so many labels; none of what is not named."""
    none = dict.fromkeys(("blind", "after", "imported", "compared", "unjudged", "outside", "between"), 0)
    return Report(selection, selection.kind or kind, "starter", "d1ge57", "all rubrics", Counts(**none | counts))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("kind", [None, *Kind])
def test_a_comparison_of_nothing_does_not_say_that_labels_of_a_kind_were_compared(mode: Mode, kind: Kind) -> None:
    said = selection_words(found(Selection(mode=mode, kind=kind)))
    assert said.endswith("by starter beside everybody, all rubrics.")
    nobody = replace(found(Selection(mode=mode, kind=kind)), model="no model yet", model_digest="")
    assert "all rubrics. No model has given a verdict" in selection_words(nobody)
    assert "no model yet" not in selection_words(nobody)
    assert "anchored" in selection_words(found(Selection(mode=mode), after=3, compared=3))


@pytest.mark.parametrize(
    ("mode", "lacks"),
    [
        (Mode.DIRECT, "There is no label yet that scores a response from 1 to 5."),
        (Mode.PAIRWISE, "There is no label yet that names the better of two responses."),
        (Mode.RANKING, "There is no label yet that orders several responses."),
    ],
)
def test_without_any_label_the_mode_says_what_one_would_be_and_where_to_give_it(mode: Mode, lacks: str) -> None:
    said = missing_words(found(Selection(mode=mode)))
    assert said.startswith(lacks)
    assert "the page Label" in said
    assert "the page Judge or History" in said


@pytest.mark.parametrize(
    ("kind", "does", "not_"),
    [
        (Kind.BLIND, "the page Label", "History"),
        (Kind.AFTER, "the page Judge or History", "the page Label"),
        (Kind.IMPORTED, "Import items with labels", "History"),
    ],
)
def test_each_kind_of_label_is_given_somewhere_else(kind: Kind, does: str, not_: str) -> None:
    said = missing_words(found(Selection(kind=kind)))
    assert does in said
    assert not_ not in said


def test_a_narrow_selection_without_labels_is_said_to_be_narrow() -> None:
    for narrow in (Selection(project_id=1), Selection(rubric_version_id=1), Selection(people=(1,)),
                   Selection(since=date(2026, 11, 20)), Selection(until=date(2026, 11, 20))):  # fmt: skip
        said = missing_words(found(narrow))
        assert "no label in this selection" in said
        assert "Widen it" in said
    assert "Widen it" not in missing_words(found(Selection()))


def test_labels_of_other_kinds_are_offered_with_their_numbers() -> None:
    said = missing_words(found(Selection(kind=Kind.BLIND), after=1200, imported=3))
    assert "None of the labels in this selection is blind." in said
    assert "1,200 given after the verdict was seen" in said
    assert "3 imported" in said
    said = missing_words(found(Selection(kind=Kind.POOLED), imported=3))
    assert "None of the labels in this selection was given here." in said


def test_few_blind_labels_are_compared_once_they_are_asked_for() -> None:
    said = missing_words(found(Selection(), blind=4))
    assert "fewer than 10 items" in said
    assert "4 blind" in said


def test_blind_labels_without_a_verdict_wait_for_the_model_and_overrides_belong_to_the_model_that_was_seen() -> None:
    blind = missing_words(found(Selection(kind=Kind.BLIND), blind=5, unjudged=5))
    assert "Have these items judged" in blind
    after = missing_words(found(Selection(kind=Kind.AFTER), after=5, unjudged=5))
    assert "another model's" in after
    assert "Have these items judged" not in after
    pooled = missing_words(found(Selection(kind=Kind.POOLED), blind=1, after=1, unjudged=2))
    assert "Have these items judged" in pooled
    assert "another model's" in pooled
    seen = missing_words(found(Selection(kind=Kind.POOLED), after=1, unjudged=1))
    assert "Have these items judged" not in seen


def test_orders_are_never_imported() -> None:
    assert "never orders" in missing_words(found(Selection(mode=Mode.RANKING, kind=Kind.IMPORTED), blind=20))


def test_where_labels_were_compared_nothing_is_missing() -> None:
    assert missing_words(found(Selection(), blind=20, compared=20, unjudged=3)) == ""


def test_the_report_says_what_is_missing(store: Store) -> None:
    panel = Panel(store)
    verdict = panel.bench.direct(4)
    panel.blind(verdict, panel.people[1], score=4)
    said = html_report(panel.report()).decode()
    assert "fewer than 10 items" in said
    assert "anchored" not in said
