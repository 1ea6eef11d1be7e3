"""The key-value cache of the transformers engine: one block of memory, handed from prompt to prompt."""

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from backend.errors import CancelledError


class KeyValueSlots(Cache):  # type: ignore[misc]
    """A key-value cache allocated once: `slots` rows of `capacity` positions, each row as long as it is.

    Before each forward pass it is told where that pass writes. Every layer comes by here in every pass, so this is
    also where a cancel is seen: the pass ends with CancelledError after a layer's time, in the middle of a long prompt.
    """

    def __init__(self, *, layers: int, slots: int, capacity: int, cancel: threading.Event) -> None:
        self.slots = slots
        self._window = _Window(cancel)
        super().__init__(layers=[_SlotLayer(slots, capacity, self._window) for _ in range(layers)])

    def write_stretch(self, slot: int, begin: int, end: int) -> None:
        """The next pass reads positions begin..end (exclusive) of one row, and looks back to its position 0."""
        self._window.slots, self._window.positions = slice(slot, slot + 1), None
        self._window.begin, self._window.end = begin, end

    def write_next(self, positions: torch.Tensor, end: int) -> None:
        """The next pass reads one position of each of the first slots: positions (rows,), all of them below end."""
        self._window.slots, self._window.positions = slice(0, len(positions)), positions
        self._window.end = end

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot over another slot."""
        if source != target:
            for layer in self.layers:
                layer.keys[target, :, :length] = layer.keys[source, :, :length]
                layer.values[target, :, :length] = layer.values[source, :, :length]


@dataclass
class _Window:
    """Where the next keys and values are written, and how far attention looks.

    A stretch: positions begin..end of one slot. A step: one position in each of the first slots.
    """

    cancel: threading.Event
    slots: slice = field(default_factory=lambda: slice(0))
    begin: int = 0
    end: int = 0
    positions: torch.Tensor | None = None


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer of the slots: keys and values (slots, heads, capacity, head size).

    They begin as zeros: positions behind a row's end are masked, but a weight of 0 times a NaN is a NaN.
    """

    def __init__(self, slots: int, capacity: int, window: _Window) -> None:
        super().__init__()
        self._slots, self._capacity, self._window = slots, capacity, window

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = key_states.new_zeros(self._slots, key_states.shape[1], self._capacity, key_states.shape[3])
        self.values = value_states.new_zeros(self._slots, value_states.shape[1], self._capacity, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._window
        if window.cancel.is_set():
            raise CancelledError("Cancelled. What had been finished by then is kept.")
        held = []
        for store, new in ((self.keys, key_states), (self.values, value_states)):
            if window.positions is None:
                store[window.slots, :, window.begin : window.end] = new
            else:
                rows = torch.arange(len(window.positions), device=new.device)
                store[rows, :, window.positions] = new[:, :, 0]
            held.append(store[window.slots, :, : window.end])
        return held[0], held[1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._window.end, 0

    def get_seq_length(self) -> int:
        return self._window.end

    def get_max_length(self) -> int:
        return self._capacity
