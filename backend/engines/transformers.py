"""The reference engine: Hugging Face transformers in this process, on CPU, CUDA or Apple's MPS.

It writes its own decoding loop, because a judge asks for more than `generate` gives: stop within a
token when a person cancels, end at the result marker, then read the verdict from the probabilities
with the key-value cache that is already there. Prompts are read one by one into the slots of one
cache (no padding is computed), the slots advance together a token at a time, and a slot whose
feedback ended is given to the next prompt.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.engines.embedded import EmbeddedEngine
from backend.engines.kv_slots import KeyValueSlots
from backend.engines.row import RESULT_ROOM, Row
from backend.engines.tokenizer import ResultTokens
from backend.engines.verdict_place import before_result
from backend.errors import EngineError, ModelFilesError, ModelUnsupportedError, SettingsError
from backend.parsing import FeedbackReader
from backend.prompts import Prompt
from backend.types import Finish, Reading, Sampling

ATTENTION = "assay_slots"
PREFILL_TOKENS = 1024
"""Tokens of a prompt read at once; it bounds the memory that reading takes."""
MAX_SLOTS = 16
CACHE_BYTES = 640 * 2**20
"""Memory for the key-value cache of one batch; it bounds how many prompts advance together."""

TOLERATED_DIFFERENCE = 0.02
"""Between a token's probability by the model's own attention and by ours, both on tokens read before."""


class TransformersEngine(EmbeddedEngine):
    """A model folder, loaded. Speaks backend.engines.base.Engine.

    device: auto, cpu, cuda or mps. dtype: auto, float32, bfloat16 or float16. Raises ModelFilesError
    for weights that can't be read, ModelUnsupportedError for an architecture or tokenizer whose
    behaviour this engine would not reproduce, SettingsError for a device that is not there.
    """

    def __init__(self, folder: Path, *, device: str = "auto", dtype: str = "auto") -> None:
        super().__init__(folder)
        self._device = _choose_device(device)
        self._dtype = _choose_dtype(dtype, self._device)
        self._model: Any = _load(folder, self._dtype).to(self._device).eval()
        self._config: Any = self._model.config.get_text_config()
        self._end_tokens = self._collect_end_tokens()
        self._check_attention()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="transformers",
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            device=self._device.type,
            dtype=str(self._dtype).removeprefix("torch."),
            context_tokens=self._context_tokens(),
        )

    @property
    def parameters(self) -> Mapping[str, torch.Tensor]:
        """The loaded weights by name, to be changed in place between two readings (backend.engines.alpha)."""
        weights: dict[str, torch.Tensor] = self._model.state_dict()
        return weights

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        rows = [
            _Row(index, prompt, self._encode(prompt, sampling), FeedbackReader(prompt.marker))
            for index, prompt in enumerate(prompts)
        ]
        # Longest first: the batch that needs the most memory comes first, and neighbours are alike in length.
        rows.sort(key=lambda row: len(row.prompt_ids), reverse=True)
        try:
            if sampling.feedback:
                yield from self._read_with_feedback(rows, sampling, cancel)
            else:
                yield from self._read_results_only(rows, cancel)
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"The model failed while it judged: {error}") from error

    def close(self) -> None:
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _read_results_only(self, rows: list["_Row"], cancel: threading.Event) -> Iterator[EngineEvent]:
        cache = self._cache(rows[:1], 0, cancel)
        for row in rows:
            started = time.monotonic()
            tokens = self._tokenizer.result_tokens(row.prompt.marker, row.prompt.results)
            logits = self._prefill(cache, 0, [*row.prompt_ids, *tokens.forced], 0)
            row.seconds = time.monotonic() - started
            yield ReadingDone(row.index, self._reading(row, logits, tokens, Finish.NOT_ASKED))

    def _read_with_feedback(
        self, rows: list["_Row"], sampling: Sampling, cancel: threading.Event
    ) -> Iterator[EngineEvent]:
        cache = self._cache(rows, sampling.max_new_tokens, cancel)
        sampler = _Sampler(sampling, self._device)
        waiting, active = deque(rows), list[_Row]()
        while waiting or active:
            while waiting and len(active) < cache.slots:
                row = waiting.popleft()
                self._begin(cache, len(active), row, sampler)
                active.append(row)
            # Backwards, because the slot of a row that ends is given to the last row.
            for slot in reversed(range(len(active))):
                row = active[slot]
                delta = row.reader.feed(self._tokenizer.decode(row.written))
                if delta:
                    yield FeedbackDelta(row.index, delta)
                finish = row.finish(sampling.max_new_tokens)
                if finish is not None:
                    yield from self._end(cache, slot, row, finish)
                    cache.move(len(active) - 1, slot, active[-1].cached)
                    active[slot] = active[-1]
                    active.pop()
            if active:
                self._step(cache, active, sampler)

    def _begin(self, cache: KeyValueSlots, slot: int, row: "_Row", sampler: "_Sampler") -> None:
        """Read the row's prompt into the slot and pick its first token."""
        started = time.monotonic()
        row.end_tokens = self._end_tokens
        row.generator = sampler.generator()
        logits = self._prefill(cache, slot, row.prompt_ids, 0)
        row.cached = len(row.prompt_ids)
        row.generated.append(sampler.pick(logits, row.generator))
        row.seconds += time.monotonic() - started

    def _step(self, cache: KeyValueSlots, active: list["_Row"], sampler: "_Sampler") -> None:
        """Advance every active row by one token."""
        started = time.monotonic()
        lengths = [row.cached for row in active]
        positions = torch.tensor(lengths, device=self._device)
        mask = None
        if min(lengths) != max(lengths):
            columns = torch.arange(max(lengths) + 1, device=self._device)
            mask = (columns[None] <= positions[:, None])[:, None, None]
        cache.write_next(positions, max(lengths) + 1)
        last = torch.tensor([[row.generated[-1]] for row in active], device=self._device)
        logits = self._forward(cache, last, positions[:, None], mask)
        for row, row_logits in zip(active, logits, strict=True):
            row.cached += 1
            row.generated.append(sampler.pick(row_logits, row.generator))
        share = (time.monotonic() - started) / len(active)
        for row in active:
            row.seconds += share

    def _end(self, cache: KeyValueSlots, slot: int, row: "_Row", finish: Finish) -> Iterator[EngineEvent]:
        """Hand out the rest of the feedback, then read the verdict behind it."""
        rest = row.reader.finish()
        if rest:
            yield FeedbackDelta(row.index, rest)
        started = time.monotonic()
        kept, between = before_result(self._tokenizer, row.reader, row.written)
        tokens = self._tokenizer.result_tokens(between + row.prompt.marker, row.prompt.results)
        ids = [*row.prompt_ids, *kept, *tokens.forced]
        reusable = min(row.cached, len(row.prompt_ids) + len(kept))
        logits = self._prefill(cache, slot, ids, reusable)
        row.seconds += time.monotonic() - started
        yield ReadingDone(row.index, self._reading(row, logits, tokens, finish))

    def _reading(self, row: "_Row", logits: torch.Tensor, tokens: ResultTokens, finish: Finish) -> Reading:
        probabilities = torch.softmax(logits[list(tokens.choices)].float(), dim=-1).tolist()
        return row.reading(probabilities, self._tokenizer, finish)

    def _prefill(self, cache: KeyValueSlots, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """Read ids[start:] into the slot, which holds ids[:start] already; the logits (vocabulary,) after the last."""
        logits = torch.empty(0)
        for begin in range(start, len(ids), PREFILL_TOKENS):
            end = min(begin + PREFILL_TOKENS, len(ids))
            positions = torch.arange(begin, end, device=self._device)
            mask = None
            if begin > 0 and end - begin > 1:
                mask = (torch.arange(end, device=self._device)[None] <= positions[:, None])[None, None]
            cache.write_stretch(slot, begin, end)
            piece = torch.tensor([ids[begin:end]], device=self._device)
            logits = self._forward(cache, piece, positions[None], mask)[0]
        return logits

    @torch.inference_mode()
    def _forward(
        self, cache: KeyValueSlots, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits (rows, vocabulary) after the last of ids (rows, tokens)."""
        output = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _cache(self, rows: list["_Row"], answer_tokens: int, cancel: threading.Event) -> KeyValueSlots:
        longest = max((len(row.prompt_ids) for row in rows), default=0)
        capacity = longest + answer_tokens + RESULT_ROOM
        head_size = getattr(self._config, "head_dim", None) or (
            self._config.hidden_size // self._config.num_attention_heads
        )
        position_bytes = 2 * self._config.num_key_value_heads * head_size * self._dtype.itemsize
        affordable = CACHE_BYTES // (capacity * position_bytes * self._config.num_hidden_layers)
        slots = max(1, min(MAX_SLOTS, len(rows), affordable))
        return KeyValueSlots(layers=self._config.num_hidden_layers, slots=slots, capacity=capacity, cancel=cancel)

    def _context_tokens(self) -> int:
        """The model's context; within a sliding window full attention is the same, so that bounds it too."""
        context: int = self._config.max_position_embeddings
        window: int | None = getattr(self._config, "sliding_window", None)
        return min(context, window) if window else context

    def _collect_end_tokens(self) -> frozenset[int]:
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(token for token in [*ids, self._tokenizer.end_of_turn] if token is not None)

    def _check_attention(self) -> None:
        """Ask the same of the model's own attention and of ours, once, before anybody relies on ours."""
        ids = self._tokenizer.encode_continuation("Feedback: the answer is correct, clear and complete. Score 4 of 5.")
        asked = torch.tensor([ids], device=self._device)
        with torch.inference_mode():
            # In one piece it would round otherwise: in bfloat16 as much as a wrong attention may differ.
            before = self._model(input_ids=asked[:, :-1], use_cache=True).past_key_values
            expected = self._model(input_ids=asked[:, -1:], past_key_values=before).logits[0, -1]
        AttentionInterface.register(ATTENTION, _attention)
        self._model.set_attn_implementation(ATTENTION)
        never = threading.Event()
        cache = KeyValueSlots(layers=self._config.num_hidden_layers, slots=1, capacity=len(ids), cancel=never)
        self._prefill(cache, 0, ids[:-1], 0)
        got = self._prefill(cache, 0, ids, len(ids) - 1)
        if not torch.isfinite(expected).all():
            raise ModelFilesError("The model's weights give values that are not numbers. Copy or make the model again.")
        difference = (torch.softmax(got.float(), -1) - torch.softmax(expected.float(), -1)).abs().max().item()
        if difference > TOLERATED_DIFFERENCE:
            raise ModelUnsupportedError(
                f"The architecture {self._model.config.model_type} attends in a way that the transformers engine does "
                f"not reproduce (probabilities differ by {difference:.3f}). Choose another model or engine."
            )


@dataclass
class _Row(Row):
    """generator: draws its tokens."""

    generator: torch.Generator | None = None


class _Sampler:
    """Picks the next token: the most probable at temperature 0, else one drawn by the row's own generator,
    so that a prompt's feedback does not depend on what else is in the batch."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._seed = sampling.seed
        self._device = device
        self._greedy = sampling.temperature == 0
        if not self._greedy:
            self._warpers = [TemperatureLogitsWarper(float(sampling.temperature)), TopPLogitsWarper(sampling.top_p)]

    def generator(self) -> torch.Generator:
        return torch.Generator(self._device).manual_seed(self._seed)

    def pick(self, logits: torch.Tensor, generator: torch.Generator | None) -> int:
        if self._greedy:
            return int(logits.argmax())
        scores = logits.float()[None]
        for warper in self._warpers:
            scores = warper(None, scores)
        return int(torch.multinomial(torch.softmax(scores, -1), 1, generator=generator))


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention that never copies the key-value heads for its query groups.

    transformers' own `sdpa` repeats the keys and values of grouped-query models whenever there is a
    mask; on a CPU that copy takes two thirds of a decoding step.
    """
    output = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        is_causal=attention_mask is None and query.shape[2] > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.transpose(1, 2).contiguous(), None


def _load(folder: Path, dtype: torch.dtype) -> Any:
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa",
            use_safetensors=True, local_files_only=True, output_loading_info=True,
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        raise ModelUnsupportedError(f"The model in {folder} can't be loaded by transformers: {error}") from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelFilesError(f"The weights in {folder} can't be read: {error}. Copy the model again.") from error
    missing = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if missing:
        raise ModelFilesError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors or have them in another shape, "
            f"for instance {missing[0]}. Copy the model again."
        )
    return model


def _choose_device(wanted: str) -> torch.device:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))
    if not available.get(wanted, False):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise SettingsError(f"The device {wanted!r} is not available here. Available: auto, {there}.")
    return torch.device(wanted)


def _choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it; on other CPUs it is several times slower than float32."""
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if wanted != "auto":
        if wanted not in named:
            raise SettingsError(f"The dtype {wanted!r} is unknown. Known: auto, {', '.join(named)}.")
        return named[wanted]
    match device.type:
        case "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        case "mps":
            return torch.float16
        case _:
            cpu = torch.cpu.get_capabilities()
            return torch.bfloat16 if cpu.get("avx512_bf16") or cpu.get("amx_bf16") else torch.float32
