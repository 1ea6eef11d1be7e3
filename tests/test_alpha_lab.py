"""The alpha lab's service: what can be picked, which recipe that is, and what jobs and the live bench are asked."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.alpha_lab import AlphaLab, Mix, SweepWish, read_alphas
from backend.errors import (
    ConflictError,
    EngineError,
    InvalidInputError,
    ModelFilesError,
    NotAllowedError,
    NotReadyError,
)
from backend.jobs import JobKind, Jobs
from backend.live_bench import BenchPhase, LiveBench
from backend.mergeable import describe
from backend.registry import Registry
from backend.serving import Serving
from backend.sweeps import Sweeps
from backend.types import Item, Mode, PairVerdict, Rubric, ScoreVerdict
from db.models import Job
from db.session import Store
from tests.experts import Family, make_family
from tests.labelled import write_sets
from tests.project_bench import ProjectBench, label_items
from tests.test_registry import silent

RUBRIC = Rubric("Is it kind?")
GB = 10**9


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(tmp_path_factory.mktemp("family"))


@dataclass
class Room:
    """A lab over a store with a base and two experts; nothing works on its jobs, and no judge serves."""

    lab: AlphaLab
    jobs: Jobs
    registry: Registry
    home: Path
    ids: dict[str, int]
    activated: list[int]

    def mix(self, **changes: Any) -> Mix:
        given = {"direct_id": self.ids["direct"], "pairwise_id": self.ids["pairwise"], "method": "linear", "alpha": 0.3}
        return Mix(**{**given, **changes})

    def wish(self, **changes: Any) -> SweepWish:
        given = {
            "direct_id": self.ids["direct"], "pairwise_id": self.ids["pairwise"], "methods": ["linear"],
            "alphas": "0, 0.5", "sets": ["dev/direct_kind"], "rows": 3,
        }  # fmt: skip
        return SweepWish(**{**given, **changes})

    @property
    def pair(self) -> tuple[int, int]:
        return self.ids["direct"], self.ids["pairwise"]


def anybody(_user_id: int) -> None:
    """Who mixes is checked by backend.accounts."""


@pytest.fixture
def room(store: Store, tmp_path: Path, parts: Family, owner_id: int) -> Iterator[Room]:
    yield from made_room(store, tmp_path, parts, free=1000 * GB)


def made_room(store: Store, home: Path, parts: Family, *, free: int) -> Iterator[Room]:
    registry = Registry(store, home)
    ids = {"base": registry.register(str(parts.base), silent).id}
    digest = registry.get(ids["base"]).digest
    for role, source in (("direct", parts.direct), ("pairwise", parts.pairwise)):
        folder = Path(shutil.copytree(source, home / "models" / f"{role}-expert"))
        manifest = {"kind": "expert", "trained_on": role, "parents": {"base": digest}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        ids[role] = registry.register(str(folder), silent).id
    write_sets(home / "data", 6)
    jobs, activated = Jobs(store, home, {}), list[int]()

    def activate(model_version_id: int, user_id: int) -> str:
        activated.append(model_version_id)
        return "It is being loaded."

    def no_judge(report: Any) -> Any:
        raise EngineError("No judge is needed here.")

    sweeps = Sweeps(store, registry, home, home / "data", device="cpu")
    bench = LiveBench(
        registry, Serving(no_judge), home, anybody, device="cpu", available=lambda device: free, dtype="float32"
    )
    lab = AlphaLab(store, registry, jobs, sweeps, bench, activate, home=home, data_folder=home / "data")
    yield Room(lab, jobs, registry, home, ids, activated)
    bench.clear(1)
    jobs.close()


# Picking


def test_models_trained_for_a_place_come_first(room: Room) -> None:
    shelf = room.lab.shelf()
    assert shelf.has_experts
    assert [shelf.direct[0].id, shelf.pairwise[0].id] == list(room.pair)
    assert len(shelf.direct) == len(shelf.joint) == 3
    assert shelf.base[0].id == room.ids["base"]
    assert shelf.base_of(room.ids["direct"]) == room.ids["base"]
    assert shelf.base_of(None) is None


def test_the_recipe_is_that_of_the_same_merge_described_from_its_files(room: Room) -> None:
    folders = {role: Path(room.registry.get(room.ids[role]).path) for role in ("direct", "pairwise", "base")}
    for method, given in (("linear", {}), ("ties", {"density": 0.2}), ("dare_ties", {"density": 0.5, "seed": 3})):
        spec = room.lab.spec(room.mix(method=method, base_id=room.ids["base"], **given))
        with_base = folders if method != "linear" else {**folders, "base": None}
        assert spec == describe(method, room.home, silent, alpha=0.3, **with_base, **given)


def test_what_a_method_does_not_take_is_not_looked_at(room: Room) -> None:
    plain = room.lab.spec(room.mix())
    assert room.lab.spec(room.mix(density=0.2, lambda_=2.0, seed=5, base_id=999)) == plain


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"direct_id": None}, "No direct expert is chosen"),
        ({"pairwise_id": 999}, "The pairwise expert that was chosen is not in the list"),
        ({"method": "ties", "density": 0.5}, "No base model is chosen"),
        ({"method": "soup"}, "method is 'soup'"),
        ({"alpha": 1.5}, "alpha is 1.5"),
    ],
)
def test_what_is_missing_is_named(room: Room, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        room.lab.spec(room.mix(**changes))


def test_an_expert_whose_files_are_gone_is_named_with_its_cure(room: Room) -> None:
    shutil.rmtree(room.registry.get(room.ids["direct"]).path)
    assert not room.lab.shelf().has_experts
    with pytest.raises(ModelFilesError, match="direct-expert are no longer in"):
        room.lab.spec(room.mix())


# Merging and sweeping


def test_an_end_of_the_line_is_answered_at_once_and_activated(room: Room, owner_id: int) -> None:
    merging = room.lab.merge(room.mix(alpha=1.0), owner_id, activate=True)
    assert (merging.job_id, merging.model_version_id) == (None, room.ids["direct"])
    assert merging.activation == {"begun": True, "message": "It is being loaded."}
    assert room.activated == [room.ids["direct"]]


def test_any_other_merge_becomes_a_job_once(room: Room, owner_id: int) -> None:
    merging = room.lab.merge(room.mix(), owner_id, activate=False)
    assert merging.job_id is not None
    assert room.jobs.get(merging.job_id).spec["merge"]["alpha"] == 0.3
    with pytest.raises(ConflictError, match="makes exactly this merge already"):
        room.lab.merge(room.mix(), owner_id, activate=False)


def test_a_point_of_a_sweep_is_merged_as_the_sweep_merged_it(room: Room, owner_id: int) -> None:
    wish = room.wish(methods=["linear", "ties"], density=0.2, base_id=room.ids["base"])
    job_id = room.lab.sweep(wish, owner_id)
    merging = room.lab.merge_point(job_id, "ties 0.5", owner_id)
    assert merging.job_id is not None
    order = room.jobs.get(merging.job_id).spec
    assert (order["activate"], order["merge"]["method"], order["merge"]["density"]) == (True, "ties", 0.2)
    same = room.lab.spec(room.mix(method="ties", alpha=0.5, density=0.2, base_id=room.ids["base"]))
    assert merging.recipe_digest == same.digest
    for key in ("direct", "linear 0.7", ""):
        with pytest.raises(InvalidInputError, match="is no merged point of sweep"):
            room.lab.merge_point(job_id, key, owner_id)


def test_a_sweep_names_folders_sets_and_alphas_and_is_queued_once(room: Room, owner_id: int) -> None:
    job_id = room.lab.sweep(room.wish(base_id=room.ids["base"]), owner_id)
    job = room.jobs.get(job_id)
    assert (job.kind, job.title) == (JobKind.SWEEP, "direct-expert + pairwise-expert: linear, 2 alphas, 1 set")
    assert job.spec["alphas"] == [0.0, 0.5]
    assert job.spec["sets"] == [{"name": "dev/direct_kind", "size": 3, "seed": 0, "labelled_by": None}]
    assert job.spec["joint"] is None
    with pytest.raises(ConflictError, match="runs exactly this sweep already"):
        room.lab.sweep(room.wish(base_id=room.ids["base"]), owner_id)
    assert room.lab.sweep_result(job, owner_id).points == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": []}, "No set is chosen"),
        ({"methods": []}, "methods"),
        ({"alphas": ""}, "No alphas are given"),
        ({"alphas": "0, 2"}, "2 is no weight"),
        ({"methods": ["ties"], "density": 0.5}, "No base model is chosen"),
        ({"pairwise_id": None}, "No pairwise expert is chosen"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_refused(room: Room, owner_id: int, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        room.lab.sweep(room.wish(**changes), owner_id)


def test_a_done_sweep_is_shown_as_it_was_stored(room: Room, store: Store, owner_id: int) -> None:
    job_id = room.lab.sweep(room.wish(), owner_id)
    result = room.lab.sweep_result(room.jobs.get(job_id), owner_id)
    with store.write() as session:
        row = session.get(Job, job_id)
        assert row is not None
        row.state, row.result = "done", result.model_dump(mode="json")
    assert room.lab.sweep_result(room.jobs.get(job_id), owner_id) == result


def test_sets_tell_benchmarks_and_own_labels_apart(room: Room) -> None:
    told = {one.name: (one.mode, one.is_benchmark, one.own is not None) for one in room.lab.sets()}
    assert told == {
        "benchmarks/direct_bench": (Mode.DIRECT, True, False),
        "dev/direct_kind": (Mode.DIRECT, False, False),
        "dev/pairwise_kind": (Mode.PAIRWISE, False, False),
        "own/direct": (Mode.DIRECT, False, True),
        "own/pairwise": (Mode.PAIRWISE, False, True),
    }


def test_a_projects_blind_labels_are_a_set_to_sweep(room: Room, store: Store, tmp_path: Path, owner_id: int) -> None:
    bench = ProjectBench(store, tmp_path)
    label_items(bench, bench.filled(3), bench.ann, "12")
    own = {one.name: one.own for one in room.lab.sets() if one.own is not None}
    kettles = own["project:Kettles"]
    assert (kettles.size, kettles.licence) == (2, "your own data; labels given before the verdict was seen")
    wish = room.wish(sets=["project:Kettles"])
    with pytest.raises(NotAllowedError, match="lead"):
        room.lab.sweep(wish, bench.ann)
    job_id = room.lab.sweep(wish, owner_id)
    (swept,) = room.lab.sweep_result(room.jobs.get(job_id), owner_id).sets
    assert (swept.name, swept.size, swept.is_benchmark) == ("project:Kettles", 2, False)


def test_a_set_without_a_row_is_refused_before_there_is_a_job(room: Room, owner_id: int) -> None:
    assert {one.own.size for one in room.lab.sets() if one.own is not None} == {0}
    with pytest.raises(InvalidInputError, match="own/direct has no row"):
        room.lab.sweep(room.wish(sets=["own/direct"]), owner_id)
    assert not room.jobs.list(JobKind.SWEEP)


@pytest.mark.parametrize(
    ("text", "alphas"),
    [
        ("0, 0.5; 1", [0, 0.5, 1]),
        (".2 .4", [0.2, 0.4]),
        ("0..1 by 0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("0.1 .. 0.4 by 0.1", [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_alphas_are_read_as_a_list_or_a_grid(text: str, alphas: list[float]) -> None:
    assert read_alphas(text) == alphas


@pytest.mark.parametrize("text", ["", "half", "0..1 by 0", "0..1 by -1", "0..1 by nan", "0..1 by 1e-9", "0..x by 1"])
def test_alphas_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_alphas(text)


# The live bench


def loaded(room: Room) -> None:
    room.lab.bench.load(*room.pair, 1)
    for _ in range(600):
        if room.lab.bench.state.phase is not BenchPhase.LOADING:
            break
        threading.Event().wait(0.1)
    assert room.lab.bench.state.phase is BenchPhase.READY, room.lab.bench.state.message


def test_the_bench_says_what_a_merge_at_that_alpha_says_and_records_nothing(room: Room) -> None:
    from backend.live_alpha import LiveAlpha
    from backend.measuring import VERDICT_ONLY
    from backend.prompts import AssayFormat

    loaded(room)
    before = room.registry.list()
    item = Item("Say hello.", ("Hello, friend.",))
    said = {alpha: room.lab.bench.ask(room.pair, alpha, item, RUBRIC, 1) for alpha in (0.0, 0.3, 1.0)}
    assert len({one.result for one in said.values()}) == 3
    assert said[0.3].recipe_digest == room.lab.spec(room.mix()).digest
    pair = room.lab.bench.ask(room.pair, 0.3, Item("Say hello.", ("Hello.", "Go away.")), RUBRIC, 1).result
    assert isinstance(pair, PairVerdict)
    assert room.registry.list() == before

    folders = [Path(room.registry.get(model_id).path) for model_id in room.pair]
    live = LiveAlpha(*folders, room.home, room.registry, silent, device="cpu", dtype="float32")
    served = live.at(0.3)
    (done,) = served.engine.read([AssayFormat().direct(item, RUBRIC, 0)], VERDICT_ONLY, threading.Event())
    result = said[0.3].result
    assert isinstance(result, ScoreVerdict)
    assert result.distribution == done.reading.probabilities
    live.close()


def test_only_the_loaded_pair_is_asked_and_only_one_or_two_responses(room: Room) -> None:
    item = Item("Say hello.", ("Hello.",))
    with pytest.raises(NotReadyError, match="not loaded"):
        room.lab.bench.ask(room.pair, 0.3, item, RUBRIC, 1)
    loaded(room)
    with pytest.raises(NotReadyError, match="not loaded"):
        room.lab.bench.ask(room.pair[::-1], 0.3, item, RUBRIC, 1)
    with pytest.raises(InvalidInputError, match="has 3"):
        room.lab.bench.ask(room.pair, 0.3, Item("Say hello.", ("a", "b", "c")), RUBRIC, 1)
    with pytest.raises(InvalidInputError, match=r"alpha is 1\.2"):
        room.lab.bench.ask(room.pair, 1.2, item, RUBRIC, 1)
    room.lab.bench.clear(1)
    assert room.lab.bench.state.phase is BenchPhase.EMPTY
    with pytest.raises(NotReadyError, match="not loaded"):
        room.lab.bench.ask(room.pair, 0.3, item, RUBRIC, 1)


def test_without_memory_the_bench_says_how_much_it_would_take(store: Store, tmp_path: Path, parts: Family) -> None:
    for room in made_room(store, tmp_path, parts, free=GB // 10):
        with pytest.raises(EngineError, match=r"0\.5 GB on cpu beside the judge that serves, and 0\.1 GB are free"):
            room.lab.bench.load(*room.pair, 1)
        assert room.lab.bench.state.phase is BenchPhase.EMPTY


def test_experts_that_cannot_be_mixed_are_told_in_the_state(room: Room) -> None:
    folder = Path(room.registry.get(room.ids["pairwise"]).path)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    room.lab.bench.load(*room.pair, 1)
    for _ in range(300):
        if room.lab.bench.state.phase is not BenchPhase.LOADING:
            break
        threading.Event().wait(0.1)
    assert room.lab.bench.state.phase is BenchPhase.FAILED
    assert "chat templates differ" in room.lab.bench.state.message
