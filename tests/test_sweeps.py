"""Sweeps on tiny real experts: every point measured once, killed or not, and found again in the store."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.benchmarks.rows import open_set
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError, InvalidInputError, MergeError, NotFoundError
from backend.jobs import JobContext
from backend.measuring import measure
from backend.registry import Registry
from backend.sweep_results import SweepResult
from backend.sweep_spec import SweepSpec, read_sweep
from backend.sweeps import Sweeps
from db import models as rows
from db.session import Store
from tests.experts import Family
from tests.labelled import write_sets

ROWS = 6
ALPHAS = [0, 0.3, 0.5, 1]


@dataclass
class Lab:
    """Sweeps on a store of its own, with small sets in home/data."""

    store: Store
    home: Path
    family: Family
    owner_id: int

    @property
    def sweeps(self) -> Sweeps:
        return Sweeps(self.store, Registry(self.store, self.home), self.home, self.home / "data", device="cpu")

    def spec(self, **changes: Any) -> SweepSpec:
        document = {
            "direct": str(self.family.direct), "pairwise": str(self.family.pairwise), "alphas": ALPHAS,
            "sets": [{"name": "dev/direct_kind"}, {"name": "dev/pairwise_kind", "size": 4}], "dtype": "float32",
        }  # fmt: skip
        return read_sweep({**document, **changes})

    def run(self, spec: SweepSpec, cancel: threading.Event | None = None) -> SweepResult:
        return self.sweeps.run(spec, self.owner_id, lambda message, fraction: None, cancel or threading.Event())

    def count(self, what: Any) -> int:
        with self.store.read() as session:
            return session.scalar(select(func.count(what))) or 0

    def assert_read_once(self) -> None:
        with self.store.read() as session:
            prompts = session.execute(select(rows.Reading.judge_id, rows.Reading.prompt_digest)).all()
        assert len(prompts) == len(set(prompts))


@pytest.fixture
def lab(store: Store, owner_id: int, tmp_path: Path, family: Family) -> Lab:
    write_sets(tmp_path / "data", ROWS)
    return Lab(store, tmp_path, family, owner_id)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that engines are loaded from."""
    folders: list[Path] = []
    load = TransformersEngine.__init__

    def counted(self: TransformersEngine, folder: Path, **options: Any) -> None:
        folders.append(folder)
        load(self, folder, **options)

    monkeypatch.setattr(TransformersEngine, "__init__", counted)
    return folders


def cancelled_at(beginning: str) -> tuple[threading.Event, Callable[[str, float | None], None]]:
    """A cancel that is set when the progress first says so."""
    cancel = threading.Event()

    def report(message: str, fraction: float | None) -> None:
        if message.startswith(beginning):
            cancel.set()

    return cancel, report


def test_every_alpha_and_every_baseline_is_measured_on_every_set(lab: Lab) -> None:
    result = lab.run(lab.spec(base=str(lab.family.base), joint=str(lab.family.base)))
    keys = ["base", "direct", "pairwise", "joint", "linear 0", "linear 0.3", "linear 0.5", "linear 1"]
    assert [point.key for point in result.points] == keys
    assert result.missing == ()
    assert [one.name for one in result.sets] == ["dev/direct_kind", "dev/pairwise_kind (4 of 6)"]
    for point in result.points:
        assert [(cell.read, cell.total) for cell in point.cells] == [(ROWS, ROWS), (4, 4)]


def test_one_engine_is_loaded_for_all_alphas(lab: Lab, loads: list[Path]) -> None:
    lab.run(lab.spec(alphas=[0.1, 0.2, 0.3, 0.4, 0.5]))
    assert loads == [lab.family.direct, lab.family.pairwise, lab.family.direct]


def test_the_ends_of_the_line_are_the_experts_and_are_read_once(lab: Lab) -> None:
    result = lab.run(lab.spec(alphas=[0, 1]))
    assert result.point("linear 1").judge_id == result.point("direct").judge_id
    assert result.point("linear 0").judge_id == result.point("pairwise").judge_id
    assert lab.count(rows.Judge.id) == 2


