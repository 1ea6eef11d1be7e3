"""What the rubrics page shows, as safe HTML: the library, the rubric that is open, and what became of an import."""

from collections.abc import Sequence

from backend.rubric_files import ImportReport
from backend.rubrics import RubricView
from backend.types import SCORES
from ui.shell import escape

MAX_CARDS = 100
MAX_REFUSED = 20
"""Rows of a file, or names, that a message lists."""
LEVEL_LABELS = tuple(f"Score {score}" for score in SCORES)


def card_list(views: Sequence[RubricView], opened_id: int | None, *, searched: bool) -> str:
    """The library, or what was found in it. searched: by words, so that an empty list says what to try."""
    if not views:
        why = "No rubric has these words." if searched else "There is no rubric yet."
        cure = (
            "Try fewer words, or show archived ones."
            if searched
            else "Press New rubric to write one, or import a file."
        )
        return f'<div class="assay-empty"><strong>{why}</strong><br>{cure}</div>'
    cards = "".join(f"<li>{_card(view, pressed=view.id == opened_id)}</li>" for view in views[:MAX_CARDS])
    more = len(views) - MAX_CARDS
    rest = f'<p class="assay-muted">{more:,} more. Search to narrow the list.</p>' if more > 0 else ""
    return f'<ul class="assay-cards" aria-label="Rubrics">{cards}</ul>{rest}'


def heading(view: RubricView | None) -> str:
    """The open rubric's name, and what saving would do to it. None: it is new."""
    if view is None:
        return _headed("New rubric", "It joins the library when you save it.")
    origin = "Shipped with Assay. " if view.shipped else ""
    if view.archived:
        state = "Archived: unarchive it to edit it, or clone it."
    elif view.version_uses:
        state = (
            f"Version {view.number}, {_times(view.version_uses)}: a changed text is saved as version {view.number + 1}."
        )
    else:
        state = f"Version {view.number}, not used yet: saving changes this version."
    return _headed(view.name, origin + state)


def version_list(versions: Sequence[RubricView]) -> str:
    if not versions:
        return ""
    entries = "".join(_version(view) for view in versions)
    return f'<section class="assay-versions" aria-label="Versions"><h3>Versions</h3>{entries}</section>'


def import_title(report: ImportReport) -> str:
    """What became of an import in one sentence, as plain text."""
    refused = len(report.refused)
    if refused:
        return f"Nothing was imported: {refused:,} {_rows(refused)} can't be used."
    return f"{len(report.imported):,} imported."


def import_report(report: ImportReport) -> str:
    """What became of an import: nothing, where a row can't be used, else all but what was there already."""
    if report.refused:
        rows = "".join(
            f'<li>Row {row.number:,}: <span dir="auto">{escape(row.reason)}</span></li>'
            for row in report.refused[:MAX_REFUSED]
        )
        more = len(report.refused) - MAX_REFUSED
        rest = f"<p>And {more:,} more rows.</p>" if more > 0 else ""
        return _reported(import_title(report), f"<ul>{rows}</ul>{rest}<p>Mend the file and import it again.</p>")
    there = ", ".join(f"“{escape(name)}”" for name in report.duplicates[:MAX_REFUSED])
    more = len(report.duplicates) - MAX_REFUSED
    rest = f" and {more:,} more" if more > 0 else ""
    return _reported(import_title(report), f"<p>There already, so left out: {there}{rest}.</p>" if there else "")


def _card(view: RubricView, *, pressed: bool) -> str:
    facts = [f"version {view.number}"] if view.number > 1 else []
    facts += [_times(view.uses)] if view.uses else []
    facts += ["archived"] if view.archived else []
    about = f'<span class="assay-card-facts">{" · ".join(facts)}</span>' if facts else ""
    return (
        f'<button type="button" class="assay-card" data-rubric="{view.id}" aria-pressed="{str(pressed).lower()}">'
        f'<span class="assay-card-name" dir="auto">{escape(view.name)}</span>'
        f'<span class="assay-card-text" dir="auto">{escape(view.rubric.criterion)}</span>{about}</button>'
    )


def _headed(title: str, about: str) -> str:
    return f'<div class="assay-heading"><h2 dir="auto">{escape(title)}</h2><p class="assay-muted">{about}</p></div>'


def _version(view: RubricView) -> str:
    uses = _times(view.version_uses) if view.version_uses else "not used"
    levels = "".join(
        f'<dt>{label}</dt><dd dir="auto">{escape(level)}</dd>'
        for label, level in zip(LEVEL_LABELS, view.rubric.levels, strict=True)
    )
    return (
        f"<details><summary>Version {view.number} · {view.created_at:%Y-%m-%d %H:%M} UTC · {uses}</summary>"
        f'<dl><dt>Criterion</dt><dd dir="auto">{escape(view.rubric.criterion)}</dd>{levels}</dl></details>'
    )


def _times(uses: int) -> str:
    return "used once" if uses == 1 else f"used {uses:,} times"


def _rows(number: int) -> str:
    return "row" if number == 1 else "rows"


def _reported(title: str, body: str) -> str:
    return f'<div class="assay-report" role="status"><strong>{title}</strong>{body}</div>'
