"""Two streams: an audit stream whose probabilities are known, and the most doubtful items first."""

import json
import threading
import uuid
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from sqlalchemy import select

from backend.agreement.powered import Verdicts, powered_mean
from backend.agreement_rows import Selection
from backend.batch_job import BatchJudging, BatchOrder, item_of
from backend.comparing import Comparing
from backend.errors import ConflictError, InvalidInputError
from backend.judging import Judging, Question, RunPhase
from backend.labelling import Labelling
from backend.project_export import ProjectExport
from backend.projects import ItemOrder, ProjectDraft, ProjectView
from backend.results import Opinion
from backend.rubrics import RubricLibrary
from backend.streams import Foremost, Stream, doubt_key, entropy, shuffled_key, spread, stream_of, turn_of
from backend.types import Mode, Rubric, Sampling
from db.models import Label, ProjectItem, Verdict
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving
from tests.conftest import add_user
from tests.factories import LEVELS
from tests.labelled import Scripted
from tests.project_bench import RUBRIC, ProjectBench
from ui.agreement_tables import tables
from ui.agreement_words import counts_words

SHARE = 0.3


@pytest.fixture
def bench(any_store: Store, tmp_path: Path) -> ProjectBench:
    return ProjectBench(any_store, tmp_path)


def streams(bench: ProjectBench, items: int, mode: Mode = Mode.DIRECT, **changes: object) -> ProjectView:
    fields = {"item_order": ItemOrder.TWO_STREAMS, "audit_share": SHARE, "seed": 3} | changes
    return bench.filled(items, mode, **fields)


def judge(bench: ProjectBench, view: ProjectView, engine: object) -> None:
    judging = BatchJudging(bench.store, fast_serving(bench.store, bench.folder, engine))  # type: ignore[arg-type]
    judging.run(BatchOrder(view.id, Sampling()), bench.lead, lambda _message, _fraction: None, threading.Event())


def label_all(bench: ProjectBench, view: ProjectView, person: int, choice: str = "4") -> list[int]:
    """The items in the order in which this person got them."""
    labelling, order = Labelling(bench.store), []
    while (task := labelling.next(view.id, person)) is not None:
        order.append(task.project_item_id)
        labelling.submit(task.project_item_id, person, uuid.uuid4().hex, choice, seconds=9)
    return order


def items_of(bench: ProjectBench, view: ProjectView) -> dict[int, ProjectItem]:
    with bench.store.read() as session:
        return {row.id: row for row in session.scalars(select(ProjectItem).where(ProjectItem.project_id == view.id))}


def test_each_item_is_drawn_alone_with_the_probability_that_was_set() -> None:
    for seed in (0, 1):
        drawn = [stream_of(seed, position, SHARE) is Stream.AUDIT for position in range(4000)]
        assert abs(numpy.mean(drawn) - SHARE) < 3 * (SHARE * (1 - SHARE) / 4000) ** 0.5
        both = numpy.mean([one and other for one, other in pairwise(drawn)])
        assert abs(both - SHARE**2) < 0.02  # neighbours tell nothing of each other
    assert [stream_of(0, n, SHARE) for n in range(50)] != [stream_of(1, n, SHARE) for n in range(50)]
    turns = [turn_of(5, 1, done, SHARE) is Stream.AUDIT for done in range(4000)]
    assert abs(numpy.mean(turns) - SHARE) < 0.03


def test_the_more_doubtful_comes_first_and_what_nobody_knows_last() -> None:
    keys = [doubt_key(7, position, doubt) for position, doubt in enumerate((1.0, 0.5, 0.1, 0.0, None))]
    assert keys == sorted(keys)
    assert all(0 <= key < 2**63 for key in (*keys, shuffled_key(7, 0)))
    assert len({doubt_key(7, position, 0.5) for position in range(1000)}) == 1000


def test_doubt_is_from_none_to_one() -> None:
    assert entropy((0.2,) * 5) == pytest.approx(1)
    assert entropy((1.0, 0, 0, 0, 0)) == 0
    assert 0 < entropy((0.9, 0.1)) < entropy((0.6, 0.4)) < 1
    assert spread([Opinion(score=1), Opinion(score=4), Opinion(score=4)]) == 0.75
    assert spread([Opinion(winner="A"), Opinion(winner="tie")]) == 0.5
    assert spread([Opinion(winner="A"), Opinion(winner="B"), Opinion(winner="tie")]) == 1
    assert spread([Opinion(order=(0, 1, 2)), Opinion(order=(2, 1, 0))]) == 1
    assert spread([Opinion(order=(0, 1, 2)), Opinion(order=(1, 0, 2))]) == pytest.approx(1 / 3)
    assert spread([Opinion(score=2)]) == 0


