"""How well a judge's scores and winners fit the labels of a set, each figure with its interval. Pure.

Intervals are percentile bootstrap intervals at 95% (B. Efron, "Bootstrap methods: another look at the jackknife",
Annals of Statistics 7 (1979) 1-26): RESAMPLES sets of as many rows are drawn with replacement from a fixed seed,
so the same outcomes give the same interval, and every figure is computed anew on each, ranks and all. A resample
is a row of counts (how often each row was drawn), so that all of them are computed at once. The share of
order-sensitive pairs is a plain proportion and has Wilson's interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy
from numpy.typing import NDArray

from backend.agreement import LEVEL, RESAMPLES, share
from backend.errors import InvalidInputError
from backend.ranking import TIE_MARGIN, pair_verdict
from backend.types import Mode

Floats = NDArray[numpy.float64]

FEWEST = 3
"""Rows that a figure needs: two always lie on a line."""
KENDALL_ROWS = 2_500
"""Kendall's work grows with the square of the rows: sets with more of them get KENDALL_RESAMPLES resamples."""
KENDALL_RESAMPLES = 200
EQUAL = 1e-9
"""How far values may lie apart that are one and the same but for rounding."""
NO_SPREAD = 1e-12
"""Variance, of values scaled to about 1, that is only rounding."""


class Metric(StrEnum):
    """A figure. Of a direct set the first six, of a pairwise set the others.

    The correlations are of the expected score with the label; score_pearson is of the most probable score.
    length_pearson and longer_wins are baselines that read nothing: they judge by the responses' length alone.
    The accuracies leave out pairs labelled as a tie, except accuracy_with_ties, where a judge says tie within
    the margin: accuracy by the mean of both orders, first_order and second_order by the order A, B or B, A alone.
    shorter_accuracy: where the better response is the shorter one. order_sensitive: the share of pairs on
    which the two orders name different winners.
    """

    PEARSON = "pearson"
    SPEARMAN = "spearman"
    KENDALL = "kendall"
    SCORE_PEARSON = "score_pearson"
    ABSOLUTE_ERROR = "absolute_error"
    LENGTH_PEARSON = "length_pearson"
    ACCURACY = "accuracy"
    ACCURACY_WITH_TIES = "accuracy_with_ties"
    FIRST_ORDER = "first_order_accuracy"
    SECOND_ORDER = "second_order_accuracy"
    ORDER_SENSITIVE = "order_sensitive"
    LONGER_WINS = "longer_wins"
    SHORTER_ACCURACY = "shorter_accuracy"

    @property
    def mode(self) -> Mode:
        return Mode.DIRECT if self in _DIRECT else Mode.PAIRWISE


@dataclass(frozen=True)
class ScoreOutcome:
    """What a judge said of one row, beside its label.

    label: 1.0..5.0. expected: mean of the judge's distribution, 1.0..5.0. score: the most probable, 1..5.
    length: of the response, in characters.
    """

    row_id: str
    label: float
    expected: float
    score: int
    length: int


@dataclass(frozen=True)
class PairOutcome:
    """What a judge said of one pair, beside its label.

    label: "A", "B" or "tie". p_a_first, p_a_second: probability that A is better, read in the order A, B and
    in the order B, A. longer: "A" or "B"; None where both have as many characters.
    """

    row_id: str
    label: str
    p_a_first: float
    p_a_second: float
    longer: str | None

    @property
    def p_a(self) -> float:
        return (self.p_a_first + self.p_a_second) / 2

    @property
    def order_sensitive(self) -> bool:
        return pair_verdict(self.p_a_first, self.p_a_second).order_sensitive

    def winner(self, margin: float = 0.0) -> str:
        """By the mean of both orders; "tie" within the margin, which with 0 only an exact half is."""
        return pair_verdict(self.p_a_first, self.p_a_second, margin=margin).winner


