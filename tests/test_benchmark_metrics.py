"""Every figure is what scipy and scikit-learn compute, also within the resamples; where it is undefined it says why."""

import time
from collections.abc import Callable

import numpy
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, mean_absolute_error

from backend.agreement import share
from backend.benchmarks import metrics, resampling
from backend.benchmarks.metrics import Metric, PairOutcome, ScoreOutcome, estimate, estimates, paired_difference
from backend.errors import InvalidInputError
from backend.types import Mode

CORRELATIONS = {
    Metric.PEARSON: lambda x, y: pearsonr(x, y).statistic,
    Metric.SPEARMAN: lambda x, y: spearmanr(x, y).statistic,
    Metric.KENDALL: lambda x, y: kendalltau(x, y).statistic,
}


def scores(n: int, *, seed: int = 0, noise: float = 1.0, label_seed: int = 7) -> list[ScoreOutcome]:
    """Labels as means of three people, expected scores that follow them, some of them equal."""
    labels = numpy.random.default_rng(label_seed).integers(3, 16, n) / 3
    random = numpy.random.default_rng(seed)
    expected = numpy.clip(numpy.round(labels + random.normal(0, noise, n), 1), 1, 5)
    lengths = random.integers(1, 500, n)
    return [
        ScoreOutcome(str(i), float(labels[i]), float(expected[i]), round(float(expected[i])), int(lengths[i]))
        for i in range(n)
    ]


def pairs(n: int, *, seed: int = 0, label_seed: int = 7) -> list[PairOutcome]:
    labels = numpy.random.default_rng(label_seed).choice(["A", "B", "tie"], n, p=[0.4, 0.4, 0.2])
    random = numpy.random.default_rng(seed)
    read = numpy.round(random.random((n, 2)), 2)
    longer = random.choice(["A", "B", ""], n, p=[0.5, 0.45, 0.05])
    return [
        PairOutcome(str(i), str(labels[i]), float(read[i, 0]), float(read[i, 1]), str(longer[i]) or None)
        for i in range(n)
    ]


