"""A comparison of people and model as tables of words: for the page, the command, and CSV."""

from collections.abc import Iterable, Mapping

from backend.agreement import WINNERS
from backend.agreement.alternative import EPSILON, AlternativeTest
from backend.agreement.bootstrap import Stat
from backend.agreement_report import Report
from backend.types import Mode
from ui.agreement_who import people, sampled_words, sources
from ui.figure_table import NONE, STAT_HEADS, Table, share_row, stat_row

SCORE_NAMES = {
    "exact": "Exactly the same",
    "within_one": "At most one apart",
    "quadratic_kappa": "Quadratic weighted kappa",
    "linear_kappa": "Linear weighted kappa",
    "alpha": "Krippendorff's alpha",
    "ac2": "Gwet's AC2",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall's tau-b",
    "absolute_error": "Mean absolute error",
    "bias": "Bias, model less person",
}
WINNER_NAMES = {
    "with_ties": "The same, ties counted",
    "without_ties": "The same, neither said tie",
    "kappa": "Cohen's kappa",
    "alpha": "Krippendorff's alpha",
}


def tables(report: Report) -> list[Table]:
    """All tables that hold something, in the order of the page."""
    made = [
        _agreement(report), _bias(report), _ceiling(report), _alternative(report), _powered(report), sources(report),
        _anchoring(report), _calibration(report), _slices(report), _drift(report), people(report), _worst(report),
    ]  # fmt: skip
    return [table for table in made if table is not None and (table.rows or table.note)]


