"""What a row of somebody's table means: which column is the instruction, which are responses, what people said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.errors import InvalidInputError
from backend.imported_labels import read_labels
from backend.types import MAX_RESPONSES, SCORES, Item, Mode, Rubric, checked_text

MAX_EXTERNAL_ID = 300
MAX_EXTRA_CHARACTERS = 100_000
"""Of a row's other fields together, as JSON; longer ones are left out."""

INSTRUCTIONS = ("orig_instruction", "instruction", "prompt", "question", "query", "input", "task", "conversation_a")
SINGLE = ("orig_response", "response", "answer", "output", "completion", "model_output")
PAIRS = (
    ("orig_response_a", "orig_response_b"),
    ("response_a", "response_b"),
    ("answer_a", "answer_b"),
    ("output_a", "output_b"),
    ("response_1", "response_2"),
    ("answer_1", "answer_2"),
    ("output_1", "output_2"),
    ("conversation_a", "conversation_b"),
    ("chosen", "rejected"),
)
LISTS = ("responses", "answers", "outputs", "completions")
REFERENCES = ("orig_reference_answer", "reference", "reference_answer", "ideal", "gold")
CRITERIA = ("orig_criteria", "criteria", "criterion")
LEVELS = (tuple(f"orig_score{n}_description" for n in SCORES), tuple(f"level_{n}" for n in SCORES))
IDS = ("id", "external_id", "question_id", "uid")
SCORED = ("imported_labels", "human_scores", "human_score", "orig_score", "score", "rating", "human_label")
WON = ("imported_labels", "votes", "meta.votes", "human_label", "orig_preference", "winner", "preference", "label")
SOURCES = (
    ("sources",), ("model_a", "model_b"), ("model_1", "model_2"), ("model",), ("models",),
    ("meta.model_a", "meta.model_b"), ("meta.model",), ("meta.system",),
)  # fmt: skip


@dataclass(frozen=True)
class ColumnMapping:
    """Which columns hold what. Empty: nothing does. A field of an object has its name behind a dot: meta.votes.

    responses: a column for each response, or one with a list. levels: five columns, of the scores 1 to 5, or none.
    rubric: one column with an object {criteria, scores}. labels: what people said before. sources: who wrote each
    response. Every other column is kept as the row's extra fields.
    """

    instruction: str = ""
    responses: tuple[str, ...] = ()
    reference: str = ""
    criterion: str = ""
    levels: tuple[str, ...] = ()
    rubric: str = ""
    external_id: str = ""
    labels: str = ""
    sources: tuple[str, ...] = ()

    @property
    def columns(self) -> set[str]:
        single = (self.instruction, self.reference, self.criterion, self.rubric, self.external_id, self.labels)
        return {name for name in (*single, *self.responses, *self.levels, *self.sources) if name}

    def checked(self, columns: Sequence[str]) -> "ColumnMapping":
        """Raises InvalidInputError if it lacks what every row needs, or names a column that is not there."""
        if not self.instruction or not self.responses:
            missing = "the instruction" if not self.instruction else "the responses"
            raise InvalidInputError(f"No column was chosen for {missing}. The columns are: {_named(columns)}.")
        strange = sorted(self.columns - set(columns))
        if strange:
            raise InvalidInputError(f"There is no column {strange[0]!r}. The columns are: {_named(columns)}.")
        if self.levels and len(self.levels) != len(SCORES):
            raise InvalidInputError(f"{len(self.levels)} columns describe scores; it must be five or none.")
        return self


@dataclass(frozen=True)
class ImportedRow:
    """One row, understood. rubric: its own, if it states one.

    labels: scores 1..5, or "A", "B", "tie"; by the annotators' names where the file has them.
    """

    item: Item
    rubric: Rubric | None
    external_id: str | None
    sources: list[str] | None
    extra: dict[str, Any] | None
    labels: list[Any] | dict[str, Any] | None


