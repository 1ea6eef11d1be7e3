"""A tiny model behind an endpoint, for the tests of the engine over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.engines.tokenizer import PromptTokenizer
from tests.model_server import ModelServer


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PromptTokenizer:
    return PromptTokenizer(tiny_model)


@pytest.fixture
def server(tiny_model: Path) -> Iterator[ModelServer]:
    with ModelServer(tiny_model) as server:
        yield server
