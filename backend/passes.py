"""What an item asks of a judge, pass by pass, and the verdict that the passes' readings make. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.prompts import Prompt, PromptFormat
from backend.ranking import Comparison, pair_verdict, ranking_verdict, score_verdict, shares_of
from backend.tournament import ALL_PAIRS_UP_TO, next_pairs
from backend.types import Item, Mode, Reading, Rubric, Status, letter
from db import models as rows


@dataclass(frozen=True)
class Pass:
    """One reading to be had: the response at `first` alone, or shown before the one at `second`."""

    first: int
    second: int | None = None

    @property
    def place(self) -> tuple[bool, int, int]:
        """Sorts scores before pairs, each by position."""
        return self.second is not None, self.first, self.second or 0

    @property
    def label(self) -> str:
        if self.second is None:
            return f"Response {letter(self.first)}"
        return f"{letter(self.first)} shown first, {letter(self.second)} second"


def passes_of(item: Item) -> tuple[Pass, ...]:
    """All that may be asked: one response's score, a pair in both orders, or of more every score and every pair."""
    count = len(item.responses)
    if item.mode is Mode.DIRECT:
        return (Pass(0),)
    pairs = tuple(Pass(a, b) for i in range(count) for j in range(i + 1, count) for a, b in ((i, j), (j, i)))
    if item.mode is Mode.PAIRWISE:
        return pairs
    return (*(Pass(position) for position in range(count)), *pairs)


def next_passes(item: Item, readings: Mapping[Pass, Reading]) -> tuple[Pass, ...]:
    """What to ask next, by what was read so far; nothing: the verdict can be made.

    Of more than ALL_PAIRS_UP_TO responses the pairs are asked in rounds, each chosen by what the last one said
    (`tournament.py`); no more is asked when a reading has no result, for then no verdict can be made.
    """
    count = len(item.responses)
    if count <= ALL_PAIRS_UP_TO:
        return tuple(one for one in passes_of(item) if one not in readings)
    scores = tuple(Pass(position) for position in range(count))
    if open_scores := tuple(one for one in scores if one not in readings):
        return open_scores
    shares = _shares(readings)
    if len(shares) < len(readings):
        return ()
    own = [score_verdict(shares[one]).expected for one in scores]
    return tuple(Pass(a, b) for i, j in next_pairs(count, own, _comparisons(shares)) for a, b in ((i, j), (j, i)))


def prompts_of(item: Item, rubric: Rubric, format: PromptFormat) -> dict[Pass, Prompt]:
    """Every pass that may be asked, with its prompt. Build them once, to be checked and then read."""
    return {
        one: format.direct(item, rubric, one.first)
        if one.second is None
        else format.pairwise(item, rubric, one.first, one.second)
        for one in passes_of(item)
    }


def verdict_row(item: Item, readings: Mapping[Pass, Reading]) -> rows.Verdict:
    """The verdict that the readings make; unparsed, with nothing made up, where one of them has no result."""
    verdict = rows.Verdict(mode=item.mode, status=Status.READ)
    by_pass = _shares(readings)
    if len(by_pass) < len(readings):
        verdict.status = Status.UNPARSED
        return verdict
    distributions = all(reading.probabilities is not None for reading in readings.values())
    match item.mode:
        case Mode.DIRECT:
            score = score_verdict(by_pass[Pass(0)])
            verdict.score = score.score
            if distributions:
                verdict.expected_score, verdict.confidence = score.expected, score.confidence
        case Mode.PAIRWISE:
            pair = pair_verdict(by_pass[Pass(0, 1)][0], by_pass[Pass(1, 0)][1])
            verdict.winner, verdict.order_sensitive, verdict.tie_margin = pair.winner, pair.order_sensitive, pair.margin
            if distributions:
                verdict.p_a, verdict.confidence = pair.p_a, pair.confidence
                verdict.p_a_first, verdict.p_a_second = pair.p_a_first, pair.p_a_second
        case Mode.RANKING:
            scores = [score_verdict(by_pass[Pass(position)]).expected for position in range(len(item.responses))]
            ranking = ranking_verdict(_comparisons(by_pass), scores)
            verdict.order_sensitive = ranking.sensitive_pairs > 0
            verdict.ranking = {
                "ranked": [vars(ranked) for ranked in ranking.ranked],
                "pairs": ranking.pairs,
                "sensitive_pairs": ranking.sensitive_pairs,
            }
    return verdict


def _shares(readings: Mapping[Pass, Reading]) -> dict[Pass, Sequence[float]]:
    """The probabilities of each pass that has a result."""
    given = {one: shares_of(read.results, read.probabilities, read.parsed) for one, read in readings.items()}
    return {one: shares for one, shares in given.items() if shares is not None}


def _comparisons(shares: Mapping[Pass, Sequence[float]]) -> list[Comparison]:
    """In an order that does not depend on which reading was there first: the intervals are drawn in it."""
    found = [Comparison(one.first, one.second, p[0]) for one, p in shares.items() if one.second is not None]
    return sorted(found, key=lambda one: (one.first, one.second))
