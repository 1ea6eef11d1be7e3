"""Every figure of agreement is scikit-learn's, SciPy's or a published one, and says in words where it is undefined."""

import numpy
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score

from backend.agreement.direct import SCORE_FIGURES, ScoreAgreement, compare_scores
from backend.agreement.pairs import compare_winners, longer_wins, position_bias
from backend.agreement.rankings import tau_b
from backend.agreement.reliability import among
from backend.errors import InvalidInputError

RELIABILITY = (  # Krippendorff (2011), section E: 4 observers, 12 units
    (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
    (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
)
FACTS = [(5, 5)] * 18 + [(5, 4)] * 9 + [(4, 4)] * 8 + [(4, 5)] * 5 + [(3, 4)] * 3 + [(3, 3)] * 2
FACTS += [(1, 1), (2, 1), (5, 3)]


def scores(n: int = 400, seed: int = 3) -> tuple[numpy.ndarray, numpy.ndarray]:
    rng = numpy.random.default_rng(seed)
    model = rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.1, 0.2, 0.4, 0.2], size=n)
    return model, numpy.clip(model + rng.choice([-2, -1, 0, 0, 0, 1], size=n), 1, 5)


def compared(model: numpy.ndarray, person: numpy.ndarray) -> ScoreAgreement:
    return compare_scores(model, person, numpy.arange(len(model)))


def long_form(table: tuple[tuple[int, ...], ...]) -> tuple[numpy.ndarray, numpy.ndarray]:
    ratings = numpy.array(table)
    rater, item = numpy.nonzero(ratings)
    return item, ratings[rater, item] - 1


@pytest.mark.parametrize("pair", [scores(), scores(60, 9), tuple(map(numpy.array, zip(*FACTS, strict=True)))])
def test_every_figure_of_scores_is_that_of_the_libraries(pair: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    import krippendorff

    model, person = pair
    theirs = {
        "exact": accuracy_score(model, person),
        "within_one": float((numpy.abs(model - person) <= 1).mean()),
        "quadratic_kappa": cohen_kappa_score(model, person, weights="quadratic", labels=[1, 2, 3, 4, 5]),
        "linear_kappa": cohen_kappa_score(model, person, weights="linear", labels=[1, 2, 3, 4, 5]),
        "alpha": krippendorff.alpha(
            numpy.stack([model, person]).astype(float), value_domain=[1, 2, 3, 4, 5], level_of_measurement="ordinal"
        ),
        "pearson": pearsonr(model, person).statistic,
        "spearman": spearmanr(model, person).statistic,
        "kendall": kendalltau(model, person).statistic,
        "absolute_error": float(numpy.abs(model - person).mean()),
        "bias": float((model - person).mean()),
    }
    ours = compared(model, person).stats
    assert set(ours) == set(theirs) | {"ac2"} == set(SCORE_FIGURES)
    for name, value in theirs.items():
        assert ours[name].value == pytest.approx(value, abs=1e-10), name
        assert ours[name].low < value < ours[name].high, name


@pytest.mark.parametrize(("level", "published"), [(True, 0.815), (False, 0.743)])
def test_alpha_with_missing_cells_is_krippendorffs_published_one(level: bool, published: float) -> None:
    import krippendorff

    items, values = long_form(RELIABILITY)
    ours = among(items, values, 5, ordinal=level)["alpha"].value
    table = numpy.where(numpy.array(RELIABILITY) == 0, numpy.nan, numpy.array(RELIABILITY))
    theirs = krippendorff.alpha(table, level_of_measurement="ordinal" if level else "nominal")
    assert ours == pytest.approx(published, abs=5e-4)
    assert ours == pytest.approx(theirs, abs=1e-10)


def test_gwets_coefficient_of_the_published_table_and_of_two_raters() -> None:
    import backend.agreement.reliability as reliability
    import backend.agreement.tables as tables

    items, values = long_form(RELIABILITY)
    identity = pytest.MonkeyPatch()
    identity.setattr(tables, "agreement_weights", numpy.eye)
    try:  # with identity weights AC2 is AC1: Gwet's own figure for this table
        assert reliability.among(items, values, 5, ordinal=True)["ac2"].value == pytest.approx(0.77544, abs=5e-6)
    finally:
        identity.undo()
    model, person = scores()
    both = among(numpy.tile(numpy.arange(len(model)), 2), numpy.concatenate([model, person]) - 1, 5, ordinal=True)
    assert both["ac2"].value == pytest.approx(compared(model, person).stats["ac2"].value, abs=1e-12)
    assert both["alpha"].value == pytest.approx(compared(model, person).stats["alpha"].value, abs=1e-12)


def test_intervals_of_every_figure_are_near_those_of_a_plain_loop() -> None:
    model, person = scores(120)
    rng = numpy.random.default_rng(5)
    loops: dict[str, list[float]] = {name: [] for name in ("quadratic_kappa", "kendall", "alpha", "absolute_error")}
    for _ in range(600):
        drawn = rng.integers(120, size=120)
        table = numpy.zeros((1, 25))
        numpy.add.at(table[0], (model[drawn] - 1) * 5 + person[drawn] - 1, 1)
        for name, values in loops.items():
            values.append(float(SCORE_FIGURES[name](table)[0]))
    ours = compared(model, person).stats
    for name, values in loops.items():
        low, high = numpy.quantile(values, [0.025, 0.975])
        assert ours[name].low == pytest.approx(low, abs=0.25 * (high - low)), name
        assert ours[name].high == pytest.approx(high, abs=0.25 * (high - low)), name


def test_labels_of_one_item_are_drawn_together() -> None:
    model, person = scores(40)
    once = compared(model, person).stats["quadratic_kappa"]
    four = compare_scores(numpy.tile(model, 4), numpy.tile(person, 4), numpy.tile(numpy.arange(40), 4)).stats
    assert (four["quadratic_kappa"].low, four["quadratic_kappa"].high) == pytest.approx((once.low, once.high))
    assert (four["quadratic_kappa"].n, four["quadratic_kappa"].items) == (160, 40)


def test_what_is_undefined_is_said_in_words_and_is_never_nan() -> None:
    same = compared(numpy.full(50, 4), numpy.full(50, 4)).stats
    assert same["quadratic_kappa"].value is None
    assert "one and the same score" in same["quadratic_kappa"].missing
    assert same["exact"].value == 1
    assert same["exact"].low == pytest.approx(0.929, abs=1e-3)  # Wilson's
    one_sided = compared(numpy.full(50, 4), scores(50)[1]).stats
    assert "same score everywhere" in one_sided["pearson"].missing
    for stats in (same, one_sided, compared(*scores(9)).stats, compared(*scores(0)).stats):
        for stat in stats.values():
            assert stat.value is None or numpy.isfinite(stat.value)
            assert (stat.low is not None) or stat.missing
    assert "at least 10 labelled items; there are 9" in compared(*scores(9)).stats["kendall"].missing
    assert (
        "rated by two raters" in among(numpy.arange(20), numpy.zeros(20, dtype=int), 5, ordinal=True)["alpha"].missing
    )


def test_what_is_no_score_or_winner_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="score 6"):
        compared(numpy.array([6]), numpy.array([1]))
    with pytest.raises(InvalidInputError, match="A, B, tie"):
        compare_winners(numpy.array([3]), numpy.array([1]), numpy.array([1]))