def columns(outcomes: list[ScoreOutcome]) -> tuple[numpy.ndarray, numpy.ndarray]:
    return numpy.array([one.expected for one in outcomes]), numpy.array([one.label for one in outcomes])


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("n", [3, 4, 20, 333])
def test_a_correlation_is_scipys(metric: Metric, n: int) -> None:
    outcomes = scores(n)
    assert estimate(metric, outcomes).value == pytest.approx(CORRELATIONS[metric](*columns(outcomes)), abs=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_correlation_is_scipys_in_every_resample(metric: Metric) -> None:
    x, y = columns(scores(60))
    weights = resampling.drawn(numpy.random.default_rng(0), 60, 40)
    own = metrics._sample(metric, scores(60), 0.0).values(weights)
    for row, value in zip(weights, own, strict=True):
        drawn = numpy.repeat(numpy.arange(60), row.astype(int))
        assert value == pytest.approx(CORRELATIONS[metric](x[drawn], y[drawn]), abs=1e-12)


def test_the_score_and_the_length_have_pearsons_of_their_own() -> None:
    outcomes = scores(200)
    labels = [one.label for one in outcomes]
    assert estimate(Metric.SCORE_PEARSON, outcomes).value == pytest.approx(
        pearsonr([one.score for one in outcomes], labels).statistic
    )
    assert estimate(Metric.LENGTH_PEARSON, outcomes).value == pytest.approx(
        pearsonr([one.length for one in outcomes], labels).statistic
    )


def test_the_absolute_error_is_scikit_learns() -> None:
    expected, labels = columns(scores(200))
    assert estimate(Metric.ABSOLUTE_ERROR, scores(200)).value == pytest.approx(mean_absolute_error(labels, expected))


def test_accuracy_is_by_the_mean_of_both_orders_and_leaves_ties_out() -> None:
    outcomes = pairs(300)
    decided = [one for one in outcomes if one.label != "tie"]
    said = ["A" if one.p_a_first + one.p_a_second > 1 else "B" for one in decided]
    figure = estimate(Metric.ACCURACY, [one for one in outcomes if one.p_a != 0.5])
    sure = [(word, one.label) for word, one in zip(said, decided, strict=True) if one.p_a != 0.5]
    assert figure.n == len(sure)
    assert figure.value == pytest.approx(accuracy_score([label for _, label in sure], [word for word, _ in sure]))


def test_a_pair_that_the_judge_leaves_exactly_even_is_not_right() -> None:
    even = PairOutcome("1", "A", 0.75, 0.25, "A")
    assert estimate(Metric.ACCURACY, [even]).value == 0.0
    assert estimate(Metric.ACCURACY_WITH_TIES, [PairOutcome("1", "tie", 0.75, 0.25, "A")]).value == 1.0


def test_with_ties_all_pairs_count_and_the_margin_decides() -> None:
    outcomes = pairs(300)
    for margin in (0.0, 0.2, 0.5):
        said = [
            "tie" if abs(2 * one.p_a - 1) <= margin else "A" if one.p_a > 0.5 else "B" for one in outcomes
        ]  # fmt: skip
        figure = estimate(Metric.ACCURACY_WITH_TIES, outcomes, margin=margin)
        assert (figure.n, figure.value) == (300, pytest.approx(accuracy_score([one.label for one in outcomes], said)))


def test_each_order_has_an_accuracy_of_its_own() -> None:
    outcomes = [PairOutcome("1", "A", 0.9, 0.2, None), PairOutcome("2", "B", 0.6, 0.3, None)]
    assert estimate(Metric.FIRST_ORDER, outcomes).value == 0.5
    assert estimate(Metric.SECOND_ORDER, outcomes).value == 0.5
    first_place = [PairOutcome(str(n), "AB"[n % 2], 0.9, 0.1, None) for n in range(10)]
    assert estimate(Metric.FIRST_ORDER, first_place).value == 0.5


def test_the_order_sensitive_share_has_wilsons_interval() -> None:
    outcomes = pairs(120)
    count = sum((one.p_a_first > 0.5) != (one.p_a_second > 0.5) for one in outcomes)
    wilson = share(count, 120)
    assert wilson is not None
    figure = estimate(Metric.ORDER_SENSITIVE, outcomes)
    assert (figure.value, figure.low, figure.high) == (wilson.value, wilson.low, wilson.high)


def test_length_is_judged_beside_the_judge() -> None:
    outcomes = [
        PairOutcome("1", "A", 0.9, 0.9, "A"),
        PairOutcome("2", "A", 0.9, 0.9, "B"),
        PairOutcome("3", "B", 0.9, 0.9, "A"),
        PairOutcome("4", "B", 0.1, 0.1, None),
        PairOutcome("5", "tie", 0.5, 0.5, "A"),
    ]
    longer, shorter = estimate(Metric.LONGER_WINS, outcomes), estimate(Metric.SHORTER_ACCURACY, outcomes)
    assert (longer.n, longer.value) == (3, pytest.approx(1 / 3))
    assert (shorter.n, shorter.value) == (2, 0.5)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([ScoreOutcome(str(n), 1.0 + n % 5, 3.0, 3, 9) for n in range(20)], "got the same, 3"),
        ([ScoreOutcome(str(n), 1.0 + n % 5, 3.0 + 1e-15 * n, 3, 9) for n in range(20)], "got the same, 3"),
        ([ScoreOutcome(str(n), 4.0, 1.0 + n % 5, 3, 9) for n in range(20)], "has the label 4"),
        ([ScoreOutcome(str(n), 1.0 + n, 1.0 + n, 3, 9) for n in range(2)], "at least 3 rows; there are 2"),
        ([], "at least 3 rows; there are 0"),
    ],
)
@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_correlation_that_is_undefined_says_why(metric: Metric, outcomes: list[ScoreOutcome], said: str) -> None:
    figure = estimate(metric, outcomes)
    assert (figure.value, figure.low, figure.high) == (None, None, None)
    assert said in figure.missing


def test_accuracy_without_a_decided_pair_is_undefined() -> None:
    figure = estimate(Metric.ACCURACY, [PairOutcome("1", "tie", 0.5, 0.5, None)])
    assert (figure.value, figure.n) == (None, 0)
    assert "No row counts" in figure.missing


def test_too_little_variation_gives_a_value_without_an_interval() -> None:
    outcomes = [ScoreOutcome(str(n), 5.0 if n else 1.0, 4.0 + (n == 0), 4, 9) for n in range(30)]
    figure = estimate(Metric.PEARSON, outcomes)
    assert figure.value == pytest.approx(-1)
    assert (figure.low, figure.high) == (None, None)
    assert "too little" in figure.missing


