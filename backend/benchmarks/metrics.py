"""How well a judge's scores and winners fit the labels of a set, each figure with its interval. Pure.

Intervals are percentile bootstrap intervals at 95% (B. Efron, "Bootstrap methods: another look at the jackknife",
Annals of Statistics 7 (1979) 1-26): RESAMPLES sets of as many rows are drawn with replacement from a fixed seed,
so the same outcomes give the same interval, and every figure is computed anew on each, ranks and all. A resample
is a row of counts (how often each row was drawn), so that all of them are computed at once. PROPORTIONS
are plain shares of rows and have Wilson's interval.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy

from backend.agreement import RESAMPLES, share
from backend.benchmarks.resampling import Floats, Statistic, in_blocks, interval, kendall, pearson, spearman
from backend.errors import InvalidInputError
from backend.ranking import TIE_MARGIN, pair_verdict
from backend.types import Mode

FEWEST = 3
"""Rows that a figure needs: two always lie on a line."""
KENDALL_ROWS = 2_500
"""Kendall's work grows with the square of the rows: sets with more of them get KENDALL_RESAMPLES resamples."""
KENDALL_RESAMPLES = 200
EQUAL = 1e-9
"""How far values may lie apart that are one and the same but for rounding."""


class Metric(StrEnum):
    """A figure. Of a direct set the first nine, of a pairwise set the others.

    The correlations are of the expected score with the label; score_pearson, score_spearman and score_kendall are of
    the most probable score, and within_one is how often that lies at most 1 from the label.
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
    SCORE_SPEARMAN = "score_spearman"
    SCORE_KENDALL = "score_kendall"
    WITHIN_ONE = "within_one"
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


PROPORTIONS = (Metric.ORDER_SENSITIVE, Metric.WITHIN_ONE)
"""Plain shares of rows, which have Wilson's interval."""


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
    metrics = [metric for metric in Metric if metric.mode is mode]
    samples = {metric: _sample(metric, outcomes, margin) for metric in metrics}
    alike = defaultdict(list)
    for metric, sample in samples.items():
        if not sample.undefined() and metric not in PROPORTIONS:
            alike[sample.n, _count(metric, sample.n)].append(metric)
    resampled = dict[Metric, Floats]()
    for (n, count), those in alike.items():
        resampled.update(zip(those, in_blocks(n, count, _each([samples[metric] for metric in those])), strict=True))
    return tuple(_estimate(metric, samples[metric], resampled.get(metric)) for metric in metrics)


def _each(samples: Sequence["_Sample"]) -> Callable[[Floats], Floats]:
    return lambda weights: numpy.stack([sample.values(weights) for sample in samples])


def estimate(metric: Metric, outcomes: Sequence[Outcome], *, margin: float = TIE_MARGIN) -> Estimate:
    """One figure. Raises InvalidInputError for outcomes of the other mode."""
    sample = _sample(metric, outcomes, margin)
    if sample.undefined() or metric in PROPORTIONS:
        return _estimate(metric, sample, None)
    values = in_blocks(sample.n, _count(metric, sample.n), _each([sample]))
    return _estimate(metric, sample, values[0])


def _estimate(metric: Metric, sample: "_Sample", resampled: Floats | None) -> Estimate:
    """resampled: the figure of each resample; None where it is undefined, or a proportion."""
    if missing := sample.undefined():
        return Estimate(metric, None, None, None, sample.n, missing)
    value = float(sample.values(numpy.ones((1, sample.n)))[0])
    if resampled is None:
        proportion = share(round(value * sample.n), sample.n)
        assert proportion is not None, "a figure that is defined has rows"
        return Estimate(metric, value, proportion.low, proportion.high, sample.n)
    found = interval(resampled)
    if found is None:
        return Estimate(metric, value, None, None, sample.n, _VARIES_TOO_LITTLE)
    return Estimate(metric, value, *found, sample.n)


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
    apart = in_blocks(
        first.n, _count(metric, first.n), lambda weights: (first.values(weights) - second.values(weights))[None]
    )
    found = interval(apart[0])
    if found is None:
        return Estimate(metric, value, None, None, first.n, _VARIES_TOO_LITTLE)
    return Estimate(metric, value, *found, first.n)


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
    correlate: Callable[[Floats, Floats], Statistic]

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
        return self._statistic(weights)

    @cached_property
    def _statistic(self) -> Statistic:
        return self.correlate(self.said, self.label)


_Sample = _Mean | _Correlation


def _sample(metric: Metric, outcomes: Sequence[Outcome], margin: float) -> _Sample:
    scores = [outcome for outcome in outcomes if isinstance(outcome, ScoreOutcome)]
    pairs = [outcome for outcome in outcomes if isinstance(outcome, PairOutcome)]
    if len(outcomes) != len(scores if metric.mode is Mode.DIRECT else pairs):
        raise InvalidInputError(f"The figure {metric} is for {metric.mode} sets only. Choose one of the set's mode.")
    if metric.mode is Mode.DIRECT:
        return _DIRECT[metric](scores)
    return _PAIRWISE[metric](pairs, margin)


def _expected(correlate: Callable[[Floats, Floats], Statistic]) -> Callable[[list[ScoreOutcome]], _Sample]:
    return lambda outcomes: _Correlation(
        _floats([outcome.expected for outcome in outcomes]), _labels(outcomes), correlate
    )


def _scored(correlate: Callable[[Floats, Floats], Statistic]) -> Callable[[list[ScoreOutcome]], "_Sample"]:
    return lambda outcomes: _Correlation(_floats([outcome.score for outcome in outcomes]), _labels(outcomes), correlate)


def _within_one(outcomes: list[ScoreOutcome]) -> "_Sample":
    return _Mean(_floats([abs(outcome.score - outcome.label) <= 1 + EQUAL for outcome in outcomes]))


def _length_pearson(outcomes: list[ScoreOutcome]) -> _Sample:
    return _Correlation(_floats([outcome.length for outcome in outcomes]), _labels(outcomes), pearson)


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


def _count(metric: Metric, n: int) -> int:
    return KENDALL_RESAMPLES if metric in (Metric.KENDALL, Metric.SCORE_KENDALL) and n > KENDALL_ROWS else RESAMPLES


_DIRECT: dict[Metric, Callable[[list[ScoreOutcome]], _Sample]] = {
    Metric.PEARSON: _expected(pearson),
    Metric.SPEARMAN: _expected(spearman),
    Metric.KENDALL: _expected(kendall),
    Metric.SCORE_PEARSON: _scored(pearson),
    Metric.SCORE_SPEARMAN: _scored(spearman),
    Metric.SCORE_KENDALL: _scored(kendall),
    Metric.WITHIN_ONE: _within_one,
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
