"""The known forms of rows to learn from: what marks each, how one is read, and whole places of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.errors import InvalidInputError
from backend.row_files import RawRow, Unreadable, raw_rows
from backend.training_rows import (
    LEVEL_FIELDS,
    NOT_STATED,
    Loaded,
    RefusedRow,
    TrainingRow,
    score_target,
    split_output,
    winner_target,
)
from backend.types import SCORES, SIDES, Item, Mode, Rubric

TOLERANCE = 0.01
"""How far figures that say the same may differ: published means are rounded."""

_WHOLE_PROMPT = "###Response"
"""Stands in published `instruction` fields that hold all that an evaluator was asked, not the instruction alone."""


def load_rows(place: str, *, rubric: Rubric | None = None) -> Loaded:
    """The training rows of a local file, of the files that a pattern names, or of a data set on the hub.

    place: as backend.row_files.raw_rows takes it. Each row is recognised by its fields: the Feedback
    Collection's and the Preference Collection's (arXiv 2310.08491, 2405.01535), or rows with scores or
    winners of people and GPT-4 (docs/data.md has all fields). rubric: of the rows that state none; without
    it they are refused. Raises InvalidInputError if no row has a known form, DataFetchError.
    """
    rows: dict[str, TrainingRow] = {}
    refused: list[RefusedRow] = []
    forms: dict[str, int] = {}
    duplicates = 0
    strange: RawRow | None = None
    for raw in raw_rows(place):
        form = _form_of(raw.value)
        if form is None:
            strange = strange or raw
            refused.append(RefusedRow(raw.where, _strangeness(raw.value)))
            continue
        forms[form.name] = forms.get(form.name, 0) + 1
        try:
            row = form.read(raw.value, rubric)
        except InvalidInputError as error:
            refused.append(RefusedRow(raw.where, str(error)))
            continue
        duplicates += row.digest in rows
        rows.setdefault(row.digest, row)
    if strange is not None and not forms:
        raise InvalidInputError(
            f"{place} has no row in a known form. {strange.where}: {_strangeness(strange.value)} {_known_forms()}"
        )
    return Loaded(tuple(rows.values()), tuple(refused), duplicates, forms)


@dataclass(frozen=True)
class _Form:
    """A known form of rows. marks: a row with any of these fields is meant to be of this form."""

    name: str
    marks: tuple[str, ...]
    needs: str
    read: Callable[[dict[str, Any], Rubric | None], TrainingRow]


def _form_of(value: Any) -> _Form | None:
    if not isinstance(value, dict):
        return None
    return next((form for form in _FORMS if any(mark in value for mark in form.marks)), None)


def _strangeness(value: Any) -> str:
    match value:
        case Unreadable(reason=reason):
            return reason
        case dict():
            names = ", ".join(sorted(str(name)[:40] for name in value)[:20]) or "none"
            return f"It has no known form; its fields are: {names}."
        case _:
            return "It is not an object with fields."


def _known_forms() -> str:
    return "Known are " + "; ".join(f"{form.name}, with {form.needs}" for form in _FORMS) + "."


def _read_feedback_collection(row: dict[str, Any], _rubric: Rubric | None) -> TrainingRow:
    item = Item(_published_instruction(row), (_text(row, "orig_response"),), _optional(row, "orig_reference_answer"))
    result = None if row.get("orig_score") is None else _whole_score(row["orig_score"])
    return _published_row(row, "Feedback Collection", item, result)


def _read_preference_collection(row: dict[str, Any], _rubric: Rubric | None) -> TrainingRow:
    responses = (_text(row, "orig_response_A"), _text(row, "orig_response_B"))
    item = Item(_published_instruction(row), responses, _optional(row, "orig_reference_answer"))
    preference = row.get("orig_preference")
    if preference is not None and preference not in SIDES:
        raise InvalidInputError(f"orig_preference is {preference!r}; it must be A or B.")
    _require_better_score(row, preference)
    return _published_row(row, "Preference Collection", item, preference)


def _require_better_score(row: dict[str, Any], preference: str | None) -> None:
    """The preferred response has the higher score, where the row says what scores the two had."""
    if row.get("orig_score_A") is None or row.get("orig_score_B") is None:
        return
    a, b = _whole_score(row["orig_score_A"]), _whole_score(row["orig_score_B"])
    if a == b:
        raise InvalidInputError(f"Both responses have the score {a}, so neither is the better one.")
    if preference is not None and (a > b) != (preference == "A"):
        raise InvalidInputError(f"orig_preference is {preference}, but the scores of A and B are {a} and {b}.")


def _published_row(row: dict[str, Any], source: str, item: Item, result: str | None) -> TrainingRow:
    results = SCORES if item.mode is Mode.DIRECT else SIDES
    feedback, said = _optional(row, "orig_feedback"), result
    output = _optional(row, "output")
    if output is not None:
        feedback, said = split_output(output, results)
        if result is not None and said != result:
            raise InvalidInputError(f"It contradicts itself: its result is {result}, but its output ends in {said}.")
    target = _own_target(row, said, results)
    return _row(row, source, item, _published_rubric(row), target, feedback)


def _own_target(row: dict[str, Any], result: str | None, results: Sequence[str]) -> tuple[float, ...]:
    shares = row.get("target")
    if shares is None:
        if result is None:
            raise InvalidInputError("It has no result: neither a score or preference, nor an output that ends in one.")
        return tuple(float(other == result) for other in results)
    if result is not None:
        raise InvalidInputError(f"It says its result twice: {result}, and a target of {shares}. Leave one out.")
    if not isinstance(shares, list):
        raise InvalidInputError(f"The target is {shares!r}; it must be a list of probabilities.")
    return tuple(_number("target", share) for share in shares)


def _published_instruction(row: dict[str, Any]) -> str:
    if row.get("orig_instruction") is not None:
        return _text(row, "orig_instruction")
    instruction = _text(row, "instruction")
    if _WHOLE_PROMPT in instruction:
        raise InvalidInputError(
            "Its instruction holds a whole evaluator's prompt; orig_instruction, the instruction alone, is missing."
        )
    return instruction


def _published_rubric(row: dict[str, Any]) -> Rubric:
    levels = [_optional(row, name) for name in LEVEL_FIELDS]
    missing = [name for name, level in zip(LEVEL_FIELDS, levels, strict=True) if level is None]
    if missing and len(missing) < len(levels):
        raise InvalidInputError(f"It describes some scores and not others; missing: {', '.join(missing)}.")
    return Rubric(_text(row, "orig_criteria"), tuple(level for level in levels if level is not None))


def _whole_score(value: Any) -> str:
    """The score of 3, "3", " 3 " or 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if isinstance(value, bool) or text not in SCORES:
        raise InvalidInputError(f"The score is {text[:40]!r}; it must be a whole number from 1 to 5.")
    return text


