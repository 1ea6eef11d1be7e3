"""Every error that Assay raises on purpose, as one tree.

    AssayError
    ├── InvalidInputError          a field that a person filled in, or a file they gave
    │   └── PromptTooLongError     the prompt and the answer don't fit the model's context
    ├── NotFoundError              an id that names nothing
    ├── ConflictError              it changed underneath, or is in use
    ├── NotAllowedError            the person's role does not cover it
    ├── SlowDownError              too many wrong passwords
    ├── ModelError                 a model folder or name that can't be judged with
    │   ├── ModelFilesError        files missing, of a refused kind, or not readable
    │   ├── ModelFetchError        the hub or the package index could not be reached
    │   ├── ModelUnsupportedError  an architecture, tokenizer or template that we can't run
    │   └── MergeError             models that can't be merged, or a merge that failed
    ├── TrainingError              a training could not be finished
    ├── DataFetchError             a data set on the hub could not be had
    ├── TeacherError               the model that writes feedback could not be asked
    │   └── QuestionRefusedError   it turned down one question
    ├── EngineError                the engine failed while it ran
    │   └── NotReadyError          no judge is loaded (yet)
    ├── CancelledError             a person stopped it
    └── SettingsError              a setting that can't be used

The store's own errors (db.errors.StoreError) are the other root; SHOWN lists both.
A message says what happened, with which value, and the cure.
"""

from db.errors import StoreError


class AssayError(Exception):
    """Root of the errors whose message is written for the person at the screen."""


class InvalidInputError(AssayError):
    """Something a person entered can't be used. Nothing was changed."""


class PromptTooLongError(InvalidInputError):
    """The prompt's tokens plus the room for the answer exceed the model's context."""

    def __init__(self, *, prompt_tokens: int, answer_tokens: int, context_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.answer_tokens = answer_tokens
        self.context_tokens = context_tokens
        super().__init__(
            f"The prompt is {prompt_tokens:,} tokens long and the answer may take {answer_tokens:,} more, "
            f"but this model reads at most {context_tokens:,}. Shorten the texts, lower the maximum of "
            f"feedback tokens, or choose a model with a longer context. Nothing was cut off."
        )


class NotFoundError(AssayError):
    """No such rubric, verdict or model."""


class ConflictError(AssayError):
    """What was to be changed has changed meanwhile, or is in use."""


class NotAllowedError(AssayError):
    """The person may not do that. Nothing was changed."""


class SlowDownError(AssayError):
    """Too many wrong passwords for a name. Wait a moment."""


class ModelError(AssayError):
    """The model can't be used as a judge."""


class ModelFilesError(ModelError):
    """The model folder lacks files, or holds files of a kind that is refused."""


class ModelFetchError(ModelError):
    """The model could not be downloaded."""


class ModelUnsupportedError(ModelError):
    """The model loads, but this engine can't read verdicts from it."""


class TrainingError(AssayError):
    """A training could not be finished. What it had by then is kept."""


class DataFetchError(AssayError):
    """A data set could not be downloaded."""


class TeacherError(AssayError):
    """The model that writes feedback for a data set could not be asked. What it had written by then is kept."""


class QuestionRefusedError(TeacherError):
    """The teacher works, but turned down this one question: too long, or not to its liking."""


class MergeError(ModelError):
    """These models can't be merged, or their merge failed. No model was left behind."""


class EngineError(AssayError):
    """The engine failed during a reading."""


class NotReadyError(EngineError):
    """No judge is loaded."""


class CancelledError(AssayError):
    """The person who asked has stopped it."""


class SettingsError(AssayError):
    """A setting that can't be used."""


SHOWN: tuple[type[Exception], ...] = (AssayError, StoreError)
"""What a translator (the page, the command line) shows as a plain message; all else is a bug."""
