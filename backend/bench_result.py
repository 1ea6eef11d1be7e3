"""What a benchmark run has found, as it is stored with its job. Pure."""

from pydantic import BaseModel, ConfigDict

from backend.agreement.bootstrap import Stat
from backend.benchmarks.consistency import Consistency
from backend.benchmarks.labelled import Labeller
from backend.benchmarks.metrics import Estimate, Metric
from backend.benchmarks.published import Place, Reference
from backend.model_views import DIGITS
from backend.types import Mode


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BenchSet(_Value):
    """A set of the run. name: as it was asked for. shown: how many of how many rows too. whole: all its rows.

    changed: that it was another when it was measured before; empty where it was not. labelled_by: who gave all of its
    labels; None where that is not one kind of labeller, or not known. not_drawn: of a project, labelled items that are
    left out, since chance did not draw them.
    """

    name: str
    shown: str
    digest: str
    mode: Mode
    size: int
    licence: str
    whole: bool
    changed: str = ""
    labelled_by: Labeller | None = None
    not_drawn: int = 0

    @property
    def place(self) -> Place:
        """Where a published figure of it stands: pairs have people's labels there, scores GPT-4's if nothing says."""
        people = self.labelled_by == "people" or (self.labelled_by is None and self.mode is Mode.PAIRWISE)
        return self.name, Reference.PEOPLE if people else Reference.GPT4


class BenchCell(_Value):
    """A judge on a set. read: the rows that it could read, of total: figures are over these, and both are shown.

    minus_first: each figure minus the first judge's, with its paired interval; empty for the first judge. consistency:
    of both formats, where it was asked for on pairs. transitivity: of pairs. repeated: Krippendorff's alpha over the
    repeats, where there are any.
    """

    read: int
    total: int
    figures: tuple[Estimate, ...]
    minus_first: tuple[Estimate, ...]
    consistency: Consistency | None = None
    transitivity: Stat | None = None
    repeated: Stat | None = None

    def figure(self, metric: Metric) -> Estimate:
        return next(figure for figure in self.figures if figure.metric is metric)


class BenchRow(_Value):
    """A judge. judge: as it was asked for. cells: in the order of the run's sets.

    judge_id: of its row in the store. role: what the registry knows of it, as "direct expert". feedback: whether it
    wrote any before its verdicts. All three are empty in results of earlier versions.
    """

    judge: str
    model: str
    model_digest: str
    engine: str
    judge_id: int | None = None
    role: str = ""
    feedback: bool = False
    cells: tuple[BenchCell, ...]


class BenchResult(_Value):
    """What a run has found."""

    sets: tuple[BenchSet, ...]
    rows: tuple[BenchRow, ...]

    def names(self) -> tuple[str, ...]:
        """The judges' models by name; those that share one also by their digest, and by their engine if need be."""
        plain = [f"{row.model} with feedback" if row.feedback else row.model for row in self.rows]
        known = [f"{name} {row.model_digest[:DIGITS]}" for name, row in zip(plain, self.rows, strict=True)]
        exact = [f"{name}, {row.engine}" for name, row in zip(known, self.rows, strict=True)]
        return tuple(
            name if plain.count(name) == 1 else longer if known.count(longer) == 1 else longest
            for name, longer, longest in zip(plain, known, exact, strict=True)
        )
