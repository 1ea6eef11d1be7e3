"""The alpha lab: from experts of the registry to a recipe, a merged judge, and a curve over alpha."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.benchmarks.own import OwnSet, own_sets
from backend.benchmarks.rows import BENCHMARKS, WantedSet, sets_in
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.jobs import JobKind, Jobs, JobState, JobView
from backend.live_bench import LiveBench
from backend.loading import require_files
from backend.merge_job import Activate, MergeOrder, made_already, put_into_service, submit_merge
from backend.merge_spec import USES, MergeSpec, read_spec
from backend.mergeable import describe
from backend.model_views import ModelView, Presence
from backend.registry import Registry
from backend.sweep_results import SweepResult
from backend.sweep_spec import SweepSpec, read_sweep
from backend.sweeps import Sweeps
from backend.types import Mode
from db.session import Store

MOST_ALPHAS = 101
NAMES = {"direct": "direct expert", "pairwise": "pairwise expert", "base": "base model", "joint": "joint expert"}


@dataclass(frozen=True)
class Shelf:
    """The models there are for each place in a merge; those that were trained for it come first."""

    direct: tuple[ModelView, ...]
    pairwise: tuple[ModelView, ...]
    base: tuple[ModelView, ...]
    joint: tuple[ModelView, ...]

    @property
    def has_experts(self) -> bool:
        """Whether there is one that was trained for either format."""
        return _has(self.direct, "direct") and _has(self.pairwise, "pairwise")

    def base_of(self, expert_id: int | None) -> int | None:
        """The model that an expert was trained from, if that is known and there."""
        parents = {parent.id for view in self.direct if view.id == expert_id for parent in view.parents}
        return next((view.id for view in self.base if view.id in parents), None)


@dataclass(frozen=True)
class Mix:
    """A merge as a person picked it: ids of models, and what the method takes. What it does not take is not looked at.

    alpha: in 0..1, the weight of the direct-assessment expert.
    """

    direct_id: int | None
    pairwise_id: int | None
    method: str
    alpha: float
    base_id: int | None = None
    density: float | None = None
    lambda_: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class SweepWish:
    """A sweep as a person picked it. alphas: as typed. rows: of each set at most; None is all of them."""

    direct_id: int | None
    pairwise_id: int | None
    methods: Sequence[str]
    alphas: str
    sets: Sequence[str]
    rows: int | None
    base_id: int | None = None
    joint_id: int | None = None
    density: float | None = None
    lambda_: float | None = None


@dataclass(frozen=True)
class Merging:
    """What became of the wish to merge: a job, or the model that this recipe was merged to before.

    activation: of a model that was there, what activating it led to.
    """

    recipe_digest: str
    job_id: int | None = None
    model_version_id: int | None = None
    activation: dict[str, Any] | None = None


@dataclass(frozen=True)
class SetChoice:
    """A set that a sweep can measure. own: what is known of it where it is of labels that people gave here."""

    name: str
    mode: Mode
    is_benchmark: bool = False
    own: OwnSet | None = None


class AlphaLab:
    """What the page may ask for. bench: the live judge."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        jobs: Jobs,
        sweeps: Sweeps,
        bench: LiveBench,
        activate: Activate,
        *,
        home: Path,
        data_folder: Path,
    ) -> None:
        self._store = store
        self._registry = registry
        self._jobs = jobs
        self._sweeps = sweeps
        self.bench = bench
        self._activate = activate
        self._home = home
        self.data_folder = data_folder

    # Picking

    def shelf(self) -> Shelf:
        """Models on this machine, without merges: those are what is made here."""
        there = [view for view in self._registry.list() if view.presence is Presence.HERE and view.kind != "merge"]
        by_training = {
            role: tuple(sorted(there, key=lambda view, role=role: view.trained_on != role))  # type: ignore[misc]
            for role in ("direct", "pairwise", "joint")
        }
        bases = tuple(sorted(there, key=lambda view: (view.trained_on is not None, view.kind != "base")))
        return Shelf(base=bases, **by_training)

    def sets(self) -> tuple[SetChoice, ...]:
        """Those of the data folder, and people's own labels. Raises InvalidInputError for a file that can't be read."""
        found = [
            SetChoice(place.name, place.mode, is_benchmark=place.name.startswith(f"{BENCHMARKS}/"))
            for place in sets_in(self.data_folder)
        ]
        return (*found, *(SetChoice(one.name, one.mode, own=one) for one in own_sets(self._store)))

    def spec(self, mix: Mix) -> MergeSpec:
        """The merge as one document. Reads no weights: the registry knows the digests.

        Raises InvalidInputError that names what is missing or can't be used, NotFoundError, and ModelFilesError for
        a model whose files are gone.
        """
        uses = USES.get(mix.method, frozenset())
        ids = {"direct": mix.direct_id, "pairwise": mix.pairwise_id}
        if "base" in uses:
            ids["base"] = mix.base_id
        parents = {role: self._parent(role, model_id) for role, model_id in ids.items()}
        given = {"density": mix.density, "lambda": mix.lambda_, "seed": mix.seed}
        taken = {name: value for name, value in given.items() if name in uses and value is not None}
        return read_spec({"method": mix.method, "alpha": mix.alpha, **parents, **taken})

    def names(self, spec: MergeSpec) -> dict[str, str]:
        """What the registry calls the parents, by their digests."""
        called = {view.digest: view.name for view in self._registry.list()}
        return {parent.digest: called.get(parent.digest, "") for parent in spec.parents().values()}

    # Merging

    def merge(self, mix: Mix, user_id: int, *, activate: bool) -> Merging:
        """Have this merge made, and put into service if wished; one that was made before is answered at once.

        Raises as spec(), and ConflictError while a job makes exactly this.
        """
        return self._merge(MergeOrder(self.spec(mix), activate), user_id)

    def merge_point(self, job_id: int, key: str, user_id: int) -> Merging:
        """Have a merged point of a sweep made and put into service.

        Raises NotFoundError, InvalidInputError for a point that is no merge, and as merge().
        """
        asked = read_sweep(self._jobs.get(job_id).spec)
        planned = next((one for one in asked.plan() if one.key == key and one.role == "merge"), None)
        if planned is None or planned.method is None or planned.alpha is None:
            raise InvalidInputError(f"{key!r} is no merged point of sweep {job_id}. Choose one of the list.")
        spec = describe(
            planned.method,
            self._home,
            lambda message, fraction: None,
            alpha=planned.alpha,
            **asked.taken_by(planned.method),
        )
        return self._merge(MergeOrder(spec, activate=True), user_id)

    def _merge(self, order: MergeOrder, user_id: int) -> Merging:
        model_id = made_already(order.spec, self._home, self._registry)
        if model_id is None:
            return Merging(order.spec.digest, job_id=submit_merge(self._jobs, order, user_id))
        activation = put_into_service(self._activate, model_id, user_id) if order.activate else None
        return Merging(order.spec.digest, model_version_id=model_id, activation=activation)

    def model(self, model_version_id: int) -> ModelView:
        """Raises NotFoundError."""
        return self._registry.get(model_version_id)

    # Sweeping

    def sweep_spec(self, wish: SweepWish) -> SweepSpec:
        """The sweep as one document. Raises as spec()."""
        folders = {role: self._folder(role, model_id) for role, model_id in _ids(wish).items()}
        if not wish.sets:
            raise InvalidInputError("No set is chosen. Choose at least one to measure on.")
        taken = {name for method in wish.methods for name in USES.get(method, ())}
        return read_sweep(
            {
                **folders,
                "methods": list(wish.methods),
                "alphas": read_alphas(wish.alphas),
                "density": wish.density if "density" in taken else None,
                "lambda": wish.lambda_ if "lambda" in taken else None,
                "sets": [WantedSet(name=name, size=wish.rows) for name in wish.sets],
            }
        )

    def sweep(self, wish: SweepWish, user_id: int) -> int:
        """The id of the job that will run it.

        Raises as sweep_spec(), ConflictError if one does exactly this, and as Sweeps.check_sets().
        """
        spec = self.sweep_spec(wish)
        self._sweeps.check_sets(spec, user_id)
        document = spec.model_dump(mode="json")
        for job in self._jobs.list(JobKind.SWEEP):
            if not job.finished and job.spec == document:
                raise ConflictError(f"Job {job.id} ({job.state}) runs exactly this sweep already. It is in the list.")
        return self._jobs.submit(JobKind.SWEEP, _title(spec, self.shelf()), document, user_id)

    def sweep_result(self, job: JobView, user_id: int) -> SweepResult:
        """What a sweep found; of one that is not done, what it has found by now. user_id: who looks.

        Raises NotAllowedError, InvalidInputError, NotFoundError, ModelError and StoreError where that can't be put
        together any more.
        """
        if job.state is JobState.DONE and job.result is not None:
            return SweepResult.model_validate(job.result)
        return self._sweeps.result(read_sweep(job.spec), user_id)

    # Helpers

    def _view(self, role: str, model_id: int | None) -> ModelView:
        if model_id is None:
            raise InvalidInputError(f"No {NAMES[role]} is chosen. Pick one of the list.")
        try:
            view = self._registry.get(model_id)
        except NotFoundError as error:
            raise InvalidInputError(f"The {NAMES[role]} that was chosen is not in the list. Pick one of it.") from error
        require_files(view)
        return view

    def _parent(self, role: str, model_id: int | None) -> dict[str, Any]:
        view = self._view(role, model_id)
        return {"path": Path(view.path), "digest": view.digest}

    def _folder(self, role: str, model_id: int | None) -> str:
        return self._view(role, model_id).path


