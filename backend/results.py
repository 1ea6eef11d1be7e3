"""What was said of an item, as a small value and in words; the same for judges and for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backend.errors import InvalidInputError
from backend.types import (
    PairVerdict,
    ParsedPair,
    ParsedScore,
    RankedResponse,
    RankingVerdict,
    ScoreVerdict,
    letter,
)

Result = ScoreVerdict | PairVerdict | RankingVerdict | ParsedScore | ParsedPair

ORDER_SIGN = " > "
EQUAL_SIGN = " = "


@dataclass(frozen=True)
class Opinion:
    """What somebody says of an item: one of the three is set, the others are None.

    score: 1..5. winner: "A", "B" or "tie". order: positions (from 0) of all responses, best to worst.
    """

    score: int | None = None
    winner: str | None = None
    order: tuple[int, ...] | None = None

    @property
    def words(self) -> str:
        """ "4 of 5", "B", "Tie" or "B > A > C"."""
        if self.score is not None:
            return f"{self.score} of 5"
        if self.winner is not None:
            return "Tie" if self.winner == "tie" else self.winner
        return order_words(self.order or ())


def opinion_of(result: Result) -> Opinion:
    """A verdict's result without its numbers."""
    match result:
        case ScoreVerdict() | ParsedScore():
            return Opinion(score=result.score)
        case PairVerdict() | ParsedPair():
            return Opinion(winner=result.winner)
        case RankingVerdict():
            return Opinion(order=result.order)


def result_words(result: Result) -> str:
    """As an opinion's words, and equal ranks are shown as equal: "B > A = C"."""
    if isinstance(result, RankingVerdict):
        return ranked_words(result.ranked)
    return opinion_of(result).words


def ranked_words(ranked: Sequence[RankedResponse]) -> str:
    best_first = best_to_worst(ranked)
    words = [letter(best_first[0].position)]
    for above, below in pairwise(best_first):
        words += [EQUAL_SIGN if above.rank == below.rank else ORDER_SIGN, letter(below.position)]
    return "".join(words)


def best_to_worst(ranked: Sequence[RankedResponse]) -> list[RankedResponse]:
    return sorted(ranked, key=lambda response: (response.rank, response.position))


def order_words(order: Sequence[int]) -> str:
    return ORDER_SIGN.join(letter(position) for position in order)


def parse_order(text: str, responses: int) -> tuple[int, ...]:
    """The positions that "B > A > C" names, best to worst. Case and spaces don't matter; commas do as well.

    Raises InvalidInputError unless each of the responses is named exactly once.
    """
    names = [letter(position) for position in range(responses)]
    said = [name.strip().upper() for name in text.replace(",", ">").split(">")]
    if sorted(said) != names:
        raise InvalidInputError(
            f"{text.strip()!r} is no order of the {responses} responses. Name each of {', '.join(names)} once, "
            f"the best first, for example {order_words(range(responses))}."
        )
    return tuple(names.index(name) for name in said)


def same_ranking(order: Sequence[int], ranked: Sequence[RankedResponse]) -> bool:
    """Whether an order nowhere contradicts the ranks; responses of equal rank may stand either way."""
    rank = {response.position: response.rank for response in ranked}
    return all(rank[above] <= rank[below] for above, below in pairwise(order))


def ranking_of(stored: dict[str, Any]) -> RankingVerdict:
    """The value of a verdict row's `ranking` column."""
    ranked = tuple(RankedResponse(**response) for response in stored["ranked"])
    order = tuple(response.position for response in best_to_worst(ranked))
    return RankingVerdict(order=order, ranked=ranked, sensitive_pairs=stored["sensitive_pairs"], pairs=stored["pairs"])


def ranks_of(stored: dict[str, Any]) -> list[int]:
    """The ranks in a verdict row's `ranking` column, by position; 1 is the best, and equal ranks tie."""
    ranks = {response.position: response.rank for response in ranking_of(stored).ranked}
    return [ranks[position] for position in range(len(ranks))]