def _stat_rows(stats: Mapping[str, Stat], names: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    return (stat_row(name, stats[key], signed=key == "bias") for key, name in names.items() if key in stats)


def _agreement(report: Report) -> Table:
    rows: list[tuple[str, ...]] = []
    if report.scores:
        rows += _stat_rows(report.scores.stats, SCORE_NAMES)
    if report.winners:
        rows += _stat_rows(report.winners.stats, WINNER_NAMES)
    if report.rankings:
        rows += [
            stat_row("Kendall's tau-b, mean of the items", report.rankings.tau),
            share_row("The same order", report.rankings.same),
        ]
    note = "Intervals resample items, so several labels of one item are no more evidence than they are."
    return Table("agreement", "How far do they agree?", STAT_HEADS, tuple(rows), note)


def _bias(report: Report) -> Table | None:
    if report.position is None or report.longer is None:
        return None
    rows = (
        share_row("The two orders name different winners", report.position.flips),
        share_row("The response shown first wins", report.position.first_slot),
        share_row("The longer response wins, by the model", report.longer.model),
        share_row("The longer response wins, by people", report.longer.people),
    )
    return Table("position_and_length", "Position and length", STAT_HEADS, rows, "Half is no bias.")


def _ceiling(report: Report) -> Table | None:
    if report.ceiling is None:
        return None
    rows = []
    for key, name in (("alpha", "Krippendorff's alpha"), ("ac2", "Gwet's AC2")):
        if key in report.ceiling.people:
            rows.append(stat_row(f"{name}, people alone", report.ceiling.people[key]))
            rows.append(stat_row(f"{name}, with the model", report.ceiling.with_model[key]))
    note = "A model can't be expected to agree with people more than they do with each other."
    return Table("ceiling", "The ceiling: people among each other", STAT_HEADS, tuple(rows), note)


def _alternative(report: Report) -> Table | None:
    test = report.alternative
    if test is None:
        return None
    heads = ("Left out", "Model as near", "Person as near", "p", "Model wins", "Items", "More needed")
    rows = tuple(
        (
            report.alternative_names[one.person],
            f"{one.model_better:.3f}",
            f"{one.person_better:.3f}",
            f"{one.p_value:.4f}",
            "yes" if one.wins else "no",
            f"{one.n:,}",
            "" if one.wins else NONE if one.more is None else f"{one.more:,}",
        )
        for one in test.people
    )
    return Table("alternative_annotator", "May it stand in for a person?", heads, rows, alternative_words(test))


def alternative_words(test: AlternativeTest) -> str:
    if test.winning_rate is None or test.advantage is None:
        return test.missing
    may = "may" if test.winning_rate >= 0.5 else "may not"
    return (
        f"By the alternative annotator test (epsilon {EPSILON}) it {may} stand in: it wins against "
        f"{test.winning_rate:.0%} of the people (half is needed), and is at least as near to the others as "
        f"somebody left out in {test.advantage:.0%} of the items. More needed: items until the test would tell; "
        f"{NONE} where none would."
    )


def _powered(report: Report) -> Table | None:
    rows = []
    for part in report.powered:
        rows.append(stat_row(f"{part.name}: labels and verdicts", part.mean.powered))
        rows.append(stat_row(f"{part.name}: labels alone", part.mean.people))
        if part.mean.model is not None:
            rows.append((f"{part.name}: verdicts alone", f"{part.mean.model:.3f}", "not corrected by labels", "", ""))
    if not rows:
        return None
    what = "score" if report.selection.mode is Mode.DIRECT else "share of wins of response A, a tie being half"
    note = f"The mean {what} that people would give. {sampled_words(report)}"
    return Table("powered_mean", "What would people say of all of it?", STAT_HEADS, tuple(rows), note)


def _anchoring(report: Report) -> Table | None:
    if report.anchoring is None or not report.anchoring.blind.n + report.anchoring.after.n:
        return None
    rows = (
        stat_row("The same as the model, blind", report.anchoring.blind),
        stat_row("The same as the model, after seeing it", report.anchoring.after),
        stat_row("Anchoring gap", report.anchoring.gap, signed=True),
    )
    return Table("anchoring", "Does seeing the verdict pull people?", STAT_HEADS, rows, "After less blind.")


def _calibration(report: Report) -> Table | None:
    rows = []
    if report.reliability:
        rows.append(stat_row("Expected calibration error", report.reliability.error))
    if report.recalibration and not report.recalibration.missing:
        rows += [
            stat_row("Error of the expected score", report.recalibration.before),
            stat_row("Error when recalibrated", report.recalibration.after),
            stat_row("Gain", report.recalibration.gain, signed=True),
        ]
    note = ""
    if report.recalibration:
        note = "Recalibration is isotonic regression, cross-fitted: no label is scored by a curve it helped to fit."
    if report.recalibration and report.recalibration.missing:
        note = report.recalibration.missing
    return Table("calibration", "Does it know how sure it may be?", STAT_HEADS, tuple(rows), note) if rows else None


def _slices(report: Report) -> Table | None:
    heads = ("Part", "By", "Error", "Gap to the others", "95% interval", "Labels", "Items")
    rows = tuple(
        (part.name, part.by, f"{part.error.value:.3f}", *stat_row("", part.gap, signed=True)[1:])
        for part in report.slices
    )
    note = "Error: steps of the scale between model and person, or the share of different winners."
    return Table("slices", "Where does it fail?", heads, rows, note) if rows else None


def _drift(report: Report) -> Table | None:
    rows = [stat_row(f"Error of labels in {month.name}", month.stat) for month in report.months]
    for one in report.versions:
        rows.append(stat_row(f"{one.name} less {report.model}, same blind labels", one.stat, signed=True))
    if report.verbosity:
        unit = "doubling of length" if report.selection.mode is Mode.DIRECT else "doubling of A beside B"
        rows.append(stat_row(f"Model less person, per {unit}", report.verbosity, signed=True))
    return Table("drift", "Over time, length and versions", STAT_HEADS, tuple(rows)) if rows else None


def _worst(report: Report) -> Table | None:
    heads = ("Verdict", "Person", "They said", "The judge expected", "Distance")
    direct = report.selection.mode is Mode.DIRECT
    rows = tuple(
        (
            str(one.verdict_id),
            one.person,
            str(one.said) if direct else WINNERS[one.said],
            f"{one.model:.2f}" + ("" if direct else " for A"),
            f"{one.distance:.2f}",
        )
        for one in report.worst
    )
    return Table("disagreements", "The largest disagreements", heads, rows) if rows else None
