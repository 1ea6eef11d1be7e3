"""Judges behind an endpoint: recorded as what they are, asked as they can be, and never mixed up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.activating import Activating
from backend.choosing import choose_engine
from backend.config import Settings, read_settings
from backend.errors import ConflictError, SettingsError
from backend.history import History
from backend.judging import Judging, Question, RunPhase
from backend.loading import JudgeLoader
from backend.model_views import Presence
from backend.registry import Registry
from backend.remote import endpoint_judge
from backend.rubric_drafts import RubricDraft
from backend.rubrics import RubricLibrary
from backend.served import Served
from backend.serving import Serving
from backend.types import Item, ParsedPair, ParsedScore, RankingVerdict, Sampling, ScoreVerdict, Status
from db.session import Store
from tests.factories import LEVELS
from tests.model_server import KEY, ModelServer
from ui.render import verdict_card

ENVIRONMENT = {"ASSAY_API_KEY": KEY}
SHORT = Sampling(max_new_tokens=8)


def silent(message: str, fraction: float | None) -> None:
    """Nobody looks."""


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests of the real one has set it."""
    monkeypatch.delenv("ASSAY_VLLM_PYTHON", raising=False)


@pytest.fixture
def server(tiny_model: Path) -> Iterator[ModelServer]:
    with ModelServer(tiny_model) as server:
        yield server


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    return Registry(store, tmp_path)


def judge(server: ModelServer, registry: Registry, **settings: Any) -> Served:
    settings = {"engine": "openai", "base_url": server.url, **settings}
    return endpoint_judge(Settings(**settings), registry, silent, ENVIRONMENT)


def verdict_of(served: Served, store: Store, owner_id: int, *responses: str) -> Any:
    library = RubricLibrary(store)
    version = library.create(RubricDraft("Kindness", "Is it kind?", LEVELS), owner_id)
    serving = Serving(lambda report: served)
    serving.start()
    question = Question(Item("Say hello.", responses), version.rubric, version.version_id)
    state = Judging(store, serving).start(question, SHORT, owner_id).wait()
    assert state.phase is RunPhase.DONE, state.message
    assert state.verdict_id is not None
    serving.close()
    return History(store).open(state.verdict_id, owner_id)


def test_with_the_tokenizer_a_verdict_has_its_distribution(
    server: ModelServer, registry: Registry, store: Store, owner_id: int, tiny_model: Path
) -> None:
    served = judge(server, registry, tokenizer=tiny_model)
    assert served.note == ""
    detail = verdict_of(served, store, owner_id, "Hello!")
    assert isinstance(detail.result, ScoreVerdict)
    assert len(detail.result.distribution) == 5
    assert (detail.maker.engine, detail.maker.engine_version, detail.maker.device) == (
        "openai", "vllm 0.0.tiny", "endpoint",
    )  # fmt: skip


def test_an_endpoint_of_this_machine_that_names_its_folder_needs_no_tokenizer_setting(
    server: ModelServer, registry: Registry, tiny_model: Path
) -> None:
    server.root = str(tiny_model)
    served = judge(server, registry)
    assert served.engine.gives_distributions  # type: ignore[attr-defined]
    served.engine.close()


def test_without_it_results_are_parsed_and_the_page_says_that_there_is_no_distribution(
    server: ModelServer, registry: Registry, store: Store, owner_id: int
) -> None:
    served = judge(server, registry)
    assert "no distribution" in served.note
    detail = verdict_of(served, store, owner_id, "Hello!")
    assert detail.result == ParsedScore(4)
    assert "There is no distribution" in verdict_card(detail)


def test_two_parsed_orders_that_differ_are_an_order_sensitive_tie(
    server: ModelServer, registry: Registry, store: Store, owner_id: int
) -> None:
    server.says = lambda body: "[RESULT] A"
    detail = verdict_of(judge(server, registry), store, owner_id, "Hello!", "Go away.")
    assert (detail.result, detail.order_sensitive) == (ParsedPair("tie", order_sensitive=True), True)
    assert "Tie" in verdict_card(detail)


