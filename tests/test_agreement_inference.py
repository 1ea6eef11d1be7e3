"""Intervals hold what they promise: prediction-powered means, clustered figures, the alternative annotator test."""

import numpy
import pytest
import statsmodels.api as sm
from scipy.stats import ttest_1samp
from sklearn.isotonic import IsotonicRegression
from statsmodels.stats.multitest import multipletests

from backend.agreement import clustered
from backend.agreement.alternative import alternative_test, benjamini_yekutieli
from backend.agreement.calibration import FOLDS, fold_of, isotonic, recalibrated, recalibration, reliability
from backend.agreement.ceiling import everybody
from backend.agreement.people import people
from backend.agreement.powered import Stratum, Verdicts, powered_mean, stratified_mean
from backend.agreement.slices import quartiles, slices
from backend.errors import InvalidInputError

TRIALS = 2_000


def world(rng: numpy.random.Generator, n: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """People's scores and a judge's expected scores of n items: related, and the judge is too kind."""
    people = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], p=[0.1, 0.15, 0.25, 0.3, 0.2], size=n)
    return people, numpy.clip(0.6 * people + 1.9 + rng.normal(0, 0.6, size=n), 1, 5)


TRUTH = 3.35


def summed(verdicts: numpy.ndarray) -> Verdicts:
    return Verdicts(len(verdicts), float(verdicts.mean()), float(verdicts.var()))


def test_the_powered_interval_covers_the_truth_as_often_as_it_says_and_is_narrower() -> None:
    rng = numpy.random.default_rng(11)
    covered, powered, plain = 0, 0.0, 0.0
    for _ in range(TRIALS):
        y, f = world(rng, 660)
        ours = powered_mean(y[:60], f[:60], summed(f[60:]))
        covered += ours.powered.low <= TRUTH <= ours.powered.high
        powered += ours.powered.high - ours.powered.low
        plain += ours.people.high - ours.people.low
        assert abs(ours.model - TRUTH) > 0.3
    assert 0.93 <= covered / TRIALS <= 0.97
    assert powered < 0.85 * plain


def test_sampling_probabilities_keep_the_coverage_where_unsure_items_are_labelled_more_often() -> None:
    rng = numpy.random.default_rng(12)
    covered = naive = 0
    for _ in range(TRIALS):
        y, f = world(rng, 800)
        chance = numpy.clip(0.04 + 0.3 * (f < 3.6), 0, 1)
        drawn = rng.random(800) < chance
        ours = powered_mean(y[drawn], f[drawn], summed(f[~drawn]), probabilities=chance[drawn])
        covered += ours.powered.low <= TRUTH <= ours.powered.high
        blind = powered_mean(y[drawn], f[drawn], summed(f[~drawn])).people
        naive += blind.low <= TRUTH <= blind.high
    assert 0.93 <= covered / TRIALS <= 0.97
    assert naive / TRIALS < 0.5  # what it is for


def test_projects_that_were_labelled_to_different_depths_are_strata_and_probabilities_alone_mislead() -> None:
    """Both draw 30% for their audit stream. In the poor one all of it is labelled, in the good one the first tenth."""
    rng = numpy.random.default_rng(14)
    covered = naive = 0
    for _ in range(TRIALS):
        strata = []
        for depth, better in ((1.0, -1.0), (0.1, 0.6)):
            y, f = world(rng, 600)
            labelled = numpy.zeros(600, dtype=bool)
            audit = rng.permutation(numpy.flatnonzero(rng.random(600) < 0.3))
            labelled[audit[: round(len(audit) * depth)]] = True
            chances = numpy.full(int(labelled.sum()), 0.3)
            strata.append(Stratum(y[labelled] + better, f[labelled], summed(f[~labelled]), chances))
        ours = stratified_mean(strata).powered
        truth = TRUTH + (-1.0 + 0.6) / 2
        covered += ours.low <= truth <= ours.high
        labels, verdicts, chances = (
            numpy.concatenate([getattr(one, name) for one in strata])
            for name in ("labels", "verdicts", "probabilities")
        )
        rest = Verdicts(sum(one.others.n for one in strata), strata[0].others.mean, strata[0].others.variance)
        plain = powered_mean(labels, verdicts, rest, probabilities=chances).powered
        naive += plain.low <= truth <= plain.high
    assert 0.93 <= covered / TRIALS <= 0.97
    assert naive / TRIALS < 0.5


