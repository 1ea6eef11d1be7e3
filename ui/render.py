"""Verdicts and labels as HTML in which every text is escaped and shown as plain text."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.history import ReadingDetail, VerdictDetail
from backend.labels import AGREE, LabelView
from backend.passes import Pass
from backend.results import best_to_worst, result_words
from backend.types import (
    SCORES,
    Finish,
    Mode,
    PairVerdict,
    ParsedPair,
    ParsedScore,
    RankingVerdict,
    Rubric,
    ScoreVerdict,
    letter,
)
from ui.shell import escape

RECIPE_NAMES = {
    "method": "Merge method",
    "alpha": "Merge alpha (weight of the direct expert)",
    "direct": "Parent: direct expert",
    "pairwise": "Parent: pairwise expert",
    "base": "Parent: base",
}
OPEN_READINGS = 2
"""More feedbacks than this are folded, so that a ranking's dozens don't bury what follows."""
FINISH_NOTES = {
    Finish.TOKEN_LIMIT: "The feedback was cut at the limit of tokens.",
    Finish.LOOP: "The feedback began to say the same over and over; it was stopped there.",
    Finish.END_OF_TURN: "The judge ended its feedback without naming a result.",
}
NO_DISTRIBUTION = (
    "<p>There is no distribution: the engine gives no probabilities, so the result was read from the judge's text.</p>"
)


# Verdicts


def verdict_card(detail: VerdictDetail, *, from_store: bool = False) -> str:
    """The verdict large, what stands behind it, and who said it. from_store: it had been judged before."""
    match detail.result:
        case ParsedScore() as result:
            head, body = _score_head(result.score), NO_DISTRIBUTION
        case ParsedPair() as result:
            head, body = _winner_head(result.winner), NO_DISTRIBUTION
        case ScoreVerdict() as result:
            head = _score_head(result.score)
            body = _facts(
                [
                    ("Expected score", f"{result.expected:.2f}"),
                    ("Confidence", _percent(result.confidence)),
                ]
            )
        case PairVerdict() as result:
            head = _winner_head(result.winner)
            body = _facts(
                [
                    ("Confidence", _percent(result.confidence)),
                    ("A shown first", _side(result.p_a_first)),
                    ("B shown first", _side(result.p_a_second)),
                ]
            )
        case RankingVerdict() as result:
            head = f"<span class='assay-verdict-value'>{escape(result_words(result))}</span>"
            body = _ranking_table(result)
            if any(reading.reading.probabilities is None for reading in detail.readings):
                body += NO_DISTRIBUTION
        case None:
            head = "<span class='assay-verdict-none'>No result could be read</span>"
            body = "<p>What the judge wrote is kept below. No score was made up for it.</p>"
    return (
        f"<section class='assay-verdict' aria-label='Verdict {detail.id}'>"
        f"<p class='assay-verdict-head'>{head}</p>{_badges(detail, from_store)}{body}{_signature(detail)}</section>"
    )


def chart_name(detail: VerdictDetail) -> str:
    """What the figure beside the verdict shows."""
    return "Strengths" if detail.mode is Mode.RANKING else "Distribution"


def _score_head(score: int) -> str:
    return f"<span class='assay-verdict-value'>{score}</span> <span>of 5</span>"


def _winner_head(winner: str) -> str:
    if winner == "tie":
        return "<span class='assay-verdict-value'>Tie</span>"
    return f"<span class='assay-verdict-value'>{winner}</span> <span>is better</span>"


def verdict_details(detail: VerdictDetail) -> str:
    """What the judge wrote, and who the judge was."""
    return feedback_block(detail) + maker_table(detail)


def feedback_block(detail: VerdictDetail) -> str:
    """Each reading's feedback, as plain text that keeps its lines."""
    folded = len(detail.readings) > OPEN_READINGS
    readings = "".join(_reading(reading, alone=len(detail.readings) == 1, folded=folded) for reading in detail.readings)
    return f"<section class='assay-block'><h3>Feedback</h3>{readings}</section>"


def maker_table(detail: VerdictDetail) -> str:
    """Everything that can change what is said: weights, recipe, format, engine, sampling, rubric version."""
    maker, sampling = detail.maker, detail.maker.sampling
    settings = "verdict only, no feedback"
    if sampling.feedback:
        greedy = (
            "greedy"
            if sampling.temperature == 0
            else f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, seed {sampling.seed}"
        )
        settings = f"{greedy}, at most {sampling.max_new_tokens:,} tokens of feedback"
    rows = [
        ("Model", maker.model_name),
        ("Kind", detail.model_kind),
        ("Digest of the weights", maker.model_digest),
        *_recipe_rows(maker.recipe),
        ("Prompt format", f"{maker.prompt_format} ({maker.format_digest[:12]})"),
        ("Engine", f"{maker.engine} on {maker.device}, {maker.dtype}"),
        ("Engine version", maker.engine_version),
        ("Sampling", settings),
        ("Rubric", f"{detail.rubric_name}, version {detail.rubric_number}"),
        ("Digest of the maker", detail.maker_digest),
        ("Attempt", str(detail.attempt)),
    ]
    cells = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return (
        "<details class='assay-block assay-maker'><summary>Who said this: model, format, engine and settings</summary>"
        f"<table>{cells}</table></details>"
    )


