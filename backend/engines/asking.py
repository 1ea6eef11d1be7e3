"""Two ways to have a verdict over HTTP: in two steps on token ids, with a distribution; or by chat, from the text.

Both speak to an endpoint through backend.engines.endpoint_client. `Tell` takes feedback as it is written.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from backend.engines.endpoint_client import EndpointClient, RefusedError
from backend.engines.tokenizer import PromptTokenizer
from backend.engines.verdict_place import before_result
from backend.engines.written import TOKEN_ID, Tell, Written
from backend.errors import EngineError, InvalidInputError, PromptTooLongError
from backend.parsing import FeedbackReader, parse_result
from backend.prompts import Prompt
from backend.types import Finish, Reading, Sampling, Status

RESULT_ROOM = 32
"""Tokens kept free behind the feedback for the marker and the result."""
UNKNOWN_CONTEXT = sys.maxsize
READ_ON = 2
"""Tokens wanted behind the marker: a space, which some tokenizers keep apart, and the result."""

Body = dict[str, Any]
IN_IDS: Body = {"return_token_ids": True, "skip_special_tokens": False}
"""vLLM's: which tokens it wrote, all of them."""


class Asker(Protocol):
    """One way to ask an endpoint."""

    @property
    def model(self) -> "ServedModel": ...

    def render(self, prompt: Prompt) -> str: ...

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        """The prompt's tokens, 0 where they can't be counted. Raises InvalidInputError for what can't be asked."""
        ...

    async def read(self, prompt: Prompt, sampling: Sampling, tell: Tell, *, piece: int) -> Reading:
        """One reading; its seconds are not measured. piece: tokens that may be told together.

        Raises EngineError, InvalidInputError and SettingsError.
        """
        ...


@dataclass(frozen=True)
class ServedModel:
    """A model as its endpoint tells it. name: what it is asked for by. answers_as: what its answers name.

    context_tokens: prompt and answer together, UNKNOWN_CONTEXT where the endpoint doesn't tell.
    """

    name: str
    answers_as: str
    context_tokens: int = UNKNOWN_CONTEXT

    def checked(self, answer: Any) -> Any:
        """The first choice of an answer, None if it has none. Raises EngineError for another model's, or garbage."""
        if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
            raise EngineError("The endpoint's answer has no choices, so it is no completion. Check --base-url.")
        said = answer.get("model")
        if said is not None and said != self.answers_as:
            raise changed_model(self.answers_as, str(said))
        return answer["choices"][0] if answer["choices"] else None


def changed_model(before: str, now: str) -> EngineError:
    return EngineError(
        f"The endpoint's model changed from {before} to {now} while it was asked. That answer was thrown away, since "
        "it is another judge's. Start Assay again to judge with the model that is there now."
    )


@dataclass(frozen=True)
class Extras:
    """What a completions endpoint understands. top: how many log-probabilities a token it gives.

    own: it knows vLLM's own parameters, and names its tokens by their ids. tells: it gives log-probabilities also
    while it streams.
    """

    top: int
    own: bool
    tells: bool = True

    def for_writing(self, choices: Sequence[int], piece: int) -> Body:
        """choices: the results' tokens, so that a judge that names its result by itself needs no second request.

        It is not told where to stop, since vLLM takes no more than four ends: who has read enough hangs up.
        """
        if not self.own:
            return {}
        return {
            "stream_interval": piece,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            **IN_IDS,
            **(self._telling(choices) if self.tells else {}),
        }

    def for_verdict(self, choices: Sequence[int]) -> Body:
        if not self.own:
            return {"logprobs": self.top}
        return {"allowed_token_ids": list(choices), **IN_IDS, **self._telling(choices)}

    def _telling(self, choices: Sequence[int]) -> Body:
        return {"logprobs": self.top, "logprob_token_ids": list(choices), "return_tokens_as_token_ids": True}


