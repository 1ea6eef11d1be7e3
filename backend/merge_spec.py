"""A merge as one document: how two experts become one judge. What can't be meant is refused before any work."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backend.errors import InvalidInputError
from backend.types import digest_of

Method = Literal["linear", "slerp", "task_arithmetic", "ties", "dare_ties", "dare_linear", "true_dare"]
OutDtype = Literal["bfloat16", "float16", "float32"]

USES: Mapping[str, frozenset[str]] = {
    "linear": frozenset(),
    "slerp": frozenset(),
    "task_arithmetic": frozenset({"base", "lambda"}),
    "ties": frozenset({"base", "lambda", "density"}),
    "dare_ties": frozenset({"base", "lambda", "density", "seed"}),
    "dare_linear": frozenset({"base", "lambda", "density", "seed"}),
    "true_dare": frozenset({"base", "lambda", "density", "seed"}),
}
"""What each method takes beside the two experts and alpha."""
DEFAULTS: Mapping[str, float | int] = {"lambda": 1.0, "seed": 0}
"""Of what a method takes. Density has none: nobody can know a good one beforehand."""
CURES: Mapping[str, str] = {
    "method": f"It must be one of {', '.join(USES)}.",
    "alpha": "It is the weight of the direct-assessment expert and must lie between 0 and 1.",
    "base": "It is the model that both experts were trained from.",
    "density": "It is the share of each expert's changes that is kept and must be above 0 and at most 1.",
    "lambda": "It scales what the experts have learned and must be 0 or more; 1 changes nothing.",
    "seed": "It must be a whole number from 0 to 4294967295.",
    "dtype": "Merges are computed in float32.",
    "out_dtype": "It must be bfloat16, float16 or float32.",
}


class Parent(BaseModel):
    """A model folder and its digest as it was when the merge was described."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    digest: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("the folder's path must be absolute")
        return path