def test_experts_in_another_number_format_than_the_merge_are_not_the_ends(lab: Lab, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folders = {}
    for role, folder in (("direct", lab.family.direct), ("pairwise", lab.family.pairwise)):
        folders[role] = Path(shutil.copytree(folder, tmp_path / f"wide-{role}"))
        tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(tensors, folders[role] / "model.safetensors", metadata={"format": "pt"})
    result = lab.run(lab.spec(alphas=[1], **{role: str(folder) for role, folder in folders.items()}))
    assert result.point("linear 1").judge_id != result.point("direct").judge_id


def test_a_point_of_the_line_is_what_the_live_judge_says(lab: Lab) -> None:
    from backend.live_alpha import LiveAlpha

    result = lab.run(lab.spec(alphas=[0.3]))
    live = LiveAlpha(
        lab.family.direct, lab.family.pairwise, lab.home, Registry(lab.store, lab.home), lambda m, f: None,
        device="cpu", dtype="float32",
    )  # fmt: skip
    labelled = open_set(lab.spec().sets[0], lab.home / "data", lab.store)
    before = lab.count(rows.Reading.id)
    again = measure(live.at(0.3), labelled, lab.store, report=lambda m, f: None, cancel=threading.Event())
    live.close()
    assert lab.count(rows.Reading.id) == before
    assert again.estimates == result.point("linear 0.3").cells[0].figures


def test_a_second_run_reads_nothing_and_finds_the_same(lab: Lab) -> None:
    first = lab.run(lab.spec())
    before = lab.count(rows.Reading.id)
    assert lab.run(lab.spec()) == first
    assert lab.count(rows.Reading.id) == before
    lab.assert_read_once()


def test_a_finer_grid_reads_only_the_new_alphas(lab: Lab) -> None:
    lab.run(lab.spec(alphas=[0.3]))
    before = lab.count(rows.Reading.id)
    lab.run(lab.spec(alphas=[0.3, 0.4]))
    assert lab.count(rows.Reading.id) == before + ROWS + 2 * 4


def test_a_cancelled_sweep_goes_on_where_it_was(lab: Lab) -> None:
    whole = 4 * (ROWS + 2 * 4)
    for beginning in ("direct, dev/direct", "pairwise, dev/pairwise", "linear 0.3, dev/pairwise"):
        cancel, report = cancelled_at(beginning)
        with pytest.raises(CancelledError):
            lab.sweeps.run(lab.spec(), lab.owner_id, report, cancel)
    assert 0 < lab.count(rows.Reading.id) < whole
    result = lab.run(lab.spec())
    assert result.missing == ()
    assert lab.count(rows.Reading.id) == whole
    lab.assert_read_once()


def test_the_result_is_put_together_again_from_the_store_alone(lab: Lab, loads: list[Path]) -> None:
    result = lab.run(lab.spec(base=str(lab.family.base)))
    loads.clear()
    again = Lab(Store(str(lab.store.url)), lab.home, lab.family, lab.owner_id)
    assert again.sweeps.result(lab.spec(base=str(lab.family.base)), lab.owner_id) == result
    assert loads == []
    again.store.close()


def test_a_sweep_that_is_not_done_yet_shows_what_is_there(lab: Lab) -> None:
    assert lab.sweeps.result(lab.spec(), lab.owner_id).points == ()
    lab.run(lab.spec(alphas=[0.3]))
    result = lab.sweeps.result(lab.spec(), lab.owner_id)
    assert [point.key for point in result.points] == ["direct", "pairwise", "linear 0", "linear 0.3", "linear 1"]
    assert result.missing == ("linear 0.5",)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "given"), [("ties", {"density": 0.5}), ("task_arithmetic", {"lambda": 2.0})])
def test_other_methods_are_merged_measured_and_cleared_away(lab: Lab, method: str, given: dict[str, float]) -> None:
    spec = lab.spec(methods=[method], alphas=[0.5], base=str(lab.family.base), **given)
    result = lab.run(spec)
    assert [point.key for point in result.points] == ["base", "direct", "pairwise", f"{method} 0.5"]
    assert list((lab.home / "models").glob("[!.]*")) == []
    view = Registry(lab.store, lab.home).get(result.point(f"{method} 0.5").model_version_id)
    assert view.recipe is not None
    assert view.recipe["method"] == method
    assert given.items() <= view.recipe.items()
    before = lab.count(rows.Reading.id)
    assert lab.run(spec) == lab.sweeps.result(spec, lab.owner_id) == result
    assert lab.count(rows.Reading.id) == before


