"""Training rows as token sequences, and the places in them where something is learned."""

from dataclasses import dataclass, replace

from backend.engines.tokenizer import PromptTokenizer
from backend.experts import ExpertSpec
from backend.feedback_orders import NAMED, in_other_order
from backend.packing import Example, Goal
from backend.prompts import Prompt, PromptFormat
from backend.training_rows import TrainingRow
from backend.types import SIDES, Mode


@dataclass(frozen=True)
class Encoded:
    """A training row as token sequences. tokens: of its longest one."""

    row: TrainingRow
    examples: tuple[Example, ...]

    @property
    def tokens(self) -> int:
        return max(len(example.ids) for example in self.examples)


class Encoder:
    """Turns rows into the very tokens that an engine reads, and the places where something is learned."""

    def __init__(self, spec: ExpertSpec, tokenizer: PromptTokenizer, format: PromptFormat) -> None:
        self._spec = spec
        self._tokenizer = tokenizer
        self._format = format

    def encode(self, row: TrainingRow, *, with_feedback: bool) -> Encoded:
        """The verdict without feedback and the one with it, both in both orders where that is asked for.

        A feedback that may name the responses otherwise than as Response A and Response B stays in its own order.
        """
        examples = [self._verdict_only(row, swapped) for swapped in self._orders(row)]
        if with_feedback and row.feedback is not None:
            said = {swapped: in_other_order(row.feedback) if swapped else row.feedback for swapped in self._orders(row)}
            examples += [
                self._with_feedback(row, swapped, feedback)
                for swapped, feedback in said.items()
                if feedback is not None
            ]
        return Encoded(row, tuple(examples))

    def _orders(self, row: TrainingRow) -> tuple[bool, ...]:
        return (False, True) if row.mode is Mode.PAIRWISE and self._spec.both_orders else (False,)

    def _verdict_only(self, row: TrainingRow, swapped: bool) -> Example:
        prompt = self._prompt(row, swapped)
        tokens = self._tokenizer.result_tokens(prompt.marker, prompt.results)
        ids = (*self._tokenizer.encode(prompt), *tokens.forced)
        return Example(ids, (self._verdict(len(ids) - 1, tokens.choices, _target(row, swapped)),))

    def _with_feedback(self, row: TrainingRow, swapped: bool, feedback: str) -> Example:
        prompt, target = self._prompt(row, swapped), _target(row, swapped)
        asked = self._tokenizer.encode(prompt)
        tokens = self._tokenizer.result_tokens(f" {prompt.marker}", prompt.results)
        written = self._tokenizer.encode_continuation(feedback.strip())
        answer = [*written, *tokens.forced]
        verdict = self._verdict(len(asked) + len(answer) - 1, tokens.choices, target)
        said = tokens.choices[max(range(len(target)), key=lambda i: target[i])]
        taught = {len(asked) + offset - 1: token for offset, token in enumerate(answer)}
        if self._tokenizer.end_of_turn is not None:  # our engines stop at the verdict, other programs at this
            taught[verdict.place + 1] = self._tokenizer.end_of_turn
        goals = [Goal(place, (token,), (1.0,), 1 / len(taught)) for place, token in taught.items()]
        early = self._early_name(feedback.strip(), written, target) if row.mode is Mode.PAIRWISE else None
        if early is not None:
            goals[early] = replace(goals[early], weight=goals[early].weight + verdict.weight)
        return Example((*asked, *answer, said), (*goals, verdict))

    def _early_name(self, feedback: str, written: list[int], target: tuple[float, ...]) -> int | None:
        """Which token of a pair's feedback names the winner, where it names no other before or with it; else None.

        It gives the verdict away: all that is written after it, and the verdict, follows from it. written: the
        feedback's tokens.
        """
        named = NAMED.search(feedback)
        if named is None or named[4] is not None or target[0] == target[1]:
            return None
        if named[2] != SIDES[target.index(max(target))]:
            return None
        before = self._tokenizer.encode_continuation(feedback[: named.end(2)])
        return len(before) - 1 if before == written[: len(before)] else None

    def _verdict(self, place: int, choices: tuple[int, ...], target: tuple[float, ...]) -> Goal:
        if not self._spec.soft_targets:
            best = max(range(len(target)), key=lambda i: target[i])
            target = tuple(float(i == best) for i in range(len(target)))
        return Goal(place, choices, target, self._spec.verdict_weight)

    def _prompt(self, row: TrainingRow, swapped: bool) -> Prompt:
        if row.mode is Mode.DIRECT:
            return self._format.direct(row.item, row.rubric, 0)
        first, second = (1, 0) if swapped else (0, 1)
        return self._format.pairwise(row.item, row.rubric, first, second)


def _target(row: TrainingRow, swapped: bool) -> tuple[float, ...]:
    return tuple(reversed(row.target)) if swapped else row.target
