"""A project's labels as a set to measure on: of which kind they are is said, and only leads may."""

import csv
import io
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from backend.batch_job import BatchJudging, BatchOrder
from backend.bench import Bench
from backend.bench_forms import as_csv, as_text, items_csv
from backend.bench_spec import BenchSpec
from backend.bench_table import tables
from backend.benchmarks.own import CHOSEN
from backend.benchmarks.rows import open_set, wanted_set
from backend.errors import InvalidInputError, NotAllowedError, NotFoundError
from backend.labels import Labels
from backend.projects import ProjectView
from backend.types import Mode, Sampling
from db.models import ProjectItem
from db.session import Store
from tests.batch_engine import FastEngine, fast_served, fast_serving
from tests.factories import Bench as Verdicts
from tests.project_bench import ProjectBench, label_items
from ui.bench_render import about_sets


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(store, tmp_path)


def judged(bench: ProjectBench, view: ProjectView) -> ProjectView:
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())
    return view


def test_blind_labels_of_several_people_are_one_row_an_item(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(4, people_per_item=2))
    label_items(bench, view, bench.ann, "1234")
    label_items(bench, view, bench.bob, "3254")
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    assert [row.label for row in found.rows] == [2.0, 2.0, 4.0, 4.0]
    assert found.licence == "your own data; labels given before the verdict was seen"
    assert found.mode is Mode.DIRECT
    assert found.rows[0].item.instruction == "Question 0?"
    part = open_set(wanted_set("project:Kettles:2"), tmp_path, bench.store, by_id=bench.lead)
    assert part.name == "project:Kettles (2 of 4)"


def test_a_winner_is_of_the_response_as_it_was_imported(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(3, Mode.PAIRWISE))
    label_items(bench, view, bench.ann, "ABA")
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    assert [row.label for row in found.rows] == ["A", "B", "A"]
    assert found.rows[1].item.responses == ("First 1.", "Second 1.")


def test_labels_from_after_the_verdict_are_another_kind_and_never_pooled_silently(
    bench: ProjectBench, tmp_path: Path
) -> None:
    view = judged(bench, bench.filled(3))
    label_items(bench, view, bench.ann, "11")
    with pytest.raises(InvalidInputError, match=r"no labels given after .*NAME/blind, /after or /pooled"):
        open_set(wanted_set("project:Kettles/after"), tmp_path, bench.store, by_id=bench.lead)
    pooled = open_set(wanted_set("project:Kettles/pooled"), tmp_path, bench.store, by_id=bench.lead)
    assert "pooled" in pooled.licence
    assert len(pooled.rows) == 2


def test_only_a_lead_may_measure_on_a_projects_labels(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(2))
    label_items(bench, view, bench.ann, "12")
    for by_id in (bench.ann, None):
        with pytest.raises(NotAllowedError, match="lead"):
            open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=by_id)
    with pytest.raises(NotFoundError, match="no project 'Pots'"):
        open_set(wanted_set("project:Pots"), tmp_path, bench.store, by_id=bench.lead)


def test_projects_with_blind_labels_stand_among_the_sets(bench: ProjectBench, tmp_path: Path) -> None:
    view = judged(bench, bench.filled(3))
    service = Bench(bench.store, tmp_path, lambda _name, _report: pytest.fail("nobody is asked"))
    assert not [state for state in service.sets() if state.name.startswith("project:")]
    label_items(bench, view, bench.ann, "12")
    (state,) = [state for state in service.sets() if state.name.startswith("project:")]
    assert (state.name, state.mode, state.size) == ("project:Kettles", Mode.DIRECT, 2)


def test_a_set_of_labels_after_the_verdict_says_where_the_blind_ones_are(bench: ProjectBench, tmp_path: Path) -> None:
    label_items(bench, judged(bench, bench.filled(3)), bench.ann, "12")
    with pytest.raises(InvalidInputError) as caught:
        open_set(wanted_set("own/direct"), tmp_path, bench.store)
    said = str(caught.value)
    assert "own/direct has no row: nobody has agreed with a direct verdict or overridden one." in said
    assert "Labels given before the verdict was seen are sets of their own" in said
    assert "measure on project:Kettles (2)" in said


def test_own_sets_have_their_sizes_and_kinds_among_the_sets(bench: ProjectBench, tmp_path: Path) -> None:
    judge = Verdicts(bench.store, "judge")
    Labels(bench.store).override_score(judge.direct(4), judge.author_id, "c1", 2)
    Labels(bench.store).agree(judge.ranking(), judge.author_id, "c2")
    service = Bench(bench.store, tmp_path, lambda _name, _report: pytest.fail("nobody is asked"))
    own = {state.name: (state.size, state.licence) for state in service.sets() if state.name.startswith("own/")}
    after = "your own data; labels given after the verdict was seen"
    assert own == {"own/direct": (1, after), "own/pairwise": (0, after)}
    assert len(open_set(wanted_set("own/direct"), tmp_path, bench.store).rows) == 1
    with pytest.raises(InvalidInputError, match=r"Labelled rankings \(1\) are no part of it"):
        service.check(BenchSpec(("anybody",), (wanted_set("own/pairwise"),)), by_id=bench.lead)


