"""A project's labels as a set to measure on: of which kind they are is said, and only leads may."""

import threading
import uuid
from pathlib import Path

import pytest

from backend.batch_job import BatchJudging, BatchOrder
from backend.bench import Bench
from backend.benchmarks.rows import open_set, wanted_set
from backend.errors import InvalidInputError, NotAllowedError, NotFoundError
from backend.labelling import Labelling
from backend.projects import ProjectView
from backend.types import Mode, Sampling
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.project_bench import ProjectBench


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def label(bench: ProjectBench, view: ProjectView, person: int, choices: str) -> None:
    """One blind label after the other, as the page hands items out."""
    labelling = Labelling(bench.store)
    for choice in choices:
        task = labelling.next(view.id, person)
        assert task is not None
        said = choice
        if choice in "AB":
            said = choice if task.responses[0].startswith("First") else "BA"["AB".index(choice)]
        labelling.submit(task.project_item_id, person, uuid.uuid4().hex, said, seconds=4)


def judged(bench: ProjectBench, view: ProjectView) -> ProjectView:
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())
    return view


def test_blind_labels_of_several_people_are_one_row_an_item(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(4, people_per_item=2))
    label(bench, view, bench.ann, "1234")
    label(bench, view, bench.bob, "3254")
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    assert [row.label for row in found.rows] == [2.0, 2.0, 4.0, 4.0]
    assert found.licence == "your own data; labels given before the verdict was seen"
    assert found.mode is Mode.DIRECT
    assert found.rows[0].item.instruction == "Question 0?"
    part = open_set(wanted_set("project:Kettles:2"), tmp_path, bench.store, by_id=bench.lead)
    assert part.name == "project:Kettles (2 of 4)"


def test_a_winner_is_of_the_response_as_it_was_imported(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(3, Mode.PAIRWISE))
    label(bench, view, bench.ann, "ABA")
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    assert [row.label for row in found.rows] == ["A", "B", "A"]
    assert found.rows[1].item.responses == ("First 1.", "Second 1.")


def test_labels_from_after_the_verdict_are_another_kind_and_never_pooled_silently(
    bench: ProjectBench, tmp_path: Path
) -> None:
    view = judged(bench, bench.filled(3))
    label(bench, view, bench.ann, "11")
    with pytest.raises(InvalidInputError, match=r"no labels given after .*NAME/blind, /after or /pooled"):
        open_set(wanted_set("project:Kettles/after"), tmp_path, bench.store, by_id=bench.lead)
    pooled = open_set(wanted_set("project:Kettles/pooled"), tmp_path, bench.store, by_id=bench.lead)
    assert "pooled" in pooled.licence
    assert len(pooled.rows) == 2


def test_only_a_lead_may_measure_on_a_projects_labels(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(2))
    label(bench, view, bench.ann, "12")
    for by_id in (bench.ann, None):
        with pytest.raises(NotAllowedError, match="lead"):
            open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=by_id)
    with pytest.raises(NotFoundError, match="no project 'Pots'"):
        open_set(wanted_set("project:Pots"), tmp_path, bench.store, by_id=bench.lead)


def test_projects_with_blind_labels_stand_among_the_sets(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(3))
    service = Bench(bench.store, tmp_path, lambda _name, _report: pytest.fail("nobody is asked"))
    assert not [state for state in service.sets() if state.name.startswith("project:")]
    label(bench, view, bench.ann, "12")
    (state,) = [state for state in service.sets() if state.name.startswith("project:")]
    assert (state.name, state.mode, state.size) == ("project:Kettles", Mode.DIRECT, 2)
