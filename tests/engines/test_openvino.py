"""The CPU engine on a tiny real model: what the transformers engine says in float32, close to it in 8 bits."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.engines.base import FeedbackDelta, ReadingDone
from backend.engines.openvino import OpenVinoEngine
from backend.engines.paged_decoder import multiplies_bfloat16
from backend.engines.row import RESULT_ROOM
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError, ModelFilesError, ModelUnsupportedError, PromptTooLongError, SettingsError
from backend.prompts import AssayFormat, Prompt
from backend.types import Finish, Item, Reading, Rubric, Sampling
from tests.tiny import make_tiny_model

RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
ITEM = Item("Say hello.", ("Hello, my dear friend!", "Go away."))
FORMAT = AssayFormat()
SHORT = Sampling(max_new_tokens=24)
SILENT = Sampling(feedback=False)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[OpenVinoEngine]:
    engine = OpenVinoEngine(tiny_model, dtype="float32")
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def nothing_is_remembered(engine: OpenVinoEngine) -> None:
    engine.forget()


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Iterator[TransformersEngine]:
    reference = TransformersEngine(tiny_model, device="cpu", dtype="float32")
    yield reference
    reference.close()


def many_prompts(count: int) -> list[Prompt]:
    """Of different lengths, the longest neither first nor last."""
    return [
        FORMAT.direct(Item("Say hello.", ("Hello, " + "my friend " * ((7 * n) % 23),)), RUBRIC, 0) for n in range(count)
    ]


def readings(engine: Any, prompts: list[Prompt], sampling: Sampling) -> list[Reading]:
    done = {
        event.index: event.reading
        for event in engine.read(prompts, sampling, threading.Event())
        if isinstance(event, ReadingDone)
    }
    return [done[index] for index in range(len(prompts))]


def make_it_write(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch, text: str, *then: int) -> None:
    """Fault injection: the next tokens of every feedback are those of `text`, then whatever the model says.

    Without drafts, so that each pass picks one of them."""
    monkeypatch.setattr("backend.engines.openvino.DRAFT_TOKENS", 0)
    script = iter([*engine._tokenizer.encode_continuation(text), *then])
    forward = engine._forward

    def scripted(stretches, cancel):  # type: ignore[no-untyped-def]
        logits = forward(stretches, cancel)
        token = next(script, None)
        if token is not None:
            logits[:] = -1e9
            logits[:, token] = 1e9
        return logits

    monkeypatch.setattr(engine, "_forward", scripted)


def changed_config(model: Path, folder: Path, **changes: Any) -> Path:
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def changed_weights(model: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("sampling", [SHORT, SILENT])
def test_it_says_what_the_transformers_engine_says(
    engine: OpenVinoEngine, reference: TransformersEngine, sampling: Sampling
) -> None:
    prompts = [*many_prompts(6), FORMAT.pairwise(ITEM, RUBRIC, 0, 1), FORMAT.pairwise(ITEM, RUBRIC, 1, 0)]
    for ours, theirs in zip(readings(engine, prompts, sampling), readings(reference, prompts, sampling), strict=True):
        assert ours.raw_text == theirs.raw_text
        assert ours.feedback == theirs.feedback
        assert ours.finish == theirs.finish
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)
        assert (ours.prompt_tokens, ours.new_tokens) == (theirs.prompt_tokens, theirs.new_tokens)


def test_eight_bits_are_close(tiny_model: Path, reference: TransformersEngine) -> None:
    engine = OpenVinoEngine(tiny_model, dtype="int8")
    assert engine.info.dtype == "int8"
    prompts = many_prompts(4)
    for ours, theirs in zip(readings(engine, prompts, SILENT), readings(reference, prompts, SILENT), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.02)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_read_in_every_format(tiny_model: Path, tmp_path: Path, dtype: str) -> None:
    def cast(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.to(getattr(torch, dtype)) for name, tensor in tensors.items()})

    folder = changed_weights(tiny_model, tmp_path / "model", cast)
    engine, reference = OpenVinoEngine(folder, dtype="float32"), TransformersEngine(folder, dtype="float32")
    (ours,), (theirs,) = (readings(one, many_prompts(1), SHORT) for one in (engine, reference))
    assert ours.raw_text == theirs.raw_text
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


@pytest.mark.parametrize("rope", [LLAMA3, {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0}])
def test_positions_are_scaled_as_by_transformers(tiny_model: Path, tmp_path: Path, rope: dict[str, Any]) -> None:
    folder = changed_config(tiny_model, tmp_path / "model", rope_parameters=rope)
    engine, reference = OpenVinoEngine(folder, dtype="float32"), TransformersEngine(folder, dtype="float32")
    (ours,), (theirs,) = (readings(one, many_prompts(1), SILENT) for one in (engine, reference))
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)


@pytest.mark.parametrize("family", ["Mistral", "Qwen2"])
def test_mistral_and_qwen2_are_computed_as_by_transformers(tiny_model: Path, tmp_path: Path, family: str) -> None:
    """Without tied embeddings, with biases (Qwen2), and with a size of the heads of its own (Mistral)."""
    import transformers

    sizes = {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 1, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    }  # fmt: skip
    own = {"Mistral": {"head_dim": 32, "sliding_window": 1024}, "Qwen2": {}}[family]
    shutil.copytree(tiny_model, tmp_path / "model")
    vocabulary = json.loads((tiny_model / "config.json").read_text())["vocab_size"]
    config = getattr(transformers, f"{family}Config")(**sizes, **own, vocab_size=vocabulary, eos_token_id=2)
    torch.manual_seed(1)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model", dtype="float32")
    reference = TransformersEngine(tmp_path / "model", device="cpu", dtype="float32")
    assert engine.info.context_tokens == reference.info.context_tokens
    (ours,), (theirs,) = (readings(one, many_prompts(1), SHORT) for one in (engine, reference))
    assert ours.raw_text == theirs.raw_text
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)


def test_a_batch_says_what_each_prompt_says_alone(engine: OpenVinoEngine) -> None:
    prompts = many_prompts(21)  # more than advance together
    batch = readings(engine, prompts, SHORT)
    for prompt, together in zip(prompts, batch, strict=True):
        engine.forget()
        (alone,) = readings(engine, [prompt], SHORT)
        assert together.raw_text == alone.raw_text
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-4)


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_drafts_change_nothing_but_the_number_of_passes(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch, count: int, temperature: float
) -> None:
    """Every token is the model's own pick, at the same draws; the tiny model repeats itself, so drafts are right."""
    sampling = Sampling(temperature=temperature, max_new_tokens=40)
    passes: list[int] = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda stretches, cancel: passes.append(1) or forward(stretches, cancel))
    drafted = readings(engine, many_prompts(count), sampling)
    with_drafts = len(passes)
    engine.forget()
    passes.clear()
    monkeypatch.setattr("backend.engines.openvino.DRAFT_TOKENS", 0)
    plain = readings(engine, many_prompts(count), sampling)
    assert [one.raw_text for one in drafted] == [one.raw_text for one in plain]
    assert [one.new_tokens for one in drafted] == [one.new_tokens for one in plain]
    for ours, theirs in zip(drafted, plain, strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
    if temperature == 0:
        assert with_drafts < len(passes)


def test_a_draft_never_goes_beyond_the_limit(engine: OpenVinoEngine) -> None:
    for limit in (1, 2, 3, 9):
        assert all(one.new_tokens <= limit for one in readings(engine, many_prompts(3), Sampling(max_new_tokens=limit)))


def test_rows_wait_while_the_cache_is_full(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = many_prompts(9)
    expected = readings(engine, prompts, SHORT)
    monkeypatch.setattr(engine, "_blocks", engine._room_for(1))
    got = readings(engine, prompts, SHORT)
    assert [reading.raw_text for reading in got] == [reading.raw_text for reading in expected]
    monkeypatch.undo()
    engine._decoder.allocate(engine._blocks.count)


def test_what_a_prompt_shares_with_an_earlier_one_is_read_once(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, read = engine._forward, []

    def counted(stretches, cancel):  # type: ignore[no-untyped-def]
        read.append(sum(len(stretch.ids) for stretch in stretches))
        return forward(stretches, cancel)

    monkeypatch.setattr(engine, "_forward", counted)
    first, second = many_prompts(2)
    (fresh,) = readings(engine, [second], SILENT)
    whole = sum(read)
    engine.forget()
    readings(engine, [first], SHORT)
    read.clear()
    (helped,) = readings(engine, [second], SILENT)
    assert sum(read) < whole / 2
    assert helped.probabilities == pytest.approx(fresh.probabilities, abs=1e-5)


def test_the_pieces_that_were_streamed_are_the_feedback(engine: OpenVinoEngine) -> None:
    pieces, done = ["", "", ""], dict[int, Reading]()
    for event in engine.read(many_prompts(3), SHORT, threading.Event()):
        match event:
            case FeedbackDelta(index=index, text=text):
                assert index not in done
                pieces[index] += text
            case ReadingDone(index=index, reading=reading):
                done[index] = reading
    assert [piece.strip() for piece in pieces] == [done[index].feedback for index in range(3)]


@pytest.mark.parametrize("text", ["Kind and clear. [RESULT]", "Kind and clear.[RESULT]", "Kind and clear.\n[RESULT]"])
def test_feedback_ends_at_the_marker_and_the_verdict_is_read_behind_it(
    engine: OpenVinoEngine, reference: TransformersEngine, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    prompt = FORMAT.direct(ITEM, RUBRIC, 0)
    tokenizer, prefix = engine._tokenizer, text[: text.index("[RESULT]")]
    ids = [*tokenizer.encode(prompt), *tokenizer.encode_continuation(f"{prefix}[RESULT] 4")[:-1]]
    choices = list(tokenizer.result_tokens("[RESULT]", prompt.results).choices)
    with torch.inference_mode():
        reference._model.set_attn_implementation("sdpa")
        expected = torch.softmax(reference._model(torch.tensor([ids])).logits[0, -1][choices], -1).tolist()
    make_it_write(engine, monkeypatch, text)
    (reading,) = readings(engine, [prompt], Sampling(max_new_tokens=200))
    assert reading.finish is Finish.MARKER
    assert reading.feedback == "Kind and clear."
    assert "[RESULT]" in reading.raw_text
    assert reading.probabilities == pytest.approx(expected, abs=1e-3)


def test_the_end_of_the_turn_ends_the_feedback(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    make_it_write(engine, monkeypatch, "Short.", engine._tokenizer.end_of_turn)
    (reading,) = readings(engine, [FORMAT.direct(ITEM, RUBRIC, 0)], SHORT)
    assert reading.finish is Finish.END_OF_TURN
    assert reading.feedback == "Short."


def test_feedback_that_loops_is_stopped_and_judged_without_the_loop(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = FORMAT.direct(ITEM, RUBRIC, 0)
    make_it_write(engine, monkeypatch, "The answer is short. " * 40)
    (looping,) = readings(engine, [prompt], Sampling(max_new_tokens=400))
    monkeypatch.undo()
    assert looping.finish is Finish.LOOP
    assert looping.feedback == "The answer is short."
    make_it_write(engine, monkeypatch, "The answer is short. [RESULT]")
    (plain,) = readings(engine, [prompt], Sampling(max_new_tokens=400))
    assert plain.finish is Finish.MARKER
    assert looping.new_tokens > plain.new_tokens


@pytest.mark.parametrize("feedback", [True, False])
def test_a_cancel_between_two_passes_begins_no_further_one(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch, feedback: bool
) -> None:
    cancel, passes, forward = threading.Event(), [], engine._decoder.forward

    def counted(stretches, cancel):  # type: ignore[no-untyped-def]
        passes.append(cancel.is_set())
        logits = forward(stretches, cancel)
        if len(passes) == 4:
            cancel.set()
        return logits

    monkeypatch.setattr(engine._decoder, "forward", counted)
    with pytest.raises(CancelledError):
        list(engine.read(many_prompts(8), Sampling(max_new_tokens=500, feedback=feedback), cancel))
    assert passes == [False] * 4


def test_a_cancel_in_the_middle_of_a_pass_ends_it_and_the_engine_goes_on(engine: OpenVinoEngine) -> None:
    prompt = FORMAT.direct(Item("Say hello.", ("Hello " * 600,)), RUBRIC, 0)
    expected = readings(engine, [prompt], SILENT)
    engine.forget()
    cancel = threading.Event()
    threading.Timer(0.005, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        while True:
            engine.forget()
            list(engine.read([prompt], SILENT, cancel))
    assert time.monotonic() - began < 2
    assert readings(engine, [prompt], SILENT)[0].probabilities == pytest.approx(expected[0].probabilities, abs=1e-5)


def test_a_cancel_from_another_thread_ends_a_long_feedback(engine: OpenVinoEngine) -> None:
    cancel = threading.Event()
    events = engine.read(
        [FORMAT.direct(ITEM, RUBRIC, 0)], Sampling(max_new_tokens=3500, temperature=1), cancel
    )  # fmt: skip
    next(events)
    threading.Timer(0.2, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        list(events)
    assert time.monotonic() - began < 2


def test_a_reading_that_is_left_in_the_middle_gives_its_room_back(engine: OpenVinoEngine) -> None:
    for _ in range(3):
        events = engine.read(many_prompts(16), SHORT, threading.Event())
        next(events)
        events.close()
    assert engine._blocks.take([1] * 8, engine._blocks.count * 32) is not None


def test_a_prompt_that_does_not_fit_is_refused_with_both_counts(engine: OpenVinoEngine) -> None:
    prompt = FORMAT.direct(Item("Say hello.", ("Hello " * 5000,)), RUBRIC, 0)
    with pytest.raises(PromptTooLongError) as refused:
        list(engine.read([*many_prompts(1), prompt], SHORT, threading.Event()))
    assert (refused.value.context_tokens, refused.value.answer_tokens) == (4096, 24 + RESULT_ROOM)


def test_a_long_prompt_read_in_pieces_says_the_same_as_in_one(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [FORMAT.direct(Item("Say hello.", ("Hello " * 300,)), RUBRIC, 0)]
    (whole,) = readings(engine, prompts, SHORT)
    engine.forget()
    monkeypatch.setattr("backend.engines.openvino.PREFILL_TOKENS", 37)
    (pieces,) = readings(engine, prompts, SHORT)
    assert pieces.raw_text == whole.raw_text
    assert pieces.probabilities == pytest.approx(whole.probabilities, abs=1e-4)


def test_the_same_seed_draws_the_same_feedback_and_another_seed_another(engine: OpenVinoEngine) -> None:
    prompts = many_prompts(3)
    drawn = [readings(engine, prompts, Sampling(temperature=1.5, seed=seed, max_new_tokens=24)) for seed in (1, 1, 2)]
    texts = [[reading.raw_text for reading in batch] for batch in drawn]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_a_drawn_feedback_does_not_depend_on_its_neighbours(engine: OpenVinoEngine) -> None:
    sampling = Sampling(temperature=1.2, top_p=0.9, seed=3, max_new_tokens=24)
    together = readings(engine, many_prompts(4), sampling)
    alone = [readings(engine, [prompt], sampling)[0] for prompt in many_prompts(4)]
    assert [reading.raw_text for reading in together] == [reading.raw_text for reading in alone]


def test_a_tiny_top_p_is_greedy(engine: OpenVinoEngine) -> None:
    narrow = readings(engine, many_prompts(2), Sampling(temperature=1.0, top_p=1e-6, max_new_tokens=24))
    greedy = readings(engine, many_prompts(2), SHORT)
    assert [reading.raw_text for reading in narrow] == [reading.raw_text for reading in greedy]


def test_an_architecture_that_the_graph_does_not_compute_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = changed_config(tiny_model, tmp_path / "model", architectures=["GemmaForCausalLM"])
    with pytest.raises(ModelUnsupportedError, match=r"GemmaForCausalLM.*--engine transformers"):
        OpenVinoEngine(folder)


def test_a_position_scaling_that_the_graph_does_not_compute_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = changed_config(tiny_model, tmp_path / "model", rope_parameters={"rope_type": "yarn", "factor": 4.0})
    with pytest.raises(ModelUnsupportedError, match="yarn"):
        OpenVinoEngine(folder)


def test_weights_that_hold_more_than_the_graph_uses_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.self_attn.q_norm.weight"] = torch.ones(16)

    with pytest.raises(ModelUnsupportedError, match="q_norm"):
        OpenVinoEngine(changed_weights(tiny_model, tmp_path / "model", add))


def test_weights_that_lack_a_tensor_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["model.layers.1.mlp.up_proj.weight"]

    with pytest.raises(ModelFilesError, match="up_proj"):
        OpenVinoEngine(changed_weights(tiny_model, tmp_path / "model", drop))


def test_weights_that_are_not_numbers_are_an_error_and_no_verdict(tiny_model: Path, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")

    folder = changed_weights(tiny_model, tmp_path / "model", spoil)
    for dtype in ("float32", "int8"):
        with pytest.raises(ModelFilesError, match="not numbers"):
            OpenVinoEngine(folder, dtype=dtype)


def test_a_dtype_that_it_does_not_have_is_named(tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="'float16'"):
        OpenVinoEngine(tiny_model, dtype="float16")


def test_bfloat16_is_close_where_the_processor_has_it_and_refused_where_not(
    tiny_model: Path, reference: TransformersEngine
) -> None:
    if not multiplies_bfloat16():
        with pytest.raises(SettingsError, match="--dtype float32 or int8"):
            OpenVinoEngine(tiny_model, dtype="bfloat16")
        return
    engine = OpenVinoEngine(tiny_model, dtype="bfloat16")
    assert engine.info.dtype == "bfloat16"
    prompts = many_prompts(4)
    for ours, theirs in zip(readings(engine, prompts, SILENT), readings(reference, prompts, SILENT), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.02)
    assert all(one.new_tokens > 0 for one in readings(engine, prompts, SHORT))


def test_a_processor_without_bfloat16_is_told_what_to_use(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.engines.openvino.multiplies_bfloat16", lambda: False)
    with pytest.raises(SettingsError, match=r"AVX512-BF16 or AMX.*--dtype float32 or int8"):
        OpenVinoEngine(tiny_model, dtype="bfloat16")


def test_a_model_with_other_weights_says_something_else(tmp_path: Path, engine: OpenVinoEngine) -> None:
    other = OpenVinoEngine(make_tiny_model(tmp_path / "other", seed=5), dtype="float32")
    (ours,), (theirs,) = (readings(one, many_prompts(1), SILENT) for one in (engine, other))
    assert not numpy.allclose(ours.probabilities, theirs.probabilities, atol=1e-4)


def test_the_engine_names_its_version_device_and_dtype(engine: OpenVinoEngine) -> None:
    from backend.engines.quiet_openvino import openvino

    assert engine.info.name == "openvino"
    assert engine.info.version.removeprefix("openvino ") in openvino.__version__
    assert (engine.info.device, engine.info.dtype, engine.info.context_tokens) == ("cpu", "float32", 4096)


def test_importing_it_reports_to_nobody(tmp_path: Path) -> None:
    """OpenVINO's telemetry keeps an id of the machine in the home folder, and sends from a child process."""
    script = (
        "import sys, backend.engines.openvino; print(any(m.startswith('openvino_telemetry.') for m in sys.modules))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
    assert not (tmp_path / "intel").exists()


def test_the_starters_architecture_is_judged_without_torch(tiny_model: Path) -> None:
    """Importing it takes seconds of a start, and 400 MB."""
    script = (
        "import sys, threading; from pathlib import Path; from backend.engines.openvino import OpenVinoEngine\n"
        "from backend.prompts import Prompt; from backend.types import Sampling\n"
        "engine = OpenVinoEngine(Path(sys.argv[1]))\n"
        "prompt = Prompt('You judge.', 'Hello.', '[RESULT]', ('1', '2'))\n"
        "print(len(list(engine.read([prompt], Sampling(feedback=False), threading.Event()))), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tiny_model)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "False"]


def test_an_empty_batch_is_no_work(engine: OpenVinoEngine) -> None:
    assert list(engine.read([], SHORT, threading.Event())) == []
