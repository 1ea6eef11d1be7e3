"""Benchmarks: several judges on the same labelled sets, side by side, beside what others have published.

Judges are loaded one after the other, so that one at a time takes memory. Every reading goes through
backend.measuring: a run that was stopped or killed asks only what is missing.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.bench_table import BenchCell, BenchResult, BenchRow, BenchSet
from backend.benchmarks.getting import Got, Hub, get_set
from backend.benchmarks.labelled import LabelledSet, Labeller
from backend.benchmarks.licences import restrictions
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome
from backend.benchmarks.robustness import Robustness, Variant, compare, swapped, variant_of, variants
from backend.benchmarks.rows import OWN, WantedSet, open_set, sets_in
from backend.benchmarks.sets.catalogue import PAPER_SETS, published_set
from backend.errors import InvalidInputError
from backend.jobs import JobContext
from backend.measuring import VERDICT_ONLY, Measured, measure
from backend.model_views import DIGITS
from backend.serving import Report, Served
from backend.types import Mode, Sampling
from db import measuring_queries as queries
from db.session import Store

Load = Callable[[str, Report], Served]
"""Loads the judge of this name; the caller closes its engine. Raises ModelError and SettingsError."""


@dataclass(frozen=True)
class BenchSpec:
    """Which judges on which sets, one of each at least, none twice.

    judges: folders, hub names, "starter", or "active" for the one in service.
    """

    judges: tuple[str, ...]
    sets: tuple[WantedSet, ...]
    sampling: Sampling = VERDICT_ONLY

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
        return {"judges": list(self.judges), "sets": sets, "sampling": asdict(self.sampling)}


def read_bench(document: Mapping[str, Any]) -> BenchSpec:
    """What document() wrote."""
    return BenchSpec(
        tuple(document["judges"]),
        tuple(WantedSet.model_validate(one) for one in document["sets"]),
        Sampling(**document["sampling"]),
    )


@dataclass(frozen=True)
class SetState:
    """A set that is known.

    size: its rows; None where it is not in the data folder. forbids: what its licence forbids, in words. labels: whose
    they are, of a published set. source: where its rows come from, where they say so. cure: how to get a set that is
    not there.
    """

    name: str
    mode: Mode
    size: int | None
    licence: str
    forbids: str
    labels: str = ""
    source: str = ""
    cure: str = ""


@dataclass(frozen=True)
class ReadRow:
    """One row of a set as a judge read it: what the figures are computed from.

    label: what people or GPT-4 said, 1..5, or A, B or tie. said: the judge's most probable score, or its winner by
    the mean of both orders. value: the expected score, 1..5, or the probability of A by that mean, 0..1. first,
    second: of a pair, the probability of A in the order A, B and in the order B, A. reason: why it was not read;
    all others but row_id are then empty.
    """

    row_id: str
    label: str = ""
    said: str = ""
    value: float | None = None
    first: float | None = None
    second: float | None = None
    reason: str = ""


class Bench:
    """Runs benchmarks. data_folder: holds benchmarks/ and dev/. load: as JudgeLoader's."""

    def __init__(self, store: Store, data_folder: Path, load: Load) -> None:
        self._store = store
        self._data_folder = data_folder
        self._load = load

    def handle(self, context: JobContext) -> dict[str, Any]:
        """The handler of benchmark jobs: a BenchSpec as JSON in, a BenchResult as JSON out."""
        return self.run(read_bench(context.spec), context.report, context.cancel).model_dump(mode="json")

    def sets(self) -> tuple[SetState, ...]:
        """What is in the data folder, and the paper's sets that are not. Raises InvalidInputError for a broken file."""
        labels = {one.name: one.labels for one in PAPER_SETS}
        known = {}
        for place in sets_in(self._data_folder):
            labelled = open_set(WantedSet(name=place.name), self._data_folder, self._store)
            known[place.name] = SetState(
                place.name, place.mode, labelled.size, labelled.licence, restrictions(labelled.licence),
                labels.get(place.name, ""), labelled.source,
            )  # fmt: skip
        lacking = [
            SetState(one.name, one.mode, None, one.licence, restrictions(one.licence), one.labels, cure=one.cure)
            for one in PAPER_SETS
            if one.name not in known
        ]
        return (*known.values(), *lacking)

    def get_set(self, name: str, *, place: str | None = None, replace: bool = False, hub: Hub | None = None) -> Got:
        """One of the paper's sets into the data folder: from the hub, or from a file in its published form.

        Raises NotFoundError, and as backend.benchmarks.getting.get_set.
        """
        return get_set(published_set(name), self._data_folder, place=place, replace=replace, hub=hub)

    def run(self, spec: BenchSpec, report: Report, cancel: threading.Event) -> BenchResult:
        """Every judge on every set. All sets are opened before a judge is loaded.

        Raises NotFoundError, InvalidInputError, ModelError, EngineError, StoreError and
        CancelledError; what was read by then is kept and not read again.
        """
        opened = [open_set(wanted, self._data_folder, self._store) for wanted in spec.sets]
        with self._store.read() as session:
            earlier = queries.measured_sets(session)
        measured = [self._measure(judge, opened, spec.sampling, report, cancel) for judge in spec.judges]
        first = measured[0][1]
        return BenchResult(
            sets=tuple(
                _described(wanted, labelled, earlier) for wanted, labelled in zip(spec.sets, opened, strict=True)
            ),
            rows=tuple(
                BenchRow(
                    judge=judge,
                    model=served.files.name,
                    model_digest=served.files.digest,
                    engine=f"{served.engine.info.version}, {served.engine.info.dtype}",
                    cells=tuple(
                        _cell(one, None if figures is first else against)
                        for one, against in zip(figures, first, strict=True)
                    ),
                )
                for judge, (served, figures) in zip(spec.judges, measured, strict=True)
            ),
        )

    def items(
        self, judge: str, wanted: WantedSet, sampling: Sampling, report: Report, cancel: threading.Event
    ) -> list[ReadRow]:
        """The rows behind a judge's figures on a set, as read; those that it could not read last. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store)
        _, (measured,) = self._measure(judge, [labelled], sampling, report, cancel)
        unread = [ReadRow(left_out.id, reason=left_out.reason) for left_out in measured.unread]
        return [*map(_read_row, measured.outcomes), *unread]

    def robustness(
        self, judge: str, wanted: WantedSet, sampling: Sampling, report: Report, cancel: threading.Event
    ) -> tuple[Robustness, ...]:
        """How often the judge's verdicts change when nothing that matters does. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store)
        asked = [variant for variant in variants(labelled.mode) if variant is not Variant.SWAPPED]
        guises = [variant_of(labelled, variant) for variant in asked]
        _, (plain, *others) = self._measure(judge, [labelled, *guises], sampling, report, cancel, tampered=True)
        found = [
            compare(variant, plain.outcomes, other.outcomes, labelled.size)
            for variant, other in zip(asked, others, strict=True)
        ]
        if labelled.mode is Mode.PAIRWISE:
            pairs = [outcome for outcome in plain.outcomes if isinstance(outcome, PairOutcome)]
            found.insert(0, swapped(pairs, labelled.size))
        return tuple(found)

    def _measure(
        self,
        judge: str,
        sets: Sequence[LabelledSet],
        sampling: Sampling,
        report: Report,
        cancel: threading.Event,
        *,
        tampered: bool = False,
    ) -> tuple[Served, list[Measured]]:
        """tampered: the first set is as it is, and the others are made of it, so their figures are nobody's record."""

        def named(message: str, fraction: float | None) -> None:
            report(f"{judge}: {message}", fraction)

        served = self._load(judge, named)
        try:
            return served, [
                measure(
                    served,
                    labelled,
                    self._store,
                    report=named,
                    cancel=cancel,
                    sampling=sampling,
                    keep_figures=labelled is sets[0] or not tampered,
                )
                for labelled in sets
            ]
        finally:
            served.engine.close()