def item_block(detail: VerdictDetail) -> str:
    """What was judged, whole."""
    responses = detail.item.responses
    parts = [("Instruction", detail.item.instruction)]
    for position, response in enumerate(responses):
        parts.append(("Response" if len(responses) == 1 else f"Response {letter(position)}", response))
    if detail.item.reference is not None:
        parts.append(("Reference answer", detail.item.reference))
    return (
        "<section class='assay-block'><h3>What was judged</h3>" + "".join(_text(*part) for part in parts) + "</section>"
    )


def rubric_block(detail: VerdictDetail) -> str:
    title = f"Rubric: {escape(detail.rubric_name)}, version {detail.rubric_number}"
    return f"<details class='assay-block'><summary>{title}</summary>{rubric_text(detail.rubric)}</details>"


def rubric_text(rubric: Rubric) -> str:
    """A rubric's criterion and what each score means."""
    levels = "".join(
        f"<div><dt>{score}</dt><dd dir='auto'>{escape(level)}</dd></div>"
        for score, level in zip(SCORES, rubric.levels, strict=False)
    )
    described = f"<dl class='assay-levels'>{levels}</dl>" if levels else ""
    return f"<div class='assay-rubric'><p dir='auto'>{escape(rubric.criterion)}</p>{described}</div>"


def _recipe_rows(recipe: str | None) -> Sequence[tuple[str, str]]:
    """How the weights were merged: the method, alpha, what else was set, and the parents by their digests."""
    if recipe is None:
        return [("Merge recipe", "none")]
    entries: dict[str, Any] = json.loads(recipe)
    first = [name for name in ("method", "alpha") if name in entries]
    parents = [name for name in ("direct", "pairwise", "base") if name in entries]
    others = [name for name in entries if name not in (*first, *parents)]
    return [(RECIPE_NAMES.get(name, f"Merge {name}"), _said(entries[name])) for name in (*first, *others, *parents)]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _badges(detail: VerdictDetail, from_store: bool) -> str:
    badges = []
    if detail.order_sensitive:
        why = "The two orders name different winners."
        if isinstance(detail.result, RankingVerdict):
            why = f"{detail.result.sensitive_pairs} of {detail.result.pairs} pairs name another winner when swapped."
        badges.append(f"<span class='assay-badge assay-badge-warn'>Order-sensitive</span> <span>{why}</span>")
    if from_store:
        which = f", in attempt {detail.attempt}" if detail.attempt > 1 else ""
        why = f"This judge had answered it before{which}."
        badges.append(f"<span class='assay-badge'>From the store</span> <span>{why}</span>")
    elif detail.attempt > 1:
        badges.append(f"<span class='assay-badge'>Attempt {detail.attempt}</span> <span>It was asked anew.</span>")
    return "".join(f"<p class='assay-badges'>{badge}</p>" for badge in badges)


def _signature(detail: VerdictDetail) -> str:
    said = [
        f"<strong>{escape(detail.maker.model_name)}</strong>",
        f"{detail.seconds:.1f} s",
        f"{detail.prompt_tokens:,} tokens read, {detail.new_tokens:,} written",
        moment(detail.created_at),
    ]
    return f"<p class='assay-signature'>{' · '.join(said)}</p>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return (
        "<dl class='assay-facts'>"
        + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
        + "</dl>"
    )


def _side(p_a: float) -> str:
    """What one order alone would have said."""
    if p_a == 0.5:
        return "even"
    return f"A ({_percent(p_a)})" if p_a > 0.5 else f"B ({_percent(1 - p_a)})"


