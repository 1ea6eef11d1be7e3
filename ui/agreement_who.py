"""Tables of who: the sources of the responses, and the people who labelled them."""

from backend.agreement import ENOUGH
from backend.agreement.sources import Sources
from backend.agreement_report import Report
from backend.types import Mode
from ui.figure_table import NONE, Table, stat_row, with_interval


def sampled_words(report: Report) -> str:
    """Which labels the means and win rates are made of, and when they are valid."""
    counts = report.counts
    left = (
        f" {counts.chosen:,} labels are left out of it, since their items were chosen for their doubt: nobody knows "
        "how likely that was."
        if counts.chosen
        else ""
    )
    if counts.drawn and report.selection.project_id is not None:
        return (
            f"Made of the {counts.drawn:,} labels on items that were drawn by chance for the audit stream, weighted by "
            f"their sampling probabilities.{left}"
        )
    audits = next((part for part in report.powered if part.projects), None)
    valid = "Valid if labelled items are a random sample of the judged ones."
    if audits is None:
        few = (
            f" No project has {ENOUGH} labelled items of its audit stream, so that none is weighted."
            if counts.drawn
            else ""
        )
        return f"{valid}{left}{few}"
    return (
        f"“All”: {valid[0].lower()}{valid[1:]}{left} The last lines hold without that. They are of all items of "
        f"projects with at least {ENOUGH} labelled items of an audit stream, and made of "
        f"{audits.mean.people.items:,} such. Each project is a stratum, weighted by its judged items, and within it "
        "the sampling probabilities count. Probabilities alone would mislead across projects: of each another share "
        "of the stream is labelled by now, and labels outside of streams have none."
    )


def sources(report: Report) -> Table | None:
    if report.sources is None:
        return None
    pairs = report.selection.mode is not Mode.DIRECT
    heads = ("Source", "Labels and verdicts", "Labels alone", "Verdicts alone", "Labelled", "Judged")
    rows = []
    shown = [one for one in report.sources.found if max(one.judged, one.mean.people.items) >= ENOUGH]
    for one in shown:
        model = NONE if one.mean.model is None else f"{one.mean.model:.3f}"
        cells = (with_interval(one.mean.powered), with_interval(one.mean.people), model)
        row = (one.name, *cells, f"{one.mean.people.items:,}", f"{one.judged:,}")
        if one.strength_by_people and one.strength_by_model:
            row += (with_interval(one.strength_by_people), with_interval(one.strength_by_model))
        rows.append(row)
    if pairs:
        heads += ("Strength by people", "Strength by the model")
    return Table(
        "sources",
        "Who wrote the better responses?",
        heads,
        tuple(rows),
        _words(report.sources, sampled_words(report), len(shown), report.selection.mode),
    )


def _words(found: Sources, sampled: str, shown: int, mode: Mode) -> str:
    pairs = mode is not Mode.DIRECT
    what = "Share of its pairs that it wins, a tie being half" if pairs else "Mean score"
    words = f"{what}. {sampled} "
    words += f"Too few: fewer than {ENOUGH} labelled items."
    if shown < len(found.found):
        words += f" {len(found.found) - shown:,} sources with fewer than {ENOUGH} judged items are left out."
    if pairs:
        words += (
            " Strength: Bradley and Terry's, on the log scale, 0 in the middle; people's of labels, the model's of "
        )
        words += "all its verdicts here."
    if mode is Mode.RANKING:
        words += " An order of N responses counts as one label: each of its pairs weighs 2 / (N (N - 1))."
    if found.tau is not None:
        words += f" Kendall's tau between the orders of people and model: {found.tau:.2f}."
    if found.cycles_of_people is not None:
        words += f" Triples that beat each other in a circle: {found.cycles_of_people} by people, "
        words += f"{found.cycles_of_model} by the model."
    return words


def people(report: Report) -> Table | None:
    heads = (
        "Person",
        "Severity",
        "95% interval",
        "Shared",
        "Consistent on repeats",
        "Median time",
        "Rushed",
        "Labels",
    )
    rows = []
    for person in report.people:
        _, value, interval, _, items = stat_row("", person.severity, signed=True)
        same = NONE if person.consistency is None else f"{person.consistency.count:,} of {person.consistency.n:,}"
        time = NONE if person.median_seconds is None else f"{person.median_seconds:.0f} s"
        rushed = NONE if person.rushed is None else f"{person.rushed.value:.0%}"
        row = (report.name_of(person.key), value, interval, items, same, time, rushed, f"{person.n:,}")
        rows.append(row if person.gold is None else (*row, with_interval(person.gold)))
    note = (
        "Severity: their label less the mean of the others' on the same items; below 0 is stricter. Rushed: labels "
        "that took less than a quarter of everybody's median time."
    )
    if report.model_gold:
        heads += ("Kappa with the decisions",)
        note += (
            f" Decisions: what leads settled, on items in dispute alone, so kappa is lower than on all. The model's is "
            f"{with_interval(report.model_gold)}, of {report.model_gold.items:,} items."
        )
    return Table("people", "The people", heads, tuple(rows), note) if rows else None
