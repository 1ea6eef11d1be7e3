"""What a sweep adds up to: the best point for each target, the Pareto front, differences and the table."""

import json

import pytest

from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.metrics import Metric, Outcome, PairOutcome, ScoreOutcome, estimates
from backend.measuring import Measured
from backend.sweep_results import MeasuredPoint, SweepResult, result_of
from backend.sweep_spec import PlannedPoint
from tests.labelled import direct_set, pairwise_set

ROWS = 60
SETS = (direct_set(ROWS), pairwise_set(ROWS))


def measured(labelled: LabelledSet, judge_id: int, right: int) -> Measured:
    """A judge that is right on the first `right` rows; on the others it says the opposite."""
    outcomes: list[Outcome] = []
    for number, row in enumerate(labelled.rows):
        if isinstance(row.label, str):
            p = 0.9 if (row.label == "A") == (number < right) else 0.1
            outcomes.append(PairOutcome(row.id, row.label, p, p, None))
        else:
            expected = row.label if number < right else 6 - row.label
            outcomes.append(ScoreOutcome(row.id, row.label, expected, round(expected), 20))
    figures = estimates(labelled.mode, outcomes)
    return Measured(judge_id, labelled.name, labelled.digest, labelled.mode, tuple(outcomes), (), figures)


def swept(
    points: dict[PlannedPoint, tuple[int, ...]],
    sets: tuple[LabelledSet, ...] = SETS,
    left: tuple[PlannedPoint, ...] = (),
) -> SweepResult:
    """points: how many rows of each set each judge is right on."""
    done = {
        planned.key: MeasuredPoint(
            planned,
            100 + judge_id,
            tuple(measured(one, judge_id, n) for one, n in zip(sets, right, strict=True)),
        )
        for judge_id, (planned, right) in enumerate(points.items())
    }
    return result_of((*points, *left), sets, done)


def linear(alpha: float) -> PlannedPoint:
    return PlannedPoint("merge", "linear", alpha)


CURVE = {
    PlannedPoint("base"): (20, 30),
    PlannedPoint("direct"): (50, 31),
    PlannedPoint("pairwise"): (30, 55),
    PlannedPoint("joint"): (40, 40),
    linear(0.1): (35, 56),
    linear(0.3): (48, 54),
    linear(0.5): (55, 40),
    linear(0.9): (50, 32),
}


@pytest.fixture(scope="module")
def curve() -> SweepResult:
    return swept(CURVE)


def test_each_target_has_its_best_merged_point(curve: SweepResult) -> None:
    assert curve.best_for("direct").point == "linear 0.5"
    assert curve.best_for("pairwise").point == "linear 0.1"
    assert curve.best_for("both").point == "linear 0.3"
    assert curve.best_for("direct").sets == ("dev/direct_kind",)
    assert curve.best_for("direct").value == curve.point("linear 0.5").cells[0].figure(Metric.PEARSON).value


def test_for_both_each_format_counts_alike_whatever_its_spread() -> None:
    """The worst point of a format counts 0 and its best 1."""
    result = swept({linear(0.1): (60, 30), linear(0.3): (59, 34), linear(0.5): (20, 33)})
    assert result.best_for("both").point == "linear 0.3"
    assert swept({linear(0.5): (30, 30)}).best_for("both").value == 0.0


def test_a_baseline_is_never_best() -> None:
    result = swept({PlannedPoint("joint"): (60, 60), linear(0.5): (30, 30)})
    assert {best.point for best in result.best} == {"linear 0.5"}


def test_nothing_is_chosen_by_a_benchmark() -> None:
    sets = (direct_set(ROWS, name="benchmarks/direct_bench (60 of 320)"), SETS[1])
    result = swept({linear(0.3): (48, 54), linear(0.5): (55, 40)}, sets)
    for target in ("direct", "both"):
        best = result.best_for(target)  # type: ignore[arg-type]
        assert (best.point, best.value) == (None, None)
        assert "Nothing is chosen by benchmarks/direct_bench (60 of 320)" in best.why
    assert result.best_for("pairwise").point == "linear 0.3"
    assert result.pareto == ()
    assert [one.is_benchmark for one in result.sets] == [True, False]


def test_a_benchmark_beside_a_dev_set_does_not_take_part_in_the_choice() -> None:
    sets = (SETS[0], direct_set(ROWS, name="benchmarks/direct_bench"))
    result = swept({linear(0.3): (40, 60), linear(0.5): (50, 20)}, sets)
    assert result.best_for("direct").point == "linear 0.5"
    assert result.best_for("direct").sets == ("dev/direct_kind",)


def test_a_format_that_was_not_measured_has_no_best() -> None:
    result = swept({linear(0.3): (40,)}, SETS[:1])
    assert result.best_for("pairwise").why == "No pairwise set was measured."
    assert result.best_for("both").point is None
    assert result.best_for("direct").point == "linear 0.3"


def test_a_point_whose_figure_is_undefined_is_not_chosen() -> None:
    labelled = LabelledSet("dev/one", SETS[0].mode, SETS[0].rows[:1], "MIT")
    result = swept({linear(0.3): (1,)}, (labelled,))
    assert result.best_for("direct").point is None
    assert "No merged point" in result.best_for("direct").why


def test_the_pareto_front_holds_the_points_that_none_beats(curve: SweepResult) -> None:
    assert curve.pareto == ("linear 0.1", "linear 0.3", "linear 0.5")


def test_every_point_is_compared_with_the_baselines_and_the_best(curve: SweepResult) -> None:
    against = {(one.point, one.against) for one in curve.differences}
    compared = {"base", "direct", "pairwise", "joint", "linear 0.1", "linear 0.3", "linear 0.5"}
    assert against == {(planned.key, other) for planned in CURVE for other in compared if planned.key != other}
    gain = next(
        one for one in curve.differences
        if (one.point, one.against, one.set_name) == ("linear 0.3", "joint", "dev/pairwise_kind")
    )  # fmt: skip
    assert gain.figure.value == pytest.approx(14 / 60)
    assert gain.figure.low is not None
    assert gain.figure.low > 0


def test_the_table_has_the_base_the_experts_joint_training_and_the_merge(curve: SweepResult) -> None:
    rows = curve.table()
    assert [row.point for row in rows] == ["base", "direct", "pairwise", "joint", "linear 0.3"]
    assert rows[-1].name == "Merged, linear 0.3"
    assert rows[-1].figures["dev/pairwise_kind"].value == pytest.approx(54 / 60)


def test_points_that_are_not_measured_yet_are_missing() -> None:
    result = swept({linear(0.1): (30, 30)}, left=(linear(0.3), linear(0.5)))
    assert result.missing == ("linear 0.3", "linear 0.5")
    assert [point.key for point in result.points] == ["linear 0.1"]


def test_a_result_goes_through_json_unchanged(curve: SweepResult) -> None:
    assert SweepResult.model_validate(json.loads(json.dumps(curve.model_dump(mode="json")))) == curve
