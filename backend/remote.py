"""Judges that are asked over HTTP: a model behind somebody's endpoint, and a model of ours on a vLLM of our own."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from backend.config import Settings
from backend.endpoint import checked_address, checked_key
from backend.engines.endpoint_client import KEY_VARIABLE
from backend.engines.openai import Connection, Host, OpenAIEngine
from backend.engines.probing import ModelCard
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import InvalidInputError, SettingsError
from backend.formats import prompt_format
from backend.models import ModelFiles, guessed_format
from backend.registry import Registry
from backend.served import Report, Served
from backend.types import digest_of
from backend.vllm_server import VllmOptions, VllmPython, VllmServer

VLLM_AT_ONCE = 64
"""vLLM schedules for itself; this many prompts keep it busy."""
PARSED = "Its endpoint gives no probabilities, so results are read from its text and verdicts have no distribution."
CURE = " If the endpoint takes token ids, --tokenizer FOLDER gives Assay what it needs for distributions."


def endpoint_judge(
    settings: Settings, registry: Registry, report: Report, environment: Mapping[str, str] = os.environ
) -> Served:
    """The model behind --base-url, recorded. The key is in `environment` alone.

    Raises EngineError, ModelError, SettingsError and StoreError.
    """
    address, key = _checked(settings, environment)
    report(f"Connecting to {address} …", None)
    model = settings.model if "model" in settings.model_fields_set else None
    connection = Connection(lambda: address, key, model, direct=_is_here(address))
    engine = OpenAIEngine(connection, _tokenizer(settings.tokenizer))
    try:
        if settings.tokenizer is None and (folder := _own_folder(address, engine.card)) is not None:
            engine.close()
            engine = OpenAIEngine(connection, _tokenizer(folder))
        files = _files_of(address, engine.card, settings)
        model_version_id = registry.record(files, card=f"Served by the endpoint {address}.")
        note = "" if engine.gives_distributions else PARSED + ("" if settings.tokenizer else CURE)
        return Served(engine, files, prompt_format(files.prompt_format), model_version_id, note)
    except BaseException:
        engine.close()
        raise


def vllm_judge(
    files: ModelFiles, registry: Registry, home: Path, report: Report, *, python: VllmPython, settings: Settings
) -> Served:
    """A judge of these files on a vLLM that is started for it, recorded.

    The name that it is served as has the digest of the files, so that no answer can be another model's. Raises as
    endpoint_judge() does, and whatever `report` raises.
    """
    format = prompt_format(files.prompt_format)
    tokenizer = PromptTokenizer(files.path)
    dtype = python.dtype if settings.dtype == "auto" else settings.dtype
    name = f"assay-{files.digest[:16]}"
    options = VllmOptions.of(settings, python.device)
    server = VllmServer(python.command, files.path, name, home, dtype=dtype, options=options)
    report(f"Starting vLLM with {files.name} …", None)
    server.start(report)
    connection = Connection(server.address, server.key, name, at_once=VLLM_AT_ONCE, direct=True, named_by_weights=True)
    try:
        engine = OpenAIEngine(connection, tokenizer, Host("vllm", python.device, dtype), server.stop)
    except BaseException:
        server.stop()
        raise
    view = registry.get(registry.record(files))
    named = replace(files, name=view.name, kind=view.kind, recipe=view.recipe)
    return Served(engine, named, format, view.id, trouble=server.trouble)


def _checked(settings: Settings, environment: Mapping[str, str]) -> tuple[str, str | None]:
    try:
        address = checked_address(settings.base_url or "", option="--base-url", key_variable=KEY_VARIABLE)
        return address, checked_key(environment.get(KEY_VARIABLE), variable=KEY_VARIABLE)
    except InvalidInputError as error:
        raise SettingsError(str(error)) from error


def _tokenizer(folder: Path | None) -> PromptTokenizer | None:
    return None if folder is None else PromptTokenizer(folder.expanduser().absolute())


def _is_here(address: str) -> bool:
    """Whether it is this machine's own."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_folder(address: str, card: ModelCard) -> Path | None:
    """The folder that an endpoint on this machine says it serves, if it holds a tokenizer."""
    folder = Path(card.root) if card.root and _is_here(address) else None
    return folder if folder is not None and (folder / "tokenizer.json").is_file() else None


def _files_of(address: str, card: ModelCard, settings: Settings) -> ModelFiles:
    """What is known of the model. Where the endpoint tells no digest of the weights, the address is part of its own:
    a name means something else at another endpoint."""
    return ModelFiles(
        name=card.name,
        kind="endpoint",
        path=Path(),
        digest=digest_of("endpoint", card.name, card.root, card.size, card.digest or address),
        architecture="unknown",
        bytes=0,
        prompt_format=settings.prompt_format or guessed_format(card.name),
        recipe=None,
    )
