"""A benchmark run as one document: which judges, on which sets, asked how. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from backend.benchmarks.rows import WantedSet
from backend.errors import InvalidInputError
from backend.measuring import VERDICT_ONLY
from backend.types import Sampling

MOST_REPEATS = 10


@dataclass(frozen=True)
class BenchSpec:
    """Which judges on which sets, one of each at least, none twice.

    judges: folders, hub names, "starter", or "active" for the one in service. consistency: the responses of pairwise
    sets are asked for a score too, one by one, to compare the two formats; that takes two readings a pair more.
    repeats: how often everything is asked, each time by another seed, 1 to MOST_REPEATS; more than once only of a judge
    that writes feedback at a temperature, since any other says the same again.
    """

    judges: tuple[str, ...]
    sets: tuple[WantedSet, ...]
    sampling: Sampling = VERDICT_ONLY
    consistency: bool = False
    repeats: int = 1

    def __post_init__(self) -> None:
        if not self.judges or not self.sets:
            raise InvalidInputError("A benchmark needs a judge and a set. Name at least one of each.")
        for one in (self.judges, self.sets):
            if len(set(one)) < len(one):
                twice = next(str(each) for each in one if one.count(each) > 1)
                raise InvalidInputError(f"{twice} is named twice. Name each judge and each set once.")

        if not 1 <= self.repeats <= MOST_REPEATS:
            raise InvalidInputError(f"The repeats are {self.repeats}; choose from 1 to {MOST_REPEATS}.")
        if self.repeats > 1 and not (self.sampling.feedback and self.sampling.temperature > 0):
            raise InvalidInputError(
                "Repeats say something only of a judge that writes feedback at a temperature above 0: any other says "
                "the same again. Add --feedback, and --temperature 1 before `bench`."
            )

    @property
    def samplings(self) -> tuple[Sampling, ...]:
        """One a repeat: the seeds count up from the asked one."""
        return tuple(replace(self.sampling, seed=self.sampling.seed + number) for number in range(self.repeats))

    def document(self) -> dict[str, Any]:
        """As JSON, for a job."""
        sets = [one.model_dump() for one in self.sets]
        asked = {"judges": list(self.judges), "sets": sets, "sampling": asdict(self.sampling)}
        return asked | {"consistency": self.consistency, "repeats": self.repeats}


def read_bench(document: Mapping[str, Any]) -> BenchSpec:
    """What document() wrote."""
    return BenchSpec(
        tuple(document["judges"]),
        tuple(WantedSet.model_validate(one) for one in document["sets"]),
        Sampling(**document["sampling"]),
        document.get("consistency", False),
        document.get("repeats", 1),
    )
