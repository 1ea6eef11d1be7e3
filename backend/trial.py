"""Asks a loaded model one question of each format, before anybody relies on it."""

import math
import threading

from backend.engines.base import Engine, ReadingDone
from backend.errors import EngineError
from backend.prompts import PromptFormat
from backend.types import Item, Reading, Rubric, Sampling

RUBRIC = Rubric(
    "Is the answer correct?",
    (
        "It is wrong in every part.",
        "It is wrong in what matters most.",
        "It is right in part.",
        "It is right but for a detail.",
        "It is right in every part.",
    ),
)
QUESTION = "What is the capital of France?"
VERDICT_ONLY = Sampling(feedback=False)


def try_out(engine: Engine, format: PromptFormat, cancel: threading.Event) -> None:
    """One direct assessment and one pairwise ranking, verdict only; what they say does not matter.

    Raises EngineError unless both come with finite probabilities, CancelledError, and what the engine raises.
    """
    prompts = [
        format.direct(Item(QUESTION, ("Paris.",)), RUBRIC, 0),
        format.pairwise(Item(QUESTION, ("Paris.", "Rome.")), RUBRIC, 0, 1),
    ]
    readings = {
        event.index: event.reading
        for event in engine.read(prompts, VERDICT_ONLY, cancel)
        if isinstance(event, ReadingDone)
    }
    for index, name in enumerate(("direct assessment", "pairwise ranking")):
        if index not in readings or not _is_readable(readings[index]):
            raise EngineError(f"Asked for a trial {name}, it gave no verdict that can be read. Choose another model.")


def _is_readable(reading: Reading) -> bool:
    return reading.probabilities is not None and all(
        math.isfinite(probability) for probability in reading.probabilities
    )