def test_audit_items_come_by_chance_and_the_others_by_the_judges_entropy(bench: ProjectBench) -> None:
    view = streams(bench, 40)
    judge(bench, view, Scripted())
    items = items_of(bench, view)
    order = label_all(bench, view, bench.ann)
    assert sorted(order) == sorted(items)
    with bench.store.read() as session:
        doubts = {
            verdict.item_id: entropy(verdict.readings[0].reading.probabilities)
            for verdict in session.scalars(select(Verdict))
        }
        labels = list(session.scalars(select(Label)))
    audit = [one for one in order if items[one].stream == "audit"]
    chosen = [doubts[items[one].item_id] for one in order if items[one].stream == "chosen"]
    assert 4 <= len(audit) <= 22
    assert chosen == sorted(chosen, reverse=True)
    assert len(set(chosen)) > 2
    assert audit != sorted(audit)
    streak = [items[one].stream for one in order[:20]]
    assert set(streak) == {"audit", "chosen"}
    for label in labels:
        item = items[label.project_item_id]
        assert label.stream == item.stream
        assert label.sampling_probability == (SHARE if item.stream == "audit" else None)
    out = bench.folder / "out.jsonl"
    ProjectExport(bench.store).write(view.id, "long", out, bench.lead)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    said = [(row["stream"], row["sampling_probability"]) for row in rows if row["kind"] in ("item", "blind")]
    assert len(said) == 80
    assert set(said) == {("audit", SHARE), ("chosen", None)}


def test_items_that_were_judged_before_the_import_are_placed_by_their_verdicts(bench: ProjectBench) -> None:
    judge(bench, bench.filled(30), Scripted())
    view = streams(bench, 30, name="Again")
    chosen = [row for row in items_of(bench, view).values() if row.stream == "chosen"]
    with bench.store.read() as session:
        doubts = {
            verdict.item_id: entropy(verdict.readings[0].reading.probabilities)
            for verdict in session.scalars(select(Verdict))
        }
    in_order = [doubts[row.item_id] for row in sorted(chosen, key=lambda row: row.order_key)]
    assert in_order == sorted(in_order, reverse=True)


def test_disputed_items_come_before_the_others_for_the_third_person(bench: ProjectBench) -> None:
    view = streams(bench, 12, foremost=Foremost.DISPUTED, people_per_item=3, audit_share=0.01)
    assert all(row.stream == "chosen" for row in items_of(bench, view).values())
    labelling, disputed = Labelling(bench.store), []
    for _ in range(6):
        task = labelling.next(view.id, bench.ann)
        labelling.submit(task.project_item_id, bench.ann, uuid.uuid4().hex, "1", seconds=9)
    for number in range(6):
        task = labelling.next(view.id, bench.bob)
        labelling.submit(task.project_item_id, bench.bob, uuid.uuid4().hex, "5" if number in (3, 5) else "1", seconds=9)
        disputed += [task.project_item_id] if number in (3, 5) else []
    cid = add_user(bench.store, "cid", "annotator")
    assert sorted(label_all(bench, view, cid)[:2]) == sorted(disputed)


@pytest.mark.parametrize("mode", [Mode.DIRECT, Mode.PAIRWISE])
def test_a_verdict_asked_for_on_the_judge_page_moves_its_item_wherever_it_waits(
    bench: ProjectBench, mode: Mode
) -> None:
    """The very texts and rubric tie it to the item; the rubric may have been written in place."""
    views = [streams(bench, 12, mode, name=name, audit_share=0.01) for name in ("Kettles", "Pots")]
    last = [waiting(bench, view)[-1] for view in views]
    other = RubricLibrary(bench.store).in_place(Rubric("Is it short?", LEVELS), bench.lead)
    judging = Judging(bench.store, fast_serving(bench.store, bench.folder, FastEngine()))

    def ask(item_id: int, rubric: Rubric, rubric_version_id: int) -> None:
        with bench.store.read() as session:
            item = item_of(session.get_one(ProjectItem, item_id))
        run = judging.start(Question(item, rubric, rubric_version_id), Sampling(), bench.lead)
        assert run.wait().phase is RunPhase.DONE

    ask(last[0], Rubric("Is it short?", LEVELS), other)
    assert [waiting(bench, view)[-1] for view in views] == last
    ask(last[0], RUBRIC, other)
    moved = [waiting(bench, view) for view in views]
    assert moved[0][0] == last[0]
    with bench.store.read() as session:
        items = [session.get_one(ProjectItem, one).item_id for one in (last[0], moved[1][0])]
    assert items[0] == items[1]


def waiting(bench: ProjectBench, view: ProjectView) -> list[int]:
    """The items of the second stream, as they come."""
    chosen = [row for row in items_of(bench, view).values() if row.stream == "chosen"]
    return [row.id for row in sorted(chosen, key=lambda row: row.order_key)]


