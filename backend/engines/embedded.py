"""What every engine of this process does with a prompt before it reads it."""

from abc import ABC, abstractmethod
from pathlib import Path

from backend.engines.base import EngineInfo
from backend.engines.row import RESULT_ROOM
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import PromptTooLongError
from backend.prompts import Prompt
from backend.types import Sampling


class EmbeddedEngine(ABC):
    """A model folder's tokenizer; what is loaded from the folder besides, and how it reads, is the engine's own.

    Raises ModelUnsupportedError for a tokenizer that Assay does not know.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = PromptTokenizer(folder)

    @property
    @abstractmethod
    def info(self) -> EngineInfo: ...

    def render(self, prompt: Prompt) -> str:
        return self._tokenizer.render(prompt)

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        return len(self._encode(prompt, sampling))

    def _encode(self, prompt: Prompt, sampling: Sampling) -> list[int]:
        """The prompt's ids. Raises PromptTooLongError if they, the feedback and the result don't fit the context."""
        ids = self._tokenizer.encode(prompt)
        answer = (sampling.max_new_tokens if sampling.feedback else 0) + RESULT_ROOM
        context = self.info.context_tokens
        if len(ids) + answer > context:
            raise PromptTooLongError(prompt_tokens=len(ids), answer_tokens=answer, context_tokens=context)
        return ids
