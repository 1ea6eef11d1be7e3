"""Benchmarks: several judges on the same labelled sets, side by side, beside what others have published.

Judges are loaded one after the other, so that one at a time takes memory. Every reading goes through
backend.measuring: a run that was stopped or killed asks only what is missing.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.bench_found import Opinions, found, opinions, recalled
from backend.bench_result import BenchResult
from backend.bench_spec import BenchSpec, read_bench
from backend.benchmarks.consistency import single_responses
from backend.benchmarks.getting import Got, Hub, get_set
from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.licences import restrictions
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome
from backend.benchmarks.robustness import Robustness, Variant, compare, swapped, variant_of, variants
from backend.benchmarks.rows import WantedSet, open_set, sets_in
from backend.benchmarks.sets.catalogue import PAPER_SETS, published_set
from backend.errors import NotFoundError
from backend.jobs import JobContext
from backend.measuring import Measured, measure
from backend.serving import Report, Served
from backend.types import Mode, Sampling
from db import measuring_queries as queries
from db.session import Store

Load = Callable[[str, Report], Served]
"""Loads the judge of this name; the caller closes its engine. Raises ModelError and SettingsError."""


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
        singles = [
            single_responses(labelled) for labelled in opened if spec.consistency and labelled.mode is Mode.PAIRWISE
        ]
        with self._store.read() as session:
            earlier = queries.measured_sets(session)
        judge_ids = []
        for judge in spec.judges:
            measured = self._measure(judge, [*opened, *singles], spec.sampling, report, cancel, known=opened)
            judge_ids.append((judge, measured[0].judge_id))
        with self._store.read() as session:
            return found(session, list(zip(spec.sets, opened, strict=True)), judge_ids, earlier=earlier)

    def table(self, wanted: Sequence[WantedSet]) -> BenchResult:
        """What was found by earlier runs of every judge that was measured on all of these sets; nobody is asked.

        Raises NotFoundError where there is no such judge or set, InvalidInputError.
        """
        opened = [(one, open_set(one, self._data_folder, self._store)) for one in wanted]
        with self._store.read() as session:
            judges = queries.judges_measured_on(session, [labelled.digest for _, labelled in opened])
            if not judges:
                names = ", ".join(labelled.name for _, labelled in opened)
                raise NotFoundError(f"No judge was measured on {names} yet. Run `bench run`, or name other sets.")
            return found(session, opened, judges, earlier=queries.measured_sets(session))

    def items_of(self, judge_id: int, wanted: WantedSet) -> list[ReadRow]:
        """As items(), of a judge that was measured on this set, from the store alone. Raises NotFoundError."""
        labelled = open_set(wanted, self._data_folder, self._store)
        with self._store.read() as session:
            return _read_rows(recalled(session, judge_id, labelled))

    def opinions(self, judge_ids: Sequence[int], wanted: WantedSet) -> Opinions:
        """What everybody said of each row of the set: these judges, in their order, and its labellers."""
        labelled = open_set(wanted, self._data_folder, self._store)
        with self._store.read() as session:
            return opinions(session, labelled, judge_ids)

    def items(
        self, judge: str, wanted: WantedSet, sampling: Sampling, report: Report, cancel: threading.Event
    ) -> list[ReadRow]:
        """The rows behind a judge's figures on a set, as read; those that it could not read last. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store)
        (measured,) = self._measure(judge, [labelled], sampling, report, cancel, known=[labelled])
        return _read_rows(measured)

    def robustness(
        self, judge: str, wanted: WantedSet, sampling: Sampling, report: Report, cancel: threading.Event
    ) -> tuple[Robustness, ...]:
        """How often the judge's verdicts change when nothing that matters does. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store)
        asked = [variant for variant in variants(labelled.mode) if variant is not Variant.SWAPPED]
        guises = [variant_of(labelled, variant) for variant in asked]
        plain, *others = self._measure(judge, [labelled, *guises], sampling, report, cancel, known=[labelled])
        rates = [
            compare(variant, plain.outcomes, other.outcomes, labelled.size)
            for variant, other in zip(asked, others, strict=True)
        ]
        if labelled.mode is Mode.PAIRWISE:
            pairs = [outcome for outcome in plain.outcomes if isinstance(outcome, PairOutcome)]
            rates.insert(0, swapped(pairs, labelled.size))
        return tuple(rates)

    def _measure(
        self,
        judge: str,
        sets: Sequence[LabelledSet],
        sampling: Sampling,
        report: Report,
        cancel: threading.Event,
        *,
        known: Sequence[LabelledSet],
    ) -> list[Measured]:
        """known: those that are as they were published; the others are made of them, so their figures are no record."""

        def named(message: str, fraction: float | None) -> None:
            report(f"{judge}: {message}", fraction)

        served = self._load(judge, named)
        try:
            return [
                measure(
                    served,
                    labelled,
                    self._store,
                    report=named,
                    cancel=cancel,
                    sampling=sampling,
                    keep_figures=labelled in known,
                )
                for labelled in sets
            ]
        finally:
            served.engine.close()


def _read_rows(measured: Measured) -> list[ReadRow]:
    unread = [ReadRow(left_out.id, reason=left_out.reason) for left_out in measured.unread]
    return [*map(_read_row, measured.outcomes), *unread]


def _read_row(outcome: ScoreOutcome | PairOutcome) -> ReadRow:
    if isinstance(outcome, ScoreOutcome):
        return ReadRow(outcome.row_id, f"{outcome.label:g}", str(outcome.score), outcome.expected)
    return ReadRow(outcome.row_id, outcome.label, outcome.winner(), outcome.p_a, outcome.p_a_first, outcome.p_a_second)
