"""People and model beside what leads decided."""

import numpy
import pytest
from sklearn.metrics import cohen_kappa_score

from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.types import Mode
from db import models
from db.session import Store
from tests.test_agreement_sources import project_of
from tests.test_comparing import Panel
from ui.agreement_tables import tables


@pytest.fixture
def panel(any_store: Store) -> Panel:
    return Panel(any_store)


def decide(panel: Panel, verdict: int, supersedes: int | None = None, **said: object) -> int:
    with panel.store.write() as session:
        row = models.Adjudication(
            client_id=f"decision-{verdict}-{supersedes}", project_item_id=1000 + verdict, author_id=panel.people[0],
            reason="It is so.", label_ids=[], supersedes_id=supersedes, **said,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def test_everybodys_kappa_with_the_decisions_is_sklearns(panel: Panel) -> None:
    rng = numpy.random.default_rng(6)
    gold = rng.integers(1, 6, size=40)
    said = numpy.clip(gold[:, None] + rng.choice([-1, 0, 0, 1], size=(40, 2)), 1, 5)
    model = numpy.clip(gold + rng.choice([-2, 0, 1], size=40), 1, 5)
    verdicts = [panel.bench.direct(int(score)) for score in model]
    project = project_of(panel, "direct", verdicts, [["alpha"]] * 40)
    for verdict, own in zip(verdicts, said, strict=True):
        for person, score in zip(panel.people[1:], own, strict=True):
            panel.blind(verdict, person, score=int(score), project_item_id=1000 + verdict)
    comparing = Comparing(panel.store)
    before = comparing.report(Selection(project_id=project), panel.people[0])
    assert before.model_gold is None
    assert "Kappa with the decisions" not in str(tables(before))
    first = decide(panel, verdicts[0], score=int(6 - gold[0]))
    decide(panel, verdicts[0], supersedes=first, score=int(gold[0]))
    for verdict, score in zip(verdicts[1:30], gold[1:30], strict=True):
        decide(panel, verdict, score=int(score))
    report = comparing.report(Selection(project_id=project), panel.people[0])

    def theirs(scores: numpy.ndarray) -> float:
        return cohen_kappa_score(scores[:30], gold[:30], weights="quadratic", labels=[1, 2, 3, 4, 5])

    by_name = {report.name_of(person.key): person.gold for person in report.people}
    assert by_name["Ada"].value == pytest.approx(theirs(said[:, 0]))
    assert by_name["Ada"].low < by_name["Ada"].value < by_name["Ada"].high
    assert (report.model_gold.value, report.model_gold.items) == (pytest.approx(theirs(model)), 30)
    assert "Kappa with the decisions" in str(tables(report))
    assert (
        comparing.report(Selection(), panel.people[0]).model_gold == report.model_gold
    )  # labels are a project's, also among all


def test_winners_are_compared_with_the_decisions_too(panel: Panel) -> None:
    verdicts = [panel.bench.pairwise("A" if number % 2 else "B") for number in range(20)]
    project = project_of(panel, "pairwise", verdicts, [["alpha", "beta"]] * 20)
    for number, verdict in enumerate(verdicts):
        panel.blind(verdict, panel.people[1], winner="A" if number % 4 else "tie", project_item_id=1000 + verdict)
        decide(panel, verdict, winner="A" if number % 4 else "tie")
    report = Comparing(panel.store).report(
        Selection(Mode.PAIRWISE, project_id=project, kind=Kind.BLIND), panel.people[0]
    )
    assert report.people[0].gold.value == pytest.approx(1)
    assert report.model_gold.value < 0.5