def _read_direct(row: dict[str, Any], rubric: Rubric | None) -> TrainingRow:
    item = Item(_text(row, "instruction"), (_text(row, "response"),), _optional(row, "reference"))
    people = row.get("human_scores") or ([] if row.get("human_score") is None else [row["human_score"]])
    if people:
        scores, feedback = _mapped_scores(row, "human_scores", people), _optional(row, "human_feedback")
    elif row.get("gpt4_score") is not None:
        scores = _mapped_scores(row, "gpt4_score", [row["gpt4_score"]])
        feedback = _optional(row, "gpt4_feedback")
    else:
        raise InvalidInputError("It has no score: human_score, human_scores and gpt4_score are all empty.")
    return _row(row, _optional(row, "source"), item, _page_rubric(row, rubric), score_target(scores), feedback)


def _mapped_scores(row: dict[str, Any], name: str, scores: Any) -> list[float]:
    """Scores on the row's scale [lo, hi] mapped to 1..5: (score - lo) / (hi - lo) * 4 + 1."""
    if not isinstance(scores, list):
        raise InvalidInputError(f"{name} is {scores!r}; it must be a list of numbers.")
    scale = row.get("scale")
    if not isinstance(scale, list) or len(scale) != 2:
        raise InvalidInputError(f"scale is {scale!r}; it must be the lowest and the highest score, such as [1, 5].")
    low, high = _number("scale", scale[0]), _number("scale", scale[1])
    if low >= high:
        raise InvalidInputError(f"scale is {scale}; its second number must be the higher one.")
    numbers = [_number(name, score) for score in scores]
    for score in numbers:
        if not low <= score <= high:
            raise InvalidInputError(f"The score is {score:g}; its own scale goes from {low:g} to {high:g}.")
    mapped = [(score - low) / (high - low) * 4 + 1 for score in numbers]
    return _checked_mapping(row, mapped)