def _ranking_table(result: RankingVerdict) -> str:
    rows = "".join(
        f"<tr><td>{one.rank}</td><th scope='row'>{letter(one.position)}</th>"
        f"<td>{one.strength:+z.2f} <span class='assay-muted'>[{one.low:+z.2f}, {one.high:+z.2f}]</span></td>"
        f"<td>{'–' if one.expected_score is None else f'{one.expected_score:.2f}'}</td></tr>"
        for one in best_to_worst(result.ranked)
    )
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("Rank", "Response", "Strength [95%]", "Own score"))
    return f"<table class='assay-figures'><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def feedback_of(detail: ReadingDetail) -> str:
    """What the judge wrote in one reading, or why there is nothing, and how it ended."""
    reading = detail.reading
    notes = [FINISH_NOTES[reading.finish]] if reading.finish in FINISH_NOTES else []
    if reading.result is None:
        notes.append("No result could be read from it.")
    written = _pasted(reading.feedback)
    if not reading.feedback.strip():
        unasked = reading.finish is Finish.NOT_ASKED
        why = "Verdict only: no feedback was asked for." if unasked else "The judge wrote no feedback."
        written = f"<p class='assay-muted'>{why}</p>"
    if reading.result is None:
        written += _folded("Everything that the judge wrote", reading.raw_text)
    said_anything = reading.feedback.strip() or reading.result is None
    letters = letters_note(Pass(detail.first, detail.second)) if said_anything else ""
    return letters + written + "".join(f"<p class='assay-muted'>{note}</p>" for note in notes)


def letters_note(asked: Pass) -> str:
    """Whose letters a pair's feedback keeps, where they are not the page's; else nothing.

    A judge reads every pair as Response A and Response B, and what it said of them is never altered.
    """
    if asked.second is None or (asked.first, asked.second) == (0, 1):
        return ""
    return (
        f"<p class='assay-muted'>Here “Response A” is {letter(asked.first)} and “Response B” is "
        f"{letter(asked.second)}: under these names the judge read them.</p>"
    )


def _reading(detail: ReadingDetail, *, alone: bool, folded: bool) -> str:
    reading = detail.reading
    result = reading.result
    if detail.second is not None and result is not None:
        result = letter(detail.first if result == "A" else detail.second)
    body = feedback_of(detail)
    if alone:
        return body
    title = f"{Pass(detail.first, detail.second).label} → <strong>{result or '?'}</strong>"
    if folded:
        return f"<details class='assay-reading'><summary>{title}</summary>{body}</details>"
    return f"<div class='assay-reading'><h4>{title}</h4>{body}</div>"


def text_block(title: str, text: str) -> str:
    """A pasted text under its title."""
    return marked_block(title, escape(text))


def marked_block(title: str, shown: str) -> str:
    """The same of a text that is safe HTML already."""
    return f'<section class="assay-block"><h3>{title}</h3><div class="assay-text" dir="auto">{shown}</div></section>'


def _text(title: str, text: str) -> str:
    return f"<h4>{title}</h4>{_pasted(text)}"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>{_pasted(text)}</details>"


def _pasted(text: str) -> str:
    """As plain text that keeps its lines, in a box that scrolls and that keys can reach."""
    return f"<div class='assay-text' dir='auto' tabindex='0'>{escape(text)}</div>"


# Labels


def standing_label(label: LabelView | None) -> str:
    """One line on what the person says by now."""
    if label is None:
        return "<p class='assay-muted'>You have not labelled this verdict.</p>"
    badge = "<span class='assay-badge'>Agrees</span>"
    if not label.agrees:
        badge = "<span class='assay-badge assay-badge-warn'>Overridden</span>"
    return f"<p>Your label: <strong>{escape(label.words)}</strong> {badge}</p>{_note(label)}"


def label_trail(labels: Sequence[LabelView]) -> str:
    """Every label event, the oldest first; nothing that was said is lost."""
    if not labels:
        return ""
    entries = "".join(
        f"<li>{moment(label.created_at)} · {escape(label.author)} · {_event_words(label)}"
        f"{'' if label.restores_id else _note(label)}</li>"
        for label in labels
    )
    return (
        f"<details class='assay-trail'><summary>Trail of labels ({len(labels)})</summary><ol>{entries}</ol></details>"
    )


def _note(label: LabelView) -> str:
    return f"<div class='assay-text' dir='auto'>{escape(label.note)}</div>" if label.note else ""


def _event_words(label: LabelView) -> str:
    if label.opinion is None:
        return "took the label back"
    words = f"<strong>{escape(label.words)}</strong>"
    if label.restores_id is not None:
        return f"{words} stands again"
    return f"agreed: {words}" if label.kind == AGREE else f"said {words}"


# Shared


def moment(when: datetime) -> str:
    """A moment in this machine's time zone; UTC where the pointer rests."""
    utc = when.astimezone(UTC)
    exact = f"datetime='{utc:%Y-%m-%dT%H:%M:%SZ}' title='{utc:%Y-%m-%d %H:%M:%S} UTC'"
    return f"<time {exact}>{when.astimezone():%Y-%m-%d %H:%M}</time>"


def _percent(share: float) -> str:
    return f"{share:.0%}"