def test_nothing_is_ever_nan() -> None:
    """Whatever the judge said: the same of all, the same of nearly all, only one row."""
    for outcomes in (scores(1), scores(3), scores(5), scores(12, noise=9), [*scores(9)[:1] * 9]):
        for figure in estimates(Mode.DIRECT, outcomes):
            assert all(number is None or number == number for number in (figure.value, figure.low, figure.high))
            assert figure.value is not None or figure.missing


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_the_interval_is_near_the_textbook_one(metric: Metric) -> None:
    """For Pearson, Fisher's z; the rank correlations' intervals hold the truth about as tightly."""
    outcomes = scores(400)
    figure = estimate(metric, outcomes)
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high
    if metric is Metric.PEARSON:
        fisher = pearsonr(*columns(outcomes)).confidence_interval()
        assert (figure.low, figure.high) == pytest.approx((fisher.low, fisher.high), abs=0.02)


def test_the_interval_of_an_accuracy_is_near_wilsons() -> None:
    outcomes = pairs(500)
    figure = estimate(Metric.ACCURACY, outcomes)
    assert figure.value is not None
    wilson = share(round(figure.value * figure.n), figure.n)
    assert wilson is not None
    assert (figure.low, figure.high) == pytest.approx((wilson.low, wilson.high), abs=0.01)


def test_the_same_outcomes_give_the_same_interval() -> None:
    assert estimates(Mode.PAIRWISE, pairs(100)) == estimates(Mode.PAIRWISE, pairs(100))


def test_figures_of_the_other_mode_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="pairwise sets only"):
        estimate(Metric.ACCURACY, scores(5))


def test_every_metric_has_a_mode() -> None:
    assert {one.metric for one in (*estimates(Mode.DIRECT, scores(9)), *estimates(Mode.PAIRWISE, pairs(9)))} == set(
        Metric
    )


def test_a_paired_difference_is_the_difference_of_the_values() -> None:
    a, b = scores(200, noise=0.8), scores(200, seed=1, noise=1.6)
    first, second = estimate(Metric.PEARSON, a).value, estimate(Metric.PEARSON, b).value
    assert first is not None
    assert second is not None
    difference = paired_difference(a, b, Metric.PEARSON)
    assert difference.value == pytest.approx(first - second)
    assert difference.low is not None
    assert difference.low > 0
    back = paired_difference(b, a, Metric.PEARSON)
    assert (back.low, back.high) == pytest.approx((-difference.high, -difference.low), abs=1e-9)  # type: ignore[operator]


def test_a_judge_does_not_differ_from_itself() -> None:
    for metric, outcomes in ((Metric.KENDALL, scores(50)), (Metric.ACCURACY, pairs(50))):
        same = paired_difference(outcomes, outcomes, metric)
        assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_paired_difference_tells_what_two_intervals_cannot() -> None:
    """Two judges that err on the same rows, one of them a little more."""
    a = scores(300, noise=1.5)
    random = numpy.random.default_rng(3)
    b = [
        ScoreOutcome(one.row_id, one.label, one.expected + 0.6 * float(random.normal()), one.score, one.length)
        for one in a
    ]
    first, second = estimate(Metric.PEARSON, a), estimate(Metric.PEARSON, b)
    assert first.low is not None
    assert second.high is not None
    assert first.low < second.high
    difference = paired_difference(a, b, Metric.PEARSON)
    assert difference.low is not None
    assert difference.low > 0


def test_a_paired_difference_is_of_the_rows_that_both_could_read() -> None:
    a, b = pairs(100), pairs(100, seed=1)
    assert paired_difference(a[:70], b[30:], Metric.ORDER_SENSITIVE).n == 40
    assert paired_difference(a[:30], b[30:], Metric.ORDER_SENSITIVE).value is None


def test_one_row_with_two_labels_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Row 0"):
        paired_difference(scores(5), scores(5, label_seed=8), Metric.PEARSON)


@pytest.mark.parametrize(
    "work",
    [lambda: estimates(Mode.DIRECT, scores(10_000)), lambda: estimates(Mode.PAIRWISE, pairs(10_000))],
    ids=["direct", "pairwise"],
)
def test_all_figures_of_10000_rows_take_less_than_two_seconds(work: Callable[[], object]) -> None:
    """Processor time over the cores that work, so that other programs on the machine don't matter."""
    started = time.process_time()
    work()
    assert time.process_time() - started < 2 * 2


def test_very_many_rows_get_fewer_resamples_of_kendall() -> None:
    figure = estimate(Metric.KENDALL, scores(metrics.KENDALL_ROWS + 100))
    assert metrics._count(Metric.KENDALL, figure.n) == metrics.KENDALL_RESAMPLES
    assert figure.low is not None
