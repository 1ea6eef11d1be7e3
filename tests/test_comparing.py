"""Any selection of labels is compared with the verdicts that belong to it, on both databases."""

import itertools
import json
from datetime import UTC, date, datetime

import numpy
import pytest
from sklearn.metrics import cohen_kappa_score

from backend.agreement_report import as_json
from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.errors import InvalidInputError, NotAllowedError, NotFoundError
from backend.labels import Labels
from backend.types import Mode
from db import models
from db.session import Store
from tests.conftest import add_user
from tests.factories import Bench
from ui.agreement_export import csv_zip, html_report
from ui.agreement_tables import tables

clicks = itertools.count()


class Panel:
    """A store in which several people label what a judge has said, blind or after it."""

    def __init__(self, store: Store) -> None:
        self.bench = Bench(store)
        self.store = store
        self.people = [
            self.bench.author_id,
            add_user(store, "Ada", "lead"),
            add_user(store, "<b>Bo</b>", "lead"),
        ]

    def blind(self, verdict: int, person: int, *, rubric_version_id: int | None = None, **said: object) -> None:
        with self.store.write() as session:
            row = session.get_one(models.Verdict, verdict)
            session.add(
                models.Label(
                    client_id=f"blind-{next(clicks)}", kind="blind", item_id=row.item_id,
                    rubric_version_id=rubric_version_id or row.rubric_version_id, author_id=person, note="",
                    **({"created_at": datetime(2026, 11, 20, tzinfo=UTC)} | said),
                )
            )  # fmt: skip

    def after(self, verdict: int, person: int, score: int) -> None:
        Labels(self.store).override_score(verdict, person, f"after-{next(clicks)}", score)

    def report(self, **changes: object) -> object:
        return Comparing(self.store).report(Selection(**changes), self.people[0])


@pytest.fixture
def panel(any_store: Store) -> Panel:
    return Panel(any_store)


def judged(panel: Panel, n: int = 36, seed: int = 1) -> tuple[list[int], numpy.ndarray, numpy.ndarray]:
    """Verdicts, their scores, and what three people say of each, blind."""
    rng = numpy.random.default_rng(seed)
    model = rng.integers(1, 6, size=n)
    said = numpy.clip(model[:, None] + rng.choice([-1, 0, 0, 1], size=(n, 3)), 1, 5)
    verdicts = [panel.bench.direct(int(score)) for score in model]
    for verdict, scores in zip(verdicts, said, strict=True):
        for person, score in zip(panel.people, scores, strict=True):
            panel.blind(verdict, person, score=int(score))
    return verdicts, model, said


def test_blind_labels_are_compared_with_the_newest_verdict_of_the_model(panel: Panel) -> None:
    _, model, said = judged(panel)
    report = panel.report()
    assert (report.kind, report.counts.compared, report.scores.items) == (Kind.BLIND, 108, 36)
    theirs = cohen_kappa_score(numpy.repeat(model, 3), said.ravel(), weights="quadratic", labels=[1, 2, 3, 4, 5])
    assert report.scores.stats["quadratic_kappa"].value == pytest.approx(theirs)
    assert report.alternative.winning_rate is not None
    assert report.ceiling.people["alpha"].value > 0.5
    assert len(report.ceiling.names) == 4
    assert {person.n for person in report.people} == {36}
    everything = json.loads(as_json(report))
    assert everything["scores"]["n"] == 108
    assert "NaN" not in as_json(report)


def test_blind_labels_and_overrides_are_never_pooled_silently(panel: Panel) -> None:
    verdicts, model, _ = judged(panel)
    for verdict, score in zip(verdicts[:20], model[:20], strict=True):
        panel.after(verdict, panel.people[1], int(score))
    assert panel.report(kind=Kind.BLIND).counts.compared == 108
    after = panel.report(kind=Kind.AFTER)
    assert (after.counts.compared, after.scores.stats["exact"].value) == (20, 1.0)
    assert panel.report(kind=Kind.POOLED).counts.compared == 128
    assert after.anchoring.gap.value > 0.3
    assert after.anchoring.gap.low > 0


