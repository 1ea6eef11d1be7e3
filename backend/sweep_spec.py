"""A sweep as one document: which experts, which merges of them at which alphas, measured on which sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backend.benchmarks.rows import WantedSet
from backend.errors import InvalidInputError
from backend.merge_spec import USES, Method

DECIMALS = 6
"""Of an alpha: 0.1 + 0.2 is 0.3."""
Role = Literal["base", "direct", "pairwise", "joint", "merge"]


@dataclass(frozen=True)
class PlannedPoint:
    """One model of a sweep. role: merge, or which baseline. method, alpha: of a merge."""

    role: Role
    method: str | None = None
    alpha: float | None = None

    @property
    def key(self) -> str:
        """Its name within the sweep: "base", "direct", "pairwise", "joint", or as "linear 0.3"."""
        return f"{self.method} {self.alpha:g}" if self.role == "merge" else self.role


class SweepSpec(BaseModel):
    """What is merged and measured. Folders are those of models.

    direct, pairwise: the experts. base: what both were trained from; a baseline, and needed by the methods that
    merge differences to it. joint: a model trained on both formats, a baseline. alphas: weights of the direct
    expert, 0..1. density: of the methods that drop differences. lambda: scale of the differences, of the methods
    that have one; unset is 1. sets: places as "dev/direct_human_mix".
    verdict_only: feedback is not written; one verdict a prompt is what a grid of alphas can afford. dtype: of the
    loaded models. Two specs that mean the same are the same document.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)

    direct: Path
    pairwise: Path
    base: Path | None = None
    joint: Path | None = None
    methods: tuple[Method, ...] = Field(("linear",), min_length=1)
    alphas: tuple[float, ...] = Field(min_length=1)
    density: float | None = Field(None, gt=0, le=1)
    lambda_: float | None = Field(None, ge=0, alias="lambda")
    sets: tuple[WantedSet, ...] = Field(min_length=1)
    verdict_only: Literal[True] = True
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    @field_validator("direct", "pairwise", "base", "joint")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return None if folder is None else folder.expanduser().absolute()

    @field_validator("alphas")
    @classmethod
    def _grid(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        outside = [alpha for alpha in alphas if not 0 <= alpha <= 1]
        if outside:
            raise ValueError(f"{outside[0]:g} is no weight of the direct-assessment expert; each must lie in 0 to 1")
        return tuple(sorted({round(alpha, DECIMALS) for alpha in alphas}))

    @field_validator("methods", "sets")
    @classmethod
    def _once(cls, named: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(named))

    @model_validator(mode="after")
    def _has_what_the_methods_use(self) -> Self:
        for name, value in (("base", self.base), ("density", self.density)):
            users = [method for method in self.methods if name in USES[method]]
            if users and value is None:
                raise ValueError(f"the method {users[0]} needs a {name}; give it, or leave the method out")
        for name, value in (("density", self.density), ("lambda", self.lambda_)):
            if value is not None and not any(name in USES[method] for method in self.methods):
                raise ValueError(f"none of the methods {', '.join(self.methods)} uses a {name}; leave it out")
        return self

    def plan(self) -> tuple[PlannedPoint, ...]:
        """Every model that is measured, the baselines first."""
        folders = {"base": self.base, "direct": self.direct, "pairwise": self.pairwise, "joint": self.joint}
        roles: tuple[Role, ...] = ("base", "direct", "pairwise", "joint")
        baselines = [PlannedPoint(role) for role in roles if folders[role] is not None]
        merges = [PlannedPoint("merge", method, alpha) for method in self.methods for alpha in self.alphas]
        return (*baselines, *merges)

    def taken_by(self, method: str) -> dict[str, Any]:
        """What backend.mergeable.describe() is given for a merge by this method, but for its alpha."""
        options = {"base": self.base, "density": self.density, "lambda": self.lambda_}
        used = {name: value for name, value in options.items() if name in USES[method] and value is not None}
        return {"direct": self.direct, "pairwise": self.pairwise, **used}

    def folder(self, role: Role) -> Path:
        """Of a baseline that the sweep has."""
        folder = {"base": self.base, "direct": self.direct, "pairwise": self.pairwise, "joint": self.joint}.get(role)
        assert folder is not None, "only baselines that are there are planned"
        return folder


def read_sweep(document: Mapping[str, Any]) -> SweepSpec:
    """The sweep that a document describes. Raises InvalidInputError that names every value that can't be used."""
    try:
        return SweepSpec.model_validate(document)
    except ValidationError as error:
        raise InvalidInputError(f"This sweep can't be run. {' '.join(map(_problem, error.errors()))}") from error


def _problem(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    reason = str(detail["msg"]).removeprefix("Value error, ")
    return f"{name}: {reason}." if name else f"{reason[:1].upper()}{reason[1:]}."
