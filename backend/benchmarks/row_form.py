"""The form of a row in the data folder (docs/measuring.md), checked as it enters. Pure."""

from typing import Literal

from pydantic import BaseModel, field_validator

from backend.benchmarks.labelled import Label, Labeller
from backend.errors import InvalidInputError
from backend.row_files import RawRow, Unreadable, validated
from backend.types import SCORES, Mode


class _Meta(BaseModel):
    category: str | None = None
    scenario: str | None = None


class _Rubric(BaseModel):
    criteria: str
    scores: list[str] | None = None


class DirectRow(BaseModel):
    id: str
    instruction: str
    response: str
    reference: str | None = None
    rubric: _Rubric | None = None
    scale: tuple[float, float] = (1.0, 5.0)
    human_score: float | None = None
    gpt4_score: float | None = None
    license: str = "not stated"
    source: str = ""
    meta: _Meta = _Meta()

    @field_validator("scale")
    @classmethod
    def _goes_up(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] < scale[1]:
            raise ValueError("the scale must go from its lowest to its highest score")
        return scale

    @property
    def responses(self) -> tuple[str, ...]:
        return (self.response,)

    @property
    def category(self) -> str:
        return self.meta.category or self.meta.scenario or ""

    def label(self, by: Labeller | None) -> tuple[Label, Labeller] | None:
        low, high = self.scale
        chosen = _chosen(self.human_score, self.gpt4_score, by)
        return chosen and (1 + (float(chosen[0]) - low) * 4 / (high - low), chosen[1])


class PairRow(BaseModel):
    id: str
    instruction: str
    response_a: str
    response_b: str
    reference: str | None = None
    rubric: _Rubric | None = None
    human_label: Literal["A", "B", "tie"] | None = None
    gpt4_label: Literal["A", "B", "tie"] | None = None
    license: str = "not stated"
    source: str = ""
    meta: _Meta = _Meta()

    @property
    def responses(self) -> tuple[str, ...]:
        return (self.response_a, self.response_b)

    @property
    def category(self) -> str:
        return self.meta.category or self.meta.scenario or ""

    def label(self, by: Labeller | None) -> tuple[Label, Labeller] | None:
        return _chosen(self.human_label, self.gpt4_label, by)


def _chosen(people: Label | None, gpt4: Label | None, by: Labeller | None) -> tuple[Label, Labeller] | None:
    if people is not None and by != "gpt4":
        return people, "people"
    if gpt4 is not None and by != "people":
        return gpt4, "gpt4"
    return None


def parsed(line: RawRow) -> DirectRow | PairRow:
    fault, cure = "can't be used", "Correct it or remove the line."
    if not isinstance(line.value, Unreadable) and mode_of(line) is Mode.PAIRWISE:
        return validated(PairRow, line, fault, cure)
    return validated(DirectRow, line, fault, cure)


def checked_label(label: Label, line: RawRow) -> Label:
    if isinstance(label, float) and not 1 <= label <= len(SCORES):
        raise InvalidInputError(
            f"The row in {line.where} has a score that is {label:g} on the scale from 1 to 5. Correct its score or "
            "its scale."
        )
    return label


def mode_of(line: RawRow) -> Mode:
    return Mode.PAIRWISE if isinstance(line.value, dict) and "response_a" in line.value else Mode.DIRECT