def two_streams(bench: ProjectBench, items: int = 20) -> tuple[int, int]:
    """A project of two streams whose every item is labelled: how many were drawn by chance, how many chosen."""
    view = judged(bench, bench.filled(items, item_order="two streams", audit_share=0.5, seed=3))
    label_items(bench, view, bench.ann, "12345" * (items // 5))
    with bench.store.read() as session:
        drawn = session.scalar(select(func.count()).where(ProjectItem.stream == "audit")) or 0
    return drawn, items - drawn


def test_items_that_were_chosen_for_their_doubt_are_no_part_of_the_set(bench: ProjectBench, tmp_path: Path) -> None:
    drawn, chosen = two_streams(bench)
    assert drawn > 5
    assert chosen > 5
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    assert (len(found.rows), len(found.not_drawn), found.size) == (drawn, chosen, drawn)
    assert {one.reason for one in found.not_drawn} == {CHOSEN}
    with bench.store.read() as session:
        streams = {f"project-{row.id}": row.stream for row in session.scalars(select(ProjectItem))}
    assert {streams[row.id] for row in found.rows} == {"audit"}
    part = open_set(wanted_set("project:Kettles:3"), tmp_path, bench.store, by_id=bench.lead)
    assert part.not_drawn == found.not_drawn


def test_a_project_with_labels_on_chosen_items_alone_is_no_set(bench: ProjectBench, tmp_path: Path) -> None:
    two_streams(bench)
    with bench.store.write() as session:
        session.execute(update(ProjectItem).values(stream="chosen", sampling_probability=None))
    with pytest.raises(InvalidInputError, match=r"all 20 .* chosen for their doubt.*audit stream"):
        open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)


def test_items_drawn_with_other_probabilities_are_thinned_to_the_least(bench: ProjectBench, tmp_path: Path) -> None:
    """A restored project brings its own probabilities; each kept row was then drawn with the least of them."""
    view = judged(bench, bench.filled(200))
    with bench.store.write() as session:
        for often, chance in ((True, 0.8), (False, 0.2)):
            half = (ProjectItem.position % 2 == 0) if often else (ProjectItem.position % 2 == 1)
            session.execute(update(ProjectItem).where(half).values(stream="audit", sampling_probability=chance))
    label_items(bench, view, bench.ann, "12345" * 40)
    found = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    again = open_set(wanted_set("project:Kettles"), tmp_path, bench.store, by_id=bench.lead)
    even = sum(int(row.item.instruction.split()[1].rstrip("?")) % 2 == 0 for row in found.rows)
    assert found == again
    assert len(found.rows) - even == 100
    assert 12 <= even <= 38
    assert len(found.not_drawn) == 100 - even
    assert "probability 0.8, others with 0.2" in found.not_drawn[0].reason


def test_how_many_were_left_out_is_said_in_the_result_the_page_the_table_and_the_files(
    bench: ProjectBench, tmp_path: Path
) -> None:
    drawn, chosen = two_streams(bench)
    service = Bench(bench.store, tmp_path, lambda _name, _report: fast_served(bench.store, tmp_path, FastEngine()))
    wanted = wanted_set("project:Kettles")
    words = f"{chosen} labelled items are left out"
    (state,) = [state for state in service.sets() if state.name == wanted.name]
    assert (state.size, state.not_drawn) == (drawn, chosen)
    assert words in about_sets([state])
    result = service.run(
        BenchSpec(("fast",), (wanted,)), lambda _message, _fraction: None, threading.Event(), by_id=bench.lead
    )
    assert (result.sets[0].size, result.sets[0].not_drawn) == (drawn, chosen)
    assert result.rows[0].cells[0].total == drawn
    printed = tables(result)
    assert sum(words in note for note in printed[0].notes) == 1
    assert words in as_text(printed)
    lines = list(csv.DictReader(io.StringIO(as_csv(printed))))
    assert [words in line["figure"] for line in lines if line["kind"] == "note"].count(True) == 1
    judge_id = result.rows[0].judge_id
    assert judge_id is not None
    rows = service.items_of(judge_id, wanted, by_id=bench.lead)
    assert [row.reason for row in rows].count(CHOSEN) == chosen
    assert len(rows) == drawn + chosen
    assert items_csv(rows).count(CHOSEN) == chosen
