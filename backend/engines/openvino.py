"""The embedded engine for CPUs: OpenVINO in this process, several times as fast as torch there.

The graph is built from the model's own folder (backend.engines.decoder_graph), so a model that was merged a moment
ago is ready in seconds and nothing is converted on disk. Rows of different lengths advance together without padding,
and what prompts have in common at their beginning is read once.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.engines.decoder_config import read_decoder_config
from backend.engines.drafting import Drafter
from backend.engines.embedded import EmbeddedEngine
from backend.engines.kv_blocks import KeyValueBlocks, Table, blocks_for
from backend.engines.paged_decoder import Logits, PagedDecoder, Stretch, multiplies_bfloat16
from backend.engines.picking import TokenPicker, softmax
from backend.engines.quiet_openvino import openvino
from backend.engines.row import RESULT_ROOM, Row
from backend.engines.tokenizer import ResultTokens
from backend.engines.verdict_place import before_result
from backend.errors import CancelledError, ModelFilesError, ModelUnsupportedError, SettingsError
from backend.parsing import FeedbackReader
from backend.prompts import Prompt
from backend.types import Finish, Reading, Sampling

PREFILL_TOKENS = 512
"""Tokens of a prompt read at once; it bounds the memory that reading takes."""
MAX_ROWS = 16
DRAFT_TOKENS = 7
STEP_TOKENS = 16
"""Drafts fill a step up to so many tokens, and a row's draft has DRAFT_TOKENS at most: a step of eight costs less than
two of one."""
CACHE_BYTES = 512 * 2**20
"""Memory for the key-value cache, unless one prompt alone needs more."""
DTYPES = ("float32", "bfloat16", "int8")
"""How the weights are stored; bfloat16 also computes so, on processors that can. Both others are faster than float32,
and their verdicts differ from its where the judge is undecided."""
TOLERATED_DIFFERENCE = {"float32": 0.02, "bfloat16": 0.15, "int8": 0.02}
"""Between a token's probability read in one piece and with the cache. In bfloat16 the two round differently: .051 was
measured with a trained starter."""


class OpenVinoEngine(EmbeddedEngine):
    """A model folder, loaded. Speaks backend.engines.base.Engine.

    dtype: auto (float32), float32, bfloat16 or int8. Raises ModelFilesError for weights that can't be read,
    ModelUnsupportedError for an architecture or tokenizer that this engine does not know, SettingsError for another
    dtype and for bfloat16 on a processor without it.
    """

    def __init__(self, folder: Path, *, dtype: str = "auto") -> None:
        self._dtype = _choose_dtype(dtype)
        self._config = read_decoder_config(folder)
        super().__init__(folder)
        ends = {*self._config.end_tokens, self._tokenizer.end_of_turn}
        self._end_tokens = frozenset(token for token in ends if token is not None)
        self._decoder = PagedDecoder(folder, self._config, self._dtype)
        self._blocks = self._room_for(CACHE_BYTES // self._decoder.block_bytes)
        self._check_attention()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="openvino",
            version=f"openvino {openvino.__version__.partition('-')[0]}",
            device="cpu",
            dtype=self._dtype,
            context_tokens=self._config.context_tokens,
        )

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        rows = [
            _Row(
                index,
                prompt,
                self._encode(prompt, sampling),
                FeedbackReader(prompt.marker),
                self._end_tokens,
                picker=TokenPicker(sampling),
                limit=sampling.max_new_tokens,
            )
            for index, prompt in enumerate(prompts)
        ]
        # Prompts that begin alike follow each other, so that what they share is still there.
        rows.sort(key=lambda row: row.prompt_ids)
        answer = (sampling.max_new_tokens if sampling.feedback else 0) + RESULT_ROOM
        needed = max((blocks_for(len(row.prompt_ids) + answer) for row in rows), default=0)
        if needed > self._blocks.count:
            self._blocks = self._room_for(needed)
        if sampling.feedback:
            yield from self._read_with_feedback(rows, sampling, cancel)
        else:
            yield from self._read_results_only(rows, cancel)

    def close(self) -> None:
        del self._decoder

    def forget(self) -> None:
        """Let go of what is kept of earlier prompts; for measurements, where the same prompt is asked again."""
        self._blocks = KeyValueBlocks(self._blocks.count)

    def _read_results_only(self, rows: list["_Row"], cancel: threading.Event) -> Iterator[EngineEvent]:
        for row in rows:
            started = time.monotonic()
            tokens = self._tokenizer.result_tokens(row.prompt.marker, row.prompt.results)
            ids = [*row.prompt_ids, *tokens.forced]
            try:
                self._seat(row, len(ids))
                logits = self._prefill(row.table, ids, row.cached, cancel)
                self._blocks.were_read(row.prompt_ids, row.table)
            finally:
                self._leave(row)
            row.seconds = time.monotonic() - started
            yield ReadingDone(row.index, self._reading(row, logits, tokens, Finish.NOT_ASKED))

    def _read_with_feedback(
        self, rows: list["_Row"], sampling: Sampling, cancel: threading.Event
    ) -> Iterator[EngineEvent]:
        waiting, active = deque(rows), list[_Row]()
        try:
            while waiting or active:
                while waiting and len(active) < MAX_ROWS and self._seat_to_write(waiting[0], sampling):
                    active.append(waiting.popleft())
                    self._begin(active[-1], cancel)
                for row in list(active):
                    delta, finish = self._write(row)
                    if delta:
                        yield FeedbackDelta(row.index, delta)
                    if finish is not None:
                        yield from self._end(row, finish, cancel)
                        active.remove(row)
                        self._leave(row)
                if active:
                    self._step(active, cancel)
        finally:
            for row in active:
                self._leave(row)

    def _write(self, row: "_Row") -> tuple[str, Finish | None]:
        """Put the tokens that were picked behind the row, up to one that ends it: the new text, and why it ends."""
        text = ""
        for token in row.picked:
            row.generated.append(token)
            row.drafter.write(token)
            text += row.reader.feed(self._tokenizer.decode(row.written))
            finish = row.finish(row.limit)
            if finish is not None:
                return text, finish
        return text, None

    def _seat_to_write(self, row: "_Row", sampling: Sampling) -> bool:
        return self._seat(row, len(row.prompt_ids) + sampling.max_new_tokens + RESULT_ROOM)

    def _seat(self, row: "_Row", positions: int) -> bool:
        """Take blocks for the row, if there are enough; what they hold of its prompt already counts as cached."""
        table = self._blocks.take(row.prompt_ids, positions)
        if table is None:
            return False
        row.table, row.cached = table, table.known
        return True

    def _leave(self, row: "_Row") -> None:
        self._blocks.give_back(row.table)
        row.drafter = Drafter(())

    def _begin(self, row: "_Row", cancel: threading.Event) -> None:
        """Read the row's prompt and pick its first token."""
        started = time.monotonic()
        logits = self._prefill(row.table, row.prompt_ids, row.cached, cancel)
        self._blocks.were_read(row.prompt_ids, row.table)
        row.cached = len(row.prompt_ids)
        row.drafter = Drafter(row.prompt_ids)
        row.picked = [row.picker.pick(logits)]
        row.seconds += time.monotonic() - started

    def _step(self, active: list["_Row"], cancel: threading.Event) -> None:
        """Advance every active row by a token, and by those of its draft that it would have picked as well."""
        started = time.monotonic()
        room = min(DRAFT_TOKENS, max(STEP_TOKENS // len(active) - 1, 0))
        drafts = [row.drafter.draft(min(room, row.limit - len(row.generated) - 1)) for row in active]
        stretches = [
            Stretch([row.generated[-1], *draft], row.cached, row.table.blocks, logits_of=1 + len(draft))
            for row, draft in zip(active, drafts, strict=True)
        ]
        logits = iter(self._forward(stretches, cancel))
        for row, draft in zip(active, drafts, strict=True):
            row.picked = []
            after = [next(logits) for _ in range(1 + len(draft))]
            for place, one in enumerate(after):
                row.picked.append(row.picker.pick(one))
                if place == len(draft) or row.picked[-1] != draft[place]:
                    break
            row.cached += len(row.picked)
        share = (time.monotonic() - started) / len(active)
        for row in active:
            row.seconds += share

    def _end(self, row: "_Row", finish: Finish, cancel: threading.Event) -> Iterator[EngineEvent]:
        """Hand out the rest of the feedback, then read the verdict behind it."""
        rest = row.reader.finish()
        if rest:
            yield FeedbackDelta(row.index, rest)
        started = time.monotonic()
        kept, between = before_result(self._tokenizer, row.reader, row.written)
        tokens = self._tokenizer.result_tokens(between + row.prompt.marker, row.prompt.results)
        ids = [*row.prompt_ids, *kept, *tokens.forced]
        reusable = min(row.cached, len(row.prompt_ids) + len(kept))
        logits = self._prefill(row.table, ids, reusable, cancel)
        row.seconds += time.monotonic() - started
        yield ReadingDone(row.index, self._reading(row, logits, tokens, finish))

    def _reading(self, row: "_Row", logits: Logits, tokens: ResultTokens, finish: Finish) -> Reading:
        chosen = logits[list(tokens.choices)].astype(numpy.float64)
        return row.reading(softmax(chosen).tolist(), self._tokenizer, finish)

    def _prefill(self, table: Table, ids: Sequence[int], start: int, cancel: threading.Event) -> Logits:
        """Read ids[start:] behind ids[:start], which the table holds; the logits (vocabulary,) after the last."""
        begins = range(start, len(ids), PREFILL_TOKENS)
        pieces = [Stretch(ids[begin : begin + PREFILL_TOKENS], begin, table.blocks) for begin in begins]
        *_, logits = [self._forward([piece], cancel) for piece in pieces]
        row_logits: Logits = logits[0]
        return row_logits

    def _forward(self, stretches: Sequence[Stretch], cancel: threading.Event) -> Logits:
        if cancel.is_set():
            raise CancelledError("Cancelled. What had been finished by then is kept.")
        return self._decoder.forward(stretches, cancel)

    def _room_for(self, blocks: int) -> KeyValueBlocks:
        """A cache of so many blocks, with nothing in it."""
        self._decoder.allocate(blocks)
        return KeyValueBlocks(blocks)

    def _check_attention(self) -> None:
        """Ask the same in one piece and with the cache, once, before anybody relies on it."""
        ids = self._tokenizer.encode_continuation("Feedback: the answer is correct, clear and complete. Score 4 of 5.")
        table, never = Table(list(range(blocks_for(len(ids)))), 0), threading.Event()
        whole = self._prefill(table, ids, 0, never)
        self._prefill(table, ids[:-1], 0, never)
        continued = self._prefill(table, ids, len(ids) - 1, never)
        if not numpy.isfinite(whole).all():
            raise ModelFilesError("The model's weights give values that are not numbers. Copy or make the model again.")
        difference = float(numpy.abs(softmax(whole) - softmax(continued)).max())
        if difference > TOLERATED_DIFFERENCE[self._dtype]:
            raise ModelUnsupportedError(
                f"OpenVINO {openvino.__version__} computes this model otherwise with its cache than without "
                f"(probabilities differ by {difference:.3f}). Use --engine transformers."
            )


@dataclass(kw_only=True)
class _Row(Row):
    """picker: draws its tokens. limit: of its feedback. table: its blocks of the cache, from _seat() to _leave().
    picked: tokens that are to be put behind it. drafter: guesses what it writes, from _begin() to _leave()."""

    picker: TokenPicker
    limit: int
    table: Table = field(default_factory=lambda: Table([], 0))
    picked: list[int] = field(default_factory=list)
    drafter: Drafter = field(default_factory=lambda: Drafter(()))


def _choose_dtype(wanted: str) -> str:
    if wanted == "auto":
        return "float32"
    if wanted not in DTYPES:
        raise SettingsError(f"The openvino engine has no dtype {wanted!r}. Known: auto, {', '.join(DTYPES)}.")
    if wanted == "bfloat16" and not multiplies_bfloat16():
        raise SettingsError(
            "This processor has no instructions for bfloat16 (AVX512-BF16 or AMX). Use --dtype float32 or int8."
        )
    return wanted