def _described(wanted: WantedSet, labelled: LabelledSet, earlier: Sequence[tuple[str, str, datetime]]) -> BenchSet:
    """earlier: sets as they were measured before this run: name, digest, and when."""
    return BenchSet(
        name=wanted.name,
        shown=labelled.name,
        digest=labelled.digest,
        mode=labelled.mode,
        size=labelled.size,
        licence=labelled.licence,
        whole=labelled.name == wanted.whole_name,
        labelled_by=_labellers(labelled),
        changed=_changed(labelled, earlier),
    )


def _labellers(labelled: LabelledSet) -> Labeller | None:
    """Who gave all of its labels; None where some are people's and some GPT-4's."""
    given = {row.labelled_by for row in labelled.rows}
    return given.pop() if len(given) == 1 else None


def _changed(labelled: LabelledSet, earlier: Sequence[tuple[str, str, datetime]]) -> str:
    """That a set of the data folder was another when it was measured last; empty where it was not, or never was."""
    if labelled.name.startswith(f"{OWN}/"):
        return ""
    before = [(digest, when) for name, digest, when in earlier if name == labelled.name]
    if not before or any(digest == labelled.digest for digest, _ in before):
        return ""
    digest, when = before[0]
    return (
        f"{labelled.name} has changed since {when:%Y-%m-%d}, when it was measured last: its rows or labels were others "
        f"then (digest {digest[:DIGITS]}, now {labelled.digest[:DIGITS]}). Figures of then are of another set."
    )


def _cell(one: Measured, against: Measured | None) -> BenchCell:
    """against: the first judge on the same set."""
    return BenchCell(
        read=len(one.outcomes),
        total=one.total,
        figures=one.estimates,
        minus_first=()
        if against is None
        else tuple(one.difference(against, figure.metric) for figure in one.estimates),
    )


def _read_row(outcome: ScoreOutcome | PairOutcome) -> ReadRow:
    if isinstance(outcome, ScoreOutcome):
        return ReadRow(outcome.row_id, f"{outcome.label:g}", str(outcome.score), outcome.expected)
    return ReadRow(outcome.row_id, outcome.label, outcome.winner(), outcome.p_a, outcome.p_a_first, outcome.p_a_second)