Outcome = ScoreOutcome | PairOutcome


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval. n: the rows that count for it.

    value is None where it is undefined, low and high also where it has no interval; missing then says why.
    """

    metric: Metric
    value: float | None
    low: float | None
    high: float | None
    n: int
    missing: str = ""


def estimates(mode: Mode, outcomes: Sequence[Outcome], *, margin: float = TIE_MARGIN) -> tuple[Estimate, ...]:
    """Every figure of a mode. margin: |2p - 1| up to which a pair is a tie."""
    return tuple(estimate(metric, outcomes, margin=margin) for metric in Metric if metric.mode is mode)


def estimate(metric: Metric, outcomes: Sequence[Outcome], *, margin: float = TIE_MARGIN) -> Estimate:
    """One figure. Raises InvalidInputError for outcomes of the other mode."""
    sample = _sample(metric, outcomes, margin)
    missing = sample.undefined()
    if missing:
        return Estimate(metric, None, None, None, sample.n, missing)
    value = float(sample.values(numpy.ones((1, sample.n)))[0])
    if metric is Metric.ORDER_SENSITIVE:
        sensitive = share(round(value * sample.n), sample.n)
        assert sensitive is not None, "a figure that is defined has rows"
        return Estimate(metric, value, sensitive.low, sensitive.high, sample.n)
    interval = _interval(sample.values(_resamples(sample.n, _count(metric, sample.n))))
    if interval is None:
        return Estimate(metric, value, None, None, sample.n, _VARIES_TOO_LITTLE)
    return Estimate(metric, value, *interval, sample.n)


def paired_difference(
    a: Sequence[Outcome], b: Sequence[Outcome], metric: Metric, *, margin: float = TIE_MARGIN
) -> Estimate:
    """metric(a) - metric(b) on the rows that both judges could read, resampled together (a paired bootstrap).

    Both see the same rows in every resample, so what is hard about a row cancels. An interval without 0 in it is
    a difference that this set can tell. Raises InvalidInputError where the same row has two labels.
    """
    of_b = {outcome.row_id: outcome for outcome in b}
    both = [(one, of_b[one.row_id]) for one in a if one.row_id in of_b]
    for one, other in both:
        if one.label != other.label:
            raise InvalidInputError(
                f"Row {one.row_id} is labelled {one.label} here and {other.label} there. Compare judges on one set."
            )
    first = _sample(metric, [one for one, _ in both], margin)
    second = _sample(metric, [other for _, other in both], margin)
    missing = first.undefined() or second.undefined()
    if missing:
        return Estimate(metric, None, None, None, first.n, missing)
    once = numpy.ones((1, first.n))
    value = float((first.values(once) - second.values(once))[0])
    weights = _resamples(first.n, _count(metric, first.n))
    interval = _interval(first.values(weights) - second.values(weights))
    if interval is None:
        return Estimate(metric, value, None, None, first.n, _VARIES_TOO_LITTLE)
    return Estimate(metric, value, *interval, first.n)


_VARIES_TOO_LITTLE = "These rows vary too little for resampling to give an interval."


@dataclass(frozen=True)
class _Mean:
    """A figure that is the mean of a number a row has. said: (n,)."""

    said: Floats

    @property
    def n(self) -> int:
        return len(self.said)

    def undefined(self) -> str:
        return "" if self.n else "No row counts for this figure."

    def values(self, weights: Floats) -> Floats:
        """weights (resamples, n) -> (resamples,)."""
        means: Floats = weights @ self.said / self.n
        return means


@dataclass(frozen=True)
class _Correlation:
    """A figure that says how the judge's numbers go with the labels. said, label: (n,)."""

    said: Floats
    label: Floats
    correlate: Callable[[Floats, Floats, Floats], Floats]

    @property
    def n(self) -> int:
        return len(self.said)

    def undefined(self) -> str:
        if self.n < FEWEST:
            return f"A correlation needs at least {FEWEST} rows; there {'is' if self.n == 1 else 'are'} {self.n}."
        if numpy.ptp(self.label) <= EQUAL:
            return f"Undefined: every row has the label {self.label[0]:g}."
        if numpy.ptp(self.said) <= EQUAL:
            return f"Undefined: every row got the same, {self.said[0]:g}."
        return ""

    def values(self, weights: Floats) -> Floats:
        """weights (resamples, n) -> (resamples,); NaN where a resample has one value only."""
        return self.correlate(self.said, self.label, weights)


_Sample = _Mean | _Correlation