def test_parsed_results_rank_more_than_two(
    server: ModelServer, registry: Registry, store: Store, owner_id: int
) -> None:
    def longer(body: dict[str, Any]) -> str:
        user = body["messages"][-1]["content"]
        if "## Response A" not in user:
            return "[RESULT] 3"
        first, _, second = user.partition("## Response A\n")[2].partition("## Response B\n")
        return "[RESULT] A" if len(first.split("##")[0]) > len(second.split("##")[0]) else "[RESULT] B"

    server.says = longer
    detail = verdict_of(judge(server, registry), store, owner_id, "Hi", "Hello, my dear friend", "Hello you")
    assert isinstance(detail.result, RankingVerdict)
    assert detail.result.order == (1, 2, 0)
    assert "There is no distribution" in verdict_card(detail)


def test_an_answer_that_can_t_be_parsed_is_an_unparsed_verdict(
    server: ModelServer, registry: Registry, store: Store, owner_id: int
) -> None:
    server.says = lambda body: "I like it."
    detail = verdict_of(judge(server, registry), store, owner_id, "Hello!")
    assert (detail.status, detail.result) == (Status.UNPARSED, None)
    assert detail.readings[0].reading.raw_text == "I like it."


def test_the_same_name_at_another_endpoint_is_another_model(
    server: ModelServer, registry: Registry, tiny_model: Path
) -> None:
    first = judge(server, registry)
    again = judge(server, registry)
    with ModelServer(tiny_model) as elsewhere:
        other = judge(elsewhere, registry)
    assert first.model_version_id == again.model_version_id != other.model_version_id
    view = registry.get(first.model_version_id)
    assert (view.kind, view.presence, view.name) == ("endpoint", Presence.ELSEWHERE, "tiny")
    assert server.url in (view.card or "")
    for served in (first, again, other):
        served.engine.close()


def test_the_key_is_in_no_row_and_no_file(server: ModelServer, registry: Registry, tmp_path: Path) -> None:
    judge(server, registry).engine.close()
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_model_behind_an_endpoint_can_t_be_exchanged_here(
    server: ModelServer, registry: Registry, owner_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_API_KEY", KEY)
    loader = JudgeLoader(Settings(engine="openai", base_url=server.url, home=tmp_path), registry)
    served = loader.first(silent)
    with pytest.raises(ConflictError, match="without --engine openai"):
        Activating(registry, Serving(loader.first), loader, lambda user_id: None).start(
            served.model_version_id, owner_id
        )
    served.engine.close()


@pytest.mark.parametrize("address", ["ftp://x/v1", "http://user:pass@x/v1", "nonsense"])
def test_a_base_url_that_is_no_plain_address_is_refused(registry: Registry, address: str) -> None:
    with pytest.raises(SettingsError, match="--base-url"):
        endpoint_judge(Settings(engine="openai", base_url=address), registry, silent, ENVIRONMENT)


def test_an_engine_and_a_base_url_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match="--base-url"):
        read_settings(engine="openai")
    with pytest.raises(SettingsError, match="Leave one of them out"):
        read_settings(engine="transformers", base_url="http://127.0.0.1:1/v1")


def test_auto_takes_an_endpoint_that_is_named() -> None:
    assert choose_engine(Settings(base_url="http://127.0.0.1:1/v1")).engine == "openai"


def test_auto_takes_openvino_where_there_is_only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.choosing.platform.machine", lambda: "x86_64")
    choice = choose_engine(Settings(device="cpu"))
    assert (choice.engine, choice.note) == ("openvino", "")
    assert choice.why.startswith("vLLM is not installed here")


@pytest.mark.parametrize("settings", [Settings(device="cuda"), Settings(device="cpu", dtype="float32")])
def test_auto_takes_transformers_for_another_device_or_dtype(settings: Settings) -> None:
    assert choose_engine(settings).engine == "transformers"


def test_auto_takes_transformers_on_processors_where_openvino_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.choosing.platform.machine", lambda: "arm64")
    assert choose_engine(Settings(device="cpu")).engine == "transformers"


@pytest.mark.parametrize("wrong", [{"device": "cuda"}, {"dtype": "float16"}])
def test_openvino_refuses_a_device_or_dtype_that_it_does_not_have(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="--engine openvino"):
        read_settings(engine="openvino", **wrong)


def test_eight_bits_are_openvinos_alone() -> None:
    with pytest.raises(SettingsError, match="needs --engine openvino"):
        read_settings(dtype="int8")
    assert read_settings(dtype="int8", engine="openvino").torch_dtype == "auto"


def test_asking_for_vllm_where_there_is_none_names_the_cure() -> None:
    with pytest.raises(SettingsError, match=r"requirements-gpu\.txt.*--vllm-python"):
        choose_engine(Settings(engine="vllm"))
