"""A comparison of people and model in sentences: what was compared, and how many labels that were."""

from backend.agreement_report import Report
from backend.agreement_rows import Kind
from backend.types import Mode

KIND_WORDS = {
    Kind.BLIND: "blind labels, given before the verdict was seen",
    Kind.AFTER: "labels given after the verdict was seen: anchored by it, so they agree more than blind ones would",
    Kind.IMPORTED: "labels that came with the project's items, given elsewhere without a verdict in view",
    Kind.POOLED: "blind labels and labels given after the verdict was seen, pooled: read them apart as well",
}


def selection_words(report: Report) -> str:
    """What was compared, in a sentence."""
    chosen = report.selection
    days = "".join(
        f", {word} {day}" for word, day in (("from", chosen.since), ("until", chosen.until)) if day is not None
    )
    where = f", project “{report.project}”" if report.project else ""
    whose = "everybody" if not chosen.people else ", ".join(report.name_of(person) for person in chosen.people)
    mode = {Mode.DIRECT: "Scores", Mode.PAIRWISE: "Winners", Mode.RANKING: "Rankings"}[chosen.mode]
    return f"{mode} by {report.model} beside {whose}, {report.rubric}{where}{days}: {KIND_WORDS[report.kind]}."


def counts_words(report: Report) -> str:
    """How many labels there are, and which were left out."""
    counts = report.counts
    words = f"{counts.compared:,} labels compared; in the selection {counts.blind:,} blind and {counts.after:,} after"
    words += f", {counts.imported:,} imported." if counts.imported else "."
    if counts.unjudged:
        words += f" {counts.unjudged:,} have no readable verdict of this model beside them and are left out."
    if counts.outside:
        words += f" {counts.outside:,} lie outside of the scale and are left out."
    if report.recalibrated:
        on = report.recalibrated
        words += (
            f" The recalibrated score of {on.model} is switched on in this project: since {on.since:%Y-%m-%d %H:%M} "
        )
        words += f"UTC, by {on.by}, from {on.labels:,} {on.kind} labels of {on.items:,} items. The figures here are of "
        words += "the verdicts as they are."
    if counts.between:
        words += f" {counts.between:,} imported ones lie between two scores, as means do, and are left out."
    if counts.chosen:
        words += (
            f" {counts.chosen:,} are on items that were chosen for their doubt, so that agreement on all is likely "
        )
        words += "higher than here; means and win rates leave them out."
    return words