def _sample(metric: Metric, outcomes: Sequence[Outcome], margin: float) -> _Sample:
    scores = [outcome for outcome in outcomes if isinstance(outcome, ScoreOutcome)]
    pairs = [outcome for outcome in outcomes if isinstance(outcome, PairOutcome)]
    if len(outcomes) != len(scores if metric.mode is Mode.DIRECT else pairs):
        raise InvalidInputError(f"The figure {metric} is for {metric.mode} sets only. Choose one of the set's mode.")
    if metric.mode is Mode.DIRECT:
        return _DIRECT[metric](scores)
    return _PAIRWISE[metric](pairs, margin)


def _expected(correlate: Callable[[Floats, Floats, Floats], Floats]) -> Callable[[list[ScoreOutcome]], _Sample]:
    return lambda outcomes: _Correlation(
        _floats([outcome.expected for outcome in outcomes]), _labels(outcomes), correlate
    )


def _score_pearson(outcomes: list[ScoreOutcome]) -> _Sample:
    return _Correlation(_floats([outcome.score for outcome in outcomes]), _labels(outcomes), _pearson)


def _length_pearson(outcomes: list[ScoreOutcome]) -> _Sample:
    return _Correlation(_floats([outcome.length for outcome in outcomes]), _labels(outcomes), _pearson)


def _absolute_error(outcomes: list[ScoreOutcome]) -> _Sample:
    return _Mean(_floats([abs(outcome.expected - outcome.label) for outcome in outcomes]))


def _labels(outcomes: list[ScoreOutcome]) -> Floats:
    return _floats([outcome.label for outcome in outcomes])


def _decided(outcomes: list[PairOutcome]) -> list[PairOutcome]:
    return [outcome for outcome in outcomes if outcome.label != "tie"]


