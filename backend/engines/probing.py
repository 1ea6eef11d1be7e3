"""Finds out at the connection which models an endpoint serves, what it can do, and how it is to be asked."""

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from backend.engines.asking import (
    UNKNOWN_CONTEXT,
    Asker,
    ChatAsker,
    Extras,
    ServedModel,
    TwoStepAsker,
    told_logs,
)
from backend.engines.endpoint_client import EndpointClient, RefusedError
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import EngineError, ModelUnsupportedError, SettingsError
from backend.prompts import RESULT_MARKER, Prompt
from backend.types import SCORES

PROBE = Prompt("You are a judge.", "Score 5 of 5.\n\n## Response\nHello, world!", RESULT_MARKER, SCORES)
ATTEMPTS = (Extras(top=20, own=True), Extras(top=5, own=True), Extras(top=20, own=False), Extras(top=5, own=False))
"""What may be asked of a completions endpoint, the best first."""


@dataclass(frozen=True)
class ModelCard:
    """What the endpoint says of a model when it lists it. root: the folder or hub name behind the name.

    digest: of its weights, which Ollama tells. size: its parameters, which llama.cpp tells.
    """

    name: str
    root: str | None = None
    digest: str | None = None
    size: int | None = None
    context_tokens: int | None = None

    @property
    def words(self) -> str:
        known = (self.root, self.digest, None if self.size is None else f"{self.size:,} parameters")
        return " ".join([self.name, *(f"({one})" for one in known if one is not None and one != self.name)])


async def read_card(client: EndpointClient, wanted: str | None) -> ModelCard:
    """The card of the wanted model; of the only one, if none is named.

    Raises SettingsError, which lists what is served, if the endpoint serves no such model, and EngineError.
    """
    try:
        listed = await client.get("models")
    except RefusedError:
        if wanted is None:
            raise SettingsError("The endpoint does not list its models. Name the one to ask with --model.") from None
        return ModelCard(wanted)
    entries = {str(one["id"]): one for one in _dictionaries(listed, "data") if "id" in one}
    name = next(iter(entries)) if wanted is None and len(entries) == 1 else wanted
    if name is None or name not in entries:
        asked = "no model is named with --model" if wanted is None else f"--model is {wanted!r}"
        raise SettingsError(
            f"The endpoint serves {', '.join(sorted(entries)) or 'no model'}, and {asked}. Name one of them."
        )
    entry = entries[name]
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    context = entry.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
    return ModelCard(
        name,
        root=entry.get("root"),
        digest=await _ollama_digest(client, name) if entry.get("owned_by") == "library" else None,
        size=meta.get("n_params"),
        context_tokens=context if isinstance(context, int) else None,
    )


async def choose_asker(client: EndpointClient, card: ModelCard, tokenizer: PromptTokenizer | None) -> Asker:
    """Two steps where the endpoint takes token ids and gives log-probabilities, and the tokenizer is known; else chat.

    Raises EngineError if it can do neither, ModelUnsupportedError if the tokenizer is another model's.
    """
    context = card.context_tokens or UNKNOWN_CONTEXT
    if tokenizer is not None:
        for extras in ATTEMPTS:
            answer = await _try_completion(client, card.name, tokenizer, extras)
            if answer is not None:
                model = ServedModel(card.name, str(answer.get("model", card.name)), context)
                tells = extras.own and await _tells_while_it_writes(client, card.name, tokenizer, extras)
                return TwoStepAsker(client, model, tokenizer, replace(extras, tells=tells))
    return await _chat(client, card.name, context)


async def version_of(client: EndpointClient) -> str:
    """Which server it is, as far as it tells."""
    try:
        said = await client.get("../version")
    except EngineError:
        return "unknown server"
    version = said.get("version") if isinstance(said, dict) else None
    return f"vllm {version}" if version else "unknown server"


async def _try_completion(
    client: EndpointClient, name: str, tokenizer: PromptTokenizer, extras: Extras
) -> dict[str, Any] | None:
    """The answer to a verdict's last step, if it is asked and answered as two steps need it."""
    tokens = tokenizer.result_tokens(PROBE.marker, PROBE.results)
    ids = [*tokenizer.encode(PROBE), *tokens.forced]
    body = {"model": name, "prompt": ids, "max_tokens": 1, "temperature": 0, **extras.for_verdict(tokens.choices)}
    try:
        answer = await client.retried(lambda: client.post("completions", body))
    except RefusedError:
        return None
    choices = _dictionaries(answer, "choices")
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not choices or not isinstance(usage, dict) or usage.get("prompt_tokens") != len(ids):
        return None  # it took the ids for something else
    written = choices[0].get("token_ids")
    if extras.own and not written:
        return None
    if written and tokenizer.decode(written) != choices[0].get("text"):
        raise ModelUnsupportedError(
            f"The tokenizer that --tokenizer names is not that of {name}: its token {written[0]} is "
            f"{tokenizer.decode(written)!r} here and {choices[0].get('text')!r} there. Name the folder with the "
            "endpoint's own tokenizer."
        )
    if not told_logs(choices[0], tokens.choices, tokenizer):
        return None
    return dict(answer)


async def _tells_while_it_writes(client: EndpointClient, name: str, tokenizer: PromptTokenizer, extras: Extras) -> bool:
    """Whether it takes the same wish for log-probabilities where it streams, which a router before it may refuse."""
    choices = tokenizer.result_tokens(PROBE.marker, PROBE.results).choices
    body = {"model": name, "prompt": tokenizer.encode(PROBE), "max_tokens": 1, "temperature": 0}

    async def ask() -> None:
        async with aclosing(client.stream("completions", {**body, **extras.for_writing(choices, 1)})) as answers:
            async for _ in answers:
                pass

    try:
        await client.retried(ask)
    except RefusedError:
        return False
    return True


async def _chat(client: EndpointClient, name: str, context: int) -> ChatAsker:
    refused: RefusedError | None = None
    for limit in ("max_tokens", "max_completion_tokens"):
        body = {"model": name, "messages": [{"role": "user", "content": "Say hello."}], limit: 16}
        try:
            answer = await client.retried(lambda body=body: client.post("chat/completions", body))  # type: ignore[misc]
        except RefusedError as error:
            refused = error
            continue
        if not _dictionaries(answer, "choices"):
            raise EngineError("The endpoint's answer has no choices, so it is no completion. Check --base-url.")
        return ChatAsker(client, ServedModel(name, str(answer.get("model", name)), context), limit)
    raise EngineError(f"The endpoint can't be asked as a judge: {refused}") from refused


async def _ollama_digest(client: EndpointClient, name: str) -> str | None:
    try:
        listed = await client.get("../api/tags")
    except EngineError:
        return None
    return next((one.get("digest") for one in _dictionaries(listed, "models") if one.get("name") == name), None)


def _dictionaries(answer: Any, key: str) -> list[dict[str, Any]]:
    entries = answer.get(key) if isinstance(answer, dict) else None
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
