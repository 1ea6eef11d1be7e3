"""What people had said of a row before it was imported: scores or winners, with their names where the file has them."""

import json
import math
from collections.abc import Mapping
from typing import Any

from backend.errors import InvalidInputError
from backend.types import Mode

MAX_RATER = 300
"""Characters of a rater's name that are kept."""
RATERS = ("annotator", "rater", "worker", "person", "by")
SAID = ("label", "score", "winner", "vote", "rating")
"""Of labels that are objects: who gave it, and what it says."""
WINNERS = {
    "a": "A", "b": "B", "tie": "tie", "model_a": "A", "model_b": "B", "response_a": "A", "response_b": "B",
    "1": "A", "2": "B", "0": "tie", "tie (bothbad)": "tie", "tie (inconsistent)": "tie", "both": "tie",
}  # fmt: skip


def read_labels(name: str, said: Any, mode: Mode, scale: Any) -> list[Any] | dict[str, Any] | None:
    """Scores 1..5, or "A", "B", "tie": a list, or by name where the column names the raters; None where it is empty.

    said: one label, a list, an object of raters, or a list of objects; also as JSON text. scale: of rows that name
    theirs, [lo, hi]. Raises InvalidInputError.
    """
    if isinstance(said, str) and said.lstrip()[:1] in ("[", "{"):
        try:
            said = json.loads(said)
        except ValueError as error:
            raise InvalidInputError(f"{name} is not JSON: {error}.") from error
    if said is None or said in ("", [], {}):
        return None

    def one(label: Any) -> Any:
        return _winner(name, label) if mode is Mode.PAIRWISE else _score(name, label, _scale(scale))

    if isinstance(said, list) and all(isinstance(label, Mapping) for label in said):
        said = dict(_by_rater(name, label) for label in said)
    if isinstance(said, Mapping):
        return {str(rater)[:MAX_RATER]: one(label) for rater, label in said.items()}
    return [one(label) for label in (said if isinstance(said, list) else [said])]


def _by_rater(name: str, label: Mapping[str, Any]) -> tuple[str, Any]:
    rater = next((str(label[key]) for key in RATERS if label.get(key) not in (None, "")), None)
    said = next((label[key] for key in SAID if key in label), None)
    if rater is None or said is None:
        raise InvalidInputError(
            f"A label of {name} lacks who gave it ({', '.join(RATERS)}) or what it says ({', '.join(SAID)})."
        )
    return rater, said


def _scale(scale: Any) -> tuple[float, float]:
    match scale:
        case [int() | float() as low, int() | float() as high] if low < high:
            return float(low), float(high)
        case _:
            return 1.0, 5.0


def _score(name: str, said: Any, scale: tuple[float, float]) -> float | int:
    try:
        number = float(said)
    except (TypeError, ValueError):
        number = math.nan
    low, high = scale
    if isinstance(said, bool) or not low <= number <= high:
        raise InvalidInputError(f"{name} is {str(said)[:40]!r}; it must be a number from {low:g} to {high:g}.")
    score = round(1 + 4 * (number - low) / (high - low), 4)
    return int(score) if score.is_integer() else score


def _winner(name: str, said: Any) -> str:
    winner = WINNERS.get(str(said).strip().lower())
    if winner is None:
        raise InvalidInputError(f"{name} is {str(said)[:40]!r}; it must be A, B or tie.")
    return winner
