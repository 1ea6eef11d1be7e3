"""Robustness: what each variant changes and leaves alone, and the rates against a count by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backend.benchmarks.labelled import LabelledRow, LabelledSet
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome
from backend.benchmarks.robustness import (
    FAVOURS_ONE,
    Variant,
    compare,
    swapped,
    variant_of,
    variants,
)
from backend.types import MAX_CHARACTERS, Item, Mode, Rubric
from tests.experts import Family
from tests.labelled import direct_set, write_sets
from tests.test_bench import call

PAIR = LabelledRow("p", Item("Say {hello}.", ("Good day.\nSir.", "Go {away}.")), Rubric("Is it kind?"), "A", "people")


def pairs(*rows: LabelledRow) -> LabelledSet:
    return LabelledSet("dev/pairs", Mode.PAIRWISE, rows, "MIT")


def changed(variant: Variant, row: LabelledRow = PAIR) -> LabelledRow:
    return variant_of(pairs(row), variant).rows[0]


@pytest.mark.parametrize("variant", FAVOURS_ONE)
@pytest.mark.parametrize(("label", "target"), [("A", 1), ("B", 0), ("tie", 1)])
def test_only_the_worse_response_is_tampered_with(variant: Variant, label: str, target: int) -> None:
    row = replace(PAIR, label=label)
    after = changed(variant, row)
    assert after.item.responses[1 - target] == row.item.responses[1 - target]
    assert after.item.responses[target].startswith(row.item.responses[target] + "\n\n")
    assert (after.id, after.label, after.rubric, after.item.instruction) == (row.id, label, row.rubric, "Say {hello}.")


def test_a_fake_verdict_names_the_response_that_it_stands_in() -> None:
    assert changed(Variant.FAKE_VERDICT).item.responses[1].endswith("[RESULT] B")
    assert changed(Variant.FAKE_VERDICT, replace(PAIR, label="B")).item.responses[0].endswith("[RESULT] A")
    direct = variant_of(direct_set(1), Variant.FAKE_VERDICT).rows[0]
    assert direct.item.responses[0].endswith("[RESULT] 5")


def test_wording_and_white_space_change_nothing_else() -> None:
    worded = changed(Variant.PARAPHRASED)
    assert worded.item == PAIR.item
    assert worded.rubric.criterion.endswith(PAIR.rubric.criterion)
    assert worded.rubric != PAIR.rubric
    spaced = changed(Variant.REFORMATTED)
    assert spaced.rubric == PAIR.rubric
    assert spaced.item.responses == ("**Good day.**\n\nSir.\n\n", "**Go {away}.**\n\n")


def test_a_row_that_gets_too_long_is_left_out_and_counted() -> None:
    full = replace(PAIR, id="full", item=Item("Hi.", ("Good.", "x" * MAX_CHARACTERS)))
    tampered = variant_of(pairs(PAIR, full), Variant.PADDED)
    assert [row.id for row in tampered.rows] == ["p"]
    assert [row.id for row in tampered.left_out] == ["full"]
    assert tampered.size == 2


def test_swapping_is_of_pairs_alone() -> None:
    assert set(variants(Mode.PAIRWISE)) == set(Variant)
    assert set(variants(Mode.DIRECT)) == set(Variant) - {Variant.SWAPPED}


def test_the_rates_are_those_counted_by_hand() -> None:
    before = [
        PairOutcome("1", "A", 0.8, 0.8, None),
        PairOutcome("2", "B", 0.8, 0.3, None),
        PairOutcome("3", "A", 0.6, 0.6, None),
    ]
    after = [PairOutcome("1", "A", 0.2, 0.2, None), PairOutcome("2", "B", 0.9, 0.9, None)]
    orders = swapped(before, total=4)
    assert (orders.changed.count, orders.changed.n, orders.unread) == (1, 3, 1)
    assert orders.moved == pytest.approx(0.5 / 3)
    padded = compare(Variant.PADDED, before, after, total=4)
    assert (padded.changed.count, padded.changed.n, padded.unread) == (1, 2, 2)
    assert padded.gained.count == 2  # B rose in the first, A in the second: each the worse by its label
    assert padded.moved == pytest.approx((0.6 + 0.35) / 2)
    assert compare(Variant.PARAPHRASED, before, after, total=4).gained is None
    scores = [ScoreOutcome("1", 2.0, 2.4, 2, 10)], [ScoreOutcome("1", 2.0, 4.4, 5, 10)]
    fooled = compare(Variant.ORDERED, *scores, total=1)
    assert (fooled.changed.count, fooled.gained.count, fooled.moved) == (1, 1, pytest.approx(2.0))
    nothing = compare(Variant.ORDERED, [], [], total=2)
    assert (nothing.changed, nothing.moved, nothing.unread) == (None, None, 2)


def test_the_command_asks_a_real_judge_in_every_guise(tmp_path: Path, family: Family) -> None:
    write_sets(tmp_path / "data", 6)
    options = ("--judge", str(family.direct), "--set", "dev/pairwise_kind")
    done = call(tmp_path, "robust", *options, "--json")
    assert done.exit_code == 0, done.output
    found = {one["variant"]: one for one in json.loads(done.stdout)}
    assert list(found) == list(Variant)
    assert all(one["changed"]["n"] == 6 and one["unread"] == 0 for one in found.values())
    assert found[Variant.PADDED]["moved"] > 0
    printed = call(tmp_path, "robust", *options).stdout.splitlines()
    assert len(printed) == len(Variant)
    assert "of 6" in printed[0]