def test_one_stratum_is_the_powered_mean_and_those_with_few_labels_are_no_part_of_it() -> None:
    y, f = world(numpy.random.default_rng(15), 300)
    whole = Stratum(y[:40], f[:40], summed(f[40:]))
    few = Stratum(y[:9], f[:9], summed(f[9:]))
    alone = stratified_mean([whole])
    assert alone == stratified_mean([few, whole])
    plain = powered_mean(y[:40], f[:40], summed(f[40:]))
    for one, other in ((alone.powered, plain.powered), (alone.people, plain.people)):
        assert (one.value, one.low, one.high, one.n) == pytest.approx((other.value, other.low, other.high, other.n))
    assert (alone.model, alone.trust) == pytest.approx((plain.model, plain.trust))
    assert "at least 10 labelled items in one of them" in stratified_mean([few]).powered.missing


def test_powered_means_say_what_they_lack() -> None:
    few = powered_mean(numpy.ones(9), numpy.ones(9), Verdicts(100, 3.0, 1.0))
    assert few.powered.value is None
    assert "there are 9" in few.powered.missing
    assert few.model == pytest.approx((9 + 300) / 109)
    alone = powered_mean(numpy.arange(12.0), numpy.arange(12.0), Verdicts(0, 0.0, 0.0))
    assert alone.powered == alone.people
    with pytest.raises(InvalidInputError, match="outside of 0 to 1"):
        powered_mean(numpy.ones(12), numpy.ones(12), Verdicts(5, 1.0, 0.1), probabilities=numpy.zeros(12))


def test_clustered_errors_are_statsmodels_cluster_robust_ones() -> None:
    rng = numpy.random.default_rng(4)
    items = rng.integers(60, size=300)
    x = rng.normal(size=300)
    y = 0.3 * x + rng.normal(size=60)[items] + rng.normal(size=300)
    inside = rng.random(300) < 0.3
    options = {"groups": items, "use_correction": False}
    for ours, design in (
        (clustered.slope(x, y, items), sm.add_constant(x)),
        (clustered.difference(y, inside, items), sm.add_constant(inside.astype(float))),
    ):
        fit = sm.OLS(y, design).fit(cov_type="cluster", cov_kwds=options)
        assert ours.value == pytest.approx(fit.params[1])
        assert (ours.high - ours.value) / 2.0 == pytest.approx(fit.bse[1], rel=0.03)
    fit = sm.OLS(y, numpy.ones(300)).fit(cov_type="cluster", cov_kwds=options)
    assert clustered.mean(y, items).value == pytest.approx(fit.params[0])
    assert "nothing to compare" in clustered.difference(y, numpy.ones(300, dtype=bool), items).missing
    assert "at least 10 items" in clustered.mean(y[:5], numpy.arange(5)).missing


def votes(n: int = 200, noise: float = 0.3, seed: int = 6) -> tuple[numpy.ndarray, numpy.ndarray]:
    rng = numpy.random.default_rng(seed)
    truth = rng.integers(1, 6, size=n).astype(float)

    def rater(chance: float) -> numpy.ndarray:
        return numpy.where(rng.random(n) < chance, numpy.clip(truth + rng.choice([-1, 1], size=n), 1, 5), truth)

    labels = numpy.stack([rater(noise) for _ in range(4)], axis=1)
    labels[rng.random(labels.shape) < 0.2] = numpy.nan
    return rater(noise), labels


