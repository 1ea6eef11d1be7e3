"""What a comparison of people and model found, as values: for the page, the command and the report."""

import json
from dataclasses import asdict, dataclass, field

from backend.agreement import Share
from backend.agreement.alternative import AlternativeTest
from backend.agreement.bootstrap import Stat
from backend.agreement.calibration import Recalibration, Reliability
from backend.agreement.ceiling import Everybody
from backend.agreement.direct import ScoreAgreement
from backend.agreement.pairs import LongerWins, PositionBias, WinnerAgreement
from backend.agreement.people import Person
from backend.agreement.powered import PoweredMean
from backend.agreement.slices import Slice
from backend.agreement.sources import Sources
from backend.agreement_rows import Kind, Selection
from backend.recalibration import InForce


@dataclass(frozen=True)
class Counts:
    """Labels of the selection. compared: of the chosen kind, with a verdict of the model. unjudged: of the chosen kind,
    but the model gave no readable verdict, or their author had seen another model's. outside: off the scale, left
    out; between: imported ones between two scores, as means of several people are, left out too. chosen: of those
    compared the ones on items that were chosen for their doubt, which no mean and no win rate takes; drawn: those on
    items of an audit stream, which were drawn with a known probability."""

    blind: int
    after: int
    imported: int
    compared: int
    unjudged: int
    outside: int
    between: int
    chosen: int = 0
    drawn: int = 0


@dataclass(frozen=True)
class Anchoring:
    """How much nearer people are to the model after they saw its verdict.

    blind, after: share that says the same. gap: after less blind, above 0 where seeing pulls people to the model.
    """

    blind: Stat
    after: Stat
    gap: Stat


@dataclass(frozen=True)
class Named:
    """A figure of something that has a name."""

    name: str
    stat: Stat


@dataclass(frozen=True)
class PoweredPart:
    """The powered mean of one rubric version, or of all. projects: of how many its items are, where it is made of their
    audit streams and no project was chosen; else 0."""

    name: str
    mean: PoweredMean
    projects: int = 0


@dataclass(frozen=True)
class Disagreement:
    """One of the labels farthest from the model. distance: in steps, or in probability. verdict_id: to open it with."""

    verdict_id: int
    person: str
    said: int
    model: float
    distance: float


@dataclass(frozen=True)
class Ceiling:
    """People among each other, by the names of the figures, the same with the model as one more, and everybody beside
    everybody. names: of everybody.raters, in their order."""

    people: dict[str, Stat]
    with_model: dict[str, Stat]
    everybody: Everybody
    names: tuple[str, ...]


@dataclass(frozen=True)
class RankingAgreement:
    """Orders of people beside the model's ranks. tau: mean Kendall's tau-b of an item. same: nowhere contradicted."""

    tau: Stat
    same: Share | None


@dataclass(frozen=True)
class Report:
    """All figures of a selection; those of another mode are None. kind: the one that was compared.

    alternative_names: of the people that the alternative annotator test numbers. recalibrated: what is switched on in
    the project, if one was chosen; all figures are of the verdicts as they are. model_gold: the model's kappa with
    what leads decided. project: the name of the one that was chosen.
    """

    selection: Selection
    kind: Kind
    model: str
    model_digest: str
    rubric: str
    counts: Counts
    project: str = ""
    scores: ScoreAgreement | None = None
    winners: WinnerAgreement | None = None
    rankings: RankingAgreement | None = None
    position: PositionBias | None = None
    longer: LongerWins | None = None
    ceiling: Ceiling | None = None
    alternative: AlternativeTest | None = None
    alternative_names: tuple[str, ...] = ()
    powered: tuple[PoweredPart, ...] = ()
    sources: Sources | None = None
    anchoring: Anchoring | None = None
    reliability: Reliability | None = None
    recalibration: Recalibration | None = None
    recalibrated: InForce | None = None
    slices: tuple[Slice, ...] = ()
    verbosity: Stat | None = None
    months: tuple[Named, ...] = ()
    versions: tuple[Named, ...] = ()
    people: tuple[Person, ...] = ()
    model_gold: Stat | None = None
    worst: tuple[Disagreement, ...] = ()
    person_names: dict[int, str] = field(default_factory=dict)

    def name_of(self, person: int) -> str:
        return self.person_names.get(person, f"person {person}")


def as_json(report: Report) -> str:
    """The whole report. What is undefined is null, with its reason beside it."""
    return json.dumps(asdict(report), indent=2, default=str, allow_nan=False)