@pytest.mark.slow
@pytest.mark.parametrize(("method", "given"), [("slerp", {}), ("task_arithmetic", {}), ("ties", {"density": 1.0})])
def test_merges_that_come_out_as_an_expert_leave_that_expert_as_it_was(
    lab: Lab, tmp_path: Path, method: str, given: dict[str, Any]
) -> None:
    registry, experts = Registry(lab.store, lab.home), {}
    for role, source in (("direct", lab.family.direct), ("pairwise", lab.family.pairwise)):
        folder = Path(shutil.copytree(source, tmp_path / "models" / f"{role}-expert"))
        (folder / "manifest.json").write_text(json.dumps({"kind": "expert", "trained_on": role}))
        experts[role] = registry.get(registry.register(str(folder), lambda message, fraction: None).id)
    folders = {role: view.path for role, view in experts.items()}
    result = lab.run(lab.spec(methods=[method], alphas=[0, 1], base=str(lab.family.base), **given, **folders))
    assert result.missing == ()
    assert [registry.get(view.id) for view in experts.values()] == [
        replace(view, measurements=registry.get(view.id).measurements) for view in experts.values()
    ]
    assert sorted(folder.name for folder in (tmp_path / "models").glob("[!.]*")) == ["direct-expert", "pairwise-expert"]


@pytest.mark.slow
def test_a_merge_that_somebody_made_before_is_measured_and_kept(lab: Lab) -> None:
    from backend.mergeable import describe
    from backend.merging import merge

    merged = describe(
        "slerp", lab.home, lambda m, f: None, direct=lab.family.direct, pairwise=lab.family.pairwise, alpha=0.5
    )
    folder = merge(merged, lab.home, lambda m, f: None, threading.Event())
    lab.run(lab.spec(methods=["slerp"], alphas=[0.5]))
    assert folder.is_dir()


def test_the_handler_takes_and_gives_json(lab: Lab) -> None:
    told: list[float] = []
    spec = json.loads(json.dumps(lab.spec(alphas=[0.3]).model_dump(mode="json")))
    context = JobContext(1, 1, spec, threading.Event(), lambda message, fraction: told.append(fraction or 0.0))
    result = json.loads(json.dumps(lab.sweeps.handle(context)))
    assert SweepResult.model_validate(result) == lab.sweeps.result(lab.spec(alphas=[0.3]), lab.owner_id)
    assert told[-1] == 1.0


def test_progress_names_the_point_and_never_goes_back(lab: Lab) -> None:
    told: list[tuple[str, float]] = []

    def report(message: str, fraction: float | None) -> None:
        if "readings" in message:
            told.append((message, fraction or 0.0))

    lab.sweeps.run(lab.spec(alphas=[0.3]), lab.owner_id, report, threading.Event())
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert told[-1] == ("linear 0.3, dev/pairwise_kind (4 of 6): 8 of 8 readings.", 1.0)


def test_a_set_that_is_not_there_is_told_before_anything_is_judged(lab: Lab, loads: list[Path]) -> None:
    with pytest.raises(NotFoundError, match="dev/nothing"):
        lab.run(lab.spec(sets=[{"name": "dev/nothing"}]))
    assert loads == []


def test_experts_that_cannot_be_merged_are_told_before_anything_is_judged(
    lab: Lab, loads: list[Path], tmp_path: Path
) -> None:
    import shutil

    other = Path(shutil.copytree(lab.family.pairwise, tmp_path / "other"))
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(MergeError, match="chat templates differ"):
        lab.run(lab.spec(pairwise=str(other)))
    assert loads == []


def test_the_grid_is_sorted_and_each_alpha_is_in_it_once(lab: Lab) -> None:
    assert lab.spec(alphas=[0.5, 0.1 + 0.2, 0.3, 0]).alphas == (0.0, 0.3, 0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alphas": [1.2]}, "1.2 is no weight"),
        ({"alphas": []}, "alphas"),
        ({"alphas": [float("nan")]}, "alphas"),
        ({"sets": []}, "sets"),
        ({"sets": [{"name": "dev/x", "size": 0}]}, "sets.0.size"),
        ({"methods": ["ties"], "density": 0.5}, "ties needs a base"),
        ({"methods": ["ties"], "base": "/m"}, "ties needs a density"),
        ({"density": 0.5}, "uses a density"),
        ({"lambda": 2.0}, "uses a lambda"),
        ({"methods": ["task_arithmetic"], "base": "/m", "lambda": -1}, "lambda"),
        ({"methods": ["soup"]}, "methods"),
        ({"verdict_only": False}, "verdict_only"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_spec_that_cannot_be_run_names_what_is_wrong(lab: Lab, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said.replace(".", r"\.")):
        lab.spec(**changes)
