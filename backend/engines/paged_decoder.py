"""A decoder compiled by OpenVINO with paged attention: rows of any lengths in one pass, without padding."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from backend.engines.decoder_config import DecoderConfig
from backend.engines.decoder_graph import build_decoder
from backend.engines.kv_blocks import BLOCK_TOKENS, blocks_for
from backend.engines.quiet_openvino import openvino, paged_attention_transformation
from backend.errors import CancelledError, EngineError, ModelUnsupportedError

LOOK_FOR_CANCEL_MS = 20
PRECISIONS = {"float32": ("f32", numpy.float32), "bfloat16": ("bf16", numpy.uint16), "int8": ("f32", numpy.float32)}
"""Of each dtype, in what OpenVINO computes and keeps keys and values, and the numpy type as wide as that."""

Logits = NDArray[numpy.float32]


@dataclass(frozen=True)
class Stretch:
    """ids that a row reads next, after the `past` positions that its blocks hold. logits_of: so many of its last."""

    ids: Sequence[int]
    past: int
    blocks: Sequence[int]
    logits_of: int = 1


class PagedDecoder:
    """The compiled graph and its key-value cache of `blocks` blocks.

    Everything is computed in the dtype that is named (int8 in float32), whatever the processor offers beside it, so
    that a verdict does not depend on it. Raises what build_decoder raises, and ModelUnsupportedError if OpenVINO
    can't compile the graph here.
    """

    def __init__(self, folder: Path, config: DecoderConfig, dtype: str) -> None:
        graph = build_decoder(folder, config, int8=dtype == "int8")
        precision, self._width = PRECISIONS[dtype]
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "KV_CACHE_PRECISION": precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        }
        try:
            paged_attention_transformation(graph)
            self._compiled = openvino.Core().compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise ModelUnsupportedError(
                f"OpenVINO can't compile this model on this processor: {error}. Use --engine transformers."
            ) from error
        self._request = self._compiled.create_infer_request()
        self._caches = [port for port in self._compiled.inputs if _is_cache(port.any_name)]
        if any(port.partial_shape[2].get_length() != BLOCK_TOKENS for port in self._caches):
            raise ModelUnsupportedError(
                f"OpenVINO {openvino.__version__} pages its cache otherwise on this processor than this engine knows. "
                "Use --engine transformers."
            )

    @property
    def block_bytes(self) -> int:
        width = numpy.dtype(self._width).itemsize
        return sum(width * int(numpy.prod(_block_shape(port))) for port in self._caches)

    def allocate(self, blocks: int) -> None:
        """An empty cache. It begins as zeros, because attention multiplies what is masked by 0, and NaN stays NaN;
        memory is taken only where something is written."""
        self._memory = [numpy.zeros((blocks, *_block_shape(port)), dtype=self._width) for port in self._caches]
        for port, zeros in zip(self._caches, self._memory, strict=True):
            self._request.set_tensor(port, openvino.Tensor(zeros, list(zeros.shape), port.element_type))

    def forward(self, stretches: Sequence[Stretch], cancel: threading.Event) -> Logits:
        """Logits (wanted, vocabulary) after each stretch's last tokens; all keys and values are in their blocks then.

        Raises CancelledError in the middle, EngineError if OpenVINO fails.
        """
        for name, values in _inputs(stretches).items():
            self._request.set_tensor(name, openvino.Tensor(values))
        try:
            self._request.start_async()
            while not self._request.wait_for(LOOK_FOR_CANCEL_MS):
                if cancel.is_set():
                    self._request.cancel()
            self._request.wait()
        except RuntimeError as error:
            if cancel.is_set():
                raise CancelledError("Cancelled. What had been finished by then is kept.") from error
            raise EngineError(f"The model failed while it judged: {error}") from error
        if cancel.is_set():
            raise CancelledError("Cancelled. What had been finished by then is kept.")
        logits: Logits = self._request.get_output_tensor(0).data[0].copy()
        return logits


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 (AVX512-BF16, AMX); without them it is no faster."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _inputs(stretches: Sequence[Stretch]) -> dict[str, NDArray[Any]]:
    lengths = [len(stretch.ids) for stretch in stretches]
    ends = [stretch.past + length for stretch, length in zip(stretches, lengths, strict=True)]
    used = [list(stretch.blocks[: blocks_for(end)]) for stretch, end in zip(stretches, ends, strict=True)]
    begins = numpy.cumsum([0, *lengths])
    positions = [numpy.arange(stretch.past, end) for stretch, end in zip(stretches, ends, strict=True)]
    return {
        "input_ids": numpy.concatenate([stretch.ids for stretch in stretches]).astype(numpy.int64),
        "position_ids": numpy.concatenate(positions).astype(numpy.int64),
        "last": numpy.concatenate(
            [numpy.arange(end - stretch.logits_of, end) for stretch, end in zip(stretches, begins[1:], strict=True)]
        ).astype(numpy.int64),
        "past_lens": numpy.array([stretch.past for stretch in stretches], dtype=numpy.int32),
        "subsequence_begins": begins.astype(numpy.int32),
        "block_indices": numpy.concatenate(used).astype(numpy.int32),
        "block_indices_begins": numpy.cumsum([0, *map(len, used)]).astype(numpy.int32),
        "max_context_len": numpy.array(max(ends), dtype=numpy.int32),
    }


def _is_cache(name: str) -> bool:
    return name.startswith(("key_cache.", "value_cache."))


def _block_shape(port: Any) -> tuple[int, int, int]:
    """(key-value heads, positions, head size)"""
    _, heads, positions, size = port.partial_shape
    return heads.get_length(), positions.get_length(), size.get_length()