def _checked_mapping(row: dict[str, Any], mapped: list[float]) -> list[float]:
    """The same, if the row's own mapping to 1..5 (meta.score_1to5) says nothing else."""
    stated = _meta(row).get("score_1to5")
    if stated is None:
        return mapped
    mean = sum(mapped) / len(mapped)
    if abs(_number("meta.score_1to5", stated) - mean) > TOLERANCE:
        raise InvalidInputError(f"It contradicts itself: meta.score_1to5 is {stated}, but its scores give {mean:.4g}.")
    return mapped


def _read_pairwise(row: dict[str, Any], rubric: Rubric | None) -> TrainingRow:
    responses = (_text(row, "response_a"), _text(row, "response_b"))
    item = Item(_text(row, "instruction"), responses, _optional(row, "reference"))
    person, model = row.get("human_label"), row.get("gpt4_label")
    votes = _meta(row).get("votes")
    feedback = _optional(row, "feedback")
    if person is not None:
        if votes is not None and not isinstance(votes, list):
            raise InvalidInputError(f"meta.votes is {votes!r}; it must be a list of A, B and tie.")
        target = winner_target(votes or [person])
        # whose feedback it is, is not said: it may be used where it can only argue for the label
        feedback = feedback if model in (None, person) else None
    elif model is not None:
        target = winner_target([model])
    else:
        raise InvalidInputError("It has no winner: human_label and gpt4_label are both empty.")
    return _row(row, _optional(row, "source"), item, _page_rubric(row, rubric), target, feedback)


def _page_rubric(row: dict[str, Any], default: Rubric | None) -> Rubric:
    rubric = row.get("rubric")
    if rubric is None:
        if default is None:
            raise InvalidInputError("It states no rubric, so nothing says what it was judged by.")
        return default
    if not isinstance(rubric, dict):
        raise InvalidInputError("Its rubric is not an object with the fields criteria and scores.")
    levels = rubric.get("scores") or []
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        raise InvalidInputError("The scores of its rubric are not a list of five descriptions.")
    return Rubric(_text(rubric, "criteria"), tuple(levels))


def _row(
    raw: dict[str, Any],
    source: str | None,
    item: Item,
    rubric: Rubric,
    target: tuple[float, ...],
    feedback: str | None,
) -> TrainingRow:
    row_id = raw.get("id")
    if row_id is not None and (isinstance(row_id, bool) or not isinstance(row_id, str | int)):
        raise InvalidInputError(f"id is {row_id!r}; it must be text or a whole number.")
    name = _optional(raw, "source") or source or NOT_STATED
    licence = _optional(raw, "license") or _optional(raw, "licence") or NOT_STATED
    row = TrainingRow("", name, licence, item, rubric, target, feedback)
    return replace(row, id=row.digest[:16] if row_id is None else str(row_id))


def _meta(row: dict[str, Any]) -> dict[str, Any]:
    meta = row.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise InvalidInputError("meta is not an object.")
    return meta or {}


def _text(row: dict[str, Any], name: str) -> str:
    value = _optional(row, name)
    if value is None:
        raise InvalidInputError(f"{name} is {'empty' if name in row else 'missing'}.")
    return value


def _optional(row: dict[str, Any], name: str) -> str | None:
    """The field's text; None if it is missing, null or blank. Raises InvalidInputError if it is no text."""
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{name} is not text.")
    return value if value and value.strip() else None


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInputError(f"{name} holds {value!r}, which is no number.")
    return float(value)


_FORMS = (
    _Form(
        "Preference Collection",
        ("orig_response_A", "orig_response_B"),
        "orig_instruction, orig_response_A, orig_response_B, orig_criteria and orig_preference or output",
        _read_preference_collection,
    ),
    _Form(
        "Feedback Collection",
        ("orig_response",),
        "orig_instruction, orig_response, orig_criteria and orig_score or output",
        _read_feedback_collection,
    ),
    _Form(
        "pairs with winners",
        ("response_a", "response_b"),
        "instruction, response_a, response_b, rubric and human_label or gpt4_label",
        _read_pairwise,
    ),
    _Form(
        "responses with scores",
        ("response",),
        "instruction, response, rubric, scale and human_score, human_scores or gpt4_score",
        _read_direct,
    ),
)
