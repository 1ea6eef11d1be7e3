"""One prompt on its way through an engine that generates token by token in this process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.engines.tokenizer import PromptTokenizer
from backend.errors import EngineError
from backend.parsing import FeedbackReader
from backend.prompts import Prompt
from backend.types import Finish, Reading, Status

RESULT_ROOM = 32
"""Positions kept free behind the feedback for the marker and the result."""


@dataclass
class Row:
    """end_tokens: the ids that end the model's turn. cached: how many positions the key-value cache holds of it."""

    index: int
    prompt: Prompt
    prompt_ids: list[int]
    reader: FeedbackReader
    end_tokens: frozenset[int] = frozenset()
    generated: list[int] = field(default_factory=list)
    cached: int = 0
    seconds: float = 0.0

    @property
    def written(self) -> list[int]:
        """What was generated, without the token that ends the turn."""
        ended = self.generated and self.generated[-1] in self.end_tokens
        return self.generated[:-1] if ended else self.generated

    def finish(self, limit: int) -> Finish | None:
        """Why the feedback ends here, if it does."""
        if self.reader.marker_at is not None:
            return Finish.MARKER
        if self.generated[-1] in self.end_tokens:
            return Finish.END_OF_TURN
        if self.reader.loops_at is not None:
            return Finish.LOOP
        return Finish.TOKEN_LIMIT if len(self.generated) >= limit else None

    def reading(self, probabilities: Sequence[float], tokenizer: PromptTokenizer, finish: Finish) -> Reading:
        """probabilities: of the prompt's results, in their order. Raises EngineError if they are not numbers."""
        if not all(probability == probability for probability in probabilities):  # NaN is unequal to itself
            raise EngineError("The model's probabilities are not numbers: its weights are damaged or overflow.")
        return Reading(
            status=Status.READ,
            feedback=self.reader.feedback,
            raw_text=tokenizer.decode(self.generated),
            results=self.prompt.results,
            probabilities=tuple(probabilities),
            finish=finish,
            prompt_tokens=len(self.prompt_ids),
            new_tokens=len(self.generated),
            seconds=self.seconds,
        )