@dataclass(frozen=True)
class TwoStepAsker:
    """The feedback up to the marker, then the log-probabilities of the results behind it; prompts are token ids."""

    client: EndpointClient
    model: ServedModel
    tokenizer: PromptTokenizer
    extras: Extras

    def render(self, prompt: Prompt) -> str:
        return self.tokenizer.render(prompt)

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        tokens = len(self.tokenizer.encode(prompt))
        answer = (sampling.max_new_tokens if sampling.feedback else 0) + RESULT_ROOM
        if tokens + answer > self.model.context_tokens:
            raise PromptTooLongError(
                prompt_tokens=tokens, answer_tokens=answer, context_tokens=self.model.context_tokens
            )
        return tokens

    async def read(self, prompt: Prompt, sampling: Sampling, tell: Tell, *, piece: int) -> Reading:
        ids = self.tokenizer.encode(prompt)
        written = Written(FeedbackReader(prompt.marker), read_on=READ_ON if self.extras.tells else 0)
        kept, between, finish = list[int](), "", Finish.NOT_ASKED
        if sampling.feedback:
            body = self._to_write(prompt, ids, sampling, piece)
            await self.client.retried(lambda: self._write(body, written, tell))
            kept, between = before_result(self.tokenizer, written.reader, written.ids[: written.shown])
            finish = written.finish
        tokens = self.tokenizer.result_tokens(between + prompt.marker, prompt.results)
        logs = written.logs_behind([*kept, *tokens.forced], tokens.choices)
        if logs is None:
            logs = await self._ask_logs([*ids, *kept, *tokens.forced], tokens.choices)
        probabilities = _renormalised([logs.get(choice) for choice in tokens.choices])
        return Reading(
            status=Status.UNPARSED if probabilities is None else Status.READ,
            feedback=written.reader.feedback,
            raw_text=written.text,
            results=prompt.results,
            probabilities=probabilities,
            finish=finish,
            prompt_tokens=len(ids),
            new_tokens=len(written.ids) or written.pieces,
            seconds=0.0,
        )

    def _to_write(self, prompt: Prompt, ids: list[int], sampling: Sampling, piece: int) -> Body:
        choices = self.tokenizer.result_tokens(prompt.marker, prompt.results).choices
        return {
            "model": self.model.name,
            "prompt": ids,
            "max_tokens": sampling.max_new_tokens,
            **_drawing(sampling),
            **self.extras.for_writing(choices, piece),
        }

    async def _write(self, body: Body, written: Written, tell: Tell) -> None:
        written.begin()
        async with aclosing(self.client.stream("completions", body)) as answers:
            async for answer in answers:
                choice = self.model.checked(answer)
                if choice is not None:
                    self._take(choice, written, tell)
                if written.complete and written.reason is None:
                    break
        tell(written.reader.finish())

    def _take(self, choice: Any, written: Written, tell: Tell) -> None:
        written.reason = choice.get("finish_reason") or written.reason
        written.pieces += 1
        if self.extras.own:
            written.told_of(choice.get("token_ids") or [], (choice.get("logprobs") or {}).get("top_logprobs") or [])
            written.take_ids(choice.get("token_ids") or [], tell, self.tokenizer)
        else:
            written.text += str(choice.get("text") or "")
            tell(written.reader.feed(written.text))

    async def _ask_logs(self, ids: list[int], choices: Sequence[int]) -> dict[int, float]:
        """The log-probabilities of the choices behind these tokens, without those that the endpoint keeps to itself."""
        logs = await self._logs(ids, choices, choices)
        if self.extras.own:
            for choice in choices:
                if choice not in logs:
                    logs |= await self._logs(ids, [choice], choices)
        return logs

    async def _logs(self, ids: list[int], allowed: Sequence[int], choices: Sequence[int]) -> dict[int, float]:
        """The log-probabilities of those choices that the endpoint tells, when it may pick from `allowed`."""
        body = {
            "model": self.model.name,
            "prompt": ids,
            "max_tokens": 1,
            "temperature": 0,
            **self.extras.for_verdict(allowed),
        }
        answer = await self.client.retried(lambda: self.client.post("completions", body))
        return told_logs(self.model.checked(answer), choices, self.tokenizer)


