"""A benchmark run as one document: which judges, on which sets, asked how. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backend.benchmarks.rows import WantedSet
from backend.errors import InvalidInputError
from backend.measuring import VERDICT_ONLY
from backend.types import Sampling


@dataclass(frozen=True)
class BenchSpec:
    """Which judges on which sets, one of each at least, none twice.

    judges: folders, hub names, "starter", or "active" for the one in service. consistency: the responses of pairwise
    sets are asked for a score too, one by one, to compare the two formats; that takes two readings a pair more.
    """

    judges: tuple[str, ...]
    sets: tuple[WantedSet, ...]
    sampling: Sampling = VERDICT_ONLY
    consistency: bool = False

    def __post_init__(self) -> None:
        if not self.judges or not self.sets:
            raise InvalidInputError("A benchmark needs a judge and a set. Name at least one of each.")
        for one in (self.judges, self.sets):
            if len(set(one)) < len(one):
                twice = next(str(each) for each in one if one.count(each) > 1)
                raise InvalidInputError(f"{twice} is named twice. Name each judge and each set once.")

    def document(self) -> dict[str, Any]:
        """As JSON, for a job."""
        sets = [one.model_dump() for one in self.sets]
        asked = {"judges": list(self.judges), "sets": sets, "sampling": asdict(self.sampling)}
        return asked | {"consistency": self.consistency}


def read_bench(document: Mapping[str, Any]) -> BenchSpec:
    """What document() wrote."""
    return BenchSpec(
        tuple(document["judges"]),
        tuple(WantedSet.model_validate(one) for one in document["sets"]),
        Sampling(**document["sampling"]),
        document.get("consistency", False),
    )