def _accuracy(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    return _Mean(_floats([outcome.winner() == outcome.label for outcome in _decided(outcomes)]))


def _accuracy_with_ties(outcomes: list[PairOutcome], margin: float) -> _Sample:
    return _Mean(_floats([outcome.winner(margin) == outcome.label for outcome in outcomes]))


def _first_order(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    return _one_order([(outcome.p_a_first, outcome.label) for outcome in _decided(outcomes)])


def _second_order(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    return _one_order([(outcome.p_a_second, outcome.label) for outcome in _decided(outcomes)])


def _one_order(read: list[tuple[float, str]]) -> _Sample:
    return _Mean(_floats([(p > 0.5) if label == "A" else (p < 0.5) for p, label in read]))


def _order_sensitive(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    return _Mean(_floats([outcome.order_sensitive for outcome in outcomes]))


def _longer_wins(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    return _Mean(_floats([outcome.longer == outcome.label for outcome in _decided(outcomes) if outcome.longer]))


def _shorter_accuracy(outcomes: list[PairOutcome], _margin: float) -> _Sample:
    better_is_shorter = [one for one in _decided(outcomes) if one.longer is not None and one.longer != one.label]
    return _Mean(_floats([outcome.winner() == outcome.label for outcome in better_is_shorter]))


def _floats(values: Sequence[float]) -> Floats:
    return numpy.array(values, dtype=numpy.float64)


def _resamples(n: int, count: int) -> Floats:
    """How often each of n rows is drawn in each of count resamples: (count, n), every row sums to n."""
    drawn = numpy.random.default_rng(0).integers(n, size=(count, n))
    cells = (drawn + n * numpy.arange(count)[:, None]).ravel()
    return numpy.bincount(cells, minlength=count * n).reshape(count, n).astype(numpy.float64)


def _count(metric: Metric, n: int) -> int:
    return KENDALL_RESAMPLES if metric is Metric.KENDALL and n > KENDALL_ROWS else RESAMPLES


def _interval(values: Floats) -> tuple[float, float] | None:
    """The percentiles that hold the middle 95%; None where more than 1 in 20 resamples is undefined."""
    defined = values[~numpy.isnan(values)]
    if len(defined) < LEVEL * len(values):
        return None
    low, high = numpy.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _pearson(said: Floats, label: Floats, weights: Floats) -> Floats:
    """Pearson's r of each resample, from its five sums. said, label (n,), weights (resamples, n)."""
    x, y = (said - said.mean()) / said.std(), (label - label.mean()) / label.std()
    sums = weights @ numpy.stack([x, y, x * y, x * x, y * y], axis=1) / len(x)
    sx, sy, sxy, sxx, syy = sums.T
    return _quotient(sxy - sx * sy, sxx - sx * sx, syy - sy * sy)


def _spearman(said: Floats, label: Floats, weights: Floats) -> Floats:
    """Pearson's r of the ranks within each resample; equal values share the mean of their ranks."""
    x, y = _mid_ranks(said, weights), _mid_ranks(label, weights)
    n = weights.shape[1]
    middle = (n + 1) / 2  # the mean of any n ranks
    x, y = (x - middle) / n, (y - middle) / n
    sxy = numpy.einsum("rn,rn,rn->r", weights, x, y)
    sxx = numpy.einsum("rn,rn,rn->r", weights, x, x)
    syy = numpy.einsum("rn,rn,rn->r", weights, y, y)
    return _quotient(sxy / n, sxx / n, syy / n)


def _mid_ranks(values: Floats, weights: Floats) -> Floats:
    """The rank from 1 of each value in each resample: (resamples, n); without meaning where it was not drawn."""
    _, group = numpy.unique(values, return_inverse=True)
    counts = _group_counts(group, weights)
    ranks = numpy.cumsum(counts, axis=1) - (counts - 1) / 2
    return numpy.ascontiguousarray(ranks[:, group])


def _group_counts(group: NDArray[numpy.int64], weights: Floats) -> Floats:
    """How many rows of each group a resample has: (resamples, groups)."""
    order = numpy.argsort(group, kind="stable")
    starts = numpy.searchsorted(group[order], numpy.arange(group.max() + 1))
    counts: Floats = numpy.add.reduceat(weights[:, order], starts, axis=1)
    return counts


def _kendall(said: Floats, label: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of each resample (M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33
    (1945) 239-251): (concordant - discordant) / sqrt((pairs - tied in x) * (pairs - tied in y)).

    The counts are whole numbers below 2^24, so float32 holds them exactly.
    """
    x, y = numpy.unique(said, return_inverse=True)[1], numpy.unique(label, return_inverse=True)[1]
    n = len(x)
    drawn = weights.astype(numpy.float32)
    difference = numpy.zeros(len(weights))
    block = max(1, 4_000_000 // n)
    for start in range(0, n, block):
        stop = min(start + block, n)
        signs = numpy.sign(x[start:stop, None] - x[None]) * numpy.sign(y[start:stop, None] - y[None])
        against = drawn @ signs.T.astype(numpy.float32)
        difference += numpy.einsum("rn,rn->r", against, weights[:, start:stop])
    untied_x = n * n - (_group_counts(x, weights) ** 2).sum(1)
    untied_y = n * n - (_group_counts(y, weights) ** 2).sum(1)
    return _quotient(difference / n**2, untied_x / n**2, untied_y / n**2)


def _quotient(covariance: Floats, spread_x: Floats, spread_y: Floats) -> Floats:
    """covariance / sqrt(spread_x * spread_y), within -1..1; NaN where one of them has no spread, but for rounding."""
    values = numpy.full(len(covariance), numpy.nan)
    defined = (spread_x > NO_SPREAD) & (spread_y > NO_SPREAD)
    quotient = covariance[defined] / numpy.sqrt(spread_x[defined] * spread_y[defined])
    values[defined] = numpy.clip(quotient, -1, 1)
    return values


_DIRECT: dict[Metric, Callable[[list[ScoreOutcome]], _Sample]] = {
    Metric.PEARSON: _expected(_pearson),
    Metric.SPEARMAN: _expected(_spearman),
    Metric.KENDALL: _expected(_kendall),
    Metric.SCORE_PEARSON: _score_pearson,
    Metric.ABSOLUTE_ERROR: _absolute_error,
    Metric.LENGTH_PEARSON: _length_pearson,
}
_PAIRWISE: dict[Metric, Callable[[list[PairOutcome], float], _Sample]] = {
    Metric.ACCURACY: _accuracy,
    Metric.ACCURACY_WITH_TIES: _accuracy_with_ties,
    Metric.FIRST_ORDER: _first_order,
    Metric.SECOND_ORDER: _second_order,
    Metric.ORDER_SENSITIVE: _order_sensitive,
    Metric.LONGER_WINS: _longer_wins,
    Metric.SHORTER_ACCURACY: _shorter_accuracy,
}
