"""Intervals of agreement are SciPy's, and hold the truth about as often as they say."""

import numpy
import pytest
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import cohen_kappa_score

from backend.agreement import share
from backend.agreement.bootstrap import Stat
from backend.agreement.direct import compare_scores

SKEWED = (
    [(5, 5)] * 18 + [(5, 4)] * 9 + [(4, 4)] * 8 + [(4, 5)] * 5 + [(3, 4)] * 3 + [(3, 3)] * 2 + [(1, 1), (2, 1), (5, 3)]
)


def noisy_pairs(n: int, seed: int = 0) -> list[tuple[int, int]]:
    rng = numpy.random.default_rng(seed)
    model = rng.integers(1, 6, size=n)
    person = numpy.clip(model + rng.choice([-1, 0, 0, 1, 2], size=n), 1, 5)
    return list(zip(model.tolist(), person.tolist(), strict=True))


def kappa(pairs: list[tuple[int, int]]) -> Stat:
    model, person = (numpy.array(side) for side in zip(*pairs, strict=True))
    return compare_scores(model, person, numpy.arange(len(pairs))).stats["quadratic_kappa"]


def sklearn_kappa(model: numpy.ndarray, person: numpy.ndarray) -> float:
    return float(cohen_kappa_score(model, person, weights="quadratic", labels=[1, 2, 3, 4, 5]))


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
    ours = kappa(pairs)
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
        found = kappa([(int(cell) // 5 + 1, int(cell) % 5 + 1) for cell in drawn])
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_the_same_labels_give_the_same_interval() -> None:
    assert kappa(noisy_pairs(60)) == kappa(noisy_pairs(60))


def test_a_constant_model_has_a_kappa_of_zero() -> None:
    assert kappa([(4, person) for person in (1, 2, 3, 4, 5)] * 4).value == pytest.approx(0)


def test_perfect_agreement_has_no_interval_and_it_says_why() -> None:
    found = kappa([(score, score) for score in (1, 2, 3, 4, 5)] * 4)
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert "vary too little" in found.missing


def test_one_lonely_disagreement_never_gives_nan() -> None:
    found = kappa([(4, 4)] * 30 + [(4, 5)])
    assert found.value == pytest.approx(0)
    assert found.low is None
    assert found.missing


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (3, 10), (1, 1), (1900, 2000)])
def test_shares_have_scipys_wilson_interval(count: int, n: int) -> None:
    theirs = binomtest(count, n).proportion_ci(confidence_level=0.95, method="wilson")
    ours = share(count, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.value == count / n
