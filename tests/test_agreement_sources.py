"""Who wrote the better responses: win rates, Bradley-Terry strengths with intervals, and circles."""

from dataclasses import replace

import numpy
import pytest
from evalica import Winner, bradley_terry
from sqlalchemy import select

from backend.agreement.rankings import RankedItem, implied_games, shares_won
from backend.agreement.sources import NOT_LINKED, Games, cycles, rank_tau, strengths
from backend.agreement_rows import Kind
from backend.types import Mode
from db import models
from db.session import Store
from tests.test_comparing import Panel
from ui.agreement_tables import tables
from ui.agreement_words import selection_words


def games(*rows: tuple[int, int, float, float, float]) -> Games:
    table = numpy.array(rows, dtype=float)
    return Games(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3], table[:, 4])


def drawn(rng: numpy.random.Generator, truth: list[float], items: int, labels: int) -> Games:
    """Items of random pairs, each labelled several times by its own chance, which varies about the pair's."""
    first = rng.integers(len(truth), size=items)
    second = (first + rng.integers(1, len(truth), size=items)) % len(truth)
    log_odds = numpy.array(truth)[first] - numpy.array(truth)[second]
    points = rng.binomial(labels, 1 / (1 + numpy.exp(-log_odds)))
    return Games(first, second, numpy.full(items, float(labels)), points.astype(float), numpy.ones(items))


def test_strengths_are_those_of_evalica_with_a_tie_added_to_every_pair() -> None:
    played = drawn(numpy.random.default_rng(4), [1.0, 0.2, -0.4, -0.8], 300, 1)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in zip(played.first, played.second, strict=True)})
    theirs = bradley_terry(
        [*played.first, *(a for a, _ in pairs)],
        [*played.second, *(b for _, b in pairs)],
        [Winner.X if won else Winner.Y for won in played.points] + [Winner.Draw] * len(pairs),
        tolerance=1e-12, limit=100_000,
    )  # fmt: skip
    logs = numpy.log(theirs.scores.sort_index().to_numpy())
    assert [one.value for one in strengths(played, 4)] == pytest.approx(list(logs - logs.mean()), abs=1e-6)


def test_a_row_that_stands_for_many_items_counts_as_them() -> None:
    apart = games(*[(0, 1, 1, 1, 1)] * 30, *[(0, 1, 1, 0, 1)] * 20)
    together = games((0, 1, 1, 1, 30), (0, 1, 1, 0, 20))
    for one, other in zip(strengths(apart, 2), strengths(together, 2), strict=True):
        assert (one.value, one.low, one.high, one.items) == pytest.approx((other.value, other.low, other.high, 50))


def test_repeating_every_label_makes_no_interval_narrower() -> None:
    once = games(*[(0, 1, 1, 1, 1)] * 60, *[(0, 1, 1, 0, 1)] * 40)
    thrice = games(*[(0, 1, 3, 3, 1)] * 60, *[(0, 1, 3, 0, 1)] * 40)
    one, other = strengths(once, 2)[0], strengths(thrice, 2)[0]
    assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.03)  # but for the tie that is added


def test_intervals_of_strengths_hold_the_truth_in_93_to_97_per_cent() -> None:
    rng = numpy.random.default_rng(8)
    truth = [0.6, 0.1, -0.2, -0.5]
    held = []
    for _ in range(600):
        found = strengths(drawn(rng, truth, 200, 1), 4)
        held += [one.low < value < one.high for one, value in zip(found, truth, strict=True)]
    assert 0.93 <= numpy.mean(held) <= 0.97


def test_sources_that_never_met_have_no_strength_and_it_says_why() -> None:
    apart = games(*[(0, 1, 1, 1, 1)] * 20, *[(2, 3, 1, 1, 1)] * 20)
    assert {one.missing for one in strengths(apart, 4)} == {NOT_LINKED}
    assert "there are 3" in strengths(games(*[(0, 1, 1, 1, 1)] * 3), 2)[0].missing


def ranked(rng: numpy.random.Generator, truth: list[float], items: int, size: int = 4) -> list[RankedItem]:
    """Items of random sources, each put in order by Plackett's and Luce's model."""
    orders = []
    for item in range(items):
        sources = rng.permutation(len(truth))[:size]
        heat = numpy.array(truth)[sources] + rng.gumbel(size=size)
        ranks = 1 + numpy.argsort(numpy.argsort(-heat))
        orders.append(RankedItem(item, tuple(map(int, sources)), tuple(map(float, ranks))))
    return orders