def test_an_override_counts_for_the_model_that_was_seen_and_for_no_other(panel: Panel) -> None:
    verdict = panel.bench.direct(4, instruction="Which one?")
    panel.bench.judge_id = panel.bench.judge("second")
    panel.bench.direct(2, instruction="Which one?")
    panel.after(verdict, panel.people[0], 5)
    choices = Comparing(panel.store).choices(Mode.DIRECT, panel.people[0])
    (unseen, _), (seen, _) = choices.models
    assert panel.report(model_version_id=seen).scores.matrix[3][4] == 1
    other = panel.report(model_version_id=unseen)
    assert (other.counts.compared, other.counts.unjudged) == (0, 1)


def test_the_selection_chooses_rubric_people_and_days(panel: Panel) -> None:
    verdicts, _, _ = judged(panel, 12)
    other = panel.bench.rubric("Honesty")
    panel.blind(verdicts[0], panel.people[0], score=1, rubric_version_id=other)
    assert panel.report(rubric_version_id=other, kind=Kind.BLIND).counts.unjudged == 1  # no verdict on that version
    assert panel.report(people=(panel.people[1],)).counts.blind == 12
    assert panel.report(since=date(2026, 11, 20), until=date(2026, 11, 20)).counts.blind == 37
    assert panel.report(until=date(2026, 11, 19)).counts.blind == 0
    with pytest.raises(InvalidInputError, match="Swap them"):
        panel.report(since=date(2026, 11, 21), until=date(2026, 11, 20))
    with pytest.raises(NotFoundError, match="Model 99"):
        panel.report(model_version_id=99)


def test_scores_off_the_scale_are_counted_and_left_out(panel: Panel) -> None:
    verdicts, _, _ = judged(panel, 12)
    panel.blind(verdicts[0], panel.people[0], score=9)
    report = panel.report()
    assert (report.counts.outside, report.counts.compared) == (1, 36)


def test_winners_of_both_kinds_have_their_figures(panel: Panel) -> None:
    rng = numpy.random.default_rng(2)
    for number in range(40):
        p = float(rng.uniform(0.1, 0.9))
        verdict = panel.bench.pairwise("A" if p > 0.5 else "B", p_a_first=p, p_a_second=p * 0.9)
        for person in panel.people:
            panel.blind(verdict, person, winner=("A", "B", "tie")[number % 3] if rng.random() < 0.3 else "A")
    report = panel.report(mode=Mode.PAIRWISE)
    assert report.winners.n == 120
    assert report.position.flips.n == 40
    assert report.longer.people.n > 100
    assert report.powered[0].mean.powered.value is not None
    assert report.reliability.error.value is not None


def test_rankings_are_compared_by_kendalls_tau(panel: Panel) -> None:
    labels = Labels(panel.store)
    for number in range(12):
        verdict = panel.bench.ranking((2, 1, 3))
        labels.override_ranking(verdict, panel.people[0], f"rank-{number}", (1, 0, 2) if number % 2 else (2, 1, 0))
    report = panel.report(mode=Mode.RANKING)
    assert report.rankings.tau.value == pytest.approx((1 - 1 / 3) / 2)
    assert (report.rankings.same.count, report.rankings.same.n) == (6, 12)


def test_unlabelled_verdicts_power_the_mean(panel: Panel) -> None:
    judged(panel, 20)
    for score in (1, 2, 3, 4, 5) * 20:
        panel.bench.direct(score)
    mean = panel.report().powered[0].mean
    assert mean.powered.high - mean.powered.low < mean.people.high - mean.people.low
    assert mean.powered.items == 20


def test_a_second_judge_is_compared_on_the_same_blind_labels(panel: Panel) -> None:
    verdicts, model, _ = judged(panel, 20)
    panel.bench.judge_id = panel.bench.judge("worse")
    with panel.store.read() as session:
        asked = [session.get_one(models.Verdict, verdict).item.instruction for verdict in verdicts]
    for instruction, score in zip(asked, model, strict=True):
        panel.bench.direct(int(6 - score), instruction=instruction)
    first = Comparing(panel.store).choices(Mode.DIRECT, panel.people[0]).models[-1][0]
    (other,) = panel.report(model_version_id=first).versions
    assert other.name == "worse"
    assert other.stat.low > 0
    assert len(panel.report().ceiling.names) == 5


