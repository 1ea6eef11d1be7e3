"""The judge of the alpha lab: two experts and one loaded model, whose alpha is moved between two questions."""

from pathlib import Path

from backend.engines.base import Engine
from backend.errors import MergeError
from backend.formats import prompt_format
from backend.merge_spec import MergeSpec, read_spec
from backend.mergeable import check_mergeable, describe
from backend.models import ModelFiles, find_model, weight_files
from backend.prompts import PromptFormat
from backend.registry import Registry
from backend.served import Report, Served
from backend.types import digest_of
from backend.weights import read_headers

KIND = "live"
ENDS_AT_EXPERTS = ("linear", "slerp")
"""Methods whose merge at alpha 1 and 0 is the direct and the pairwise expert, where ends_are_experts() says so."""
STORED_AS = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""How safetensors files name a dtype."""


class LiveAlpha:
    """theta(alpha) = alpha * direct + (1 - alpha) * pairwise in one loaded engine (arXiv 2405.01535, section 4).

    Memory: the model and both experts. What a verdict was given at is part of its maker: each alpha is a model
    version of its own, of the kind "live", whose recipe names the method, alpha and both parents' digests.
    """

    def __init__(
        self,
        direct: Path,
        pairwise: Path,
        home: Path,
        registry: Registry,
        report: Report,
        *,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        """Load. Raises MergeError, ModelFilesError and ModelUnsupportedError for parents that can't be mixed."""
        self._spec = describe("linear", home, report, direct=direct, pairwise=pairwise, alpha=1.0)
        check_mergeable(self._spec, home, report)
        self._files = {
            role: find_model(str(parent.path), home, prompt_format=None, report=report)
            for role, parent in self._spec.parents().items()
        }
        self._check_formats()
        self._format = prompt_format(self._files["direct"].prompt_format)
        self._registry = registry
        report("Loading both experts …", None)

        import torch

        from backend.engines.alpha import AlphaWeights
        from backend.engines.transformers import TransformersEngine

        self._engine = TransformersEngine(self._files["direct"].path, device=device, dtype=dtype)
        self._weights = AlphaWeights(
            weight_files(self._files["direct"].path),
            weight_files(self._files["pairwise"].path),
            self._engine.parameters,
            merged_dtype=getattr(torch, self._spec.out_dtype),
        )
        self._parents = {role: registry.record(files) for role, files in self._files.items()}
        self._alpha: float | None = None

    @property
    def alpha(self) -> float | None:
        """What the model's weights are at; None before the first at()."""
        return self._alpha

    def at(self, alpha: float) -> Served:
        """The judge at this alpha, in 0..1; the one that was handed out before must not be asked any more.

        Call it alone with the engine, as its readings are. Raises InvalidInputError.
        """
        spec = at_alpha(self._spec, alpha)
        files = live_files(spec, self._files["direct"])
        version_id = self._registry.record(files, parents=self._parents)
        self._set_alpha(alpha)
        return Served(self._engine, files, self._format, version_id)

    def mix(self, alpha: float) -> str:
        """Move the weights to this alpha, in 0..1, and write nothing anywhere; the digest of that merge's recipe.

        What is then asked of `engine` has no maker in the store, so it is nobody's verdict. Called as at() is.
        """
        spec = at_alpha(self._spec, alpha)
        self._set_alpha(alpha)
        return spec.digest

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def format(self) -> PromptFormat:
        return self._format

    def close(self) -> None:
        """Let go of the model and both experts."""
        self._engine.close()
        del self._weights

    def _set_alpha(self, alpha: float) -> None:
        if alpha != self._alpha:
            self._alpha = None  # half of one and half of another, should it fail
            self._weights.set_alpha(alpha)
            self._alpha = alpha

    def _check_formats(self) -> None:
        direct, pairwise = self._files["direct"], self._files["pairwise"]
        if direct.prompt_format != pairwise.prompt_format:
            raise MergeError(
                f"The experts are asked in different words: {direct.name} in the format {direct.prompt_format}, "
                f"{pairwise.name} in {pairwise.prompt_format}. Merge experts that were trained on one format."
            )


def live_files(spec: MergeSpec, donor: ModelFiles) -> ModelFiles:
    """A merge that is only in memory, known by its recipe. donor: whose tokenizer and settings it uses."""
    return ModelFiles(
        name=f"alpha {spec.alpha:g}, live",
        kind=KIND,
        path=donor.path,
        digest=live_digest(spec),
        architecture=donor.architecture,
        bytes=donor.bytes,
        prompt_format=donor.prompt_format,
        recipe=spec.recipe(),
    )


def live_digest(spec: MergeSpec) -> str:
    return digest_of(KIND, spec.recipe())


def at_alpha(spec: MergeSpec, alpha: float) -> MergeSpec:
    """The same merge at another alpha. Raises InvalidInputError for one outside of 0..1."""
    return read_spec({**spec.model_dump(by_alias=True, exclude_none=True), "alpha": alpha})


def ends_are_experts(spec: MergeSpec) -> bool:
    """Whether a linear or slerp merge at alpha 1 and 0 is the direct and the pairwise expert to the bit.

    It is where the experts are stored in the very format that the merge is rounded to.
    """
    dtypes = {
        header.dtype
        for parent in (spec.direct, spec.pairwise)
        for header in read_headers(weight_files(parent.path)).values()
    }
    return dtypes == {STORED_AS[spec.out_dtype]}
