"""Projects: made and changed by leads, closed and reopened, and what is counted of them."""

from pathlib import Path

import pytest
from sqlalchemy import select

from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.projects import ItemOrder, ProjectDraft, ProjectState
from backend.types import Mode
from db import models
from db.session import Store
from tests.factories import Bench
from tests.project_bench import RUBRIC, ProjectBench


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def test_a_project_keeps_what_it_was_made_with(any_store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(any_store, tmp_path)
    draft = ProjectDraft(
        "  Two  kettles ", Mode.PAIRWISE, (bench.rubric_version_id,), "# Read first", people_per_item=3,
        item_order=ItemOrder.RANDOM, repeats=4, lease_minutes=5, seed=7,
    )  # fmt: skip
    view = bench.projects.create(draft, bench.lead)
    assert (view.name, view.state, view.items, view.rubrics) == ("Two kettles", ProjectState.OPEN, 0, (RUBRIC,))
    assert view.draft.people_per_item == 3
    assert (view.draft.repeats, view.draft.lease_minutes, view.draft.seed, view.draft.blind) == (4, 5, 7, True)
    assert bench.projects.list() == [view]
    assert bench.projects.named("TWO KETTLES") == bench.projects.named(str(view.id)) == view


def test_only_a_lead_makes_changes_and_closes_projects(bench: ProjectBench) -> None:
    view = bench.project()
    with pytest.raises(NotAllowedError, match="ann has the role annotator"):
        bench.projects.create(ProjectDraft("Mine", Mode.DIRECT), bench.ann)
    with pytest.raises(NotAllowedError):
        bench.projects.edit(view.id, view.draft, bench.ann)
    with pytest.raises(NotAllowedError):
        bench.projects.set_state(view.id, ProjectState.ARCHIVED, bench.ann)
    assert bench.projects.get(view.id) == view


def test_closing_reopening_and_archiving_lose_nothing(bench: ProjectBench) -> None:
    view = bench.filled()
    for state in (ProjectState.CLOSED, ProjectState.OPEN, ProjectState.ARCHIVED):
        assert bench.projects.set_state(view.id, state, bench.lead).state is state
    assert bench.projects.list() == []
    (archived,) = bench.projects.list(include_archived=True)
    assert archived.items == 5


def test_what_labels_rest_on_can_not_change_once_there_are_items(any_store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(any_store, tmp_path)
    view = bench.project()
    other = ProjectDraft("Kettles", Mode.PAIRWISE, (), blind=False)
    assert bench.projects.edit(view.id, other, bench.lead).mode is Mode.PAIRWISE
    filled = bench.filled(name="Filled")
    with pytest.raises(ConflictError, match="mode, rubric_version_ids, blind"):
        bench.projects.edit(filled.id, ProjectDraft("Filled", Mode.PAIRWISE, (), blind=False), bench.lead)
    more = ProjectDraft(**{**vars(filled.draft), "people_per_item": 2, "guidelines": "Read twice."})
    assert bench.projects.edit(filled.id, more, bench.lead).draft == more


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "name is empty"),
        ({"people_per_item": 0}, "People per item: 0"),
        ({"lease_minutes": 2_000}, "2,000 minutes"),
        ({"repeats": -1}, "Repeats: -1"),
        ({"guidelines": "\x00"}, "NUL"),
        ({"mode": Mode.RANKING, "repeats": 1}, "Rankings"),
    ],
)
def test_what_can_not_be_is_refused_with_the_value(bench: ProjectBench, changes: dict, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        bench.projects.create(ProjectDraft(**{"name": "New", "mode": Mode.DIRECT, **changes}), bench.lead)


def test_names_are_taken_once_and_rubrics_must_be_there(bench: ProjectBench) -> None:
    bench.project("Kettles")
    with pytest.raises(ConflictError, match="kettles"):
        bench.projects.create(ProjectDraft("kettles", Mode.DIRECT), bench.lead)
    with pytest.raises(NotFoundError, match="rubric version 99"):
        bench.projects.create(ProjectDraft("New", Mode.DIRECT, (99,)), bench.lead)
    with pytest.raises(NotFoundError, match="no project"):
        bench.projects.named("New")


def test_a_project_that_nobody_began_counts_its_items(bench: ProjectBench) -> None:
    progress = bench.projects.progress(bench.filled(3, people_per_item=2).id)
    assert (progress.items, progress.wanted, progress.labels, progress.complete) == (3, 6, 0, 0)
    assert (progress.judged, progress.failed, progress.people) == (0, 0, ())


def test_progress_counts_an_item_once_and_takes_the_middle_of_all_times(any_store: Store, tmp_path: Path) -> None:
    """Blind labels, changed ones, one from after the reveal beside its blind one, and items that came back."""
    bench = ProjectBench(any_store, tmp_path)
    view, verdict = bench.filled(3), Bench(any_store, author="asker").direct(3)
    with bench.store.write() as session:
        items = list(session.scalars(select(models.ProjectItem.id).order_by(models.ProjectItem.position)))
        shared = {"author_id": bench.ann, "note": "", "item_id": 1, "rubric_version_id": bench.rubric_version_id}
        said = [
            (0, 1, "blind", 4, 1.0, {}),
            (0, 1, "override", 2, 1.5, {"verdict_id": verdict, "agrees": False}),
            (1, 1, "blind", 3, 30.0, {}),
            (1, 1, "blind", 5, 10.25, {"supersedes_id": 3}),
            (2, 1, "agree", 3, 8.0, {"verdict_id": verdict, "agrees": True}),
            (0, 2, "blind", 4, 2.0, {}),
            (1, 2, "blind", 1, None, {}),
        ]
        for number, (item, round, kind, score, seconds, more) in enumerate(said, start=1):
            fields = {"id": number, "client_id": f"c{number}", "project_item_id": items[item], "score": score}
            row = models.Label(**shared, **fields, kind=kind, round=round, seconds=seconds, **more)
            session.add(row)
            session.flush()
    (ann,) = bench.projects.progress(view.id).people
    assert (ann.labels, ann.rushed, ann.overrides) == (3, 2, 1)
    assert (ann.repeated, ann.consistent) == (2, 1)
    assert ann.seconds == 2.0  # of 1, 1.5, 2, 8 and 10.25: the label that was superseded does not count
