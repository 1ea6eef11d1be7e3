"""The figures of the benchmarks page: each says its n, and none is drawn of nothing."""

from dataclasses import replace

from backend.benchmarks.opinions import Opinions
from backend.types import Mode
from tests.test_opinions import PEOPLE, direct, pairwise
from ui.bench_charts import by_category, correlation, distribution

JUDGE = tuple(min(5.0, value + 0.4) for value in PEOPLE)
OPINIONS = direct(JUDGE, tuple(reversed(JUDGE)), raters=("people", "one <b>", "other"))


def test_the_correlation_names_everybody_and_its_n() -> None:
    figure = correlation(OPINIONS)
    assert figure.layout.title.text == "Pearson, n = 12 items a pair"
    assert set(figure.layout.xaxis.ticktext) == {"people", "one &lt;b&gt;", "other"}


def test_the_distribution_has_a_row_a_rater_that_sums_to_one() -> None:
    figure = distribution(OPINIONS)
    assert figure.layout.title.text == "Scores given, share of rows, n = 12"
    assert [round(sum(row), 9) for row in figure.data[0].z] == [1.0, 1.0, 1.0]
    pairs = distribution(pairwise(("A", "B"), (0.9, None)))
    assert pairs.layout.title.text == "Probability of A, share of pairs, n = 1 to 2"
    assert len(pairs.data[0].x) == 5


def test_judges_are_told_apart_by_symbol_and_have_a_legend() -> None:
    figure = by_category(OPINIONS)
    assert figure.layout.title.text == "Score within 1 of the label, n = 4 to 7 rows"
    assert [trace.name for trace in figure.data] == ["one &lt;b&gt;", "other"]
    assert len({trace.marker.symbol for trace in figure.data}) == 2
    assert figure.layout.showlegend
    assert list(figure.layout.yaxis.ticktext) == ["x (7)", "y (4)"]


def test_nothing_is_drawn_of_nothing() -> None:
    nobody = Opinions(Mode.DIRECT, (), (), (), (), (), ())
    assert [draw(nobody) for draw in (correlation, distribution, by_category)] == [None, None, None]
    assert by_category(replace(OPINIONS, categories=("",) * 12)) is None