def field_of(value: Mapping[str, Any], name: str) -> Any:
    """A row's field; one of an object in it by a dot. None where there is none."""
    outer, _, inner = name.partition(".")
    if not inner or name in value:
        return value.get(name)
    within = value.get(outer)
    return within.get(inner) if isinstance(within, Mapping) else None


def guess_mapping(columns: Sequence[str], mode: Mode) -> ColumnMapping:
    """The columns by their names: published ones first, then usual ones; whatever is not recognised stays empty."""
    known = {name.strip().lower().replace(" ", "_"): name for name in columns}

    def first(names: Sequence[str]) -> str:
        return next((known[name] for name in names if name in known), "")

    def group(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
        return next((tuple(known[name] for name in names) for names in groups if all(n in known for n in names)), ())

    numbered = [name for name in known if name.rstrip("0123456789abcdefgh").rstrip("_") == "response" != name]
    match mode:
        case Mode.DIRECT:
            responses = tuple(filter(None, [first(SINGLE) or first(LISTS)]))
        case Mode.PAIRWISE:
            responses = group(PAIRS) or tuple(filter(None, [first(LISTS)]))
        case Mode.RANKING:
            responses = tuple(filter(None, [first(LISTS)])) or tuple(known[name] for name in sorted(numbered))
    sources = [names for names in SOURCES if mode is not Mode.DIRECT or len(names) == 1]
    return ColumnMapping(
        instruction=first(INSTRUCTIONS),
        responses=responses,
        reference=first(REFERENCES),
        criterion=first(CRITERIA),
        levels=group(LEVELS),
        rubric=first(("rubric",)),
        external_id=first(IDS),
        labels=first(SCORED if mode is Mode.DIRECT else WON if mode is Mode.PAIRWISE else ()),
        sources=group(sources),
    )


def read_row(value: Mapping[str, Any], mapping: ColumnMapping, mode: Mode) -> ImportedRow:
    """Raises InvalidInputError that says what is wrong with the row."""
    instruction, responses = _texts(value, mapping)
    if len(responses) > MAX_RESPONSES:
        raise InvalidInputError(f"It has {len(responses):,} responses; an item has at most {MAX_RESPONSES}.")
    item = Item(instruction, responses, _optional(value, mapping.reference))
    if item.mode is not mode:
        wanted = {Mode.DIRECT: "one response", Mode.PAIRWISE: "two responses", Mode.RANKING: "three or more responses"}
        raise InvalidInputError(f"It has {len(responses)} responses; the items of this project have {wanted[mode]}.")
    external_id = _optional(value, mapping.external_id)
    return ImportedRow(
        item=item,
        rubric=_rubric(value, mapping),
        external_id=None if external_id is None else external_id[:MAX_EXTERNAL_ID],
        sources=_sources(value, mapping, len(responses)),
        extra=_extra(value, mapping),
        labels=_labels(value, mapping, mode),
    )


def _texts(value: Mapping[str, Any], mapping: ColumnMapping) -> tuple[str, tuple[str, ...]]:
    if len(mapping.responses) == 1 and isinstance(listed := _parsed_list(field_of(value, mapping.responses[0])), list):
        answers: list[Any] = listed
        if answers and isinstance(answers[0], Mapping) and "role" in answers[0]:
            answers = [listed]
    else:
        answers = [field_of(value, name) for name in mapping.responses]
    responses = [_answer(answer) for answer in answers]
    while len(responses) > 1 and not responses[-1].strip():  # tables leave the cells of missing responses empty
        responses.pop()
    asked = field_of(value, mapping.instruction)
    turns = _turns(asked)
    return (_text(asked) if turns is None else _question(turns)), tuple(responses)


def _turns(value: Any) -> list[tuple[str, str]] | None:
    """A conversation as MT-Bench publishes it: [{"role", "content"}, ...]."""
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return None
    return [(str(turn.get("role", "")), _text(turn.get("content"))) for turn in value]


def _question(turns: Sequence[tuple[str, str]]) -> str:
    """What was asked; of several turns everything up to the last answer."""
    before = list(turns[:-1]) if turns[-1][0] == "assistant" else list(turns)
    if len(before) == 1:
        return before[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in before)


def _answer(value: Any) -> str:
    turns = _turns(value)
    return _text(value) if turns is None else turns[-1][1]


def _parsed_list(value: Any) -> Any:
    """A list, also where a table holds it as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = json.loads(value)
        except ValueError:
            return value
        return parsed if isinstance(parsed, list) and all(isinstance(one, str) for one in parsed) else value
    return value


def _rubric(value: Mapping[str, Any], mapping: ColumnMapping) -> Rubric | None:
    stated = field_of(value, mapping.rubric) if mapping.rubric else None
    if isinstance(stated, str) and stated.lstrip().startswith("{"):
        try:
            stated = json.loads(stated)
        except ValueError as error:
            raise InvalidInputError(f"Its rubric is not JSON: {error}.") from error
    if isinstance(stated, Mapping):
        levels = stated.get("scores") or stated.get("levels") or []
        if not isinstance(levels, list):
            raise InvalidInputError("Its rubric's scores are no list of five texts.")
        return Rubric(_text(stated.get("criteria") or stated.get("criterion")), tuple(_text(one) for one in levels))
    criterion = _optional(value, mapping.criterion)
    if criterion is None:
        return None
    levels = [_optional(value, name) for name in mapping.levels]
    return Rubric(criterion, tuple(level or "" for level in levels) if any(levels) else ())


def _labels(value: Mapping[str, Any], mapping: ColumnMapping, mode: Mode) -> list[Any] | dict[str, Any] | None:
    name = mapping.labels
    return read_labels(name, field_of(value, name), mode, value.get("scale")) if name else None


def _sources(value: Mapping[str, Any], mapping: ColumnMapping, responses: int) -> list[str] | None:
    named = [field_of(value, name) for name in mapping.sources]
    if len(named) == 1 and isinstance(listed := _parsed_list(named[0]), list):
        named = listed
    if len(named) != responses or any(one is None or one == "" for one in named):
        return None
    return [_text(one)[:MAX_EXTERNAL_ID] for one in named]


def _extra(value: Mapping[str, Any], mapping: ColumnMapping) -> dict[str, Any] | None:
    used = mapping.columns
    others = {str(name): one for name, one in value.items() if name not in used and one not in (None, "")}
    written = json.dumps(others, ensure_ascii=True, default=str)
    if not others or len(written) > MAX_EXTRA_CHARACTERS or "\\u0000" in written or "\\ud8" in written.lower():
        return None
    kept: dict[str, Any] = json.loads(written)
    return kept


def _optional(value: Mapping[str, Any], name: str) -> str | None:
    found = field_of(value, name) if name else None
    text = None if found is None else _text(found)
    return text if text and text.strip() else None


def _text(value: Any) -> str:
    """Of a cell. A whole number stays one: sheets hold 3 as 3.0."""
    match value:
        case None:
            return ""
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case bool() | int() | float():
            return str(value)
        case list() | dict():
            raise InvalidInputError("A text was expected, and a list or an object was found.")
        case _:
            return checked_text("The cell", str(value), required=False)


def _named(columns: Sequence[str]) -> str:
    shown = ", ".join(str(name)[:40] for name in columns[:30])
    return shown + (f" and {len(columns) - 30:,} more" if len(columns) > 30 else "")


def with_columns(mapping: ColumnMapping, given: Mapping[str, str]) -> ColumnMapping:
    """The mapping with what a person chose by hand: column names, several with commas between them.

    Raises InvalidInputError for a part that there is none of.
    """
    changes: dict[str, Any] = {}
    for part, columns in given.items():
        if part not in ColumnMapping.__dataclass_fields__:
            raise InvalidInputError(
                f"{part!r} is no part of an item. Known are {', '.join(ColumnMapping.__dataclass_fields__)}."
            )
        several = part in ("responses", "levels", "sources")
        changes[part] = tuple(filter(None, map(str.strip, columns.split(",")))) if several else columns.strip()
    return replace(mapping, **changes)