def test_a_new_label_is_seen_by_the_same_service(panel: Panel) -> None:
    verdicts, _, _ = judged(panel, 12)
    comparing = Comparing(panel.store)
    assert comparing.report(Selection(), panel.people[0]).counts.compared == 36
    panel.after(verdicts[0], panel.people[0], 1)
    again = comparing.report(Selection(kind=Kind.POOLED), panel.people[0])
    assert again.counts.compared == 37
    assert comparing.report(Selection(people=(panel.people[0],)), panel.people[0]).counts.compared == 12
    assert comparing.report(Selection(kind=Kind.POOLED), panel.people[0]) == again


def test_a_project_is_compared_by_itself_with_its_sources_and_times(panel: Panel) -> None:
    outside = panel.bench.direct(3)
    panel.blind(outside, panel.people[0], score=3)
    with panel.store.write() as session:
        project = models.Project(
            name="Kettles", guidelines="", mode="direct", blind=True, people_per_item=1, item_order="given", repeats=0,
            lease_seconds=60, seed=1, state="open", created_by_id=panel.people[0],
        )  # fmt: skip
        session.add(project)
        session.flush()
        project_id = project.id
    for number in range(24):
        verdict = panel.bench.direct(3)
        with panel.store.write() as session:
            row = session.get_one(models.Verdict, verdict)
            item = models.ProjectItem(
                project_id=project_id, item_id=row.item_id, rubric_version_id=row.rubric_version_id,
                position=number, order_key=number, sources=["worse" if number % 2 else "better"],
            )  # fmt: skip
            session.add(item)
            session.flush()
            item_id = item.id
        said = 1 if number % 2 else 3
        panel.blind(verdict, panel.people[1], score=said, project_item_id=item_id, seconds=10.0 + number)
    assert Comparing(panel.store).choices(Mode.DIRECT, panel.people[0]).projects == ((project_id, "Kettles"),)
    assert Comparing(panel.store).choices(Mode.RANKING, panel.people[0]).projects == (), "its items are not ranked"
    assert panel.report().counts.compared == 25
    report = panel.report(project_id=project_id)
    assert report.counts.compared == 24
    by_source = {part.name: part.error.value for part in report.slices if part.by == "source"}
    assert by_source == {"better": 0.0, "worse": 2.0}
    (person,) = report.people
    assert person.median_seconds == 21.5
    assert panel.report(project_id=project_id + 1).counts.compared == 0


def test_an_empty_store_says_what_is_lacking_and_draws_nothing(panel: Panel) -> None:
    for mode in Mode:
        report = panel.report(mode=mode)
        assert report.counts.compared == 0
        assert as_json(report)
        assert all("nan" not in cell for table in tables(report) for row in table.rows for cell in row)
    assert "there are 0" in panel.report().scores.stats["exact"].missing
    assert "at least 3 people" in panel.report().alternative.missing


def test_one_annotator_only_has_no_ceiling_and_it_says_why(panel: Panel) -> None:
    for _ in range(30):
        panel.after(panel.bench.direct(4), panel.people[0], 4)
    report = panel.report()
    assert "rated by two raters" in report.ceiling.people["alpha"].missing
    assert "one and the same score" in report.scores.stats["quadratic_kappa"].missing
    assert report.anchoring.gap.value is None


def test_the_report_is_one_file_with_its_figures_and_shows_names_as_text(panel: Panel) -> None:
    judged(panel)
    report = panel.report()
    html = html_report(report).decode()
    assert html.count("<h2>") >= 8
    assert html.count('class="plotly-graph-div"') >= 6
    assert "&lt;b&gt;Bo&lt;/b&gt;" in html
    assert report.model_digest in html
    assert 'src="http' not in html
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(csv_zip(report))) as archive:
        assert "agreement.csv" in archive.namelist()
        assert "Quadratic weighted kappa" in archive.read("agreement.csv").decode()


def test_who_is_no_lead_compares_nobody(panel: Panel) -> None:
    annotator, comparing = add_user(panel.store, "Cy", "annotator"), Comparing(panel.store)
    for ask in (lambda: comparing.report(Selection(), annotator), lambda: comparing.choices(Mode.DIRECT, annotator)):
        with pytest.raises(NotAllowedError, match="only a lead or above may compare people and model"):
            ask()
