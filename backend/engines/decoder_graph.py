"""Llama, Mistral and Qwen2 as an OpenVINO graph, built from a model folder's own weights."""

from pathlib import Path
from typing import Any

import numpy

from backend.engines.decoder_config import DecoderConfig
from backend.engines.quiet_openvino import openvino, opset6, opset15
from backend.engines.weight_file import Array, Weights
from backend.errors import ModelFilesError, ModelUnsupportedError
from backend.models import weight_files

INT8_MAX = 127


def build_decoder(folder: Path, config: DecoderConfig, *, int8: bool) -> openvino.Model:
    """The graph with stateful attention; openvino's own transformation turns that into paged attention.

    Inputs: input_ids and position_ids (rows, tokens), attention_mask and beam_idx, which only the transformation
    needs, and last (n), the positions in the flattened tokens whose logits are wanted. Output: logits
    (1, n, vocabulary). int8: the matrices are stored in 8 bits, symmetrically, with one scale an output channel,
    and multiplied in float32.

    Raises ModelFilesError for weights that lack something, ModelUnsupportedError for weights that hold more than
    the graph uses: they are of a model that computes something else.
    """
    weights = Weights(weight_files(folder))
    model = _Decoder(config, weights, int8).model()
    left = [name for name in weights.left if not name.endswith("rotary_emb.inv_freq")]
    if config.tied:
        left = [name for name in left if name != "lm_head.weight"]
    if left:
        raise ModelUnsupportedError(
            f"The weights hold {left[0]}, which the openvino engine does not know. Use --engine transformers."
        )
    return model