@pytest.mark.parametrize("ordinal", [True, False])
def test_the_alternative_annotator_test_is_the_papers_by_scipy_and_statsmodels(ordinal: bool) -> None:
    model, labels = votes()
    ours = alternative_test(model, labels, ordinal=ordinal)
    p_values, better = [], []
    for person in range(4):
        lag, at_least = [], []
        for row, said in zip(labels, model, strict=True):
            others = [v for k, v in enumerate(row) if k != person and not numpy.isnan(v)]
            if numpy.isnan(row[person]) or not others:
                continue
            if ordinal:
                m = -numpy.sqrt(numpy.mean([(v - said) ** 2 for v in others]))
                h = -numpy.sqrt(numpy.mean([(v - row[person]) ** 2 for v in others]))
            else:
                m, h = (numpy.mean([v == one for v in others]) for one in (said, row[person]))
            lag.append(float(h >= m) - float(m >= h))
            at_least.append(m >= h)
        p_values.append(ttest_1samp(lag, 0.2, alternative="less").pvalue)
        better.append(numpy.mean(at_least))
    wins = multipletests(p_values, 0.05, method="fdr_by")[0]
    assert [one.p_value for one in ours.people] == pytest.approx(p_values)
    assert [one.wins for one in ours.people] == list(wins)
    assert ours.winning_rate == pytest.approx(wins.mean())
    assert ours.advantage == pytest.approx(numpy.mean(better))


def test_a_judge_as_good_as_people_wins_and_a_random_one_does_not() -> None:
    model, labels = votes(300)
    assert alternative_test(model, labels, ordinal=True).winning_rate == 1
    rng = numpy.random.default_rng(1)
    random = alternative_test(rng.integers(1, 6, size=300).astype(float), labels, ordinal=True)
    assert random.winning_rate == 0
    assert {one.more for one in random.people} == {None}


def test_the_test_says_what_it_lacks_and_how_many_labels_would_settle_it() -> None:
    model, labels = votes(300)
    assert "at least 3 people" in alternative_test(model, labels[:, :1], ordinal=True).missing
    assert "at least 30 items" in alternative_test(model[:20], labels[:20], ordinal=True).missing
    few = alternative_test(model[:45], labels[:45], ordinal=True, epsilon=0.05)
    assert any(one.more is not None and one.more > 0 for one in few.people if not one.wins)


def test_false_discoveries_are_held_as_statsmodels_holds_them() -> None:
    rng = numpy.random.default_rng(8)
    for _ in range(50):
        p = list(rng.random(6) ** 4)
        assert benjamini_yekutieli(p, 0.05) == list(multipletests(p, 0.05, method="fdr_by")[0])


def test_reliability_and_its_error_are_counted_bin_by_bin() -> None:
    rng = numpy.random.default_rng(3)
    confidence = rng.uniform(0.2, 1, size=500)
    right = rng.random(500) < confidence**2
    ours = reliability(confidence, right, numpy.arange(500))
    error = 0.0
    for low in numpy.arange(0, 1, 0.1):
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert ours.error.value == pytest.approx(error)
    assert ours.error.low < error < ours.error.high
    assert sum(one.right.n for one in ours.bins) == 500


def test_recalibration_is_isotonic_and_scored_on_rows_that_it_was_not_fitted_on() -> None:
    rng = numpy.random.default_rng(9)
    y, f = world(rng, 400)
    x, fitted = isotonic(f, y)
    theirs = IsotonicRegression().fit(f, y).predict(x)
    assert fitted == pytest.approx(theirs)
    ours = recalibration(f, y, numpy.arange(400))
    assert ours.after.value < ours.before.value
    assert ours.gain.low > 0
    fold = fold_of(numpy.arange(400))
    assert numpy.bincount(fold).min() > 60
    for number in range(FOLDS):
        rest, inside = fold != number, numpy.flatnonzero(fold == number)
        fitted = IsotonicRegression(out_of_bounds="clip").fit(f[rest], y[rest]).predict(f[inside])
        assert [recalibrated(float(f[item]), int(item), ours.curves) for item in inside] == pytest.approx(list(fitted))
    useless = recalibration(f, rng.permutation(y), numpy.arange(400))  # in-sample it would seem to help
    assert useless.after.value > numpy.abs(rng.permutation(y) - y.mean()).mean() - 0.05
    assert "at least 50" in recalibration(f[:20], y[:20], numpy.arange(20)).missing


