"""Two experts' weights in memory, mixed into a loaded model in place: alpha moves, and nothing is loaded or written."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from backend.engines.interpolation import interpolate
from backend.errors import ModelFilesError, ModelUnsupportedError

CHUNK = 2**18
"""Numbers that are mixed at once: few enough for the float32 steps between to stay in a processor's cache."""


class AlphaWeights:
    """The mix of two experts in the parameters of a loaded model, to the bit what a linear merge on disk would hold.

    direct, pairwise: the experts' safetensors files, with the same tensors (backend.mergeable checks that). They
    are held in memory as they are stored. parameters: the model's own by name, changed in place by set_alpha().
    merged_dtype: what a merge would write; a model of another dtype gets those values cast, as if it had loaded them.

    Raises ModelUnsupportedError if the model does not hold its weights as its files do.
    """

    def __init__(
        self,
        direct: Sequence[Path],
        pairwise: Sequence[Path],
        parameters: Mapping[str, torch.Tensor],
        *,
        merged_dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self._direct = _tensors(direct)
        self._pairwise = _tensors(pairwise)
        self._parameters = parameters
        self._merged_dtype = merged_dtype
        self._check_names()

    @torch.inference_mode()
    def set_alpha(self, alpha: float) -> None:
        """Mix anew. alpha: in 0..1, the weight of the direct-assessment expert. Not while the model is asked.

        The arithmetic runs on the processor whatever the model runs on: other devices round in other places.
        """
        for name, direct in self._direct.items():
            ours, theirs, target = direct.view(-1), self._pairwise[name].view(-1), self._parameters[name].view(-1)
            for start in range(0, len(ours), CHUNK):
                piece = slice(start, start + CHUNK)
                target[piece].copy_(interpolate(ours[piece], theirs[piece], alpha, self._merged_dtype))

    def _check_names(self) -> None:
        mixed = {self._parameters[name].data_ptr() for name in self._direct.keys() & self._parameters.keys()}
        strays = sorted(self._direct.keys() - self._parameters.keys())
        strays += sorted(name for name, tensor in self._parameters.items() if tensor.data_ptr() not in mixed)
        strays += sorted(
            name
            for name, tensor in self._direct.items()
            if name in self._parameters and self._parameters[name].shape != tensor.shape
        )
        if strays:
            raise ModelUnsupportedError(
                f"This architecture holds its weights in memory otherwise than in its files ({strays[0]}), so alpha "
                "can't be moved live. Merge the experts into a model for each alpha instead."
            )


def _tensors(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Copies in memory: a file that changes underneath changes nothing here."""
    tensors = {}
    try:
        for file in files:
            with safe_open(file, framework="pt") as opened:
                tensors.update({name: opened.get_tensor(name).clone() for name in opened.keys()})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFilesError(f"The weights in {file} can't be read: {error}. Copy the model again.") from error
    return tensors
