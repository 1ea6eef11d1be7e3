"""Agreement figures match their sources, and say so where labels can't carry them."""

import random
import time

import numpy
import pytest
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import cohen_kappa_score

from backend.agreement import compare_scores, compare_winners, share
from backend.errors import InvalidInputError

SKEWED = (
    [(5, 5)] * 18 + [(5, 4)] * 9 + [(4, 4)] * 8 + [(4, 5)] * 5 + [(3, 4)] * 3 + [(3, 3)] * 2 + [(1, 1), (2, 1), (5, 3)]
)


def noisy_pairs(n: int, seed: int = 0) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    pairs = []
    for _ in range(n):
        model = rng.randint(1, 5)
        pairs.append((model, min(5, max(1, model + rng.choice((-1, 0, 0, 1, 2))))))
    return pairs


def sklearn_kappa(model: numpy.ndarray, person: numpy.ndarray) -> float:
    return float(cohen_kappa_score(model, person, weights="quadratic", labels=[1, 2, 3, 4, 5]))


@pytest.mark.parametrize("pairs", [SKEWED, noisy_pairs(300), [(1, 5), (5, 1)] * 20])
def test_quadratic_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    assert compare_scores(pairs).kappa.value == pytest.approx(sklearn_kappa(*zip(*pairs, strict=True)), abs=1e-12)


@pytest.mark.parametrize("pairs", [SKEWED, noisy_pairs(200)])
def test_the_interval_of_kappa_is_scipys_bca_bootstrap(pairs: list[tuple[int, int]]) -> None:
    model, person = (numpy.array(side) for side in zip(*pairs, strict=True))
    theirs = bootstrap(
        (model, person),
        sklearn_kappa,
        paired=True,
        vectorized=False,
        method="BCa",
        n_resamples=1_000,
        rng=numpy.random.default_rng(1),
    ).confidence_interval
    ours = compare_scores(pairs).kappa
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.12 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.12 * width)


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    cells = numpy.exp(-((numpy.arange(5)[:, None] - numpy.arange(5)[None, :]) ** 2.0))
    cells *= numpy.array([0.1, 0.15, 0.25, 0.3, 0.2])[:, None]
    cells /= cells.sum()
    weights = (numpy.arange(5)[:, None] - numpy.arange(5)[None, :]) ** 2
    truth = 1 - (weights * cells).sum() / (weights * numpy.outer(cells.sum(1), cells.sum(0))).sum()
    rng = numpy.random.default_rng(7)
    covered = 0
    for _ in range(300):
        drawn = rng.choice(25, size=40, p=cells.ravel())
        kappa = compare_scores([(int(cell) // 5 + 1, int(cell) % 5 + 1) for cell in drawn]).kappa
        covered += kappa.low <= truth <= kappa.high
    assert 0.90 <= covered / 300 <= 0.99


def test_two_thousand_labels_are_compared_within_a_second() -> None:
    pairs = noisy_pairs(2_000)
    compare_scores(pairs)
    start = time.perf_counter()
    compare_scores(pairs)
    assert time.perf_counter() - start < 1


def test_the_same_labels_give_the_same_interval() -> None:
    assert compare_scores(noisy_pairs(60)).kappa == compare_scores(noisy_pairs(60)).kappa


def test_labels_of_one_item_are_drawn_together() -> None:
    pairs = noisy_pairs(30)
    once = compare_scores(pairs).kappa
    copied = compare_scores(pairs * 4, items=list(range(30)) * 4).kappa
    assert copied == once
    as_if_independent = compare_scores(pairs * 4).kappa
    assert as_if_independent.high - as_if_independent.low < 0.7 * (once.high - once.low)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (3, 10), (1, 1), (1900, 2000)])
def test_shares_have_scipys_wilson_interval(count: int, n: int) -> None:
    theirs = binomtest(count, n).proportion_ci(confidence_level=0.95, method="wilson")
    ours = share(count, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.value == count / n


def test_exact_and_within_one_count_what_they_say() -> None:
    agreement = compare_scores([(1, 1), (2, 3), (5, 3), (4, 4)])
    assert (agreement.exact.count, agreement.within_one.count, agreement.n) == (2, 3, 4)


def test_the_matrix_has_a_row_for_the_model_and_a_column_for_the_person() -> None:
    matrix = compare_scores([(5, 2), (5, 2), (1, 1)]).matrix
    assert matrix[4][1] == 2
    assert matrix[0][0] == 1
    assert sum(map(sum, matrix)) == 3


def test_too_few_items_have_no_kappa_and_it_says_why() -> None:
    kappa = compare_scores(noisy_pairs(9)).kappa
    assert (kappa.value, kappa.low) == (None, None)
    assert "at least 10" in kappa.missing
    assert "there are 9" in kappa.missing


def test_one_and_the_same_score_everywhere_has_no_kappa() -> None:
    kappa = compare_scores([(4, 4)] * 50).kappa
    assert kappa.value is None
    assert "undefined" in kappa.missing


def test_a_constant_model_has_a_kappa_of_zero() -> None:
    kappa = compare_scores([(4, person) for person in (1, 2, 3, 4, 5)] * 4).kappa
    assert kappa.value == pytest.approx(0)


def test_perfect_agreement_has_no_interval_and_it_says_why() -> None:
    kappa = compare_scores([(score, score) for score in (1, 2, 3, 4, 5)] * 4).kappa
    assert (kappa.value, kappa.low, kappa.high) == (1.0, None, None)
    assert "vary too little" in kappa.missing


def test_one_lonely_disagreement_never_gives_nan() -> None:
    kappa = compare_scores([(4, 4)] * 30 + [(4, 5)]).kappa
    assert kappa.value == pytest.approx(0)
    assert kappa.low is None
    assert kappa.missing


def test_no_labels_at_all_have_no_shares() -> None:
    scores, winners = compare_scores([]), compare_winners([])
    assert (scores.n, scores.exact, scores.within_one, scores.kappa.value) == (0, None, None, None)
    assert (winners.n, winners.with_ties, winners.without_ties) == (0, None, None)


def test_winners_are_compared_with_ties_and_without() -> None:
    agreement = compare_winners([("A", "A"), ("A", "tie"), ("tie", "tie"), ("B", "A"), ("tie", "B")])
    assert (agreement.with_ties.count, agreement.with_ties.n) == (2, 5)
    assert (agreement.without_ties.count, agreement.without_ties.n) == (1, 2)
    assert agreement.matrix == ((1, 0, 1), (1, 0, 0), (0, 1, 1))


def test_what_is_no_score_or_winner_is_refused_by_its_value() -> None:
    with pytest.raises(InvalidInputError, match="'6'"):
        compare_scores([(6, 1)])
    with pytest.raises(InvalidInputError, match="'C'"):
        compare_winners([("A", "C")])
