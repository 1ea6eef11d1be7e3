"""The engine over HTTP when its endpoint misbehaves, and when whoever asks gives up."""

import logging
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from backend.engines.openai import Connection, OpenAIEngine
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import CancelledError, EngineError, ModelUnsupportedError, SettingsError
from backend.types import Item, Sampling, Status
from tests.conftest import free_port
from tests.engines.connected import (
    DIRECT,
    FORMAT,
    PAIR,
    RUBRIC,
    engine_of,
    readings,
    wait_for,
)
from tests.model_server import KEY, Fault, ModelServer
from tests.tiny import make_tiny_model


def test_a_wrong_key_is_named_by_its_variable_and_not_shown(
    server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SettingsError, match="ASSAY_API_KEY was not accepted") as caught:
        OpenAIEngine(Connection(lambda: server.url, "sk-wrong-one", None), None)
    assert "sk-wrong-one" not in str(caught.value) + caplog.text


def test_a_missing_key_is_asked_for(server: ModelServer) -> None:
    with pytest.raises(SettingsError, match="ASSAY_API_KEY is not set"):
        OpenAIEngine(Connection(lambda: server.url, None, None), None)


def test_a_model_that_is_not_served_is_an_error_with_those_that_are(server: ModelServer) -> None:
    with pytest.raises(SettingsError, match="serves tiny, and --model is 'huge'"):
        OpenAIEngine(Connection(lambda: server.url, KEY, "huge"), None)


def test_the_tokenizer_of_another_model_is_refused(server: ModelServer, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=1)
    tokenizer = PromptTokenizer(other)
    decode = tokenizer.decode
    tokenizer.decode = lambda ids: decode(ids) + "!"  # type: ignore[method-assign]
    with pytest.raises(ModelUnsupportedError, match="--tokenizer"):
        OpenAIEngine(Connection(lambda: server.url, KEY, None), tokenizer)


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=503), Fault(cuts=True, after=2)])
def test_what_fails_once_is_asked_again(server: ModelServer, tokenizer: PromptTokenizer, fault: Fault) -> None:
    with engine_of(server, tokenizer) as engine:
        (untroubled,) = readings(engine, [DIRECT])
        server.faults = deque([fault])
        (reading,) = readings(engine, [DIRECT])
    assert (reading.feedback, reading.probabilities) == (untroubled.feedback, untroubled.probabilities)


def test_a_429_is_waited_for_as_long_as_it_says(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.faults = deque([Fault(status=429, headers={"Retry-After": "2"})])
        began = time.monotonic()
        readings(engine, [DIRECT])
    assert time.monotonic() - began >= 2


def test_an_endpoint_that_hangs_is_given_up(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer, silent_seconds=0.3, tries=2) as engine:
        server.faults = deque([Fault(hangs=2)] * 2)
        with pytest.raises(EngineError, match="said nothing for too long"):
            readings(engine, [DIRECT])


def test_garbage_is_an_error_that_shows_it(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.faults = deque([Fault(raw=b"<html>Sign in")])
        with pytest.raises(EngineError, match="not JSON: <html>Sign in"):
            readings(engine, [DIRECT])


def test_json_that_is_no_completion_is_an_error(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.faults = deque([Fault(raw=b"[1, 2]")])
        with pytest.raises(EngineError, match="no completion"):
            readings(engine, [DIRECT])


def test_an_answer_of_another_model_is_no_verdict(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.faults = deque([Fault(changes={"model": "tiny-v2"})])
        with pytest.raises(EngineError, match="changed from tiny to tiny-v2"):
            readings(engine, [DIRECT])


def test_other_weights_under_the_same_name_are_no_verdict(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.root = "somewhere/else"
        with pytest.raises(EngineError, match=r"somewhere/tiny.*somewhere/else"):
            readings(engine, [DIRECT])


def test_where_the_name_says_which_weights_it_is_the_answers_alone_are_looked_at(
    server: ModelServer, tokenizer: PromptTokenizer
) -> None:
    with engine_of(server, tokenizer, named_by_weights=True) as engine:
        listed = server.listed
        readings(engine, [DIRECT])
        assert server.listed == listed
        server.faults = deque([Fault(changes={"model": "tiny-v2"})])
        with pytest.raises(EngineError, match="changed from tiny to tiny-v2"):
            readings(engine, [DIRECT])


def test_an_endpoint_that_fails_again_and_again_is_left_alone(
    server: ModelServer, tokenizer: PromptTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.engines.endpoint_client.backoff", lambda number: 0.0)
    with engine_of(server, tokenizer) as engine:
        server.faults = deque([Fault(status=500)] * 20)
        for _ in range(2):
            with pytest.raises(EngineError):
                readings(engine, [DIRECT])
        asked = len(server.requests)
        with pytest.raises(EngineError, match="left alone for"):
            readings(engine, [DIRECT])
    assert len(server.requests) == asked


def test_nobody_there_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.engines.endpoint_client.backoff", lambda number: 0.0)
    address = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(EngineError, match=r"can't be reached.*--base-url"):
        OpenAIEngine(Connection(lambda: address, None, None), None)


# Cancelling, and many at once


def test_cancelling_a_verdict_hangs_up_on_the_server(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.slow = 0.1
        cancel = threading.Event()
        asked = engine.read([DIRECT, PAIR], Sampling(max_new_tokens=200), cancel)
        next(asked)
        cancel.set()
        began = time.monotonic()
        with pytest.raises(CancelledError):
            list(asked)
        assert time.monotonic() - began < 1
        wait_for(lambda: server.cancelled == 2)
        server.slow = 0.0
        assert readings(engine, [DIRECT])[0].status is Status.READ


def test_whoever_stops_listening_hangs_up_too(server: ModelServer, tokenizer: PromptTokenizer) -> None:
    with engine_of(server, tokenizer) as engine:
        server.slow = 0.1
        asked = engine.read([DIRECT], Sampling(max_new_tokens=200), threading.Event())
        next(asked)
        asked.close()  # type: ignore[attr-defined]
        wait_for(lambda: server.cancelled == 1)


def test_several_prompts_are_asked_at_once_and_fewer_after_a_refusal(
    server: ModelServer, tokenizer: PromptTokenizer
) -> None:
    prompts = [FORMAT.direct(Item("Say hello.", ("Hello " * n,)), RUBRIC, 0) for n in range(1, 13)]
    with engine_of(server, tokenizer) as engine:
        server.slow = 0.01
        readings(engine, prompts)
        assert 2 <= server.busiest <= 12
        grown = engine._client.at_once.limit
        server.faults = deque([Fault(status=429, headers={"Retry-After": "0"})])
        readings(engine, [DIRECT])
        assert engine._client.at_once.limit < grown
