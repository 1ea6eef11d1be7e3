"""Runs sweeps: merges of two experts at many alphas, and the models they are compared with, measured on the same sets.

Linear merges are mixed in memory, in one engine that is loaded once; the other methods are merged to disk by
mergekit and loaded. Every reading goes through backend.measuring, so a sweep that was killed asks only what is
missing, and its result can be put together again from the store alone.
"""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.rows import open_set
from backend.errors import ConflictError
from backend.jobs import JobContext
from backend.live_alpha import ENDS_AT_EXPERTS, LiveAlpha, at_alpha, ends_are_experts, live_digest
from backend.loading import load_judge
from backend.measuring import Measured, measure, recall
from backend.merge_spec import MergeSpec
from backend.mergeable import check_mergeable, describe
from backend.merging import merge
from backend.models import find_model
from backend.registry import Registry
from backend.served import Report, Served
from backend.sweep_results import MeasuredPoint, SweepResult, result_of
from backend.sweep_spec import PlannedPoint, SweepSpec, read_sweep
from db import measuring_queries as queries
from db.session import Store

LINEAR = "linear"
OWN_MERGE = "sweep"
"""How the folder of a merge begins that a sweep made for itself: it is deleted when it was measured."""


class Sweeps:
    """Runs sweeps and finds their results. data_folder: holds benchmarks/ and dev/. device: as the engines take it."""

    def __init__(
        self, store: Store, registry: Registry, home: Path, data_folder: Path, *, device: str = "auto"
    ) -> None:
        self._store = store
        self._registry = registry
        self._home = home
        self._data_folder = data_folder
        self._device = device

    def handle(self, context: JobContext) -> dict[str, Any]:
        """The handler of sweep jobs: a SweepSpec as JSON in, a SweepResult as JSON out."""
        spec = read_sweep(context.spec)
        return self.run(spec, context.user_id, context.report, context.cancel).model_dump(mode="json")

    def run(self, spec: SweepSpec, user_id: int, report: Report, cancel: threading.Event) -> SweepResult:
        """Measure what is not measured yet. user_id: who asked.

        Everything that can be wrong with the sets and the merges is found before anything is judged. Raises
        NotFoundError, InvalidInputError, ModelError, EngineError, StoreError, and CancelledError; what was read by
        then is kept and not read again.
        """
        sweep = self._open(spec, report, user_id)
        for merged in sweep.merges.values():
            check_mergeable(merged, self._home, report)
        run = _Run(self._store, sweep, report, cancel)
        for planned in spec.plan():
            if planned.role != "merge":
                with self._baseline(sweep, planned, report) as served:
                    run.measure(planned, served)
        self._run_linear(sweep, run, report)
        for planned in sweep.planned_merges(linear=False):
            expert = sweep.expert_at(planned)
            if expert is None:
                self._run_merged(sweep, planned, run, user_id, report, cancel)
            else:
                run.is_same_as(planned, expert)
        return result_of(spec.plan(), sweep.sets, run.done)

    def check_sets(self, spec: SweepSpec, user_id: int) -> None:
        """Raises as run() for a set that can't be measured on: before there is a job that would fail."""
        self._opened(spec, user_id)

    def result(self, spec: SweepSpec, user_id: int) -> SweepResult:
        """What the store knows of this sweep, with the points that are not measured yet as missing; asks no judge.

        user_id: who looks. Raises NotAllowedError where only a lead may, and NotFoundError, InvalidInputError,
        ModelError and StoreError for sets or models that are gone.
        """
        sweep = self._open(spec, _quiet, user_id)
        found = {}
        for planned in spec.plan():
            point = self._recalled(sweep, planned)
            if point is not None:
                found[planned.key] = point
        return result_of(spec.plan(), sweep.sets, found)

    def _opened(self, spec: SweepSpec, user_id: int) -> tuple[LabelledSet, ...]:
        return tuple(open_set(wanted, self._data_folder, self._store, by_id=user_id) for wanted in spec.sets)

    def _open(self, spec: SweepSpec, report: Report, user_id: int) -> "_Sweep":
        sets = self._opened(spec, user_id)
        merges = {  # at some alpha; the others differ in that alone
            method: describe(method, self._home, report, alpha=0.5, **spec.taken_by(method))
            for method in (LINEAR, *spec.methods)
        }
        return _Sweep(spec, sets, merges, ends_are_experts(merges[LINEAR]))

    @contextmanager
    def _baseline(self, sweep: "_Sweep", planned: PlannedPoint, report: Report) -> Iterator[Served]:
        """Asked in the experts' words: the base was trained on none."""
        folder = str(sweep.spec.folder(planned.role))
        format = None
        if planned.role == "base":
            expert = find_model(str(sweep.spec.direct), self._home, prompt_format=None, report=report)
            format = expert.prompt_format
        files = find_model(folder, self._home, prompt_format=format, report=report)
        with _loaded(load_judge(files, self._registry, report, device=self._device, dtype=sweep.spec.dtype)) as served:
            yield served

    def _run_linear(self, sweep: "_Sweep", run: "_Run", report: Report) -> None:
        mixed = []
        for planned in sweep.planned_merges(linear=True):
            expert = sweep.expert_at(planned)
            if expert is None:
                mixed.append(planned)
            else:
                run.is_same_as(planned, expert)
        if not mixed:
            return
        spec = sweep.spec
        live = LiveAlpha(
            spec.direct, spec.pairwise, self._home, self._registry, report, device=self._device, dtype=spec.dtype
        )
        try:
            for planned in mixed:
                run.measure(planned, live.at(_alpha(planned)))
        finally:
            live.close()

    def _run_merged(
        self,
        sweep: "_Sweep",
        planned: PlannedPoint,
        run: "_Run",
        user_id: int,
        report: Report,
        cancel: threading.Event,
    ) -> None:
        known = self._recalled(sweep, planned)
        if known is not None:
            run.keep(known)
            return
        merged = sweep.merge(planned)
        folder = merge(merged, self._home, report, cancel, name=f"{OWN_MERGE}-{planned.method}-alpha{planned.alpha:g}")
        files = find_model(str(folder), self._home, prompt_format=None, report=report)
        with _loaded(load_judge(files, self._registry, report, device=self._device, dtype=sweep.spec.dtype)) as served:
            run.measure(planned, served)
        if folder.name.startswith(f"{OWN_MERGE}-"):
            self._clear_away(folder, served.model_version_id, user_id)

    def _clear_away(self, folder: Path, model_version_id: int, user_id: int) -> None:
        """Delete a merge that was made to be measured; where it came out as a model that is elsewhere, its copy."""
        if self._registry.get(model_version_id).path != str(folder):
            shutil.rmtree(folder, ignore_errors=True)
            return
        with contextlib.suppress(ConflictError):  # somebody has put it into service or to other use: it stays
            self._registry.remove(model_version_id, user_id)

    def _recalled(self, sweep: "_Sweep", planned: PlannedPoint) -> MeasuredPoint | None:
        """A point that was measured on all sets, by the newest of its judges that was."""
        digest = self._model_digest(sweep, planned)
        if digest is None:
            return None
        dtype = None if sweep.spec.dtype == "auto" else sweep.spec.dtype
        with self._store.read() as session:
            for judge_id, model_version_id in queries.verdict_only_judges(session, digest, dtype):
                measured = [recall(session, judge_id, labelled) for labelled in sweep.sets]
                there = tuple(one for one in measured if one is not None)
                if len(there) == len(measured):
                    return MeasuredPoint(planned, model_version_id, there)
        return None

    def _model_digest(self, sweep: "_Sweep", planned: PlannedPoint) -> str | None:
        """Of the model that a point measures; None for a merge on disk that was never made."""
        expert = sweep.expert_at(planned)
        if planned.role != "merge" or expert is not None:
            folder = sweep.spec.folder(planned.role if expert is None else expert.role)
            return find_model(str(folder), self._home, prompt_format=None, report=_quiet).digest
        merged = sweep.merge(planned)
        if planned.method == LINEAR:
            return live_digest(merged)
        with self._store.read() as session:
            return next((row.digest for row in queries.merges(session) if row.recipe == merged.recipe()), None)