def read_alphas(text: str) -> list[float]:
    """Numbers between commas or blanks, or a grid as "0..1 by 0.1". Raises InvalidInputError that quotes the fault."""
    grid = re.fullmatch(r"\s*(\S+?)\s*\.\.\s*(\S+?)\s+by\s+(\S+)\s*", text)
    if grid:
        low, high, step = (_number(part) for part in grid.groups())
        if not step > 0 or not (high - low) / step < MOST_ALPHAS:
            raise InvalidInputError(
                f"The step {step:g} of {text.strip()!r} makes no grid. Take one above 0 that gives at most "
                f"{MOST_ALPHAS} alphas."
            )
        return [round(low + count * step, 6) for count in range(int((high - low) / step + 1e-9) + 1)]
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    if not parts:
        raise InvalidInputError("No alphas are given. Write some, for instance 0, 0.25, 0.5, 0.75, 1.")
    if len(parts) > MOST_ALPHAS:
        raise InvalidInputError(f"{len(parts)} alphas are given; at most {MOST_ALPHAS} are measured in one sweep.")
    return [_number(part) for part in parts]


def _number(part: str) -> float:
    try:
        return float(part)
    except ValueError as error:
        raise InvalidInputError(
            f"{part!r} is no number. Write alphas between 0 and 1 as 0, 0.25, 0.5, or a grid as 0..1 by 0.1."
        ) from error


def _ids(wish: SweepWish) -> dict[str, int | None]:
    """base and joint only where they are wanted or needed."""
    needs_base = any("base" in USES.get(method, ()) for method in wish.methods)
    ids = {"direct": wish.direct_id, "pairwise": wish.pairwise_id}
    if wish.base_id is not None or needs_base:
        ids["base"] = wish.base_id
    return ids if wish.joint_id is None else {**ids, "joint": wish.joint_id}


def _title(spec: SweepSpec, shelf: Shelf) -> str:
    called = {view.path: view.name for view in shelf.direct}
    direct, pairwise = (called.get(str(folder), folder.name) for folder in (spec.direct, spec.pairwise))
    alphas = f"{len(spec.alphas)} alpha{'' if len(spec.alphas) == 1 else 's'}"
    return f"{direct} + {pairwise}: {', '.join(spec.methods)}, {alphas}, {len(spec.sets)} set" + (
        "" if len(spec.sets) == 1 else "s"
    )


def _has(views: Sequence[ModelView], trained_on: str) -> bool:
    return any(view.trained_on == trained_on for view in views)
