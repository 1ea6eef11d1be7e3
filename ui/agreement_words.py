"""A comparison of people and model in sentences: what was compared, how many labels that were, and what is missing."""

from backend.agreement import ENOUGH
from backend.agreement_report import Counts, Report
from backend.agreement_rows import Kind, Selection
from backend.types import Mode

KIND_WORDS = {
    Kind.BLIND: "blind labels, given before the verdict was seen",
    Kind.AFTER: "labels given after the verdict was seen: anchored by it, so they agree more than blind ones would",
    Kind.IMPORTED: "labels that came with the project's items, given elsewhere without a verdict in view",
    Kind.POOLED: "blind labels and labels given after the verdict was seen, pooled: read them apart as well",
}

LABEL_WORDS = {
    Mode.DIRECT: "scores a response from 1 to 5",
    Mode.PAIRWISE: "names the better of two responses",
    Mode.RANKING: "orders several responses",
}
"""What a label of the mode does."""
NONE_OF_KIND = {
    Kind.BLIND: "is blind",
    Kind.AFTER: "was given after the verdict was seen",
    Kind.IMPORTED: "was imported",
    Kind.POOLED: "was given here",
}
HOW_TO_LABEL = {
    Kind.BLIND: "Label a project's items on the page Label, before the verdict is shown.",
    Kind.AFTER: "Agree with verdicts or override them, on the page Judge or History.",
    Kind.IMPORTED: "Import items with labels into a project, on the page Projects.",
    Kind.POOLED: "Label a project's items on the page Label, or agree with verdicts or override them on the page Judge "
    "or History.",
}
UNJUDGED = (
    "They have no readable verdict of this model beside them. Have these items judged, in a project by “Judge all "
    "items”, or choose another model."
)
SEEN_OTHER = (
    "A label given after a verdict is compared with that verdict only, and it was another model's or could not be "
    "read. Choose another model."
)


def selection_words(report: Report) -> str:
    """What was compared, in a sentence. Where nothing was it names no kind of labels: missing_words does."""
    chosen = report.selection
    days = "".join(
        f", {word} {day}" for word, day in (("from", chosen.since), ("until", chosen.until)) if day is not None
    )
    where = f", project “{report.project}”" if report.project else ""
    whose = "everybody" if not chosen.people else ", ".join(report.name_of(person) for person in chosen.people)
    mode = {Mode.DIRECT: "Scores", Mode.PAIRWISE: "Winners", Mode.RANKING: "Rankings"}[chosen.mode]
    if not report.model_digest:
        return f"{mode} by {whose}, {report.rubric}{where}{days}. No model has given a verdict of this sort yet."
    kind = f": {KIND_WORDS[report.kind]}" if report.counts.compared else ""
    return f"{mode} by {report.model} beside {whose}, {report.rubric}{where}{days}{kind}."


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


def missing_words(report: Report) -> str:
    """Why nothing could be compared, and what to do next; empty where something was."""
    counts, wanted = report.counts, report.selection.kind
    if counts.compared:
        return ""
    if report.selection.mode is Mode.RANKING and wanted is Kind.IMPORTED:
        return "Imported labels are scores or winners, never orders. Choose another kind of labels."
    if not counts.blind + counts.after + counts.imported:
        return _no_label_words(report.selection)
    said = []
    if counts.unjudged and (report.kind is Kind.IMPORTED or (report.kind is not Kind.AFTER and counts.blind)):
        said.append(UNJUDGED)
    if counts.unjudged and report.kind in (Kind.AFTER, Kind.POOLED) and counts.after:
        said.append(SEEN_OTHER)
    if wanted is None and counts.blind + counts.imported:
        said.append(
            f"Blind or imported labels are compared unasked where {ENOUGH} items have them beside a verdict of this "
            f"model; here fewer than {ENOUGH} items do. Have the items judged and label more of them, or choose the "
            f"kind to see the few that there are: {_others(counts, Kind.AFTER)}."
        )
    elif wanted is not None and not counts.unjudged:
        said.append(
            f"None of the labels in this selection {NONE_OF_KIND[wanted]}. {HOW_TO_LABEL[wanted]} Or choose another "
            f"kind of labels; there are {_others(counts, wanted)}."
        )
    return " ".join(said)


def _no_label_words(selection: Selection) -> str:
    does, how = LABEL_WORDS[selection.mode], HOW_TO_LABEL[selection.kind or Kind.POOLED]
    narrow = (selection.rubric_version_id, selection.project_id, selection.since, selection.until)
    if selection.people or any(one is not None for one in narrow):
        return f"There is no label in this selection that {does}. Widen it: rubric, project, people or days. Or: {how}"
    return f"There is no label yet that {does}. {how}"


def _others(counts: Counts, kind: Kind) -> str:
    """The numbers of the labels of other kinds."""
    numbers = {
        Kind.BLIND: (counts.blind, "blind"),
        Kind.AFTER: (counts.after, "given after the verdict was seen"),
        Kind.IMPORTED: (counts.imported, "imported"),
    }
    return ", ".join(f"{number:,} {words}" for one, (number, words) in numbers.items() if number and one is not kind)
