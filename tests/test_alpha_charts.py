"""The curve over alpha and the Pareto front, drawn from a real sweep's values."""

import itertools

import pytest

from backend.benchmarks.metrics import PairOutcome, ScoreOutcome, estimates
from backend.measuring import Measured
from backend.sweep_results import MeasuredPoint, SweepResult, result_of
from backend.sweep_spec import PlannedPoint
from backend.types import Mode
from tests.labelled import direct_set, pairwise_set
from ui import alpha_charts, sweep_render

ROWS = 30
DIRECT, PAIRS = direct_set(ROWS), pairwise_set(ROWS)
BENCH = direct_set(ROWS, name="benchmarks/direct_bench")
PLAN = (
    PlannedPoint("base"),
    PlannedPoint("direct"),
    PlannedPoint("pairwise"),
    *(PlannedPoint("merge", "linear", alpha) for alpha in (0.0, 0.5, 1.0)),
)
SHIFTS = {"base": (0.0, 0), "direct": (0.9, 2), "pairwise": (0.1, 9), "linear 0": (0.1, 9), "linear 0.5": (0.7, 8)}


def measured(planned: PlannedPoint, number: int) -> MeasuredPoint:
    """A judge whose scores follow the labels by a share, and who gets so many of ten pairs right."""
    share, right = SHIFTS.get(planned.key, (0.9, 2))
    scores = tuple(
        ScoreOutcome(
            row.id, float(row.label), 3 + share * (float(row.label) - 3) + (n * 7 % 5 - 2) * (1 - share), 3, 10
        )
        for n, row in enumerate(DIRECT.rows)
    )
    pairs = tuple(
        PairOutcome(
            row.id, str(row.label), *((0.8, 0.8) if (n % 10 < right) == (row.label == "A") else (0.2, 0.2)), "A"
        )
        for n, row in enumerate(PAIRS.rows)
    )
    cells = [(DIRECT, scores), (PAIRS, pairs), (BENCH, scores)]
    judge = {"linear 0": 2, "linear 1": 1}.get(planned.key, number)
    return MeasuredPoint(
        planned,
        1,
        tuple(
            Measured(judge, one.name, one.digest, one.mode, rows, (), estimates(one.mode, rows)) for one, rows in cells
        ),
    )


@pytest.fixture(scope="module")
def result() -> SweepResult:
    points = {planned.key: measured(planned, number) for number, planned in enumerate(PLAN)}
    return result_of(PLAN, [DIRECT, PAIRS, BENCH], points)


def test_both_formats_share_one_alpha_axis_with_bands_and_n(result: SweepResult) -> None:
    figure = alpha_charts.curve(result, result.sets[:2])
    assert figure is not None
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [(trace.yaxis, list(trace.x)) for trace in lines] == [("y", [0, 0.5, 1]), ("y2", [0, 0.5, 1])]
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 2
    texts = [note.text for note in figure.layout.annotations]
    assert f"<b>Direct</b>: Pearson, n = {ROWS}" in texts
    assert f"<b>Pairwise</b>: Accuracy, n = {ROWS}" in texts


def test_every_model_that_is_compared_with_is_a_named_dashed_line(result: SweepResult) -> None:
    figure = alpha_charts.curve(result, result.sets[:1])
    assert figure is not None
    assert [shape.line.dash for shape in figure.layout.shapes] == ["dash"] * 3
    assert {"base", "direct", "pairwise"} <= {note.text for note in figure.layout.annotations}


def test_names_of_lines_that_lie_close_keep_their_distance() -> None:
    places = alpha_charts._apart([0.5, 0.501, 0.502], 0.1, 0.0, 0.6)
    assert all(after - before >= 0.1 - 1e-9 for before, after in itertools.pairwise(places))
    assert max(places) <= 0.6


def test_one_alpha_has_an_interval_too(result: SweepResult) -> None:
    kept = tuple(point for point in result.points if point.role != "merge" or point.alpha == 0.5)
    figure = alpha_charts.curve(result.model_copy(update={"points": kept}), result.sets[:1])
    assert figure is not None
    assert figure.data[0].error_y.array is not None


def test_without_a_merge_there_is_no_curve(result: SweepResult) -> None:
    bare = tuple(point for point in result.points if point.role != "merge")
    assert alpha_charts.curve(result.model_copy(update={"points": bare}), result.sets) is None
    assert alpha_charts.curve(result, []) is None


def test_the_front_holds_what_no_other_beats_and_one_place_has_one_label(result: SweepResult) -> None:
    figure = alpha_charts.pareto(result)
    assert figure is not None
    linear = next(trace for trace in figure.data if trace.name == "linear")
    others = next(trace for trace in figure.data if trace.name == "not merged")
    assert dict(zip(linear.text, linear.marker.symbol, strict=True))["0.5"] == "circle"
    assert "pairwise, 0" in others.text
    assert "0" not in linear.text


def test_the_front_needs_both_formats(result: SweepResult) -> None:
    one = result.model_copy(update={"sets": tuple(swept for swept in result.sets if swept.mode is Mode.DIRECT)})
    cut = tuple(point.model_copy(update={"cells": (point.cells[0], point.cells[2])}) for point in one.points)
    assert alpha_charts.pareto(one.model_copy(update={"points": cut})) is None


def test_the_table_says_within_noise_and_compares_one_model_once(result: SweepResult) -> None:
    html = sweep_render.differences(result, "linear 0.5")
    assert "within noise" in html
    assert "better</strong>" in html
    assert "<th scope='row'>pairwise</th>" in html
    assert "<th scope='row'>linear 0</th>" not in html


def test_a_sweep_of_benchmarks_alone_is_flagged(result: SweepResult) -> None:
    assert "direct_bench" in sweep_render.flags(result)
    assert sweep_render.choice_note(result, "linear 0.5") == ""
    only = result.model_copy(update={"sets": result.sets[2:]})
    assert "Chosen by a benchmark" in sweep_render.choice_note(only, "linear 0.5")
