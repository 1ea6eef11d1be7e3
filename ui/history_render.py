"""The list of verdicts as HTML in which every text is escaped."""

from collections.abc import Sequence

from backend.history import HistoryPage, HistoryRow
from backend.types import Mode
from ui.render import moment
from ui.shell import escape

MODE_NAMES = {Mode.DIRECT: "Score", Mode.PAIRWISE: "Pair", Mode.RANKING: "Ranking"}


def history_table(page: HistoryPage, *, filtered: bool) -> str:
    """The rows of a page, each with a link that opens its verdict (style.css makes cards of them on narrow screens)."""
    if not page.rows:
        if filtered:
            return (
                "<div class='assay-empty'><p><strong>Nothing matches.</strong></p>"
                "<p>Widen or clear the filters.</p></div>"
            )
        return (
            "<div class='assay-empty'><p><strong>No verdicts yet.</strong></p>"
            "<p>Judge a response on the first page; what the judge says is kept here.</p></div>"
        )
    names = ("When", "Instruction", "Rubric", "Model", "Verdict", "People")
    heads = "".join(f"<th scope='col'>{name}</th>" for name in names)
    rows = "".join(_row(row, names) for row in page.rows)
    return (
        "<table class='assay-history'><caption>Verdicts, the newest first</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def pager_words(page: HistoryPage) -> str:
    """ "26–50 of 1,234"; "10,000+" where more were found than are counted."""
    if not page.rows:
        return ""
    total = f"{page.total:,}{'+' if page.more else ''}"
    last = page.first + len(page.rows) - 1
    hint = " <span class='assay-muted'>Narrow the filter to reach older ones.</span>" if page.more else ""
    return f"<p class='assay-pager' role='status'>{page.first:,}–{last:,} of {total}{hint}</p>"


def _row(row: HistoryRow, names: Sequence[str]) -> str:
    sure = "" if row.confidence is None else f" <span class='assay-muted'>{row.confidence:.0%}</span>"
    swapped = " <span class='assay-badge assay-badge-warn'>Order-sensitive</span>" if row.order_sensitive else ""
    cells = [
        moment(row.created_at),
        f"<a class='assay-open' href='?verdict={row.id}' data-verdict='{row.id}' dir='auto' "
        f"aria-label='Open verdict {row.id}: {escape(row.instruction)}'>{escape(row.instruction)}</a>",
        _name_cell(f"{row.rubric_name} v{row.rubric_number}"),
        _name_cell(row.model_name),
        f"<span class='assay-muted'>{MODE_NAMES[row.mode]}</span> <strong>{escape(row.result)}</strong>{sure}{swapped}",
        "<br>".join(_row_label(label.words, label.author, label.agrees) for label in row.labels)
        or "<span class='assay-muted'>–</span>",
    ]
    tagged = "".join(f"<td data-name='{name}'><div>{cell}</div></td>" for name, cell in zip(names, cells, strict=True))
    return f"<tr data-verdict='{row.id}'>{tagged}</tr>"


def _name_cell(name: str) -> str:
    return f"<span class='assay-name-cell' dir='auto' title='{escape(name)}'>{escape(name)}</span>"


def _row_label(words: str, author: str, agrees: bool) -> str:
    sign = (
        "<span class='assay-yes' title='agrees'>✓</span>"
        if agrees
        else "<span class='assay-no' title='says otherwise'>≠</span>"
    )
    return f"{sign} <strong>{escape(words)}</strong> <span class='assay-muted'>{escape(author)}</span>"
