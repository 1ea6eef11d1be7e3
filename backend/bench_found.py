"""What benchmark runs have found, out of the store alone: figures for the tables, and opinions for the figures."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from backend.bench_result import BenchCell, BenchResult, BenchRow, BenchSet
from backend.benchmarks.consistency import Consistency, consistency, repeated, single_responses, transitivity
from backend.benchmarks.labelled import Label, LabelledSet, Labeller, number_of
from backend.benchmarks.metrics import Outcome, ScoreOutcome
from backend.benchmarks.opinions import Opinions
from backend.benchmarks.own import OWN, is_project
from backend.benchmarks.rows import WantedSet
from backend.errors import NotFoundError
from backend.measuring import Measured, recall, stored_outcomes
from backend.model_views import DIGITS
from backend.types import Mode
from db.models import Judge, ModelVersion


def found(
    session: Session,
    opened: Sequence[tuple[WantedSet, LabelledSet]],
    judges: Sequence[tuple[str, tuple[int, ...]]],
    *,
    earlier: Sequence[tuple[str, str, datetime]],
) -> BenchResult:
    """judges: as they are called and their ids, one a repeat, each measured on every set; figures are of the first.
    earlier: sets as they were measured before: name, digest, and when. Raises NotFoundError for a judge that was not.
    """
    measured = [[recalled(session, ids[0], labelled) for _, labelled in opened] for _, ids in judges]
    first = measured[0]
    return BenchResult(
        sets=tuple(_described(wanted, labelled, earlier) for wanted, labelled in opened),
        rows=tuple(
            _row(
                session.get_one(Judge, ids[0]), name,
                tuple(
                    _cell(session, labelled, one, None if figures is first else against, repeats=ids)
                    for (_, labelled), one, against in zip(opened, figures, first, strict=True)
                ),
            )
            for (name, ids), figures in zip(judges, measured, strict=True)
        ),
    )  # fmt: skip


def recalled(session: Session, judge_id: int, labelled: LabelledSet) -> Measured:
    """As recall(). Raises NotFoundError where the judge was not measured on this set to its end."""
    measured = recall(session, judge_id, labelled)
    if measured is None:
        raise NotFoundError(f"Judge {judge_id} was not measured on {labelled.name} as it is now. Measure it again.")
    return measured


def opinions(session: Session, labelled: LabelledSet, judge_ids: Sequence[int]) -> Opinions:
    """Raises NotFoundError for a judge that was not measured on this set."""
    said = [{one.row_id: one for one in recalled(session, judge_id, labelled).outcomes} for judge_id in judge_ids]
    names = [_name(session.get_one(Judge, judge_id)) for judge_id in judge_ids]
    by_people = tuple(_number(row.label) if row.labelled_by == "people" else None for row in labelled.rows)
    by_gpt4 = tuple(_number(row.label) if row.labelled_by == "gpt4" else _number(row.also) for row in labelled.rows)
    labellers = [(name, values) for name, values in (("people", by_people), ("GPT-4", by_gpt4)) if any_of(values)]
    return Opinions(
        mode=labelled.mode,
        row_ids=tuple(row.id for row in labelled.rows),
        categories=tuple(row.category for row in labelled.rows),
        labels=tuple(row.label for row in labelled.rows),
        raters=(*(name for name, _ in labellers), *names),
        values=(
            *(values for _, values in labellers),
            *(tuple(_value(one.get(row.id)) for row in labelled.rows) for one in said),
        ),
        scores=tuple(tuple(_score(one.get(row.id)) for row in labelled.rows) for one in said),
    )


def any_of(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def _number(label: Label | None) -> float | None:
    return None if label is None else number_of(label)


def _value(outcome: Outcome | None) -> float | None:
    if outcome is None:
        return None
    return outcome.expected if isinstance(outcome, ScoreOutcome) else outcome.p_a


def _score(outcome: Outcome | None) -> int | None:
    return outcome.score if isinstance(outcome, ScoreOutcome) else None


def _name(judge: Judge) -> str:
    name = judge.model_version.name
    return f"{name} with feedback" if judge.feedback else name


def _row(judge: Judge, name: str, cells: tuple[BenchCell, ...]) -> BenchRow:
    model = judge.model_version
    return BenchRow(
        judge=name,
        model=model.name,
        model_digest=model.digest,
        engine=f"{judge.engine_version}, {judge.dtype}",
        judge_id=judge.id,
        role=_role(model),
        feedback=judge.feedback,
        cells=cells,
    )


def _described(wanted: WantedSet, labelled: LabelledSet, earlier: Sequence[tuple[str, str, datetime]]) -> BenchSet:
    """earlier: sets as they were measured before this run: name, digest, and when."""
    return BenchSet(
        name=wanted.name,
        shown=labelled.name,
        digest=labelled.digest,
        mode=labelled.mode,
        size=labelled.size,
        licence=labelled.licence,
        whole=labelled.name == wanted.whole_name,
        labelled_by=_labellers(labelled),
        changed=_changed(labelled, earlier),
        not_drawn=len(labelled.not_drawn),
    )


def _labellers(labelled: LabelledSet) -> Labeller | None:
    """Who gave all of its labels; None where some are people's and some GPT-4's."""
    given = {row.labelled_by for row in labelled.rows}
    return given.pop() if len(given) == 1 else None


def _changed(labelled: LabelledSet, earlier: Sequence[tuple[str, str, datetime]]) -> str:
    """That a set of the data folder was another when it was measured last; empty where it was not, or never was."""
    if labelled.name.startswith(f"{OWN}/") or is_project(labelled.name):
        return ""
    before = [(digest, when) for name, digest, when in earlier if name == labelled.name]
    if not before or any(digest == labelled.digest for digest, _ in before):
        return ""
    digest, when = before[0]
    return (
        f"{labelled.name} has changed since {when:%Y-%m-%d}, when it was measured last: its rows or labels were others "
        f"then (digest {digest[:DIGITS]}, now {labelled.digest[:DIGITS]}). Figures of then are of another set."
    )


def _cell(
    session: Session, labelled: LabelledSet, one: Measured, against: Measured | None, *, repeats: tuple[int, ...]
) -> BenchCell:
    """against: the first judge on the same set; None for itself. repeats: the ids of all runs, this one's first."""
    return BenchCell(
        read=len(one.outcomes),
        total=one.total,
        figures=one.estimates,
        minus_first=()
        if against is None
        else tuple(one.difference(against, figure.metric) for figure in one.estimates),
        consistency=_both_formats(session, labelled, one),
        transitivity=transitivity(labelled.rows, one.outcomes) if labelled.mode is Mode.PAIRWISE else None,
        repeated=None if len(repeats) == 1 else repeated([recalled(session, id, labelled).outcomes for id in repeats]),
    )


def _both_formats(session: Session, labelled: LabelledSet, one: Measured) -> Consistency | None:
    """None where the responses were not asked about one by one."""
    if labelled.mode is not Mode.PAIRWISE:
        return None
    singles = stored_outcomes(session, one.judge_id, single_responses(labelled))
    return consistency(one.outcomes, singles, labelled.size) if singles else None


def _role(model: ModelVersion) -> str:
    """What the registry knows of the model, as the table single / joint / merged names it; empty where nothing is."""
    match model.kind, model.trained_on:
        case "expert", str(trained_on):
            return f"{trained_on} expert"
        case (("merge" | "live"), _):
            recipe = model.recipe or {}
            alpha = recipe.get("alpha")
            return f"merge, {recipe.get('method')} {alpha:g}" if isinstance(alpha, int | float) else "merge"
        case "base", _:
            return "base"
    return ""
