"""Both formats on the same pairs, and winners that make an order or a circle: figures counted by hand."""

import numpy
import pytest

from backend.benchmarks.consistency import CHANCE, consistency, repeated, single_responses, transitivity
from backend.benchmarks.labelled import LabelledRow
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome
from backend.types import Item, Mode
from tests.labelled import KIND, pairwise_set


def pair(row_id: str, label: str, p_a: float) -> PairOutcome:
    return PairOutcome(row_id, label, p_a, p_a, "A")


def single(row_id: str, expected: float) -> ScoreOutcome:
    return ScoreOutcome(row_id, 3.0, expected, round(expected), 5)


def test_every_response_of_a_pair_is_asked_about_once_under_the_same_rubric() -> None:
    labelled = pairwise_set(3)
    singles = single_responses(labelled)
    assert (singles.mode, len(singles.rows)) == (Mode.DIRECT, 6)
    assert [row.id for row in singles.rows[:2]] == [f"{labelled.rows[0].id} A", f"{labelled.rows[0].id} B"]
    assert [row.item.responses[0] for row in singles.rows[:2]] == list(labelled.rows[0].item.responses)
    assert {row.rubric for row in singles.rows} == {row.rubric for row in labelled.rows}
    implied = {"A": [5.0, 1.0], "B": [1.0, 5.0], "tie": [3.0, 3.0]}
    assert [row.label for row in singles.rows] == [x for row in labelled.rows for x in implied[str(row.label)]]


def test_accuracies_delta_and_agreement_are_those_counted_by_hand() -> None:
    pairs = [pair("1", "A", 0.9), pair("2", "A", 0.8), pair("3", "B", 0.7), pair("4", "tie", 0.6), pair("5", "B", 0.1)]
    scores = {"1": (4.2, 2.0), "2": (2.4, 2.6), "3": (1.0, 3.0), "4": (3.0, 3.3), "5": (2.0, 2.0)}
    singles = [
        single(f"{row_id} {side}", value)
        for row_id, both in scores.items()
        for side, value in zip("AB", both, strict=True)
    ]
    found = consistency(pairs, singles, total=6)
    assert (found.pairwise.count, found.pairwise.n) == (3, 4)
    assert (found.direct.count, found.direct.n) == (2, 4)
    assert found.delta.value == pytest.approx(0.25)
    assert found.delta.low <= 0.25 <= found.delta.high
    assert (found.agree.count, found.agree.n) == (1, 5)
    assert (found.same_score.count, found.same_score.n) == (2, 5)
    assert found.unread == 1


def test_the_interval_of_the_delta_is_the_paired_bootstraps() -> None:
    rng = numpy.random.default_rng(3)
    right = rng.random(400) < 0.7, rng.random(400) < 0.55
    pairs = [pair(str(n), "A", 0.9 if by_pair else 0.1) for n, by_pair in enumerate(right[0])]
    singles = [single(f"{n} A", 4.0 if by_score else 2.0) for n, by_score in enumerate(right[1])]
    singles += [single(f"{n} B", 3.0) for n in range(400)]
    delta = consistency(pairs, singles, total=400).delta
    steps = right[0].astype(float) - right[1]
    resampled = steps[rng.integers(400, size=(2_000, 400))].mean(1)
    assert delta.value == pytest.approx(steps.mean())
    assert (delta.low, delta.high) == pytest.approx(tuple(numpy.quantile(resampled, [0.025, 0.975])), abs=0.01)


def test_where_nothing_was_read_in_both_formats_there_is_no_figure() -> None:
    found = consistency([pair("1", "A", 0.9)], [single("1 A", 4.0)], total=1)
    assert (found.direct, found.delta, found.agree, found.unread) == (None, None, None, 1)


def rows_of(instruction: str, edges: dict[tuple[str, str], float]) -> tuple[list[LabelledRow], list[PairOutcome]]:
    rows = [LabelledRow(f"{instruction} {a}{b}", Item(instruction, (a, b)), KIND, "A", "people") for a, b in edges]
    return rows, [pair(row.id, "A", p) for row, p in zip(rows, edges.values(), strict=True)]


def test_a_circle_is_told_from_an_order_whichever_way_its_pairs_are_stored() -> None:
    order = {("x", "y"): 0.9, ("z", "y"): 0.2, ("x", "z"): 0.7}
    circle = {("x", "y"): 0.9, ("y", "z"): 0.8, ("x", "z"): 0.3}
    assert transitivity(*rows_of("order", order)).value == 1.0
    assert transitivity(*rows_of("circle", circle)).value == 0.0
    both = [[*a, *b] for a, b in zip(rows_of("1", order), rows_of("2", circle), strict=True)]
    stat = transitivity(*both)
    assert (stat.value, stat.n, stat.items, stat.low) == (0.5, 2, 2, None)


def test_only_triples_of_which_all_pairs_were_read_count() -> None:
    open_triple = {("x", "y"): 0.9, ("y", "z"): 0.8, ("v", "w"): 0.5}
    stat = transitivity(*rows_of("open", open_triple))
    assert (stat.value, stat.n) == (None, 0)
    assert "three responses" in stat.missing
    four = dict.fromkeys(("vw", "vx", "vy", "wx", "wy", "xy"), 0.9)
    assert transitivity(*rows_of("four", four)).n == 4


def test_a_judge_that_tosses_is_transitive_in_three_quarters() -> None:
    rng = numpy.random.default_rng(0)
    rows, outcomes = [], []
    for number in range(4_000):
        made = rows_of(str(number), {pair_: float(rng.random()) for pair_ in (("x", "y"), ("y", "z"), ("z", "x"))})
        rows += made[0]
        outcomes += made[1]
    stat = transitivity(rows, outcomes)
    assert stat.value == pytest.approx(CHANCE, abs=0.02)
    assert (stat.n, stat.items) == (4_000, 4_000)


def test_a_judge_that_repeats_itself_has_alpha_one_and_one_that_tosses_none() -> None:
    rng = numpy.random.default_rng(1)
    said = [single(str(n), float(1 + n % 5)) for n in range(200)]
    assert repeated([said, said, said]).value == pytest.approx(1.0)
    runs = [[single(str(n), float(rng.integers(1, 6))) for n in range(200)] for _ in range(3)]
    assert abs(repeated(runs).value) < 0.15
    pairs = [[pair(str(n), "A", 0.9 if n % 2 else 0.1) for n in range(50)] for _ in range(2)]
    assert repeated(pairs).value == pytest.approx(1.0)
    short = repeated([said, said[:100]])
    assert (short.value, short.items) == (pytest.approx(1.0), 200)
