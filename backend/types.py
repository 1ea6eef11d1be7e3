"""The words of Assay as plain values: rubric, item, sampling, judge, reading, verdict."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from backend.errors import InvalidInputError

SCORES: tuple[str, ...] = ("1", "2", "3", "4", "5")
SIDES: tuple[str, ...] = ("A", "B")
MAX_RESPONSES = 32
LETTERS = 26
MAX_CHARACTERS = 4_000_000
"""Longest text of one field. Far above any model's context; guards memory, not meaning."""


def digest_of(*parts: Any) -> str:
    """SHA-256 (hex) of the parts as canonical JSON: the same parts, the same digest, on any machine."""
    canonical = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def checked_text(name: str, value: str | None, *, required: bool = True) -> str:
    """The value as it is, if it can be judged and stored without loss.

    Raises InvalidInputError for an empty text (when required), a NUL character, a lone surrogate
    (half of a character, which no file can hold), or more than MAX_CHARACTERS.
    """
    text = value or ""
    if required and not text.strip():
        raise InvalidInputError(f"{name} is empty. Fill it in.")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInputError(f"{name} has {len(text):,} characters; at most {MAX_CHARACTERS:,} are accepted.")
    nul = text.find("\x00")
    if nul >= 0:
        raise InvalidInputError(f"{name} has a NUL character at position {nul + 1:,}. Remove it and try again.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name} has half a character (a lone surrogate) at position {error.start + 1:,}. "
            "Remove it, or copy the text again from its source."
        ) from error
    return text


class Mode(StrEnum):
    """What is asked of a judge; follows from the number of responses."""

    DIRECT = "direct"
    PAIRWISE = "pairwise"
    RANKING = "ranking"


@dataclass(frozen=True)
class Rubric:
    """One criterion and what each score means.

    levels holds five descriptions, of the scores 1 to 5 in this order, or none: published sets have
    rows that state a criterion alone. The library asks for all five.
    """

    criterion: str
    levels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_text("The criterion", self.criterion)
        if len(self.levels) not in (0, len(SCORES)):
            raise InvalidInputError(
                f"A rubric describes all five scores or none; this one describes {len(self.levels)}."
            )
        for score, level in zip(SCORES, self.levels, strict=False):
            checked_text(f"The description of score {score}", level)

    @property
    def digest(self) -> str:
        return digest_of("rubric", self.criterion, list(self.levels))


@dataclass(frozen=True)
class Item:
    """An instruction, one to MAX_RESPONSES responses, and an optional reference answer."""

    instruction: str
    responses: tuple[str, ...]
    reference: str | None = None

    def __post_init__(self) -> None:
        checked_text("The instruction", self.instruction)
        if not 1 <= len(self.responses) <= MAX_RESPONSES:
            raise InvalidInputError(
                f"An item has one to {MAX_RESPONSES} responses; this one has {len(self.responses)}."
            )
        for position, response in enumerate(self.responses):
            name = "The response" if len(self.responses) == 1 else f"Response {letter(position)}"
            checked_text(name, response)
        if self.reference is not None:
            checked_text("The reference answer", self.reference)

    @property
    def mode(self) -> Mode:
        match len(self.responses):
            case 1:
                return Mode.DIRECT
            case 2:
                return Mode.PAIRWISE
            case _:
                return Mode.RANKING

    @property
    def digest(self) -> str:
        return digest_of("item", self.instruction, list(self.responses), self.reference)


def letter(position: int) -> str:
    """The name of a response by its position from 0, as people read it: A, B ... Z, AA, AB ..."""
    more, last = divmod(position, LETTERS)
    return (letter(more - 1) if more else "") + chr(ord("A") + last)


