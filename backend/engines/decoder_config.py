"""What a model folder says of its decoder, for the architectures that our own graph computes; others are refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from backend.errors import ModelUnsupportedError
from backend.models import read_json

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")


@dataclass(frozen=True)
class DecoderConfig:
    """heads read the keys and values of kv_heads, in groups. rotations: (head_size / 2,) radians a position, float32.

    context_tokens: within a sliding window, where there is one; there full attention is the same.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    norm_epsilon: float
    context_tokens: int
    tied: bool
    rotations: NDArray[numpy.float32]
    end_tokens: frozenset[int]


def read_decoder_config(folder: Path) -> DecoderConfig:
    """Raises ModelUnsupportedError for what the graph does not compute, ModelFilesError for damaged files."""
    config = read_json(folder / "config.json")
    _refuse_unknown(config)
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    head_size = int(config.get("head_dim") or hidden // heads)
    return DecoderConfig(
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_size=head_size,
        norm_epsilon=float(config["rms_norm_eps"]),
        context_tokens=_context_tokens(config),
        tied=bool(config.get("tie_word_embeddings", False)),
        rotations=_rotations(config, head_size),
        end_tokens=_end_tokens(folder, config),
    )


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    architecture = (config.get("architectures") or ["none"])[0]
    if architecture not in ARCHITECTURES:
        raise ModelUnsupportedError(
            f"The openvino engine computes {', '.join(ARCHITECTURES)}; this model is {architecture}. "
            "Use --engine transformers for it."
        )
    unknown = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "quantization_config": bool(config.get("quantization_config")),
        "partial_rotary_factor": config.get("partial_rotary_factor", 1) != 1,
    }
    for name, is_unknown in unknown.items():
        if is_unknown:
            raise ModelUnsupportedError(
                f"The openvino engine does not know {name} = {config[name]!r} in config.json. "
                "Use --engine transformers for this model."
            )


def _context_tokens(config: Mapping[str, Any]) -> int:
    context = int(config["max_position_embeddings"])
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return min(context, int(window)) if window else context


def _rotations(config: Mapping[str, Any], head_size: int) -> NDArray[numpy.float32]:
    """Of rotary position embeddings (arXiv 2104.09864, section 3.2.2), scaled as the config says."""
    rope = {"rope_type": "default", **(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    powers = numpy.arange(0, head_size, 2, dtype=numpy.float32) / numpy.float32(head_size)
    plain = (1.0 / numpy.float32(theta) ** powers).astype(numpy.float32)
    match rope.get("type") or rope["rope_type"]:
        case "default":
            return plain
        case "linear":
            return (plain / numpy.float32(rope["factor"])).astype(numpy.float32)
        case "llama3":
            return _llama3(plain, rope)
        case other:
            raise ModelUnsupportedError(
                f"The openvino engine does not know the position scaling {other!r}. "
                "Use --engine transformers for this model."
            )


def _llama3(plain: NDArray[numpy.float32], rope: Mapping[str, Any]) -> NDArray[numpy.float32]:
    """Long waves slowed by `factor`, short ones kept, a slope between (transformers' modeling_rope_utils)."""
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    waves = float(rope["original_max_position_embeddings"]) * plain / (2 * math.pi)
    kept = numpy.clip((waves - low) / (high - low), 0.0, 1.0)
    return numpy.asarray(kept * plain + (1 - kept) * plain / float(rope["factor"]), dtype=numpy.float32)


def _end_tokens(folder: Path, config: Mapping[str, Any]) -> frozenset[int]:
    path = folder / "generation_config.json"
    generation = read_json(path) if path.is_file() else config
    ids = generation.get("eos_token_id")
    return frozenset(ids if isinstance(ids, list) else [] if ids is None else [ids])