def test_the_policy_of_streams_is_kept_and_fixed_once_there_are_items(bench: ProjectBench) -> None:
    view = streams(bench, 3, audit_share=0.25, foremost=Foremost.DISPUTED)
    assert (view.draft.audit_share, view.draft.foremost) == (0.25, Foremost.DISPUTED)
    for changes in ({"audit_share": 0.5}, {"foremost": Foremost.UNCERTAIN}):
        with pytest.raises(ConflictError, match=next(iter(changes))):
            bench.projects.edit(view.id, ProjectDraft(**{**vars(view.draft), **changes}), bench.lead)
    with pytest.raises(InvalidInputError, match="audit share is 0; it must lie between"):
        bench.project("None", item_order=ItemOrder.TWO_STREAMS, audit_share=0.0)


def test_means_take_what_was_drawn_by_chance_alone_and_the_page_says_so(bench: ProjectBench) -> None:
    view = streams(bench, 60)
    judge(bench, view, FastEngine())
    label_all(bench, view, bench.ann)
    with bench.store.write() as session:  # whoever was chosen for their doubt is worse
        for label in session.scalars(select(Label).where(Label.stream == "chosen")):
            label.score = 1
    audit = sum(row.stream == "audit" for row in items_of(bench, view).values())
    report = Comparing(bench.store).report(Selection(project_id=view.id), bench.lead)
    assert (report.counts.drawn, report.counts.chosen) == (audit, 60 - audit)
    mean = report.powered[0].mean
    assert mean.people.items == audit
    assert mean.people.value == 4
    (table,) = (one for one in tables(report) if one.key == "powered_mean")
    assert f"Made of the {audit} labels" in table.note
    assert f"{60 - audit} labels are left out" in table.note
    assert f"{60 - audit} are on items that were chosen for their doubt" in counts_words(report)
    everywhere = Comparing(bench.store).report(Selection(), bench.lead)
    assert everywhere.powered[0].mean.people.items == audit


def test_with_no_project_chosen_each_audit_stream_counts_as_much_as_its_project(bench: ProjectBench) -> None:
    """The probabilities are alike, but of the better project fewer items are labelled."""
    poor, good, new = (streams(bench, items, name=name) for items, name in ((40, "Poor"), (120, "Good"), (70, "New")))
    for view, choice, most in ((poor, "1", 99), (good, "5", 40), (new, "3", 3)):
        judge(bench, view, FastEngine())
        labelling = Labelling(bench.store)
        for _ in range(most):
            task = labelling.next(view.id, bench.ann)
            if task is not None:
                labelling.submit(task.project_item_id, bench.ann, uuid.uuid4().hex, choice, seconds=9)
    report = Comparing(bench.store).report(Selection(), bench.lead)
    by_project = [part for part in report.powered if part.projects]
    assert [(part.projects, part.mean.people.value) for part in by_project] == [
        (2, pytest.approx((40 + 5 * 120) / 160))
    ]
    assert report.powered[0].mean.people.value < 3.5
    (table,) = (one for one in tables(report) if one.key == "powered_mean")
    assert "the audit streams of 2 projects: labels and verdicts" in [row[0] for row in table.rows]
    assert "Probabilities alone would mislead across projects" in table.note
    one = Comparing(bench.store).report(Selection(project_id=poor.id), bench.lead)
    assert not any(part.projects for part in one.powered)


def test_labels_by_doubt_mislead_and_the_audit_stream_covers_the_truth_as_often_as_it_says() -> None:
    """A person stops after 150 of 900 items; where the judge is unsure the responses are worse, and it is too kind."""
    rng, trials, n = numpy.random.default_rng(28), 2_000, 900
    covered = naive = 0
    for _ in range(trials):
        people = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], p=[0.1, 0.15, 0.25, 0.3, 0.2], size=n)
        verdicts = numpy.clip(0.6 * people + 1.9 + rng.normal(0, 0.6, size=n), 1, 5)
        doubt = 5 - people + rng.normal(0, 1.5, size=n)
        audit = rng.random(n) < SHARE
        turns = rng.random(150) < SHARE
        first = rng.permutation(numpy.flatnonzero(audit))[: turns.sum()]
        second = numpy.flatnonzero(~audit)[numpy.argsort(-doubt[~audit])][: (~turns).sum()]

        def covers(labelled: numpy.ndarray, people: numpy.ndarray = people, verdicts: numpy.ndarray = verdicts) -> bool:
            rest = numpy.delete(verdicts, labelled)
            others = Verdicts(len(rest), float(rest.mean()), float(rest.var()))
            chances = numpy.full(len(labelled), SHARE)
            stat = powered_mean(people[labelled], verdicts[labelled], others, probabilities=chances).powered
            return bool(stat.low <= 3.35 <= stat.high)

        covered += covers(first)
        naive += covers(numpy.concatenate([first, second]))
    assert 0.93 <= covered / trials <= 0.97
    assert naive / trials < 0.5
