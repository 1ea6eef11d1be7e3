"""What a judge wrote so far, as an endpoint's pieces arrive: its tokens, its feedback, and what was told of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backend.engines.tokenizer import PromptTokenizer
from backend.parsing import FeedbackReader
from backend.types import Finish

TOKEN_ID = "token_id:"
"""How vLLM names a token in its log-probabilities, before its id."""

Tell = Callable[[str], None]


@dataclass
class Written:
    """One try after the other.

    read_on: how many tokens are wanted behind the marker. ids: of the tokens up to the feedback's end, with the marker;
    behind: of those behind it; both are empty where the endpoint keeps them to itself. shown: how many of ids
    reader.text is made of. told: of each token in its order, ids and behind, the log-probabilities at its place, by
    names of tokens. reason: why the endpoint stopped, as it says.
    """

    reader: FeedbackReader
    read_on: int = 0
    text: str = ""
    ids: list[int] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    told: list[Mapping[str, float] | None] = field(default_factory=list)
    shown: int = 0
    pieces: int = 0
    reason: str | None = None

    def begin(self) -> None:
        self.reader.begin_again()
        self.text, self.shown, self.pieces, self.reason = "", 0, 0, None
        self.ids, self.behind, self.told = [], [], []

    @property
    def complete(self) -> bool:
        """Whether whatever is still written does not count."""
        if self.reader.marker_at is not None:
            return len(self.behind) >= self.read_on
        return self.reader.loops_at is not None

    @property
    def finish(self) -> Finish:
        if self.reader.marker_at is not None:
            return Finish.MARKER
        if self.reader.loops_at is not None:
            return Finish.LOOP
        return Finish.TOKEN_LIMIT if self.reason == "length" else Finish.END_OF_TURN

    def told_of(self, new: Sequence[int], logs: Sequence[Mapping[str, float] | None]) -> None:
        """Keep what was told of these tokens; nothing where it is not certain which of them it is of."""
        self.told += logs if len(logs) == len(new) else [None] * len(new)

    def take_ids(self, new: Sequence[int], tell: Tell, tokenizer: PromptTokenizer) -> None:
        """Token by token, so that the feedback ends where it would if each came alone."""
        for left, token in zip(reversed(range(len(new))), new, strict=True):
            if self.reader.marker_at is not None:
                self.behind.append(token)
                continue
            self.ids.append(token)
            self.text = tokenizer.decode(self.ids)
            ends_turn = left == 0 and self.reason == "stop" and self.reader.marker not in self.text
            if not ends_turn:
                self.shown = len(self.ids)
                tell(self.reader.feed(self.text))
            if self.reader.loops_at is not None:
                return

    def logs_behind(self, before: Sequence[int], choices: Sequence[int]) -> dict[int, float] | None:
        """The choices' log-probabilities behind the tokens `before`, if the judge wrote just these and went on.

        None if it did not, or if not all of them were told.
        """
        ids = [*self.ids, *self.behind]
        if ids[: len(before)] != list(before) or len(ids) == len(before):
            return None
        told = self.told[len(before)] or {}
        names = {choice: f"{TOKEN_ID}{choice}" for choice in choices}
        if any(name not in told for name in names.values()):
            return None
        return {choice: float(told[name]) for choice, name in names.items()}