class _Sweep:
    """A sweep with its sets read and its merges described. ends_are_experts: alpha 1 and 0 are the experts."""

    def __init__(
        self, spec: SweepSpec, sets: tuple[LabelledSet, ...], merges: dict[str, MergeSpec], ends_are_experts: bool
    ) -> None:
        self.spec = spec
        self.sets = sets
        self.merges = merges
        self._ends_are_experts = ends_are_experts

    def planned_merges(self, *, linear: bool) -> list[PlannedPoint]:
        return [one for one in self.spec.plan() if one.role == "merge" and (one.method == LINEAR) is linear]

    def merge(self, planned: PlannedPoint) -> MergeSpec:
        assert planned.method is not None, "a merged point has a method"
        return at_alpha(self.merges[planned.method], _alpha(planned))

    def expert_at(self, planned: PlannedPoint) -> PlannedPoint | None:
        """The baseline that a merge at the end of a line or arc is, to the bit; None for any other point."""
        if planned.role != "merge" or planned.method not in ENDS_AT_EXPERTS or not self._ends_are_experts:
            return None
        ends = {1.0: PlannedPoint("direct"), 0.0: PlannedPoint("pairwise")}
        return ends.get(_alpha(planned))


class _Run:
    """A sweep at work: what was measured so far, and how much of all that is. done: by the points' keys."""

    def __init__(self, store: Store, sweep: _Sweep, report: Report, cancel: threading.Event) -> None:
        self._store = store
        self._sets = sweep.sets
        self._points = len(sweep.spec.plan())
        self._report = report
        self._cancel = cancel
        self.done: dict[str, MeasuredPoint] = {}

    def measure(self, planned: PlannedPoint, served: Served) -> None:
        measured = tuple(self._cell(planned, served, number) for number in range(len(self._sets)))
        self.keep(MeasuredPoint(planned, served.model_version_id, measured))

    def is_same_as(self, planned: PlannedPoint, other: PlannedPoint) -> None:
        known = self.done[other.key]
        self.keep(MeasuredPoint(planned, known.model_version_id, known.measured))

    def keep(self, point: MeasuredPoint) -> None:
        self.done[point.planned.key] = point

    def _cell(self, planned: PlannedPoint, served: Served, number: int) -> Measured:
        cells = self._points * len(self._sets)
        before = len(self.done) * len(self._sets) + number

        def report(message: str, fraction: float | None) -> None:
            self._report(f"{planned.key}, {message}", (before + (fraction or 0.0)) / cells)

        return measure(served, self._sets[number], self._store, report=report, cancel=self._cancel)


@contextmanager
def _loaded(served: Served) -> Iterator[Served]:
    """Closed at the end, so that no two models are held at once."""
    try:
        yield served
    finally:
        served.engine.close()


def _alpha(planned: PlannedPoint) -> float:
    assert planned.alpha is not None, "a merged point has an alpha"
    return planned.alpha


def _quiet(message: str, fraction: float | None) -> None:
    """Nobody watches what only looks things up."""