def test_the_worst_slice_comes_first_with_its_uncertainty() -> None:
    rng = numpy.random.default_rng(10)
    part = rng.integers(3, size=300)
    errors = rng.exponential(0.5, size=300) + (part == 2)
    found = slices(errors, numpy.arange(300), {"rubric": (part, ("a", "b", "c")), "all": (part * 0, ("everything",))})
    assert next(one.name for one in found) == "c"
    assert found[0].gap.low > 0.5
    assert "everything" not in {one.name for one in found}
    numbers, names = quartiles(numpy.array([1.0, 2, 3, 4, 5, 6, 7, 8, numpy.nan]), "{} characters", digits=1)
    assert numbers.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1]
    assert names[:2] == ("up to 2.8 characters", "2.8 to 4.5 characters")


def test_a_strict_person_and_one_who_contradicts_himself_are_seen() -> None:
    rng = numpy.random.default_rng(1)
    truth = rng.integers(2, 5, size=80).astype(float)
    keys = numpy.repeat([1, 2, 3], 80)
    questions = numpy.tile(numpy.arange(80), 3)
    values = numpy.concatenate([truth, truth, truth - 1])
    again = people(
        numpy.append(keys, [1, 1, 2]),
        numpy.append(questions, [0, 1, 0]),
        numpy.append(values, [truth[0], 5, truth[0]]),
        numpy.append(numpy.repeat([40.0, 50.0, 5.0], 80), [numpy.nan] * 3),
    )
    assert [one.median_seconds for one in sorted(again, key=lambda one: one.key)] == [40.0, 50.0, 5.0]
    assert [one.rushed.value for one in sorted(again, key=lambda one: one.key)] == [0, 0, 1]
    by_key = {one.key: one for one in again}
    assert by_key[3].severity.value == pytest.approx(-1, abs=0.05)
    assert by_key[1].severity.value == pytest.approx(0.5, abs=0.05)
    assert (by_key[1].consistency.count, by_key[1].consistency.n) == (1, 2)
    assert by_key[3].consistency is None
    untimed = numpy.full(12, numpy.nan)
    assert "Nobody else" in people(numpy.ones(12, dtype=int), numpy.arange(12), truth[:12], untimed)[0].severity.missing
    assert people(numpy.zeros(0, dtype=int), numpy.zeros(0, dtype=int), numpy.zeros(0), numpy.zeros(0)) == ()


def test_everybody_stands_beside_those_they_agree_with() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = numpy.random.default_rng(2)
    one, other = rng.integers(5, size=100), rng.integers(5, size=100)
    ratings = numpy.stack([one, other, one.copy(), other.copy()], axis=1)
    ratings[:5, 2], ratings[:7, 3], ratings[95:, 0] = 0, 1, -1
    ours = everybody(ratings, size=5, ordinal=True)
    places = {rater: place for place, rater in enumerate(ours.raters)}
    assert abs(places[0] - places[2]) == abs(places[1] - places[3]) == 1
    assert ours.agreement[places[1]][places[3]] == pytest.approx(
        cohen_kappa_score(other, ratings[:, 3], weights="quadratic")
    )
    assert ours.n[places[0]][places[2]] == 95
    few = everybody(ratings[:9], size=5, ordinal=True)
    assert few.agreement[0][1] is None