def test_two_hundred_thousand_labels_are_compared_within_a_second() -> None:
    import time

    model, person = scores(200_000)
    start = time.perf_counter()
    compare_scores(model, person, numpy.arange(200_000) // 2)
    assert time.perf_counter() - start < 1


def test_winners_with_ties_and_without_and_their_kappa() -> None:
    rng = numpy.random.default_rng(2)
    model = rng.integers(3, size=200)
    person = numpy.where(rng.random(200) < 0.6, model, rng.integers(3, size=200))
    ours = compare_winners(model, person, numpy.arange(200))
    decided = (model < 2) & (person < 2)
    assert ours.stats["with_ties"].value == pytest.approx(accuracy_score(model, person))
    assert ours.stats["without_ties"].value == pytest.approx(accuracy_score(model[decided], person[decided]))
    assert ours.stats["kappa"].value == pytest.approx(cohen_kappa_score(model, person))
    assert sum(map(sum, ours.matrix)) == ours.n == 200
    only_ties = compare_winners(numpy.full(20, 2), numpy.zeros(20, dtype=int), numpy.arange(20)).stats
    assert only_ties["without_ties"].value is None
    assert "neither said tie" in only_ties["without_ties"].missing


def test_position_and_length_are_counted() -> None:
    bias = position_bias(numpy.array([0.9, 0.6, 0.2, 0.5]), numpy.array([0.8, 0.4, 0.1, 0.5]))
    assert (bias.flips.count, bias.flips.n) == (1, 4)
    assert (bias.first_slot.count, bias.first_slot.n) == (4, 6)
    length = numpy.array([10.0, 5.0, 7.0, 3.0]), numpy.array([5.0, 10.0, 7.0, 9.0])
    longer = longer_wins(numpy.array([0, 1, 0, 0]), numpy.array([0, 0, 1, 2]), *length)
    assert (longer.model.count, longer.model.n) == (2, 3)
    assert (longer.people.count, longer.people.n) == (1, 2)


def test_tau_between_an_order_and_ranks_is_scipys() -> None:
    order, ranks = (2, 0, 3, 1), (1, 3, 1, 4)
    places = [order.index(position) for position in range(4)]
    assert tau_b(order, ranks) == pytest.approx(kendalltau(places, ranks).statistic)
    assert tau_b((0, 1, 2), (1, 2, 3)) == 1
    assert tau_b((0, 1), (1, 1)) is None
