"""What the projects page shows, as safe HTML."""

from collections.abc import Sequence

from backend.jobs import JobView
from backend.project_import import ImportReport, Preview
from backend.project_restore import Restored
from backend.project_rows import ImportedRow
from backend.projects import ItemOrder, PersonProgress, Progress, ProjectView
from ui.job_list import job_status
from ui.shell import counted, escape

MAX_REFUSED = 20
SHORT = 120


def project_card(
    view: ProjectView | None, progress: Progress | None, job: JobView | None, failures: Sequence[tuple[int, str]]
) -> str:
    if view is None or progress is None:
        return (
            '<div class="assay-empty"><strong>There is no project yet.</strong><br>Fill in the form and make one.</div>'
        )
    blind = "blind" if view.draft.blind else "with the verdict in view"
    policy = f"{view.state} · {view.mode} · {blind} · {view.draft.people_per_item} per item{_streams(view)}"
    people = "".join(map(_person, progress.people))
    table = (
        f'<table class="assay-table" aria-label="People"><thead><tr><th>Person<th>Labels<th>Rushed<th>Overrides'
        f"<th>Skipped<th>Flagged<th>Same again<th>Seconds</tr></thead><tbody>{people}</tbody></table>"
        if people
        else '<p class="assay-muted">Nobody has labelled yet.</p>'
    )
    failed = "".join(
        f'<li>Item {number:,}: <span dir="auto">{escape(why)}</span></li>' for number, why in failures[:20]
    )
    batch = "" if job is None else f'<p class="assay-muted">Batch {job.id}: {job.state}</p>{job_status(job)}'
    return (
        f'<section aria-label="Project"><div class="assay-heading"><h2 dir="auto">{escape(view.name)}</h2>'
        f'<p class="assay-muted">{policy}</p></div>'
        f'<dl class="assay-facts">{_fact("Items", f"{progress.items:,}")}'
        f"{_fact('Labels', f'{progress.labels:,} of {progress.wanted:,}')}"
        f"{_fact('Complete', f'{progress.complete:,}')}{_fact('Judged', f'{progress.judged:,}')}"
        f"{_fact('Failed', f'{progress.failed:,}')}{_fact('Decided', f'{progress.decided:,}')}</dl>{batch}"
        f"{f'<ul class=assay-failures>{failed}</ul>' if failed else ''}{table}</section>"
    )


def _streams(view: ProjectView) -> str:
    if view.draft.item_order is not ItemOrder.TWO_STREAMS:
        return ""
    return f" · two streams: {view.draft.audit_share:.0%} by chance, {view.draft.foremost} first"


def preview_table(preview: Preview) -> str:
    """The first rows as items, or why they can't be; with their references where a column is taken as such."""
    heads = ["Instruction", "Responses", *(["Reference answer"] if preview.mapping.reference else []), "Earlier labels"]
    rows = "".join(_preview_row(row, heads) for row in preview.read)
    columns = ", ".join(escape(name[:60]) for name in preview.columns[:40])
    return (
        f'<p class="assay-muted">Columns: {columns}</p><table class="assay-table" aria-label="Preview"><thead><tr>'
        f"<th>{'<th>'.join(heads)}</tr></thead><tbody>{rows}</tbody></table>"
    )


def import_report(report: ImportReport) -> str:
    title = f"{report.imported:,} imported, {report.duplicates:,} there already, {report.refused_count:,} refused."
    if report.refused_count and not report.imported:
        title = f"Nothing was imported: {report.refused_count:,} rows can't be used."
    rows = "".join(
        f'<li>{escape(row.where)}: <span dir="auto">{escape(row.reason)}</span></li>'
        for row in report.refused[:MAX_REFUSED]
    )
    more = report.refused_count - MAX_REFUSED
    rest = f"<p>And {more:,} more rows.</p>" if more > 0 else ""
    listed = f"<ul>{rows}</ul>{rest}" if rows else ""
    return f'<div class="assay-report" role="status"><strong>{title}</strong>{listed}</div>'


def restored_words(found: Restored) -> str:
    """What a restored project holds, as plain text."""
    words = (
        f"Project {found.project_id}: {counted(found.items, 'item')}, {counted(found.labels, 'label')}, "
        f"{counted(found.decisions, 'decision')}, {counted(found.verdicts, 'verdict')}."
    )
    if found.new_people:
        words += f" New here, and unable to sign in: {', '.join(found.new_people)}."
    return words


def restored_report(found: Restored) -> str:
    return f'<div class="assay-report" role="status" dir="auto">{escape(restored_words(found))}</div>'


def _preview_row(row: ImportedRow | str, heads: Sequence[str]) -> str:
    if isinstance(row, str):
        return f'<tr><td colspan="{len(heads)}" dir="auto">{escape(row)}</td></tr>'
    responses = "<br>".join(escape(_short(text)) for text in row.item.responses)
    cells = {
        "Instruction": escape(_short(row.item.instruction)),
        "Responses": responses,
        "Reference answer": escape(_short(row.item.reference or "")),
        "Earlier labels": "" if row.labels is None else escape(", ".join(map(str, row.labels))),
    }
    return f'<tr>{"".join(f"""<td dir="auto">{cells[head]}""" for head in heads)}</tr>'


def _person(one: PersonProgress) -> str:
    again = f"{one.consistent:,} of {one.repeated:,}" if one.repeated else "–"
    seconds = "–" if one.seconds is None else f"{one.seconds:.1f}"
    cells = (f"{one.labels:,}", f"{one.rushed:,}", f"{one.overrides:,}", f"{one.skipped:,}", f"{one.flagged:,}", again)
    return f'<tr><td dir="auto">{escape(one.name)}<td>{"<td>".join(cells)}<td>{seconds}</tr>'


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{name}</dt><dd>{value}</dd></div>"


def _short(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[:SHORT]} …"