@dataclass(frozen=True)
class ChatAsker:
    """Chat, for endpoints that give no probabilities: the result is what the text says, or there is none.

    limit: the name of the endpoint's parameter for the most tokens.
    """

    client: EndpointClient
    model: ServedModel
    limit: str

    def render(self, prompt: Prompt) -> str:
        return f"System:\n{prompt.system}\n\nUser:\n{prompt.user}"

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        if not sampling.feedback:
            raise InvalidInputError(
                "This endpoint gives no probabilities, so a verdict without feedback can't be had from it. Choose to "
                "have feedback."
            )
        return 0

    async def read(self, prompt: Prompt, sampling: Sampling, tell: Tell, *, piece: int) -> Reading:
        written = Written(FeedbackReader(prompt.marker))
        usage = await self.client.retried(lambda: self._write(prompt, sampling, written, tell))
        parsed = parse_result(written.text, prompt.marker, prompt.results)
        return Reading(
            status=Status.UNPARSED if parsed is None else Status.READ,
            feedback=written.reader.feedback,
            raw_text=written.text,
            results=prompt.results,
            probabilities=None,
            finish=written.finish,
            prompt_tokens=usage.get("prompt_tokens", 0),
            new_tokens=usage.get("completion_tokens", written.pieces),
            seconds=0.0,
            parsed=parsed,
        )

    async def _write(self, prompt: Prompt, sampling: Sampling, written: Written, tell: Tell) -> Mapping[str, int]:
        """Writes into `written`; returns the endpoint's count of tokens, empty if it gives none."""
        body = {
            "model": self.model.name,
            "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            self.limit: sampling.max_new_tokens + RESULT_ROOM,
            "stream_options": {"include_usage": True},
            **_drawing(sampling),
        }
        written.begin()
        usage: Mapping[str, int] = {}
        try:
            async with aclosing(self.client.stream("chat/completions", body)) as answers:
                async for answer in answers:
                    choice = self.model.checked(answer)
                    usage = answer.get("usage") or usage
                    if choice is not None:
                        _take_chat(choice, written, tell)
                    if written.reader.loops_at is not None:
                        break
        except RefusedError as error:
            raise InvalidInputError(f"{error} If the texts are too long for the model, shorten them.") from error
        tell(written.reader.finish())
        return usage


def _renormalised(logs: Sequence[float | None]) -> tuple[float, ...] | None:
    """The results' probabilities; None if that of one is not known. Raises EngineError if they are no numbers."""
    known = [log for log in logs if log is not None]
    if len(known) < len(logs):
        return None
    weights = [math.exp(log - max(known)) for log in known]
    if not math.isfinite(sum(weights)):
        raise EngineError("The endpoint's log-probabilities are not numbers: its weights are damaged or overflow.")
    return tuple(weight / sum(weights) for weight in weights)


def _take_chat(choice: Any, written: Written, tell: Tell) -> None:
    written.reason = choice.get("finish_reason") or written.reason
    written.pieces += 1
    said = choice.get("delta") or choice.get("message") or {}
    written.text += str(said.get("content") or "")
    tell(written.reader.feed(written.text))


def _drawing(sampling: Sampling) -> Body:
    if sampling.temperature == 0:
        return {"temperature": 0}
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}


def told_logs(choice: Any, tokens: Sequence[int], tokenizer: PromptTokenizer) -> dict[int, float]:
    """The log-probabilities of those tokens that a one-token completion tells, by the tokens' ids.

    Understands vLLM's ("token_id:123" or text as keys), OpenAI's (text) and llama.cpp's (a list with ids).
    """
    told = (choice or {}).get("logprobs") or {}
    named: dict[str, float] = {}
    for entry in told.get("content") or []:
        named |= {
            f"{TOKEN_ID}{one['id']}": one["logprob"] for one in [entry, *entry.get("top_logprobs", [])] if "id" in one
        }
    for position in (told.get("top_logprobs") or [])[:1]:
        named |= position or {}
    if told.get("tokens") and told.get("token_logprobs"):
        named[told["tokens"][0]] = told["token_logprobs"][0]
    found = {}
    for token in tokens:
        log = named.get(f"{TOKEN_ID}{token}", named.get(tokenizer.decode([token])))
        if isinstance(log, int | float):
            found[token] = float(log)
    return found