def test_an_order_counts_as_one_label_however_many_responses_it_has() -> None:
    three = RankedItem(1, (0, 1, 2), (2.0, 1.0, 3.0))
    played = implied_games([three, RankedItem(2, (2, 0), (1.5, 1.5)), RankedItem(3, (0, 1, 1), (1.0, 2.0, 3.0))])
    assert numpy.bincount(played.item, weights=played.n)[1:] == pytest.approx([1, 1, 1])
    rows = {(a, b, item): (n, points) for a, b, item, n, points in zip(
        played.first, played.second, played.item, played.n, played.points, strict=True
    )}  # fmt: skip
    assert rows[0, 1, 1] == pytest.approx((1 / 3, 0))
    assert rows[0, 2, 1] == pytest.approx((1 / 3, 1 / 3))
    assert rows[2, 0, 2] == pytest.approx((1, 0.5))
    assert len(rows) == 5  # two games of the third item, both 0 against 1
    shares = shares_won(played, numpy.array([1, 2, 3, 4]), 3)
    assert shares[0] == pytest.approx([0.5, 1, 0])
    assert shares[1] == pytest.approx([0.5, numpy.nan, 0.5], nan_ok=True)
    assert shares[2] == pytest.approx([1, 0, numpy.nan], nan_ok=True)
    assert numpy.isnan(shares[3]).all()
    assert implied_games([]).items == 0


def test_strengths_of_orders_are_those_of_evalica_on_their_weighted_pairs() -> None:
    rng = numpy.random.default_rng(5)
    truth = [1.0, 0.3, -0.1, -0.4, -0.8]
    played = implied_games(ranked(rng, truth, 80) + ranked(rng, truth, 40, size=3))
    pairs = sorted({(min(a, b), max(a, b)) for a, b in zip(played.first, played.second, strict=True)})
    theirs = bradley_terry(
        [*played.first, *(a for a, _ in pairs)],
        [*played.second, *(b for _, b in pairs)],
        [Winner.X if won else Winner.Y for won in played.points] + [Winner.Draw] * len(pairs),
        weights=[*played.n, *[played.tie] * len(pairs)], tolerance=1e-12, limit=100_000,
    )  # fmt: skip
    logs = numpy.log(theirs.scores.sort_index().to_numpy())
    assert [one.value for one in strengths(played, 5)] == pytest.approx(list(logs - logs.mean()), abs=1e-6)


def test_intervals_of_strengths_of_orders_hold_the_truth_and_pairs_as_items_of_their_own_would_not() -> None:
    rng = numpy.random.default_rng(9)
    truth = [0.6, 0.3, 0.1, -0.2, -0.8]
    held, naive = [], []
    for _ in range(600):
        played = implied_games(ranked(rng, truth, 120))
        for found, into in ((strengths(played, 5), held), (strengths(replace(played, item=None), 5), naive)):
            into += [one.low < value < one.high for one, value in zip(found, truth, strict=True)]
    assert 0.93 <= numpy.mean(held) <= 0.97
    assert abs(numpy.mean(naive) - 0.95) > 0.02


def test_circles_are_counted_by_what_most_said() -> None:
    circle = games((0, 1, 1, 1, 3), (1, 2, 1, 1, 3), (0, 2, 1, 0, 3))
    assert cycles(circle, 3) == 1
    assert cycles(games((0, 1, 1, 1, 3), (1, 2, 1, 1, 3), (0, 2, 1, 1, 3)), 3) == 0
    assert cycles(games((0, 1, 1, 1, 3), (1, 2, 1, 1, 3), (0, 2, 2, 1, 3)), 3) == 0  # a tie beats nobody


def test_the_orders_of_two_raters_are_compared_by_tau() -> None:
    assert rank_tau([3, 2, 1], [30, 20, 10]) == 1
    assert rank_tau([3, 2, 1], [1, 2, 3]) == -1
    assert rank_tau([1], [1]) is None
    assert rank_tau([1, 1], [1, 2]) is None


@pytest.fixture
def panel(any_store: Store) -> Panel:
    return Panel(any_store)


def project_of(panel: Panel, mode: str, verdicts: list[int], sources: list[list[str]]) -> int:
    with panel.store.write() as session:
        project = models.Project(
            name="Kettles", guidelines="", mode=mode, blind=True, people_per_item=1, item_order="given", repeats=0,
            lease_seconds=60, seed=1, state="open", created_by_id=panel.people[0],
        )  # fmt: skip
        session.add(project)
        session.flush()
        for number, (verdict, names) in enumerate(zip(verdicts, sources, strict=True)):
            row = session.get_one(models.Verdict, verdict)
            item = models.ProjectItem(
                id=1000 + verdict, project_id=project.id, item_id=row.item_id, position=number, order_key=number,
                rubric_version_id=row.rubric_version_id, sources=names,
            )  # fmt: skip
            session.add(item)
        return project.id


