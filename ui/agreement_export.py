"""A comparison to hand over: one HTML file with its figures, or its tables as CSV."""

import csv
import io
import zipfile
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from backend.agreement import WINNERS
from backend.agreement_report import Report
from backend.table_files import guarded_cell
from backend.types import SCORES, Mode
from ui import agreement_charts as draw
from ui import charts
from ui.agreement_tables import tables
from ui.agreement_words import counts_words, missing_words, selection_words
from ui.figure_table import Table
from ui.shell import escape

METHODS = (
    "Intervals are at 95%. Figures of agreement have bias-corrected and accelerated bootstrap intervals that "
    "resample whole items (Efron 1987); shares have Wilson's; means, gaps and slopes have cluster-robust ones by "
    "item (Liang and Zeger 1986). Alpha is Krippendorff's, ordinal for scores and nominal for winners, with "
    "missing cells; AC2 is Gwet's with quadratic weights. The alternative annotator test is Calderon, Reichart "
    "and Dror's (2025) with epsilon .2 and the Benjamini-Yekutieli correction; the mean of labels and verdicts is "
    "prediction-powered (PPI++, Angelopoulos, Duchi and Zrnic 2023). Undefined figures say why. Blind labels and "
    "labels given after the verdict was seen are different variables; which were used stands at the top."
)
STYLE = """
:root { color-scheme: light dark; --line: #cbd5e1; --text: #0f172a; --back: #fff; --muted: #475569; }
@media (prefers-color-scheme: dark) { :root { --line: #334155; --text: #e2e8f0; --back: #0b1120; --muted: #94a3b8; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 880px;
  margin: 0 auto; padding: 24px 16px; }
table { border-collapse: collapse; margin: 8px 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { font-weight: 600; } .scroll { overflow-x: auto; } p.note { color: var(--muted); }
.js-plotly-plot text { fill: var(--text) !important; }
.save { margin: 0; text-align: right; } .save button { font: inherit; font-size: 12px; color: var(--muted);
  background: none; border: 1px solid var(--line); border-radius: 4px; padding: 1px 8px; cursor: pointer; }
@page { size: A4; margin: 16mm 15mm; }
@media print {
  :root { color-scheme: light; --line: #cbd5e1; --text: #0f172a; --back: #fff; --muted: #475569; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; break-after: avoid; }
  .figure, tr, p.note { break-inside: avoid; } thead { display: table-header-group; }
  .scroll { overflow: visible; } th, td { padding: 2px 6px 2px 0; overflow-wrap: anywhere; font-size: 8.5pt; }
  thead th { overflow-wrap: normal; }
  .save, .modebar-container { display: none !important; }
}
"""
SCRIPT = """
const figures = () => document.querySelectorAll(".js-plotly-plot");
const fit = (width) => figures().forEach((figure) => Plotly.relayout(figure, width ? {width} : {autosize: true}));
addEventListener("beforeprint", () => fit(PRINTED));
addEventListener("afterprint", () => fit());
document.addEventListener("click", (event) => {
  const {figure, format} = event.target.dataset;
  if (!figure) return;
  const drawn = document.getElementById(figure);
  const size = {width: drawn.offsetWidth, height: drawn.offsetHeight, scale: format === "png" ? 2 : 1};
  Plotly.downloadImage(drawn, {format, filename: figure, ...size});
});
"""
PRINTED = 680
"""Pixels between the margins of A4, so that figures that a screen drew wider fit a page."""
BESIDE = {"agreement": ("agreement", "confusion"), "sources": ("sources", "strengths")}
"""Tables with two figures; the others have the figure of their own key, if there is one."""
LONG = 24
WORDS = " class='assay-words'"
"""Cells with more characters are sentences, which may wrap."""
CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}


