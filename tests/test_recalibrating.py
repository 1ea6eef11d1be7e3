"""A lead switches a project's recalibrated score on: fitted to labels of other items, marked wherever it shows."""

import json
from pathlib import Path

import numpy
import pytest

from backend.agreement.calibration import fold_of
from backend.agreement_rows import Selection
from backend.comparing import Comparing
from backend.errors import ConflictError, InvalidInputError, NotAllowedError
from backend.project_export import ProjectExport
from backend.recalibrating import Recalibrating
from db import models
from db.session import Store
from tests.conftest import add_user
from tests.test_agreement_sources import project_of
from tests.test_comparing import Panel
from ui.agreement_words import counts_words


@pytest.fixture
def panel(any_store: Store) -> Panel:
    return Panel(any_store)


@pytest.fixture
def recalibrating(panel: Panel) -> Recalibrating:
    return Recalibrating(panel.store, Comparing(panel.store))


def filled(panel: Panel, items: int = 80) -> tuple[int, list[int]]:
    """A project whose people give one score less than the judge; its id and the verdicts."""
    rng = numpy.random.default_rng(5)
    scores = rng.integers(2, 6, size=items)
    verdicts = [panel.bench.direct(int(score), expected_score=float(score)) for score in scores]
    project = project_of(panel, "direct", verdicts, [["alpha"]] * items)
    for verdict, score in zip(verdicts, scores, strict=True):
        panel.blind(verdict, panel.people[1], score=int(score) - 1, project_item_id=1000 + verdict)
    return project, verdicts


def test_the_expected_score_is_set_right_by_the_projects_labels(panel: Panel, recalibrating: Recalibrating) -> None:
    project, verdicts = filled(panel)
    lead = panel.people[0]
    assert recalibrating.score(project, verdicts[0], lead) is None
    recalibrating.switch_on(project, lead)
    with panel.store.read() as session:
        expected = session.get_one(models.Verdict, verdicts[0]).expected_score
    found = recalibrating.score(project, verdicts[0], lead)
    assert (found.score, found.labels) == (pytest.approx(expected - 1), 80)
    recalibrating.switch_off(project, lead)
    assert recalibrating.score(project, verdicts[0], lead) is None


def test_no_label_of_an_item_moves_the_score_of_this_item(panel: Panel, recalibrating: Recalibrating) -> None:
    project, verdicts = filled(panel)
    recalibrating.switch_on(project, panel.people[0])
    before = [recalibrating.score(project, verdict, panel.people[0]).score for verdict in verdicts]
    panel.blind(verdicts[0], panel.people[2], score=5, project_item_id=1000 + verdicts[0])
    recalibrating.switch_on(project, panel.people[0])
    after = [recalibrating.score(project, verdict, panel.people[0]).score for verdict in verdicts]
    with panel.store.read() as session:
        items = numpy.array([session.get_one(models.Verdict, verdict).item_id for verdict in verdicts])
    fold = fold_of(items)
    same = numpy.isclose(before, after)
    assert same[fold == fold[0]].all()
    assert not same[fold != fold[0]].all()


def test_the_agreement_page_says_that_it_is_on_and_compares_the_verdicts_as_they_are(
    panel: Panel, recalibrating: Recalibrating
) -> None:
    project, _ = filled(panel)
    comparing = Comparing(panel.store)
    raw = comparing.report(Selection(project_id=project), panel.people[0])
    assert "recalibrated" not in counts_words(raw)
    assert raw.recalibration.after.value < 0.05 < raw.recalibration.before.value
    recalibrating.switch_on(project, panel.people[0])
    marked = comparing.report(Selection(project_id=project), panel.people[0])
    assert "is switched on in this project" in counts_words(marked)
    assert "from 80 blind labels of 80 items" in counts_words(marked)
    assert marked.scores == raw.scores
    assert comparing.report(Selection(), panel.people[0]).recalibrated is None


def test_the_export_has_a_column_of_its_own_for_it(panel: Panel, recalibrating: Recalibrating, tmp_path: Path) -> None:
    project, _ = filled(panel)
    recalibrating.switch_on(project, panel.people[0])
    ProjectExport(panel.store).write(project, "long", tmp_path / "out.jsonl", panel.people[0])
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    verdicts = [row for row in rows if row["kind"] == "verdict"]
    assert len(verdicts) == 80
    for row in verdicts:
        assert row["recalibrated_score"] == pytest.approx(row["expected_score"] - 1)
    assert {row["recalibrated_score"] for row in rows if row["kind"] == "blind"} == {None}


def test_another_judges_verdicts_stay_as_they_are(panel: Panel, recalibrating: Recalibrating) -> None:
    project, _ = filled(panel)
    recalibrating.switch_on(project, panel.people[0])
    panel.bench.judge_id = panel.bench.judge("another")
    assert recalibrating.score(project, panel.bench.direct(3), panel.people[0]) is None


def test_it_needs_a_lead_and_enough_labels_given_without_the_verdict_in_view(
    panel: Panel, recalibrating: Recalibrating
) -> None:
    project, _ = filled(panel, 20)
    with pytest.raises(ConflictError, match="at least 50 labelled items; there are 20"):
        recalibrating.switch_on(project, panel.people[0])
    annotator = add_user(panel.store, "Zoe", "annotator")
    for switch in (recalibrating.switch_on, recalibrating.switch_off):
        with pytest.raises(NotAllowedError, match="only a lead or above"):
            switch(project, annotator)


def test_only_scores_can_be_recalibrated(panel: Panel, recalibrating: Recalibrating) -> None:
    project = project_of(panel, "pairwise", [panel.bench.pairwise()], [["alpha", "beta"]])
    with pytest.raises(InvalidInputError, match="has no scores"):
        recalibrating.switch_on(project, panel.people[0])
