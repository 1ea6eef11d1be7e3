"""A library rubric as somebody typed it: what makes it complete, and which names are free."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from backend.errors import ConflictError, InvalidInputError
from backend.types import SCORES, Rubric, checked_text

NAME_CHARACTERS = 100
TEXT_CHARACTERS = 4_000
"""Longest criterion and longest description of a score in the library."""


@dataclass(frozen=True)
class RubricDraft:
    """A library rubric as somebody typed it, complete or not. levels: of the scores 1 to 5 in this order."""

    name: str
    criterion: str
    levels: tuple[str, ...]

    def checked(self) -> "RubricDraft":
        """The same without blanks around the texts. Raises InvalidInputError, which names every problem at once."""
        tidy = RubricDraft(" ".join(self.name.split()), self.criterion.strip(), tuple(t.strip() for t in self.levels))
        problems = [*_missing(tidy), *_unusable(tidy)]
        if problems:
            raise InvalidInputError(" ".join(problems))
        return tidy

    def rubric(self) -> Rubric:
        return Rubric(self.criterion, self.levels)


def _missing(draft: RubricDraft) -> list[str]:
    problems = []
    if not draft.name:
        problems.append("The name is empty.")
    if not draft.criterion:
        problems.append("The criterion is empty.")
    levels = dict(zip(SCORES, draft.levels, strict=False))
    empty = [score for score in SCORES if not levels.get(score)]
    if len(empty) == 1:
        problems.append(f"The description of score {empty[0]} is empty.")
    elif empty:
        problems.append(f"The descriptions of scores {', '.join(empty[:-1])} and {empty[-1]} are empty.")
    return [*problems, "Fill in what is empty."] if problems else []


def _unusable(draft: RubricDraft) -> list[str]:
    texts = [("The name", draft.name, NAME_CHARACTERS), ("The criterion", draft.criterion, TEXT_CHARACTERS)]
    for score, level in zip(SCORES, draft.levels, strict=False):
        texts.append((f"The description of score {score}", level, TEXT_CHARACTERS))
    problems = []
    for what, text, limit in texts:
        try:
            checked_text(what, text, required=False)
        except InvalidInputError as error:
            problems.append(str(error))
        if len(text) > limit:
            problems.append(f"{what} has {len(text):,} characters; at most {limit:,} are accepted. Shorten it.")
    return problems


def require_free(name: str, taken: Mapping[str, int], *, own_id: int | None) -> None:
    """Raises ConflictError where another rubric has the name. taken: the names in use, each with its rubric's id."""
    for other, rubric_id in taken.items():
        if folded(other) == folded(name) and rubric_id != own_id:
            raise ConflictError(
                f"Another rubric is named “{other}”. Choose another name, or rename or archive that one."
            )


def free_name(name: str, taken: Mapping[str, int]) -> str:
    """The name, or if it is taken the first free one of "name (2)", "name (3)" ..."""
    in_use = {folded(other) for other in taken}
    if folded(name) not in in_use:
        return name
    stem = re.sub(r" \(\d+\)$", "", name)
    suffixes = (f" ({number})" for number in count(2))
    candidates = (stem[: NAME_CHARACTERS - len(suffix)] + suffix for suffix in suffixes)
    return next(candidate for candidate in candidates if folded(candidate) not in in_use)


def name_from(criterion: str) -> str:
    """A name for a rubric that came without one: the beginning of its criterion."""
    line = " ".join(criterion.split())
    return line if len(line) <= 60 else line[:60].rsplit(" ", 1)[0] + "…"


def folded(text: str) -> str:
    """For comparing without regard to case or to how characters are composed."""
    return unicodedata.normalize("NFKC", text).casefold()