def test_scores_give_each_source_a_mean_by_both(panel: Panel) -> None:
    verdicts = [panel.bench.direct(4 if number % 2 else 2) for number in range(60)]
    project = project_of(panel, "direct", verdicts, [["good" if number % 2 else "bad"] for number in range(60)])
    for number, verdict in enumerate(verdicts[:30]):
        panel.blind(verdict, panel.people[1], score=(5 if number % 3 else 4) - 3 * (1 - number % 2),
                    project_item_id=1000 + verdict)  # fmt: skip
    report = panel.report(project_id=project)
    good, bad = report.sources.found
    assert (good.name, bad.name, good.judged, good.mean.people.items) == ("good", "bad", 30, 15)
    assert good.mean.people.value - bad.mean.people.value == pytest.approx(3)
    assert good.mean.powered.low < good.mean.powered.value < good.mean.powered.high
    assert report.sources.tau == 1
    assert report.sources.cycles_of_people is None
    assert panel.report().sources is None  # sources are a project's
    assert "project “Kettles”" in selection_words(report)
    (table,) = [one for one in tables(report) if one.key == "sources"]
    assert [row[0] for row in table.rows] == ["good", "bad"]


def test_winners_give_each_source_a_win_rate_on_whichever_side_it_stood(panel: Panel) -> None:
    verdicts, sources = [], []
    for number in range(40):
        verdicts.append(panel.bench.pairwise("A" if number % 2 else "B", p_a_first=0.9 if number % 2 else 0.1,
                                             p_a_second=0.9 if number % 2 else 0.1))  # fmt: skip
        sources.append(["new", "old"] if number % 2 else ["old", "new"])
    project = project_of(panel, "pairwise", verdicts, sources)
    for number, verdict in enumerate(verdicts[:20]):
        new = "A" if number % 2 else "B"
        panel.blind(verdict, panel.people[1], winner=new if number % 4 else "tie", project_item_id=1000 + verdict)
    report = panel.report(mode=Mode.PAIRWISE, project_id=project, kind=Kind.BLIND)
    new, old = report.sources.found
    assert (new.name, new.judged) == ("new", 40)
    assert (new.mean.people.value, old.mean.people.value) == pytest.approx((0.875, 0.125))
    assert (new.mean.model, old.mean.model) == pytest.approx((0.9, 0.1))
    assert new.strength_by_people.value > 0 > old.strength_by_people.value
    assert new.strength_by_model.value == pytest.approx(numpy.log(40.5 / 0.5) / 2)
    assert (report.sources.tau, report.sources.cycles_of_people, report.sources.cycles_of_model) == (1, 0, 0)


def orders_of(panel: Panel, items: int = 48, labelled: int = 30) -> int:
    """A project of rankings in which the model always puts low first, and people mostly high; the sides change."""
    sides = [[["high", "low", "mid"], ["mid", "high", "low"]][number % 2] for number in range(items)]
    model = {"low": 1, "mid": 2, "high": 3}
    verdicts = [panel.bench.ranking(tuple(model[name] for name in names)) for names in sides]
    project = project_of(panel, "ranking", verdicts, sides)
    for number, (verdict, names) in enumerate(zip(verdicts[:labelled], sides, strict=False)):
        best = ["high", "mid", "low"] if number % 3 else ["mid", "high", "low"]
        panel.blind(verdict, panel.people[1], ranking=[names.index(name) for name in best],
                    project_item_id=1000 + verdict)  # fmt: skip
    return project


def test_orders_give_each_source_a_win_rate_and_a_strength_by_people_and_by_the_model(panel: Panel) -> None:
    project = orders_of(panel)
    report = panel.report(mode=Mode.RANKING, project_id=project)
    assert (report.kind, report.counts.blind, report.counts.compared) == (Kind.BLIND, 30, 30)
    assert report.rankings.tau.value == pytest.approx((20 * -1 + 10 * -1 / 3) / 30)
    high, mid, low = report.sources.found
    assert [one.name for one in (high, mid, low)] == ["high", "mid", "low"]
    assert (high.judged, high.mean.people.items) == (48, 30)
    assert high.mean.people.value == pytest.approx((20 * 1 + 10 * 0.5) / 30)
    assert (high.mean.model, low.mean.model) == pytest.approx((0, 1))
    assert high.strength_by_people.value > mid.strength_by_people.value > low.strength_by_people.value
    assert high.strength_by_model.value < mid.strength_by_model.value < low.strength_by_model.value
    assert (high.strength_by_people.n, high.strength_by_people.items) == (30, 30)
    assert (report.sources.tau, report.sources.cycles_of_people, report.sources.cycles_of_model) == (-1, 0, 0)
    (table,) = [one for one in tables(report) if one.key == "sources"]
    assert "counts as one label" in table.note
    assert "blind labels" in selection_words(report)
    assert panel.report(mode=Mode.RANKING).sources is None
    with panel.store.write() as session:
        for label in session.scalars(select(models.Label).where(models.Label.item_id < 20)):
            label.stream = "chosen"
    again = panel.report(mode=Mode.RANKING, project_id=project)
    assert again.counts.chosen > 0
    assert again.sources.found[0].mean.people.items == 30 - again.counts.chosen
