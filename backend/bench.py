"""Benchmarks: several judges on the same labelled sets, side by side, beside what others have published.

Judges are loaded one after the other, so that one at a time takes memory. Every reading goes through
backend.measuring: a run that was stopped or killed asks only what is missing.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from backend.agreement import WINNERS
from backend.bench_found import found, opinions, recalled
from backend.bench_pace import Forecast, forecast
from backend.bench_result import BenchResult
from backend.bench_spec import BenchSpec, read_bench
from backend.benchmarks.consistency import single_responses
from backend.benchmarks.getting import Got, Hub, get_set
from backend.benchmarks.labelled import LabelledSet, number_of
from backend.benchmarks.licences import restrictions
from backend.benchmarks.metrics import PairOutcome, ScoreOutcome
from backend.benchmarks.opinions import Opinions
from backend.benchmarks.own import own_sets
from backend.benchmarks.robustness import Robustness, Variant, compare, swapped, variant_of, variants
from backend.benchmarks.rows import WantedSet, open_set, sets_in
from backend.benchmarks.sets.catalogue import PAPER_SETS, published_set
from backend.errors import NotFoundError
from backend.jobs import JobContext
from backend.measuring import Measured, measure
from backend.served import Report, Served
from backend.types import Mode, Sampling
from db import measuring_queries as queries
from db.session import Store

INSTRUCTION_CHARACTERS = 160
Load = Callable[[str, Report], Served]
"""Loads the judge of this name; the caller closes its engine. Raises ModelError and SettingsError."""


@dataclass(frozen=True)
class SetState:
    """A set that is known.

    size: its rows; None where it is not in the data folder. forbids: what its licence forbids, in words. labels: whose
    they are, of a published set. source: where its rows come from, where they say so. cure: how to get a set that is
    not there. not_drawn: of a project, labelled items that are left out, since they were chosen for their doubt.
    """

    name: str
    mode: Mode
    size: int | None
    licence: str
    forbids: str
    labels: str = ""
    source: str = ""
    cure: str = ""
    not_drawn: int = 0


@dataclass(frozen=True)
class ReadRow:
    """One row of a set as a judge read it: what the figures are computed from; or one that they leave out.

    label: what people or GPT-4 said, 1..5, or A, B or tie. said: the judge's most probable score, or its winner by
    the mean of both orders. value: the expected score, 1..5, or the probability of A by that mean, 0..1. first,
    second: of a pair, the probability of A in the order A, B and in the order B, A. reason: why it was not read, or is
    no part of the set; label to second are then empty. instruction: the item's, shortened.
    """

    row_id: str
    label: str = ""
    said: str = ""
    value: float | None = None
    first: float | None = None
    second: float | None = None
    reason: str = ""
    instruction: str = ""

    @property
    def miss(self) -> float | None:
        """How far the value lies from the label; None where there is neither."""
        if self.value is None:
            return None
        return abs(self.value - number_of(self.label if self.label in WINNERS else float(self.label)))


class Bench:
    """Runs benchmarks. data_folder: holds benchmarks/ and dev/. load: as JudgeLoader's.

    by_id: who asks; a lead, where the set is a project's labels, and not looked at elsewhere.
    """

    def __init__(self, store: Store, data_folder: Path, load: Load) -> None:
        self._store = store
        self._data_folder = data_folder
        self._load = load

    def handle(self, context: JobContext) -> dict[str, Any]:
        """The handler of benchmark jobs: a BenchSpec as JSON in, a BenchResult as JSON out."""
        result = self.run(read_bench(context.spec), context.report, context.cancel, by_id=context.user_id)
        return result.model_dump(mode="json")

    def sets(self) -> tuple[SetState, ...]:
        """What is in the data folder, the sets of own labels, and the paper's sets that are not there.

        Raises InvalidInputError for a broken file.
        """
        labels = {one.name: one.labels for one in PAPER_SETS}
        known = {}
        for place in sets_in(self._data_folder):
            labelled = open_set(WantedSet(name=place.name), self._data_folder, self._store)
            known[place.name] = SetState(
                place.name, place.mode, labelled.size, labelled.licence, restrictions(labelled.licence),
                labels.get(place.name, ""), labelled.source,
            )  # fmt: skip
        own = [
            SetState(one.name, one.mode, one.size, one.licence, "", not_drawn=one.not_drawn)
            for one in own_sets(self._store)
        ]
        lacking = [
            SetState(one.name, one.mode, None, one.licence, restrictions(one.licence), one.labels, cure=one.cure)
            for one in PAPER_SETS
            if one.name not in known
        ]
        return (*known.values(), *own, *lacking)

    def get_set(self, name: str, *, place: str | None = None, replace: bool = False, hub: Hub | None = None) -> Got:
        """One of the paper's sets into the data folder: from the hub, or from a file in its published form.

        Raises NotFoundError, and as backend.benchmarks.getting.get_set.
        """
        return get_set(published_set(name), self._data_folder, place=place, replace=replace, hub=hub)

    def run(self, spec: BenchSpec, report: Report, cancel: threading.Event, *, by_id: int | None = None) -> BenchResult:
        """Every judge on every set. All sets are opened before a judge is loaded.

        Raises NotFoundError, InvalidInputError, ModelError, EngineError, StoreError and
        CancelledError; what was read by then is kept and not read again.
        """
        opened, singles = self._opened(spec, by_id)
        with self._store.read() as session:
            earlier = queries.measured_sets(session)
        asked = []
        for judge in spec.judges:
            measured = self._measure(judge, [*opened, *singles], spec.samplings, report, cancel, known=opened)
            asked.append((judge, tuple(run[0].judge_id for run in measured)))
        with self._store.read() as session:
            return found(session, list(zip(spec.sets, opened, strict=True)), asked, earlier=earlier)

    def forecast(self, spec: BenchSpec, *, by_id: int | None = None) -> Forecast:
        """What the run would ask for, and how long that took before. Raises NotFoundError, InvalidInputError."""
        opened, singles = self._opened(spec, by_id)
        with self._store.read() as session:
            return forecast(session, spec, [*opened, *singles])

    def check(self, spec: BenchSpec, *, by_id: int | None = None) -> None:
        """Raises as run() for a set that can't be measured on: before there is a job that would fail."""
        self._opened(spec, by_id)

    def _opened(self, spec: BenchSpec, by_id: int | None) -> tuple[list[LabelledSet], list[LabelledSet]]:
        """The sets, and the responses of pairwise ones one by one, where both formats are compared."""
        opened = [open_set(wanted, self._data_folder, self._store, by_id=by_id) for wanted in spec.sets]
        pairs = [labelled for labelled in opened if spec.consistency and labelled.mode is Mode.PAIRWISE]
        return opened, [single_responses(labelled) for labelled in pairs]

    def table(self, wanted: Sequence[WantedSet], *, by_id: int | None = None) -> BenchResult:
        """What was found by earlier runs of every judge that was measured on all of these sets; nobody is asked.

        Raises NotFoundError where there is no such judge or set, InvalidInputError.
        """
        opened = [(one, open_set(one, self._data_folder, self._store, by_id=by_id)) for one in wanted]
        with self._store.read() as session:
            judges = queries.judges_measured_on(session, [labelled.digest for _, labelled in opened])
            if not judges:
                names = ", ".join(labelled.name for _, labelled in opened)
                raise NotFoundError(f"No judge was measured on {names} yet. Run `bench run`, or name other sets.")
            return found(
                session,
                opened,
                [(name, (judge_id,)) for name, judge_id in judges],
                earlier=queries.measured_sets(session),
            )

    def items_of(self, judge_id: int, wanted: WantedSet, *, by_id: int | None = None) -> list[ReadRow]:
        """As items(), of a judge that was measured on this set, from the store alone. Raises NotFoundError."""
        labelled = open_set(wanted, self._data_folder, self._store, by_id=by_id)
        with self._store.read() as session:
            return _read_rows(labelled, recalled(session, judge_id, labelled))

    def opinions(self, judge_ids: Sequence[int], wanted: WantedSet, *, by_id: int | None = None) -> Opinions:
        """What everybody said of each row of the set: these judges, in their order, and its labellers."""
        labelled = open_set(wanted, self._data_folder, self._store, by_id=by_id)
        with self._store.read() as session:
            return opinions(session, labelled, judge_ids)

    def items(
        self,
        judge: str,
        wanted: WantedSet,
        sampling: Sampling,
        report: Report,
        cancel: threading.Event,
        *,
        by_id: int | None = None,
    ) -> list[ReadRow]:
        """The rows behind a judge's figures on a set, as read; those that it could not read last. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store, by_id=by_id)
        ((measured,),) = self._measure(judge, [labelled], [sampling], report, cancel, known=[labelled])
        return _read_rows(labelled, measured)

    def robustness(
        self,
        judge: str,
        wanted: WantedSet,
        sampling: Sampling,
        report: Report,
        cancel: threading.Event,
        *,
        by_id: int | None = None,
    ) -> tuple[Robustness, ...]:
        """How often the judge's verdicts change when nothing that matters does. Raises as run()."""
        labelled = open_set(wanted, self._data_folder, self._store, by_id=by_id)
        asked = [variant for variant in variants(labelled.mode) if variant is not Variant.SWAPPED]
        guises = [variant_of(labelled, variant) for variant in asked]
        ((plain, *others),) = self._measure(judge, [labelled, *guises], [sampling], report, cancel, known=[labelled])
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
        samplings: Sequence[Sampling],
        report: Report,
        cancel: threading.Event,
        *,
        known: Sequence[LabelledSet],
    ) -> list[list[Measured]]:
        """A list a sampling, of every set.

        known: those that are as they were published; the others are made of them, so their figures are no record.
        """

        def named(message: str, fraction: float | None) -> None:
            report(f"{Path(judge).name}: {message}", fraction)

        served = self._load(judge, named)
        try:
            return [
                [
                    measure(
                        served, labelled, self._store, report=named, cancel=cancel, sampling=sampling,
                        keep_figures=labelled in known,
                    )
                    for labelled in sets
                ]
                for sampling in samplings
            ]  # fmt: skip
        finally:
            served.engine.close()


def _read_rows(labelled: LabelledSet, measured: Measured) -> list[ReadRow]:
    asked = {row.id: shorten(row.item.instruction, INSTRUCTION_CHARACTERS, placeholder="…") for row in labelled.rows}
    unread = [
        ReadRow(left_out.id, reason=left_out.reason, instruction=asked.get(left_out.id, ""))
        for left_out in (*measured.unread, *labelled.not_drawn)
    ]
    return [*(_read_row(outcome, asked[outcome.row_id]) for outcome in measured.outcomes), *unread]


def _read_row(outcome: ScoreOutcome | PairOutcome, instruction: str) -> ReadRow:
    if isinstance(outcome, ScoreOutcome):
        label, said, value = f"{outcome.label:g}", str(outcome.score), outcome.expected
        return ReadRow(outcome.row_id, label, said, value, instruction=instruction)
    return ReadRow(
        outcome.row_id, outcome.label, outcome.winner(), outcome.p_a, outcome.p_a_first, outcome.p_a_second,
        instruction=instruction,
    )  # fmt: skip