@dataclass(frozen=True)
class Sampling:
    """How a judge writes. Temperature 0 is greedy: top_p and seed then change nothing.

    temperature: 0 or more. top_p: in (0, 1]. seed: any integer from 0. max_new_tokens: the most
    tokens of feedback, from 1. feedback: False is the verdict-only mode, which writes none.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_new_tokens: int = 256
    feedback: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise InvalidInputError(f"The temperature is {self.temperature}; it must lie between 0 and 10.")
        if not 0 < self.top_p <= 1:
            raise InvalidInputError(f"Top-p is {self.top_p}; it must be above 0 and at most 1.")
        if not 0 <= self.seed < 2**32:
            raise InvalidInputError(f"The seed is {self.seed}; it must be a whole number from 0 to 4294967295.")
        if not 1 <= self.max_new_tokens <= 32_768:
            raise InvalidInputError(
                f"The maximum of feedback tokens is {self.max_new_tokens}; it must lie between 1 and 32768."
            )

    def canonical(self) -> "Sampling":
        """The same behaviour with the settings that change nothing put to their defaults."""
        if not self.feedback:
            return Sampling(feedback=False)
        if self.temperature == 0:
            return replace(self, top_p=1.0, seed=0)
        return self


@dataclass(frozen=True)
class Maker:
    """Who a verdict is by: everything that can change what is said (DESIGN.md, decision 4).

    model_digest: SHA-256 over the weights. recipe: how a merge was made, as JSON; None for other models.
    format_digest: SHA-256 over the prompt format's own words. engine_version: the libraries' versions.
    """

    model_name: str
    model_digest: str
    recipe: str | None
    prompt_format: str
    format_digest: str
    engine: str
    engine_version: str
    device: str
    dtype: str
    sampling: Sampling

    @property
    def digest(self) -> str:
        """Leaves out the name: renaming a model does not make another judge of it."""
        fields = asdict(self)
        del fields["model_name"]
        return digest_of("maker", fields)


class Finish(StrEnum):
    """Why the feedback ended."""

    MARKER = "marker"
    END_OF_TURN = "end_of_turn"
    TOKEN_LIMIT = "token_limit"
    LOOP = "loop"
    NOT_ASKED = "not_asked"


class Status(StrEnum):
    """Whether a result could be had. Unparsed keeps the raw text and has no result: none is made up."""

    READ = "read"
    UNPARSED = "unparsed"


@dataclass(frozen=True)
class Reading:
    """One pass of a judge over one prompt.

    results: what was allowed, e.g. ("1", ..., "5"). probabilities: one for each result, summing to 1,
    or None where the engine exposes none. seconds: wall time of this pass, in a batch its own share.
    parsed: the result as the judge's text names it, where there are no probabilities to read it from.
    """

    status: Status
    feedback: str
    raw_text: str
    results: tuple[str, ...]
    probabilities: tuple[float, ...] | None
    finish: Finish
    prompt_tokens: int
    new_tokens: int
    seconds: float
    parsed: str | None = None

    @property
    def result(self) -> str | None:
        """The most probable result, the first of them where two are exactly equal; else the one that was parsed."""
        if self.probabilities is None:
            return self.parsed
        return self.results[max(range(len(self.results)), key=lambda i: self.probabilities[i])]  # type: ignore[index]


@dataclass(frozen=True)
class ScoreVerdict:
    """A direct assessment. score: 1..5, the most probable. expected: mean of the distribution, 1.0..5.0.

    confidence: the probability of the score, 0..1. distribution: of the scores 1..5 in this order.
    """

    score: int
    expected: float
    confidence: float
    distribution: tuple[float, ...]


@dataclass(frozen=True)
class PairVerdict:
    """A pairwise ranking, judged in both orders.

    winner: "A", "B" or "tie". p_a: probability that A is the better one, the mean of both orders.
    p_a_first, p_a_second: the same by the order A, B and by the order B, A alone.
    order_sensitive: the two orders name different winners. margin: below it |2 * p_a - 1| is a tie.
    """

    winner: str
    p_a: float
    p_a_first: float
    p_a_second: float
    order_sensitive: bool
    margin: float

    @property
    def confidence(self) -> float:
        return max(self.p_a, 1 - self.p_a)


@dataclass(frozen=True)
class ParsedScore:
    """A direct assessment by an engine that gives no probabilities. score: 1..5, as the judge's text names it."""

    score: int


@dataclass(frozen=True)
class ParsedPair:
    """A pairwise ranking by an engine that gives no probabilities, judged in both orders.

    winner: "A", "B", or "tie" where the two orders name different winners; order_sensitive says the same.
    """

    winner: str
    order_sensitive: bool


@dataclass(frozen=True)
class RankedResponse:
    """Where one response stands. position: its place on the form, from 0. rank: from 1; equal is equal.

    strength: Bradley-Terry, on the log scale, mean 0 over the responses. low, high: its 95% interval.
    expected_score: from its own direct assessment, None if it has none.
    """

    position: int
    rank: int
    strength: float
    low: float
    high: float
    expected_score: float | None


@dataclass(frozen=True)
class RankingVerdict:
    """An N-way ranking. order: positions from best to worst. sensitive_pairs: how many of the pairs flip."""

    order: tuple[int, ...]
    ranked: tuple[RankedResponse, ...]
    sensitive_pairs: int
    pairs: int