class MergeSpec(BaseModel):
    """theta(alpha) = alpha * direct + (1 - alpha) * pairwise, and its relatives (arXiv 2405.01535, section 4).

    alpha: always the weight of the direct-assessment expert. base: what both experts were trained from, for
    the methods that merge differences to it. density: share of those that is kept, in (0, 1]. lambda: their
    scale, 0 or more. seed: of what the dare methods drop. dtype: of the computation. out_dtype: of what is
    written. A parameter that the method does not use is refused rather than ignored.

    true_dare drops each difference with the probability 1 - density and scales what is left by 1 / density
    (arXiv 2311.03099, section 3.1); mergekit's dare_linear restores each tensor's L1 norm instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method
    direct: Parent
    pairwise: Parent
    base: Parent | None = None
    alpha: float = Field(ge=0, le=1)
    density: float | None = Field(None, gt=0, le=1)
    lambda_: float | None = Field(None, ge=0, alias="lambda")
    seed: int | None = Field(None, ge=0, lt=2**32)
    dtype: Literal["float32"] = "float32"
    out_dtype: OutDtype = "bfloat16"

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        uses = USES.get(str(given.get("method")), frozenset())
        return {**{name: DEFAULTS[name] for name in uses & DEFAULTS.keys()}, **given}

    @model_validator(mode="after")
    def _has_what_the_method_uses(self) -> Self:
        uses = USES[self.method]
        for name, value in self._optional().items():
            if value is None and name in uses:
                raise ValueError(f"the method {self.method} needs a {name}. {CURES[name]}")
            if value is not None and name not in uses:
                users = ", ".join(method for method, used in USES.items() if name in used)
                raise ValueError(f"the method {self.method} does not use {name}. Leave it out; it is for {users}")
        return self

    @model_validator(mode="after")
    def _merges_different_models(self) -> Self:
        parents = self.parents()
        roles = list(parents)
        for position, role in enumerate(roles):
            for other in roles[:position]:
                if parents[role].digest == parents[other].digest or parents[role].path == parents[other].path:
                    raise ValueError(
                        f"{role} and {other} are the same model ({parents[role].path}). Name two different ones"
                    )
        return self

    def parents(self) -> dict[str, Parent]:
        """By their roles: direct, pairwise, and base where the method uses one."""
        parents = {"direct": self.direct, "pairwise": self.pairwise, "base": self.base}
        return {role: parent for role, parent in parents.items() if parent is not None}

    def recipe(self) -> dict[str, Any]:
        """What decides how the result comes out, and nothing else: parents by digest, no place on a machine."""
        parents = {role: parent.digest for role, parent in self.parents().items()}
        used = {name: value for name, value in self._optional().items() if name in USES[self.method] - {"base"}}
        fixed = {"method": self.method, "alpha": self.alpha, "dtype": self.dtype, "out_dtype": self.out_dtype}
        return fixed | parents | used

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the recipe."""
        return digest_of("merge", self.recipe())

    def mergekit_yaml(self) -> str:
        """The configuration that mergekit 0.1.5 is given; docs/merging.md says why each line stands there."""
        direct, pairwise = _reference(self.direct), _reference(self.pairwise)
        weights = [
            {"model": direct, "parameters": {"weight": self.alpha}},
            {"model": pairwise, "parameters": {"weight": 1 - self.alpha}},
        ]
        document: dict[str, Any] = {"merge_method": self.method, "base_model": direct, "models": weights}
        match self.method:
            case "linear":
                pass
            case "slerp":
                document["base_model"] = pairwise
                document["models"] = [{"model": direct}, {"model": pairwise}]
                document["parameters"] = {"t": self.alpha}
            case _:
                document |= self._task_vectors(weights)
        return str(yaml.safe_dump(document | {"dtype": self.dtype, "out_dtype": self.out_dtype}, sort_keys=False))

    def _task_vectors(self, weights: list[dict[str, Any]]) -> dict[str, Any]:
        assert self.base is not None  # the method uses it, so the validator has asked for it
        assert self.lambda_ is not None
        parameters = {"normalize": False, "lambda": self.lambda_}
        if self.density is None:
            models = weights
        else:
            kept = {"density": self.density}
            models = [{**entry, "parameters": entry["parameters"] | kept} for entry in weights]
        document = {"base_model": _reference(self.base), "models": models, "parameters": parameters}
        match self.method:
            case "dare_ties" | "dare_linear":
                parameters["rescale"] = True
            case "true_dare":
                assert self.density is not None
                parameters |= {"rescale": False, "lambda": self.lambda_ / self.density}
                document["merge_method"] = "dare_linear"
        return document

    def _optional(self) -> dict[str, Any]:
        return {"base": self.base, "density": self.density, "lambda": self.lambda_, "seed": self.seed}


def read_spec(document: Mapping[str, Any]) -> MergeSpec:
    """The merge that a document describes. Raises InvalidInputError that names every value that can't be used."""
    try:
        return MergeSpec.model_validate(document)
    except ValidationError as error:
        problems = " ".join(_problem(dict(detail)) for detail in error.errors())
        raise InvalidInputError(f"This merge can't be made. {problems}") from error


def _reference(parent: Parent) -> str | dict[str, Any]:
    """mergekit reads what follows a + as an adapter, and what follows an @ as a revision, unless told more fully."""
    path = str(parent.path)
    return {"model": {"path": path}} if "+" in path or "@" in path else path


def _problem(detail: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(name, MergeSpec.model_json_schema()["properties"], n=1)
            meant = f" Did you mean {near[0]!r}?" if near else " Leave it out."
            return f"There is no parameter {name!r}.{meant}"
        case "missing":
            return f"It needs a value for {name}. {CURES.get(name, '')}".rstrip()
        case "value_error":
            reason = str(detail["ctx"]["error"]).rstrip(".")
            return f"{name}: {reason}." if name else f"{reason[0].upper()}{reason[1:]}."
        case _:
            return f"{name} is {detail['input']!r}. {CURES.get(name, detail['msg'] + '.')}"
