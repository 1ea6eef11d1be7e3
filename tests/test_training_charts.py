"""Curves show what was told, and say of how many rows."""

import pytest

from backend.training_progress import DevPoint, LossPoint
from ui import training_charts
from ui.job_list import duration


def test_the_loss_is_drawn_raw_and_as_the_mean_of_the_last_steps() -> None:
    raw, mean = training_charts.loss([LossPoint(step, float(step % 2)) for step in range(1, 41)], of=100).data
    assert list(raw.x) == list(mean.x) == list(range(1, 41))
    assert list(raw.y[:3]) == [1.0, 0.0, 1.0]
    assert list(mean.y[:3]) == pytest.approx([1.0, 0.5, 2 / 3])
    assert mean.y[-1] == pytest.approx(0.5)


def test_a_long_training_is_drawn_with_few_points() -> None:
    (raw, _) = training_charts.loss([LossPoint(step, 1.0) for step in range(1, 20_001)], of=20_000).data
    assert len(raw.x) <= 2 * training_charts.MOST_POINTS


def test_each_dev_set_has_a_line_of_its_own_with_metric_and_n() -> None:
    points = [DevPoint(10, "hhh", "accuracy", 0.6, 80), DevPoint(20, "hhh", "accuracy", 0.7, 80)]
    points += [DevPoint(10, "vicuna", "pearson", None, 120), DevPoint(20, "vicuna", "pearson", 0.3, 120)]
    figure = training_charts.agreement(points, of=40)
    assert [line.name for line in figure.data] == ["hhh (accuracy, n = 80)", "vicuna (Pearson, n = 120)"]
    assert [list(line.x) for line in figure.data] == [[10, 20], [20]]
    assert len({line.marker.symbol for line in figure.data}) == 2


def test_nothing_is_drawn_where_no_agreement_is_defined() -> None:
    assert training_charts.agreement([DevPoint(10, "hhh", "accuracy", None, 0)], of=40) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "less than a minute"), (60, "1 minute"), (720, "12 minutes"), (3600, "1 h 0 min"), (12_000, "3 h 20 min"),
     (90_000, "1 day 1 h"), (200_000, "2 days 7 h")],
)  # fmt: skip
def test_a_duration_is_told_in_the_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words
