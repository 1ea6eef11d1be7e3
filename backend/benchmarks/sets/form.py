"""The common form of a published set, and the published forms that several sets share. Pure.

A set is read from rows as they were published into rows of ours (docs/measuring.md), which lie in the data folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from backend.errors import InvalidInputError
from backend.row_files import RawRow, validated
from backend.types import SCORES, Mode

Row = dict[str, Any]

TASK = "###The instruction to evaluate:"
RESPONSE = "###Response to evaluate:"
REFERENCE = "###Reference Answer (Score 5):"
RUBRICS = "###Score Rubrics:"
FEEDBACK = "###Feedback:"
"""The headings of a whole evaluator's prompt, as prometheus-eval published its sets."""


@dataclass(frozen=True)
class PublishedSet:
    """One benchmark.

    name: in the data folder. size: rows as published. labels: who gave them and how. hub: the data set on the
    model hub whose rows `read` understands; None where it is not known to be there. configurations: of that data set,
    all of which belong to the set. split: of it. file: its published file, and where that is. read: published rows
    into ours; raises InvalidInputError for a row in another form.
    """

    name: str
    mode: Mode
    size: int
    licence: str
    labels: str
    file: str
    read: Callable[[Sequence[RawRow]], list[Row]]
    hub: str | None = None
    configurations: tuple[str | None, ...] = (None,)
    split: str | None = None

    @property
    def cure(self) -> str:
        """How to get it."""
        get = f"python3 launch.py bench get {self.name}"
        if self.hub is None:
            return f"Download {self.file}, and run: {get} --from FILE, where FILE is that one."
        return f"Run: {get} (or with --from FILE, where FILE is {self.file}, downloaded)."


class Published(BaseModel):
    """Base of the published rows: fields that nothing is made of are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


P = TypeVar("P", bound=Published)


def parsed(form: type[P], raw: RawRow) -> P:
    """The row in this form. Raises InvalidInputError that names the row and the field."""
    return validated(form, raw, "is not in the published form", "Take the file as it was published.")


def states(raws: Sequence[RawRow], field: str) -> bool:
    """Whether the first row has this field: it tells which of its published forms a set has."""
    return bool(raws) and isinstance(raws[0].value, dict) and field in raws[0].value


@dataclass(frozen=True)
class Sections:
    """What a whole evaluator's prompt asks about."""

    instruction: str
    response: str
    reference: str | None
    rubric: Row


def sections(prompt: str, where: str) -> Sections:
    """The parts of a whole evaluator's prompt, found by its headings: the first TASK, and the last of the others, since
    a response may have headings of its own. Raises InvalidInputError where one is missing.
    """
    missing = [heading for heading in (TASK, RESPONSE, RUBRICS) if heading not in prompt]
    if missing:
        raise InvalidInputError(
            f"The row in {where} is not in the published form: its prompt has no heading {missing[0]!r}. Take the file "
            "as it was published."
        )
    asked, _, rubric = prompt.partition(TASK)[2].rpartition(RUBRICS)
    instruction, _, answered = asked.partition(RESPONSE)
    response, _, reference = answered.rpartition(REFERENCE) if REFERENCE in answered else (answered, "", "")
    return Sections(
        instruction.strip(), response.strip(), reference.strip() or None, _rubric(rubric.partition(FEEDBACK)[0], where)
    )


def rubric_of(criterion: str, levels: Sequence[str]) -> Row:
    return {"criteria": criterion, "scores": list(levels)}


class ScoredPrompt(Published):
    """A whole prompt and the scores that it got: one of GPT-4 or several, and where there are, people's."""

    instruction: str
    gpt4_score: list[float] | float
    human_score: list[float] | float | None = None
    idx: int | str | None = None
    response_source: str = ""
    category: str = ""
    criteria: str = ""


def scored_prompts(name: str, licence: str, raws: Sequence[RawRow]) -> list[Row]:
    """Rows of ours from scored prompts; several scores are their mean."""
    rows = []
    for number, raw in enumerate(raws, start=1):
        one = parsed(ScoredPrompt, raw)
        parts = sections(one.instruction, raw.where)
        known = [str(part) for part in (one.idx, one.response_source, one.criteria) if part not in (None, "")]
        rows.append(
            {
                "id": f"{_stem(name)}-{'-'.join(known) if one.idx is not None else number}",
                "instruction": parts.instruction,
                "response": parts.response,
                "reference": parts.reference,
                "rubric": parts.rubric,
                "scale": [1, len(SCORES)],
                "human_score": _mean(one.human_score),
                "gpt4_score": _mean(one.gpt4_score),
                "license": licence,
                "meta": {"category": one.category or one.criteria},
            }
        )
    return rows


class ChosenPrompts(Published):
    """Two whole prompts that differ in the response alone, the first with the better one."""

    chosen_instruction: str
    rejected_instruction: str
    tie: int = 0
    source: str = ""


def chosen_prompts(name: str, licence: str, label: str, raws: Sequence[RawRow]) -> list[Row]:
    """Rows of ours from chosen and rejected prompts. label: human_label or gpt4_label."""
    rows = []
    for number, raw in enumerate(raws, start=1):
        one = parsed(ChosenPrompts, raw)
        better = sections(one.chosen_instruction, raw.where)
        worse = sections(one.rejected_instruction, raw.where)
        if better.instruction != worse.instruction:
            raise InvalidInputError(
                f"The row in {raw.where} is not in the published form: its two prompts ask different things. Take the "
                "file as it was published."
            )
        rows.append(
            pair_row(
                f"{_stem(name)}-{number}", better.instruction, (better.response, worse.response),
                winner="tie" if one.tie else None,
                label=label, licence=licence, reference=better.reference, rubric=better.rubric, category=one.source,
            )
        )  # fmt: skip
    return rows


def pair_row(
    row_id: str,
    instruction: str,
    responses: tuple[str, str],
    *,
    winner: str | None,
    label: str,
    licence: str,
    reference: str | None = None,
    rubric: Row | None = None,
    category: str = "",
) -> Row:
    """A pair in our form. winner: A, B or tie; None says that the first response is the better one, and then its side
    is drawn by a digest of the row's own text, so that neither side wins always and every reading draws the same.
    """
    a, b = responses
    if winner is None:
        swapped = sha256(f"{row_id} {a} {b}".encode("utf-8", "replace")).digest()[0] % 2
        a, b, winner = (b, a, "B") if swapped else (a, b, "A")
    return {
        "id": row_id, "instruction": instruction, "response_a": a, "response_b": b, "reference": reference,
        "rubric": rubric, label: winner, "license": licence, "meta": {"category": category},
    }  # fmt: skip


def _rubric(text: str, where: str) -> Row:
    """ "[criterion]" and the lines "Score 1: ..." below it."""
    criterion, *levels = text.strip().split("\nScore 1:", 1)
    described = f"Score 1:{levels[0]}" if levels else ""
    found = []
    for score in SCORES:
        _, mark, behind = described.partition(f"Score {score}:")
        described = behind if mark else described
        found.append(behind.partition(f"\nScore {int(score) + 1}:")[0].strip() if mark else "")
    if not all(found):
        raise InvalidInputError(
            f"The row in {where} is not in the published form: its rubric does not describe the scores 1 to 5. Take "
            "the file as it was published."
        )
    return rubric_of(criterion.strip().removeprefix("[").removesuffix("]").strip(), found)


def _stem(name: str) -> str:
    return name.partition("/")[2]


def _mean(scores: Sequence[float] | float | None) -> float | None:
    if scores is None or isinstance(scores, int | float):
        return scores
    return sum(scores) / len(scores) if scores else None
