"""Picks the next token from logits, without torch."""

from typing import Any

import numpy
from numpy.typing import NDArray

from backend.types import Sampling

Array = NDArray[Any]


class TokenPicker:
    """The most probable token at temperature 0, else one drawn by a generator of the row's own, so that a prompt's
    feedback does not depend on what else is in the batch."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature, self._top_p = float(sampling.temperature), float(sampling.top_p)
        self._generator = numpy.random.default_rng(sampling.seed)

    def pick(self, logits: Array) -> int:
        """logits: (vocabulary,)"""
        if self._temperature == 0:
            return int(logits.argmax())
        probabilities = softmax(logits.astype(numpy.float64) / self._temperature)
        order = numpy.argsort(-probabilities, kind="stable")
        before = numpy.cumsum(probabilities[order]) - probabilities[order]
        kept = order[: max(1, int((before < self._top_p).sum()))]
        sums = numpy.cumsum(probabilities[kept])
        drawn = numpy.searchsorted(sums, self._generator.random() * sums[-1], side="right")
        return int(kept[min(int(drawn), len(kept) - 1)])


def softmax(logits: Array) -> Array:
    weights: Array = numpy.exp(logits - logits.max())
    shares: Array = weights / weights.sum()
    return shares