class _Decoder:
    """Builds the graph. Shapes in comments: b rows, t tokens, h heads, s head size."""

    def __init__(self, config: DecoderConfig, weights: Weights, int8: bool) -> None:
        self._config = config
        self._weights = weights
        self._int8 = int8
        self._sinks: list[Any] = []
        self._ids = _input("input_ids", [-1, -1], openvino.Type.i64)
        self._positions = _input("position_ids", [-1, -1], openvino.Type.i64)
        self._mask = _input("attention_mask", [-1, -1], openvino.Type.i64)
        self._beams = _input("beam_idx", [-1], openvino.Type.i32)
        self._last = _input("last", [-1], openvino.Type.i64)
        self._rows = _size(self._ids, 0)

    def model(self) -> openvino.Model:
        config = self._config
        vocabulary = self._weights.rows("model.embed_tokens.weight")
        embeddings = self._matrix("model.embed_tokens.weight", vocabulary, config.hidden)
        states = opset15.gather(embeddings, opset15.convert(self._ids, "i32"), _ints(0))
        cosines, sines = self._rotation()
        width = config.heads * config.head_size
        for layer in range(config.layers):
            prefix = f"model.layers.{layer}."
            attended = self._attention(prefix, layer, states, cosines, sines)
            if layer == config.layers - 1:  # what follows looks at no other token
                attended, states = self._wanted(attended, width), self._wanted(states, config.hidden)
            states = opset15.add(states, self._linear(f"{prefix}self_attn.o_proj", attended, width, config.hidden))
            states = opset15.add(states, self._feed_forward(prefix, states))
        head = embeddings if config.tied else self._matrix("lm_head.weight", vocabulary, config.hidden)
        logits = opset15.matmul(self._norm("model.norm.weight", states), head, False, True)
        inputs = [self._ids, self._positions, self._mask, self._beams, self._last]
        return openvino.Model([opset15.result(logits)], self._sinks, inputs, "decoder")

    def _wanted(self, states: Any, width: int) -> Any:
        """(1, n, width): of all tokens those whose logits are wanted."""
        flat = opset15.reshape(states, _ints([-1, width]), False)
        return opset15.unsqueeze(opset15.gather(flat, self._last, _ints(0)), _ints(0))

    def _attention(self, prefix: str, layer: int, states: Any, cosines: Any, sines: Any) -> Any:
        config = self._config
        normed = self._norm(f"{prefix}input_layernorm.weight", states)
        queries = self._heads(f"{prefix}self_attn.q_proj", normed, config.heads)
        keys = self._heads(f"{prefix}self_attn.k_proj", normed, config.kv_heads)
        values = self._heads(f"{prefix}self_attn.v_proj", normed, config.kv_heads)
        attended = opset15.scaled_dot_product_attention(
            self._rotate(queries, cosines, sines),
            self._remember(f"key.{layer}", self._rotate(keys, cosines, sines)),
            self._remember(f"value.{layer}", values),
            _unused_mask(self._mask),
        )
        width = config.heads * config.head_size
        return opset15.reshape(opset15.transpose(attended, _ints([0, 2, 1, 3])), _ints([0, 0, width]), True)

    def _feed_forward(self, prefix: str, states: Any) -> Any:
        hidden = self._config.hidden
        inner = self._weights.rows(f"{prefix}mlp.gate_proj.weight")
        normed = self._norm(f"{prefix}post_attention_layernorm.weight", states)
        gate = opset15.swish(self._linear(f"{prefix}mlp.gate_proj", normed, hidden, inner))
        up = self._linear(f"{prefix}mlp.up_proj", normed, hidden, inner)
        return self._linear(f"{prefix}mlp.down_proj", opset15.multiply(gate, up), inner, hidden)

    def _heads(self, name: str, states: Any, heads: int) -> Any:
        """(b, h, t, s)"""
        size = self._config.head_size
        flat = self._linear(name, states, self._config.hidden, heads * size)
        return opset15.transpose(opset15.reshape(flat, _ints([0, 0, heads, size]), True), _ints([0, 2, 1, 3]))

    def _linear(self, name: str, states: Any, inputs: int, outputs: int) -> Any:
        product = opset15.matmul(states, self._matrix(f"{name}.weight", outputs, inputs), False, True)
        if f"{name}.bias" not in self._weights:
            return product
        return opset15.add(product, _floats(self._weights.take(f"{name}.bias", (outputs,))[None, None]))

    def _matrix(self, name: str, outputs: int, inputs: int) -> Any:
        matrix = self._weights.take(name, (outputs, inputs))
        return _in_eight_bits(matrix) if self._int8 else _floats(matrix)

    def _norm(self, name: str, states: Any) -> Any:
        """Root mean square layer normalisation (arXiv 1910.07467, equation 4)."""
        weight = self._weights.take(name, (self._config.hidden,))[None, None]
        squares = opset15.reduce_mean(opset15.power(states, _floats(2.0)), _ints([-1]), True)
        root = opset15.sqrt(opset15.add(squares, _floats(self._config.norm_epsilon)))
        return opset15.multiply(_floats(weight), opset15.multiply(states, opset15.divide(_floats(1.0), root)))

    def _rotation(self) -> tuple[Any, Any]:
        """Cosines and sines of the position embeddings, each (b, 1, t, s)."""
        positions = opset15.convert(opset15.unsqueeze(self._positions, _ints([2])), "f32")
        half = opset15.matmul(positions, _floats(self._config.rotations[None, None]), False, False)
        angles = opset15.concat([half, half], -1)
        cosines, sines = opset15.cos(angles), opset15.sin(angles)
        return opset15.unsqueeze(cosines, _ints([1])), opset15.unsqueeze(sines, _ints([1]))

    def _rotate(self, states: Any, cosines: Any, sines: Any) -> Any:
        half, end = self._config.head_size // 2, numpy.iinfo(numpy.int64).max
        first = opset15.slice(states, _ints([0]), _ints([half]), _ints([1]), _ints([3]))
        second = opset15.slice(states, _ints([half]), _ints([end]), _ints([1]), _ints([3]))
        turned = opset15.concat([opset15.multiply(second, _floats([[[[-1.0]]]])), first], -1)
        return opset15.add(opset15.multiply(states, cosines), opset15.multiply(turned, sines))

    def _remember(self, name: str, new: Any) -> Any:
        """All keys or values (b, h, t, s) so far, a copy for every query head: the pattern of a key-value cache."""
        config = self._config
        empty_shape = opset15.concat([self._rows, _ints([config.kv_heads, 0, config.head_size])], 0)
        past_shape = openvino.PartialShape([-1, config.kv_heads, -1, config.head_size])
        past = opset6.read_value(opset15.broadcast(_floats(0.0), empty_shape), name, openvino.Type.f32, past_shape)
        so_far = opset15.concat([opset15.gather(past, self._beams, _ints(0)), new], 2)
        self._sinks.append(opset6.assign(so_far, name))
        copies = opset15.constant(numpy.array([1, 1, config.heads // config.kv_heads, 1, 1], dtype=numpy.int64))
        grouped = opset15.broadcast(opset15.unsqueeze(so_far, _ints([2])), copies, broadcast_spec="BIDIRECTIONAL")
        return opset15.reshape(grouped, _ints([0, config.heads, -1, config.head_size]), True)


def _in_eight_bits(matrix: Array) -> Any:
    scales = numpy.abs(matrix).max(1, keepdims=True) / INT8_MAX
    if not numpy.isfinite(scales).all():
        raise ModelFilesError("The model's weights hold values that are not numbers. Copy or make the model again.")
    scales[scales == 0] = 1
    rounded = numpy.rint(matrix / scales).astype(numpy.int8)
    return opset15.multiply(opset15.convert(opset15.constant(rounded), "f32"), _floats(scales))


def _unused_mask(mask: Any) -> Any:
    """Paged attention is causal by itself and takes this input away; the pattern it looks for has one."""
    ones = opset15.unsqueeze(opset15.unsqueeze(opset15.convert(mask, "f32"), _ints(1)), _ints(1))
    return opset15.multiply(opset15.subtract(_floats(1.0), ones), _floats(numpy.finfo(numpy.float32).min))


def _input(name: str, shape: list[int], type: openvino.Type) -> Any:
    parameter = opset15.parameter(shape, type, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _size(node: Any, axis: int) -> Any:
    return opset15.gather(opset15.shape_of(node, "i64"), _ints([axis]), _ints(0))


def _ints(values: object) -> Any:
    return opset15.constant(numpy.array(values, dtype=numpy.int64))


def _floats(values: object) -> Any:
    return opset15.constant(numpy.array(values, dtype=numpy.float32))
