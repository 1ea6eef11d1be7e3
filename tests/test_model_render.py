"""Models as HTML: what their figures are called."""

from backend.benchmarks.metrics import Metric
from ui.model_render import METRICS


def test_every_figure_that_is_measured_has_words() -> None:
    assert set(METRICS) == set(Metric)
