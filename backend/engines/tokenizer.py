"""Turns prompts into token ids so that pasted text can never become a control token.

The chat template's own control tokens are the only ones in a prompt. Everything between them (our
headings and what people pasted) goes through a copy of the tokenizer that knows no control tokens:
there a pasted end-of-turn token is the plain characters that a person typed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import ModelUnsupportedError
from backend.models import read_json
from backend.prompts import Prompt

USER_SLOT = "\ue000user\ue000"
"""Stands for the user's turn while the chat template is rendered; private-use characters, no one's text."""


@dataclass(frozen=True)
class ResultTokens:
    """How a result is read: after `forced` the next token is one of `choices`, in the order of the results."""

    forced: tuple[int, ...]
    choices: tuple[int, ...]


class PromptTokenizer:
    """A model's tokenizer and chat template, for prompts.

    folder: holds the tokenizer's files. Raises ModelUnsupportedError if it is not of the `tokenizers`
    kind, has no chat template, or would not give a harmless prompt the ids its own template gives.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer: Any = _tokenizer_class(folder).from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnsupportedError(f"The tokenizer in {folder} can't be loaded: {error}") from error
        if not self._tokenizer.is_fast:
            raise ModelUnsupportedError(f"The tokenizer in {folder} has no tokenizer.json, which Assay needs.")
        if not self._tokenizer.chat_template:
            raise ModelUnsupportedError(
                f"The tokenizer in {folder} has no chat template, so it is unknown how to address the model. "
                "Choose an instruction-tuned model."
            )
        self._control = {str(token): token for token in self._tokenizer.added_tokens_decoder.values()}
        self._opening = _without_control_tokens(self._tokenizer, continues=False)
        self._continuing = _without_control_tokens(self._tokenizer, continues=True)
        self._adds_space_after_control = _prepends_to_every_stretch(self._tokenizer)
        self._knows_system = self._takes_system_role()
        self._check_against_template()

    @property
    def end_of_turn(self) -> int | None:
        token: int | None = self._tokenizer.eos_token_id
        return token

    def render(self, prompt: Prompt) -> str:
        """The whole prompt as text, control tokens spelled out."""
        before, after = self._frame(prompt.system)
        return before + self._user_turn(prompt) + after

    def encode(self, prompt: Prompt) -> list[int]:
        """The whole prompt as ids, up to where the judge begins to write."""
        before, after = self._frame(prompt.system)
        head, before = self._split_after_last_control(before)
        after, tail = self._split_before_first_control(after)
        plain = self._opening if not head or self._adds_space_after_control else self._continuing
        middle = plain.encode(before + self._user_turn(prompt) + after, add_special_tokens=False).ids
        return [*self._encode_trusted(head), *middle, *self._encode_trusted(tail)]

    def encode_continuation(self, text: str) -> list[int]:
        """Ids of text that goes on in mid-turn; control tokens in it stay plain characters."""
        ids: list[int] = self._continuing.encode(text, add_special_tokens=False).ids
        return ids

    def result_tokens(self, before: str, results: Sequence[str]) -> ResultTokens:
        """The ids that lead from `before` to the results, and the one id that tells them apart.

        Raises ModelUnsupportedError if this tokenizer tells them apart by more than one token.
        """
        ways = [self.encode_continuation(f"{before} {result}") for result in results]
        shared = 0
        while len({tuple(way[: shared + 1]) for way in ways}) == 1:
            shared += 1
        choices = tuple(way[shared] for way in ways if len(way) == shared + 1)
        if len(set(choices)) != len(results):
            raise ModelUnsupportedError(
                f"This tokenizer does not tell {', '.join(results)} apart by one token, so no verdict can be read."
            )
        return ResultTokens(tuple(ways[0][:shared]), choices)

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _user_turn(self, prompt: Prompt) -> str:
        """The paper's training put the system text before the user's where the base knows no system role."""
        return prompt.user if self._knows_system else f"{prompt.system}\n\n{prompt.user}"

    def _messages(self, system: str, user: str) -> list[dict[str, str]]:
        turns = [{"role": "user", "content": user}]
        return [{"role": "system", "content": system}, *turns] if self._knows_system else turns

    def _frame(self, system: str) -> tuple[str, str]:
        """What the chat template writes before and after the user's text."""
        rendered: str = self._tokenizer.apply_chat_template(
            self._messages(system, USER_SLOT), tokenize=False, add_generation_prompt=True
        )
        before, slot, after = rendered.partition(USER_SLOT)
        if not slot:
            raise ModelUnsupportedError("The model's chat template drops the user's text.")
        return before, after

    def _takes_system_role(self) -> bool:
        from jinja2 import TemplateError

        messages = [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": "USER"}]
        try:
            return "SYSTEM" in self._tokenizer.apply_chat_template(messages, tokenize=False)
        except TemplateError:
            return False

    def _encode_trusted(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False) if text else []
        return ids

    def _split_after_last_control(self, text: str) -> tuple[str, str]:
        ends = [(text.rfind(control) + len(control), control) for control in self._control if control in text]
        if not ends:
            return "", text
        end, control = max(ends)
        rest = text[end:]
        return text[:end], rest.lstrip() if self._control[control].rstrip else rest

    def _split_before_first_control(self, text: str) -> tuple[str, str]:
        starts = [text.find(control) for control in self._control if control in text]
        start = min(starts, default=len(text))
        return text[:start], text[start:]

    def _check_against_template(self) -> None:
        prompt = Prompt("You judge.", "Score 5 of 5.\n\n## Text\nHello, world!", "[RESULT]", ("1", "2"))
        expected = self._tokenizer.apply_chat_template(
            self._messages(prompt.system, self._user_turn(prompt)),
            tokenize=True, add_generation_prompt=True, return_dict=False,
        )  # fmt: skip
        if self.encode(prompt) != list(expected):
            raise ModelUnsupportedError(
                "This model's tokenizer treats text between control tokens in a way that Assay does not know, "
                "so its prompts would differ from those it was trained on."
            )


def _tokenizer_class(folder: Path) -> Any:
    """The class that AutoTokenizer would take, without AutoTokenizer where that is certain: it imports torch, which
    takes seconds and half a gigabyte, and engines that need no torch need a tokenizer."""
    names = [
        read_json(folder / file).get(key) if (folder / file).is_file() else None
        for file, key in (("tokenizer_config.json", "tokenizer_class"), ("config.json", "model_type"))
    ]
    if names == ["TokenizersBackend", "llama"]:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def _prepends_to_every_stretch(tokenizer: Any) -> bool:
    """Older SentencePiece tokenizers begin every stretch of plain text with a space, newer only the first."""
    normalizer = json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
    return any(part["type"] == "Prepend" for part in _parts(normalizer, "normalizers"))


def _without_control_tokens(tokenizer: Any, *, continues: bool) -> Any:
    """A copy of the fast tokenizer to which every text is plain; `continues`: add no space at the beginning."""
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    if continues:
        normalizers = [part for part in _parts(state["normalizer"], "normalizers") if part["type"] != "Prepend"]
        state["normalizer"] = {"type": "Sequence", "normalizers": normalizers} if normalizers else None
        for part in _parts(state["pre_tokenizer"], "pretokenizers"):
            if part["type"] == "Metaspace":
                part["prepend_scheme"] = "never"
    return Tokenizer.from_str(json.dumps(state))


def _parts(component: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    if component is None:
        return []
    parts: list[dict[str, Any]] = component[key] if component["type"] == "Sequence" else [component]
    return parts
