"""A sweep as HTML in which every text is escaped: how much it is, what it chose, and its tables."""

from collections.abc import Sequence
from pathlib import Path

from backend.benchmarks.metrics import Estimate
from backend.sweep_results import Difference, SweepResult
from backend.types import Mode
from ui.shell import counted, escape

FIGURES = {Mode.DIRECT: "Pearson", Mode.PAIRWISE: "accuracy"}
TARGETS = {"direct": "Best for direct", "pairwise": "Best for pairwise", "both": "Best for both"}
NO_SWEEP = (
    "<div class='assay-empty'><p><strong>No sweep yet.</strong></p><p>A sweep measures the experts and their merges at "
    "many alphas on labelled sets, and draws the curve. It goes on behind the page and can be stopped and gone on "
    "with: what was read once is never read again.</p></div>"
)


def no_sets(folder: Path) -> str:
    return (
        "<p class='assay-note'>There are no labelled sets in <code>"
        f"{escape(str(folder))}</code>. Put files of the form <code>NAME.jsonl.gz</code> there, in the folders "
        "<code>dev/</code> (to choose by) and <code>benchmarks/</code> (to report), or measure on your own labels: "
        "judge something on the first page, and agree with the verdict or override it; or label the items of a project."
        "</p>"
    )


def size_note(models: int, sets: int, rows: int | None) -> str:
    """How much a sweep is, before it is started."""
    each = f"at most {rows:,} rows each" if rows else "all their rows"
    most = ""
    if rows:
        most = f" At most {models * sets * rows * 2:,} readings; a pair takes two, and what was read before is kept."
    return f"<p class='assay-note'>{counted(models, 'model')} on {counted(sets, 'set')}, {each}.{most}</p>"


def flags(result: SweepResult) -> str:
    """What is not done, and what must not be chosen by."""
    said = []
    if result.missing:
        said.append(f"Not measured yet: {', '.join(result.missing)}.")
    benches = [swept.name for swept in result.sets if swept.is_benchmark]
    if benches:
        said.append(
            f"{', '.join(benches)}: published benchmarks. They are drawn, and nothing is chosen by them: who chooses "
            "an alpha by a benchmark can't report that benchmark any more."
        )
    return "".join(f"<div class='assay-notice' role='note'>{escape(text)}</div>" for text in said)


def best_list(result: SweepResult) -> str:
    """The point that is best for each target, or why there is none."""
    rows = "".join(
        f"<div><dt>{TARGETS[best.target]}</dt><dd>{escape(best.point or '–')}</dd>"
        + (f"<dd class='assay-muted'>{escape(best.why)}</dd>" if best.why else "")
        + (f"<dd class='assay-muted'>by {escape(', '.join(best.sets))}</dd>" if best.point else "")
        + "</div>"
        for best in result.best
    )
    return f"<section class='assay-block'><h3>Chosen</h3><dl class='assay-facts'>{rows}</dl></section>"


def single_joint_merged(result: SweepResult) -> str:
    """The paper's table: what one format alone, both together, and merging come to."""
    table = result.table()
    if not table:
        return ""
    heads = "".join(
        f"<th scope='col'>{escape(swept.name)}<br><span class='assay-muted'>{FIGURES[swept.mode]}</span></th>"
        for swept in result.sets
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(row.name)}</th>"
        + "".join(f"<td>{_cell(row.figures[swept.name])}</td>" for swept in result.sets)
        + "</tr>"
        for row in table
    )
    return (
        "<section class='assay-block'><h3>Single, joint, merged</h3><div class='assay-wide'><table "
        f"class='assay-figures' aria-label='Single, joint, merged'><thead><tr><th scope='col'></th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def differences(result: SweepResult, key: str) -> str:
    """The chosen point against the baselines and the best points, set by set, and whether that is more than noise."""
    chosen = _compared(result, key)
    if not chosen:
        return ""
    heads = "".join(
        f"<th scope='col'>{name}</th>" for name in ("Against", "On", "Difference [95%]", "n", "What it says")
    )
    rows = "".join(_difference_row(one, result) for one in chosen)
    return (
        f"<section class='assay-block'><h3>{escape(key)} against the others, row by row</h3><div class='assay-wide'>"
        f"<table class='assay-figures' aria-label='Paired differences'><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div><p class='assay-note'>{_summary(chosen, key)} Paired bootstrap on the "
        "rows that both could read; where the interval holds 0, the sign of the difference may be chance.</p></section>"
    )


def choice_note(result: SweepResult, key: str) -> str:
    """A flag where a point would be chosen by benchmarks alone."""
    if result.sets and all(swept.is_benchmark for swept in result.sets):
        return (
            "<div class='assay-notice' role='note'><span class='assay-badge assay-badge-warn'>Chosen by a benchmark"
            f"</span> This sweep measured benchmarks only. If you activate {escape(key)} because of it, its figures on "
            "them are no evidence any more. Sweep over a set under dev/, or your own labels, and choose by that.</div>"
        )
    return ""


def _compared(result: SweepResult, key: str) -> list[Difference]:
    """Of models that are one and the same, such as an expert and the end of a line, against the first alone."""
    judges = {point.key: point.judge_id for point in result.points}
    first: dict[int, str] = {}
    for point in result.points:
        first.setdefault(point.judge_id, point.key)
    return [
        one
        for one in result.differences
        if one.point == key and one.against == first[judges[one.against]] and judges[one.against] != judges[key]
    ]


def _summary(chosen: Sequence[Difference], key: str) -> str:
    """Plainly, how much of this is more than noise."""
    told = [_says_plainly(one.figure) for one in chosen]
    beyond = len(told) - told.count("within noise") - told.count("")
    if beyond == 0:
        return f"{escape(key)} differs from none of them by more than noise."
    return (
        f"{beyond} of {len(told)} differences {'is' if beyond == 1 else 'are'} more than noise: better in "
        f"{told.count('better')}, worse in {told.count('worse')}."
    )


def _difference_row(one: Difference, result: SweepResult) -> str:
    figure = one.figure
    mode = next(swept.mode for swept in result.sets if swept.name == one.set_name)
    value = _missing(figure) if figure.value is None else f"{figure.value:+.3f} {_interval(figure, '+.3f')}"
    return (
        f"<tr><th scope='row'>{escape(one.against)}</th><td>{escape(one.set_name)}, {FIGURES[mode]}</td>"
        f"<td>{value}</td><td>{figure.n:,}</td><td>{_says(figure)}</td></tr>"
    )


def _says(figure: Estimate) -> str:
    match _says_plainly(figure):
        case "better":
            return "<strong class='assay-yes'>better</strong>"
        case "worse":
            return "<strong class='assay-no'>worse</strong>"
        case plain:
            return f"<span class='assay-muted'>{plain or 'no interval'}</span>"


def _says_plainly(figure: Estimate) -> str:
    """better, worse, within noise, or nothing where there is no interval."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    if figure.low <= 0 <= figure.high:
        return "within noise"
    return "better" if figure.low > 0 else "worse"


def _cell(figure: Estimate) -> str:
    if figure.value is None:
        return _missing(figure)
    interval = f"<br><span class='assay-muted'>{_interval(figure, '.3f')}, n = {figure.n:,}</span>"
    return f"<strong>{figure.value:.3f}</strong>{interval}"


def _missing(figure: Estimate) -> str:
    return f"<span class='assay-muted' title='{escape(figure.missing)}'>undefined, n = {figure.n:,}</span>"


def _interval(figure: Estimate, form: str) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"[{figure.low:{form}}, {figure.high:{form}}]"
