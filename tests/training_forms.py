"""A training row in each published form, files of such rows, and what reading them gives."""

import json
from pathlib import Path
from typing import Any

from backend.training_forms import load_rows
from backend.training_rows import Loaded, TrainingRow
from backend.types import SCORES
from tests.factories import LEVELS

RUBRIC = {"criteria": "Is it helpful?", "scores": list(LEVELS)}


def direct(**changes: Any) -> dict[str, Any]:
    """A row with scores of people, in the form of the data page."""
    row = {
        "id": "r1",
        "source": "a set",
        "instruction": "How do I descale a kettle?",
        "response": "With vinegar.",
        "reference": None,
        "rubric": RUBRIC,
        "scale": [1, 5],
        "human_score": 4,
        "human_scores": None,
        "gpt4_score": None,
        "gpt4_feedback": None,
        "human_feedback": None,
        "license": "MIT",
        "meta": {},
    }
    return row | changes


def pairwise(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "p1",
        "source": "a set",
        "instruction": "How do I descale a kettle?",
        "response_a": "With vinegar.",
        "response_b": "Buy a new one.",
        "reference": None,
        "rubric": {"criteria": "Which is more helpful?"},
        "human_label": "A",
        "gpt4_label": None,
        "feedback": None,
        "license": "MIT",
        "meta": {},
    }
    return row | changes


def collected(**changes: Any) -> dict[str, Any]:
    """A row in the Feedback Collection's field names."""
    row = {
        "instruction": "###Task Description: ... ###Response to evaluate: ...",
        "orig_instruction": "How do I descale a kettle?",
        "orig_response": "With vinegar.",
        "orig_reference_answer": "With diluted vinegar; rinse twice.",
        "orig_criteria": "Is it helpful?",
        **{f"orig_score{score}_description": level for score, level in zip(SCORES, LEVELS, strict=True)},
        "orig_feedback": "It names the means but not the amounts.",
        "orig_score": "3",
        "output": "Feedback: It names the means but not the amounts. [RESULT] 3",
    }
    return row | changes


def preferred(**changes: Any) -> dict[str, Any]:
    """A row in the Preference Collection's field names, which describe no scores."""
    row = {
        "orig_instruction": "How do I descale a kettle?",
        "orig_response_A": "With vinegar.",
        "orig_response_B": "Buy a new one.",
        "orig_reference_answer": "With diluted vinegar; rinse twice.",
        "orig_criteria": "Is it helpful?",
        "orig_feedback": "Both are short; Response A answers.",
        "orig_preference": "A",
        "orig_score_A": "3",
        "orig_score_B": "1",
        "output": "Both are short; Response A answers. [RESULT] A",
    }
    return row | changes


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def load(folder: Path, *rows: Any) -> Loaded:
    place = folder / "rows.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_rows(str(place))


def only(loaded: Loaded) -> TrainingRow:
    assert loaded.refused == ()
    (row,) = loaded.rows
    return row


def reason(loaded: Loaded) -> str:
    (refused,) = loaded.refused
    return refused.reason
