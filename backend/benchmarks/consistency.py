"""Whether a judge says the same in both formats, and whether its winners make an order. Pure.

Kim et al. 2024, "Prometheus 2" (arXiv 2405.01535), "consistency across evaluation formats": on the same pairs, which
response scores higher by direct assessment against the pairwise winner. Theirs compares whole scores and asks again
where both are equal; ours compares expected scores, and a tie is a tie.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy

from backend.agreement import LEVEL, RESAMPLES, WINNERS, Share, clustered, share
from backend.agreement.bootstrap import Stat
from backend.agreement.reliability import among
from backend.benchmarks.labelled import LabelledRow, LabelledSet
from backend.benchmarks.metrics import EQUAL, Outcome, PairOutcome, ScoreOutcome
from backend.types import SCORES, SIDES, Mode

IMPLIED = {True: 5.0, False: 1.0}
"""What the label of a pair says of the response that won, and of the one that lost; of both of a tie, the middle."""
CHANCE = 0.75
"""Share of triples that are transitive where every winner is a toss: six of the eight outcomes are an order."""


@dataclass(frozen=True)
class Difference:
    """One share less another on the same rows, with its 95% interval from resampled rows; none where all are alike."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Consistency:
    """Both formats on the same pairs.

    direct, pairwise: accuracy of each, pairs labelled as ties left out. delta: pairwise less direct. agree: pairs, ties
    too, of which both formats name the same winner. same_score: pairs whose two responses got the same whole score.
    unread: pairs that could not be read in both formats.
    """

    direct: Share | None
    pairwise: Share | None
    delta: Difference | None
    agree: Share | None
    same_score: Share | None
    unread: int


def single_responses(labelled: LabelledSet) -> LabelledSet:
    """The responses of a pairwise set one by one, to be asked for a score under the same rubric.

    Each has the id of its row and its side. Its label is only what the pair implies of it: no figure is made of it.
    """
    rows = [
        replace(
            row,
            id=_single_id(row.id, side),
            item=replace(row.item, responses=(response,)),
            label=3.0 if row.label == "tie" else IMPLIED[row.label == side],
            also=None,
        )
        for row in labelled.rows
        for side, response in zip(SIDES, row.item.responses, strict=True)
    ]
    return replace(labelled, name=f"{labelled.name}, one by one", mode=Mode.DIRECT, rows=tuple(rows), left_out=())


def consistency(pairs: Sequence[Outcome], singles: Sequence[Outcome], total: int) -> Consistency:
    """pairs: of the pairwise set. singles: of single_responses of it. total: rows of the pairwise set."""
    scores = {outcome.row_id: outcome for outcome in singles if isinstance(outcome, ScoreOutcome)}
    both = [
        (pair, scores[_single_id(pair.row_id, "A")], scores[_single_id(pair.row_id, "B")])
        for pair in pairs
        if isinstance(pair, PairOutcome) and all(_single_id(pair.row_id, side) in scores for side in SIDES)
    ]
    named = [(pair.label, pair.winner(), _higher(a, b)) for pair, a, b in both]
    right = [(by_pair == label, by_score == label) for label, by_pair, by_score in named if label != "tie"]
    return Consistency(
        direct=share(sum(by_score for _, by_score in right), len(right)),
        pairwise=share(sum(by_pair for by_pair, _ in right), len(right)),
        delta=_difference(right),
        agree=share(sum(by_pair == by_score for _, by_pair, by_score in named), len(named)),
        same_score=share(sum(a.score == b.score for _, a, b in both), len(both)),
        unread=total - len(both),
    )


def transitivity(rows: Sequence[LabelledRow], outcomes: Sequence[Outcome]) -> Stat:
    """The share of triples of responses to one instruction whose three winners make an order, not a circle.

    Only triples of which all three pairs are in the set. The interval knows that triples of one instruction share
    pairs (it is clustered by instruction); items: instructions with a triple.
    """
    said = {outcome.row_id: outcome for outcome in outcomes if isinstance(outcome, PairOutcome)}
    asked: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        outcome = said.get(row.id)
        a, b = row.item.responses
        if outcome is None or a == b:
            continue
        leads = asked[row.item.instruction, row.rubric.digest]
        leads[a, b].append(outcome.p_a - 0.5)
        leads[b, a].append(0.5 - outcome.p_a)
    values, items = list[float](), list[int]()
    for number, leads in enumerate(asked.values()):
        found = _orders({pair: sum(each) / len(each) for pair, each in leads.items()})
        values += found
        items += [number] * len(found)
    if not values:
        return Stat(None, None, None, 0, 0, "No instruction has three responses of which all pairs were read.")
    _, numbered = numpy.unique(items, return_inverse=True)
    return clustered.mean(numpy.array(values, dtype=numpy.float64), numbered.astype(numpy.int64))


def repeated(runs: Sequence[Sequence[Outcome]]) -> Stat:
    """Krippendorff's alpha of a judge with itself over several runs, ordinal for its most probable scores and nominal
    for its winners; rows that a run could not read are missing in it. items: rows.
    """
    said = [
        (outcome.row_id, outcome.score - 1 if isinstance(outcome, ScoreOutcome) else WINNERS.index(outcome.winner()))
        for run in runs
        for outcome in run
    ]
    _, items = numpy.unique([row_id for row_id, _ in said], return_inverse=True)
    ordinal = any(isinstance(outcome, ScoreOutcome) for run in runs for outcome in run)
    values = numpy.array([value for _, value in said], dtype=numpy.int64)
    size = len(SCORES) if ordinal else len(WINNERS)
    return among(items.astype(numpy.int64), values, size, ordinal=ordinal)["alpha"]


def _orders(leads: dict[tuple[str, str], float]) -> list[float]:
    """1 for each triple that is an order, 0 for each circle. leads: of the first response over the second."""
    responses = sorted({first for first, _ in leads})
    found = []
    for x, y, z in combinations(responses, 3):
        if all(pair in leads for pair in ((x, y), (y, z), (z, x))):
            steps = [leads[x, y], leads[y, z], leads[z, x]]
            found.append(float(not (min(steps) > 0 or max(steps) < 0)))
    return found


def _higher(a: ScoreOutcome, b: ScoreOutcome) -> str:
    if abs(a.expected - b.expected) <= EQUAL:
        return "tie"
    return "A" if a.expected > b.expected else "B"


def _difference(right: Sequence[tuple[bool, bool]]) -> Difference | None:
    """Every pair adds 1, 0 or -1, so a resample of the pairs is one multinomial draw over these three."""
    if not right:
        return None
    n = len(right)
    steps = numpy.array([by_pair - by_score for by_pair, by_score in right])
    counts = numpy.array([(steps == step).sum() for step in (-1, 0, 1)])
    value = float(steps.mean())
    if counts.max() == n:
        return Difference(value, None, None, n)
    drawn = numpy.random.default_rng(0).multinomial(n, counts / n, size=RESAMPLES) @ numpy.array([-1, 0, 1]) / n
    low, high = numpy.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(value, float(low), float(high), n)


def _single_id(row_id: str, side: str) -> str:
    return f"{row_id} {side}"