def figures(report: Report, keys: Collection[str] | None = None) -> dict[str, Any]:
    """Each figure that has something to show, by its key. keys: only these; None: all."""
    direct = report.selection.mode is Mode.DIRECT
    scores, winners, ceiling = report.scores, report.winners, report.ceiling
    anchoring, reliability, sources = report.anchoring, report.reliability, report.sources
    drawers: dict[str, Callable[[], Any]] = {
        "agreement": lambda: draw.agreement(report),
        "confusion": lambda: (
            charts.confusion(scores.matrix, SCORES) if scores and scores.n
            else charts.confusion(winners.matrix, WINNERS) if winners and winners.n
            else None
        ),
        "ceiling": lambda: draw.everybody(ceiling, ordinal=direct) if ceiling else None,
        "powered_mean": lambda: draw.powered(report.powered),
        "sources": lambda: draw.sources(sources) if sources else None,
        "strengths": lambda: draw.strengths(sources) if sources else None,
        "anchoring": lambda: draw.anchoring(anchoring) if anchoring else None,
        "calibration": lambda: draw.reliability(reliability) if reliability else None,
        "slices": lambda: draw.slices(report.slices),
        "drift": lambda: draw.months(report.months),
    }  # fmt: skip
    made = {key: drawer() for key, drawer in drawers.items() if keys is None or key in keys}
    return {key: figure for key, figure in made.items() if figure is not None}


def html_report(report: Report) -> bytes:
    """One file that asks no other machine for anything: Plotly's script is in it, once. UTF-8.

    Every figure can be kept as PNG or SVG, and the browser prints it, or keeps it as PDF, on A4.
    """
    drawn = figures(report)
    parts = []
    for table in tables(report):
        parts.append(f"<h2>{escape(table.title)}</h2>")
        for key in BESIDE.get(table.key, (table.key,)):
            if key in drawn:
                parts.append(_figure(drawn[key], key, first=not any("plotly" in part for part in parts)))
        parts.append(table_html(table))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = (selection_words(report), counts_words(report), missing_words(report))
    words = "".join(f"<p>{escape(sentences)}</p>" for sentences in said if sentences)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Agreement of people and model</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{STYLE}</style></head><body>"
        f"<h1>Agreement of people and model</h1>{words}"
        f"<p class='note'>Model {escape(report.model)}, digest <code>{escape(report.model_digest)}</code>. "
        f"Made {made}.</p>{''.join(parts)}<h2>Methods</h2><p>{escape(METHODS)}</p>"
        f"<script>{SCRIPT.replace('PRINTED', str(PRINTED))}</script></body></html>"
    ).encode()


def csv_zip(report: Report) -> bytes:
    """A zip with one CSV file for each table, UTF-8."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in tables(report):
            text = io.StringIO()
            writer = csv.writer(text)
            writer.writerows([[_plain(cell) for cell in row] for row in (table.heads, *table.rows)])
            archive.writestr(f"{table.key}.csv", text.getvalue())
    return stream.getvalue()


def table_html(table: Table) -> str:
    """The table with its note, every text escaped. Verdicts are links that open them."""
    heads = "".join(f"<th scope='col'>{escape(head)}</th>" for head in table.heads)
    rows = []
    for first, *rest in table.rows:
        head = escape(first)
        if table.key == "disagreements":
            head = f"<a href='history?verdict={head}'>Verdict {head}</a>"
        cells = "".join(f"<td{WORDS if len(cell) > LONG else ''}>{escape(cell)}</td>" for cell in rest)
        rows.append(f"<tr><th scope='row'>{head}</th>{cells}</tr>")
    body = f"<div class='scroll assay-scroll'><table class='assay-figures'><thead><tr>{heads}</tr></thead>"
    body = f"{body}<tbody>{''.join(rows)}</tbody></table></div>" if rows else ""
    note = f"<p class='note assay-muted'>{escape(table.note)}</p>" if table.note else ""
    return body + note


def _figure(figure: Any, key: str, *, first: bool) -> str:
    name = f"figure-{key}"
    html: str = figure.to_html(full_html=False, include_plotlyjs=first, config=CONFIG, div_id=name)
    buttons = "".join(
        f"<button type='button' data-figure='{name}' data-format='{form}'>{form.upper()}</button> "
        for form in ("png", "svg")
    )
    return f"<div class='figure'>{html}<p class='save'>{buttons}</p></div>"


def _plain(cell: str) -> str:
    """Numbers as they are; anything else as a cell that no spreadsheet takes for a formula: people write names."""
    try:
        float(cell)
    except ValueError:
        return guarded_cell(cell)
    return cell
