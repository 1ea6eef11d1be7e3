"""A merge as a job: made once, recorded with its parents and recipe, and put into service where that is wished."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backend.errors import CancelledError, ConflictError, InvalidInputError, MergeError
from backend.jobs import JobContext, JobKind, Jobs, JobState
from backend.merge_job import (
    MergeOrder,
    end_expert,
    made_already,
    merge_handler,
    read_order,
    record_merge,
    submit_merge,
)
from backend.merge_spec import MergeSpec
from backend.mergeable import describe
from backend.registry import Registry
from db.session import Store
from tests.experts import Family, make_family
from tests.test_registry import silent


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(tmp_path_factory.mktemp("family"))


@dataclass
class Lab:
    """A store of its own, in which both experts are registered. activated: what was put into service, by whom."""

    registry: Registry
    home: Path
    parts: Family
    activated: list[tuple[int, int]] = field(default_factory=list)
    refusal: str = ""

    def activate(self, model_version_id: int, user_id: int) -> str:
        if self.refusal:
            raise ConflictError(self.refusal)
        self.activated.append((model_version_id, user_id))
        return "It is being loaded."

    def spec(self, alpha: float = 0.3) -> MergeSpec:
        return describe(
            "linear", self.home, silent, direct=self.parts.direct, pairwise=self.parts.pairwise, alpha=alpha
        )

    def handle(self, order: MergeOrder, cancel: threading.Event | None = None) -> dict[str, Any]:
        document = json.loads(json.dumps(order.document()))
        context = JobContext(1, 7, document, cancel or threading.Event(), silent)
        return merge_handler(self.home, self.registry, self.activate)(context)


@pytest.fixture
def lab(store: Store, tmp_path: Path, parts: Family) -> Lab:
    registry = Registry(store, tmp_path)
    for folder in (parts.direct, parts.pairwise):
        registry.register(str(folder), silent)
    return Lab(registry, tmp_path, parts)


def test_a_merge_is_made_and_recorded_with_its_parents_and_recipe(lab: Lab) -> None:
    spec = lab.spec()
    result = lab.handle(MergeOrder(spec))
    assert result.keys() == {"model_version_id", "folder", "recipe_digest"}
    view = lab.registry.get(result["model_version_id"])
    assert (view.kind, view.recipe, view.path) == ("merge", spec.recipe(), result["folder"])
    assert {parent.role: parent.digest for parent in view.parents} == {
        "direct": spec.direct.digest,
        "pairwise": spec.pairwise.digest,
    }
    assert result["recipe_digest"] == spec.digest
    assert lab.activated == []

    assert made_already(spec, lab.home, lab.registry) == view.id
    before = sorted((lab.home / "models").iterdir())
    assert lab.handle(MergeOrder(spec, activate=True)) == {
        **result,
        "activation": {"begun": True, "message": "It is being loaded."},
    }
    assert lab.activated == [(view.id, 7)]
    assert sorted((lab.home / "models").iterdir()) == before


def test_what_cannot_be_activated_is_told_and_the_merge_stays(lab: Lab) -> None:
    lab.refusal = "Another one is being put into service."
    result = lab.handle(MergeOrder(lab.spec(1.0), activate=True))
    assert result["activation"] == {"begun": False, "message": lab.refusal}


def test_the_end_of_a_line_is_the_expert_itself_and_nothing_is_merged(lab: Lab) -> None:
    for alpha, folder in ((1.0, lab.parts.direct), (0.0, lab.parts.pairwise)):
        result = lab.handle(MergeOrder(lab.spec(alpha)))
        view = lab.registry.get(result["model_version_id"])
        assert (view.path, result["folder"]) == (str(folder), str(folder))
        assert view.parents == ()
    assert not list((lab.home / "models").glob("[!.]*"))


def test_a_merge_that_came_out_as_an_expert_is_that_expert_unchanged(lab: Lab) -> None:
    before = lab.registry.list()
    copy = Path(shutil.copytree(lab.parts.direct, lab.home / "models" / "merged"))
    parents = {view.trained_on or view.name: view.digest for view in before}
    (copy / "manifest.json").write_text(json.dumps({"kind": "merge", "parents": parents, "recipe": {"alpha": 1.0}}))
    model_version_id = record_merge(copy, lab.home, lab.registry)
    assert lab.registry.get(model_version_id).path == str(lab.parts.direct)
    assert lab.registry.list() == before


def test_a_merge_between_the_ends_is_no_expert(lab: Lab) -> None:
    assert end_expert(lab.spec(0.5), lab.registry) is None
    assert made_already(lab.spec(0.5), lab.home, lab.registry) is None


def test_a_cancelled_merge_leaves_nothing(lab: Lab) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        lab.handle(MergeOrder(lab.spec(0.6)), cancel)
    assert len(lab.registry.list()) == 2
    assert not list((lab.home / "models").glob("*.partial-*"))


def test_an_expert_that_changed_since_is_refused(lab: Lab, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(lab.parts.direct, tmp_path / "changing"))
    spec = describe("linear", lab.home, silent, direct=moved, pairwise=lab.parts.pairwise, alpha=0.5)
    settings = json.loads((moved / "generation_config.json").read_text())
    (moved / "generation_config.json").write_text(json.dumps({**settings, "max_length": 9}))
    with pytest.raises(MergeError, match="has changed since this merge was described"):
        lab.handle(MergeOrder(spec))


def test_an_order_is_read_back_as_it_was(lab: Lab) -> None:
    spec = lab.spec()
    for activate in (False, True):
        order = MergeOrder(spec, activate)
        assert read_order(json.loads(json.dumps(order.document()))) == order
    with pytest.raises(InvalidInputError, match="alpha"):
        read_order({"merge": {**order.document()["merge"], "alpha": 2}, "activate": False})


@pytest.fixture
def jobs(store: Store, tmp_path: Path, owner_id: int) -> Iterator[Jobs]:
    """Nothing works on them."""
    jobs = Jobs(store, tmp_path, {})
    yield jobs
    jobs.close()


def test_the_same_merge_is_not_queued_twice(lab: Lab, jobs: Jobs, owner_id: int) -> None:
    first = submit_merge(jobs, MergeOrder(lab.spec()), owner_id)
    with pytest.raises(ConflictError, match=f"Job {first} \\(queued\\) makes exactly this"):
        submit_merge(jobs, MergeOrder(lab.spec()), owner_id)
    other = submit_merge(jobs, MergeOrder(lab.spec(), activate=True), owner_id)
    assert [job.title for job in jobs.list(JobKind.MERGE)] == [
        "linear at alpha 0.3, then activate",
        "linear at alpha 0.3",
    ]
    jobs.cancel(first, owner_id)
    jobs.cancel(other, owner_id)
    assert submit_merge(jobs, MergeOrder(lab.spec()), owner_id) > other
    assert jobs.get(first).state is JobState.CANCELLED
