"""A training as a job: checked before it waits, done once at a time, and registered when it is made."""

import threading
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from backend.errors import ConflictError, InvalidInputError
from backend.expert_job import expert_handler, placed, submit_training
from backend.experts import DataSource, ExpertSpec, TrainedExpert, read_spec
from backend.jobs import JobContext, JobKind, Jobs, JobState
from db.session import Store


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExpertSpec:
    """Of places that are named from the folder where a person stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    given = {"name": "direct-1", "format": "direct", "base": "base", "data": [{"place": "rows.jsonl"}]}
    return read_spec(given, preset="starter")


def train(spec: ExpertSpec, home: Path, report: Any, cancel: threading.Event) -> TrainedExpert:
    return TrainedExpert(spec.folder(home), f"# {spec.name}")


def context(spec: ExpertSpec) -> JobContext:
    return JobContext(1, 1, spec.model_dump(mode="json"), threading.Event(), lambda message, fraction: None)


def test_the_finished_expert_is_registered_and_its_card_kept(spec: ExpertSpec, tmp_path: Path) -> None:
    recorded = []
    handle = expert_handler(tmp_path, train, lambda folder: recorded.append(folder) or 7)
    result = handle(context(spec))
    assert result == {"model_version_id": 7, "folder": str(spec.folder(tmp_path)), "card": "# direct-1"}
    assert recorded == [spec.folder(tmp_path)]


def test_two_processes_do_not_train_the_same_at_once(spec: ExpertSpec, tmp_path: Path) -> None:
    handle = expert_handler(tmp_path, train, lambda folder: 7)
    workplace = spec.workplace(tmp_path)
    workplace.mkdir(parents=True)
    with FileLock(workplace / "training.lock"), pytest.raises(ConflictError, match="Another process trains direct-1"):
        handle(context(spec))
    assert handle(context(spec))["model_version_id"] == 7


def test_a_base_without_a_model_is_refused_before_it_waits(
    spec: ExpertSpec, store: Store, tmp_path: Path, owner_id: int
) -> None:
    (tmp_path / "base" / "config.json").unlink()
    jobs = Jobs(store, tmp_path, {})
    with pytest.raises(InvalidInputError, match="it has no config"):
        submit_training(jobs, spec, owner_id)
    assert jobs.list() == []


def test_the_same_training_waits_once_and_may_be_asked_for_again_after_it_ended(
    spec: ExpertSpec, store: Store, tmp_path: Path, owner_id: int
) -> None:
    jobs = Jobs(store, tmp_path, {})
    first = submit_training(jobs, spec, owner_id)
    with pytest.raises(ConflictError, match=rf"Job {first} \(queued\) trains exactly this"):
        submit_training(jobs, spec, owner_id)
    submit_training(jobs, spec.model_copy(update={"seed": 1}), owner_id)
    jobs.cancel(first, owner_id)
    again = jobs.get(submit_training(jobs, spec, owner_id))
    assert (again.kind, again.title, again.state) == (JobKind.TRAIN, "direct-1 (direct)", JobState.QUEUED)
    assert read_spec(again.spec) == placed(spec)


def test_places_of_this_machine_are_written_out_and_hub_names_stay(spec: ExpertSpec, tmp_path: Path) -> None:
    names = ("rows.jsonl", "row*.jsonl", "organisation/rows")
    found = placed(spec.model_copy(update={"data": tuple(DataSource(place=name) for name in names)}))
    assert found.base == str(tmp_path / "base")
    assert [source.place for source in found.data] == [
        str(tmp_path / "rows.jsonl"),
        str(tmp_path / "row*.jsonl"),
        "organisation/rows",
    ]


@pytest.mark.parametrize("name", ["organisation/rows.jsonl", "nothing*.gz", "rows", "a/b/c"])
def test_rows_that_are_not_there_are_refused_before_it_waits(spec: ExpertSpec, name: str) -> None:
    with pytest.raises(InvalidInputError, match="There is no file"):
        placed(spec.model_copy(update={"dev": (DataSource(place=name),)}))
