"""Models as HTML in which every text is escaped: the list, an opened one, its family in words, its figures."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from backend.lineage import Lineage, Step
from backend.model_views import DIGITS, MeasurementView, ModelView, Presence
from backend.registering import RegisteringPhase, RegisteringState
from backend.types import Mode
from ui.markdown import safe_html
from ui.render import moment
from ui.shell import escape

METRICS = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "score_pearson": "Pearson of the most probable score",
    "score_spearman": "Spearman of the most probable score",
    "score_kendall": "Kendall of the most probable score",
    "within_one": "Most probable score at most one apart",
    "absolute_error": "Mean absolute error",
    "length_pearson": "Pearson of the length alone (baseline)",
    "accuracy": "Accuracy, both orders, without ties",
    "accuracy_with_ties": "Accuracy, both orders, with ties",
    "first_order_accuracy": "Accuracy, first order alone",
    "second_order_accuracy": "Accuracy, second order alone",
    "order_sensitive": "Order-sensitive pairs",
    "longer_wins": "Accuracy of the longer response (baseline)",
    "shorter_accuracy": "Accuracy where the shorter is better",
}
"""What people call a figure; the key of one that is not here stands for itself."""
HEADLINES = {Mode.DIRECT: "pearson", Mode.PAIRWISE: "accuracy"}
"""The figure that a list shows of a set."""
SHORT = {"pearson": "Pearson", "accuracy": "accuracy"}
PRESENCES = {
    Presence.MISSING: "Files missing",
    Presence.REPLACED: "Files changed",
    Presence.REMOVED: "Deleted",
    Presence.IN_MEMORY: "Not on disk",
    Presence.ELSEWHERE: "Behind an endpoint",
}
KINDS = {
    "base": "Base",
    "external": "Registered",
    "expert": "Expert",
    "merge": "Merge",
    "live": "Merge in memory",
    "endpoint": "Endpoint",
}
EXPERTS = {"direct": "Direct expert", "pairwise": "Pairwise expert", "joint": "Joint expert"}


def kind_words(view: ModelView) -> str:
    """ "Base", "Direct expert", "Merge at alpha 0.5" ..."""
    alpha = (view.recipe or {}).get("alpha")
    if view.kind in ("merge", "live") and isinstance(alpha, int | float):
        return f"{KINDS[view.kind]} at alpha {alpha:.3g}"
    return EXPERTS.get(view.trained_on or "", KINDS.get(view.kind, view.kind))


def size_words(count: int) -> str:
    """Bytes as people say them."""
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


# The list


def model_table(views: Sequence[ModelView], *, serving_id: int | None, loading_id: int | None, hidden: int) -> str:
    """A row for each model (style.css makes cards of them on narrow screens). hidden: how many are not shown."""
    if not views:
        others = f"<p>{_hidden_words(hidden)}</p>" if hidden else ""
        return (
            "<div class='assay-empty'><p><strong>No models yet.</strong></p><p>The judge that is loaded first appears "
            f"here by itself. Register another one above by its folder or hub name.</p>{others}</div>"
        )
    names = ("Model", "Kind", "Size", "Digest", "Made", "Verdicts", "Measured agreement")
    heads = "".join(f"<th scope='col'>{name}</th>" for name in names)
    rows = "".join(_row(view, names, _badges(view, serving_id, loading_id)) for view in views)
    rest = f"<p class='assay-muted'>{_hidden_words(hidden)}</p>" if hidden else ""
    return (
        "<table class='assay-history assay-models'><caption>Models, the latest first</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{rest}"
    )


def _hidden_words(hidden: int) -> str:
    what = "model that was deleted or is" if hidden == 1 else "models that were deleted or are"
    return f"{hidden:,} {what} only in memory not shown."


def _row(view: ModelView, names: Sequence[str], badges: str) -> str:
    cells = [
        f"<a class='assay-open' href='?model={view.id}' data-model='{view.id}' dir='auto' title='{escape(view.name)}' "
        f"aria-label='Open {escape(view.name)} ({view.digest[:DIGITS]})'>{escape(view.name)}</a>{badges}",
        kind_words(view),
        size_words(view.bytes),
        digest_cell(view),
        moment(view.created_at),
        f"{view.verdicts:,}",
        _headlines(view.measurements),
    ]
    tagged = "".join(f"<td data-name='{name}'><div>{cell}</div></td>" for name, cell in zip(names, cells, strict=True))
    return f"<tr data-model='{view.id}'>{tagged}</tr>"


def _badges(view: ModelView, serving_id: int | None, loading_id: int | None) -> str:
    badges = []
    if view.id == serving_id:
        badges.append("<span class='assay-badge assay-badge-good'>Serving</span>")
    elif view.id == loading_id:
        badges.append("<span class='assay-badge'>Loading</span>")
    elif view.active:
        badges.append("<span class='assay-badge'>Serves after the next start</span>")
    if view.presence in PRESENCES:
        badges.append(f"<span class='assay-badge assay-badge-warn'>{PRESENCES[view.presence]}</span>")
    return f"<div class='assay-model-badges'>{' '.join(badges)}</div>" if badges else ""


def digest_cell(view: ModelView) -> str:
    """Its beginning, and a button that copies it whole."""
    return (
        f"<code title='{view.digest}'>{view.digest[:DIGITS]}</code> "
        f"<button type='button' class='assay-copy' data-copy='{view.digest}' "
        f"aria-label='Copy the digest of {escape(view.name)}'>Copy</button>"
    )


def _headlines(measurements: Sequence[MeasurementView]) -> str:
    """Of each mode the figure of the set that was measured last."""
    lines = []
    for mode, metric in HEADLINES.items():
        one = next((one for one in measurements if one.mode == mode and one.metric == metric), None)
        if one is not None:
            lines.append(
                f"<span class='assay-measured'>{escape(one.set_name)}: {SHORT[metric]} "
                f"<strong>{_figure(one.value)}</strong> {_interval(one)}, n = {one.n:,}</span>"
            )
    return "<br>".join(lines) or "<span class='assay-muted'>not measured</span>"


# An opened model


def model_heading(view: ModelView, *, serving_id: int | None, loading_id: int | None) -> str:
    """Its name, and what is known of it at a glance."""
    rows = [
        ("Kind", kind_words(view)),
        ("Digest", f"<code class='assay-whole'>{view.digest}</code>"),
        ("Size", f"{size_words(view.bytes)} of weights, {escape(view.architecture)}"),
        ("Prompt format", escape(view.prompt_format)),
        ("Folder", _place(view)),
        ("Made", moment(view.created_at)),
        ("Verdicts given", f"{view.verdicts:,}"),
    ]
    cells = "".join(f"<tr><th scope='row'>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return (
        f"<h2 class='assay-model-name' dir='auto'>{escape(view.name)}</h2>{_badges(view, serving_id, loading_id)}"
        f"<div class='assay-maker'><table>{cells}</table></div>"
    )


def _place(view: ModelView) -> str:
    match view.presence:
        case Presence.HERE:
            return escape(view.path)
        case Presence.REMOVED if view.removed_at is not None:
            return f"deleted on {moment(view.removed_at)}"
        case Presence.REPLACED:
            return "its folder holds another model by now"
        case Presence.IN_MEMORY:
            return "none: it was computed in memory"
        case Presence.ELSEWHERE:
            return "none: it is served by an endpoint"
        case _:
            return f"{escape(view.path)} (not there any more)"


def delete_question(view: ModelView, *, ours: bool) -> str:
    """What deleting would do, before it is done."""
    verdicts = "its verdict stays" if view.verdicts == 1 else f"its {view.verdicts:,} verdicts stay"
    if ours and view.presence is Presence.HERE:
        what = f"The folder {escape(view.path)} ({size_words(view.bytes)}) is deleted. Its card and {verdicts}."
    else:
        what = f"It only leaves the list: no file is touched, and {verdicts}."
    return (
        f"<div class='assay-notice' role='alert'><strong>Delete <span dir='auto'>{escape(view.name)}</span>?</strong> "
        f"{what}</div>"
    )


def lineage_words(family: Lineage) -> str:
    """The family as sentences, with links that open the others: what the figure shows, for every reader."""
    views = {view.id: view for view in family.models}
    into: dict[int, list[Step]] = {}
    for step in family.steps:
        into.setdefault(step.child_id, []).append(step)
    sentences = [
        f"<li>{_named(views[key], family)} ({kind_words(views[key]).lower()}) {_made_of(views[key], steps, views)}</li>"
        for key, steps in into.items()
    ]
    if not sentences:
        return (
            "<section class='assay-block'><h3>Lineage</h3><p class='assay-muted'>Nothing is recorded of what it was "
            "made of, and nothing was made of it.</p></section>"
        )
    return (
        "<section class='assay-block'><h3>Lineage</h3>"
        f"<ul class='assay-lineage' aria-label='Lineage in words'>{''.join(sentences)}</ul></section>"
    )


def _made_of(child: ModelView, steps: Sequence[Step], views: Mapping[int, ModelView]) -> str:
    verb = "is a merge of" if child.kind in ("merge", "live") else "was trained from"
    parents = [f"{_link(views[step.parent_id])} ({_role(step)})" for step in steps]
    return f"{verb} {', '.join(parents[:-1])}{' and ' if len(parents) > 1 else ''}{parents[-1]}."


def _role(step: Step) -> str:
    return step.role if step.weight is None else f"{step.role}, weight {step.weight:.3g}"


def _named(view: ModelView, family: Lineage) -> str:
    return f"<strong dir='auto'>{escape(view.name)}</strong>" if view.id == family.opened_id else _link(view)


def _link(view: ModelView) -> str:
    return f"<a href='?model={view.id}' data-model='{view.id}' dir='auto'>{escape(view.name)}</a>"


def measurement_table(measurements: Sequence[MeasurementView]) -> str:
    """Every figure with its interval, its rows, and who was measured how."""
    if not measurements:
        return (
            "<section class='assay-block'><h3>Measured agreement</h3><p class='assay-muted'>Not measured: how well it "
            "judges is unknown.</p></section>"
        )
    sets: dict[tuple[str, str, bool, str], list[MeasurementView]] = {}
    for one in measurements:
        sets.setdefault((one.set_name, one.set_digest, one.feedback, one.engine), []).append(one)
    tables = "".join(_measured_set(figures) for figures in sets.values())
    return f"<section class='assay-block'><h3>Measured agreement</h3><div class='assay-sets'>{tables}</div></section>"


def _measured_set(figures: Sequence[MeasurementView]) -> str:
    """All figures of one set and one judge, in the order of METRICS."""
    order = list(METRICS)
    ranked = sorted(figures, key=lambda one: order.index(one.metric) if one.metric in METRICS else len(order))
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("", "Value", "95% interval", "n"))
    rows = "".join(
        f"<tr><th scope='row'>{escape(METRICS.get(one.metric, one.metric))}</th><td>{_figure(one.value)}</td>"
        f"<td>{_interval(one)}</td><td>{one.n:,}</td></tr>"
        for one in ranked
    )
    first = ranked[0]
    how = "with feedback" if first.feedback else "verdict only"
    return (
        f"<div><h4>{escape(first.set_name)}</h4><p class='assay-muted'>{first.total:,} rows "
        f"(<code>{first.set_digest[:DIGITS]}</code>), {how}, {escape(first.engine)}, {moment(first.created_at)}</p>"
        f"<table class='assay-figures'><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _interval(one: MeasurementView) -> str:
    return "" if one.low is None or one.high is None else f"[{one.low:.3f}, {one.high:.3f}]"


def model_papers(view: ModelView, manifest: str | None) -> str:
    """Its card, its recipe and its manifest, as far as there are any."""
    parts = []
    if view.card:
        page = f"<div class='assay-card-page assay-model-card'>{safe_html(view.card)}</div>"
        parts.append(f"<section class='assay-block'><h3>Card</h3>{page}</section>")
    if view.recipe is not None:
        parts.append(_folded("Recipe", recipe_yaml(view.recipe)))
    if manifest is not None:
        parts.append(_folded("Manifest", _indented(manifest)))
    return "".join(parts)


def recipe_yaml(recipe: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True))


def _indented(manifest: str) -> str:
    """As JSON that people can read; as it is where it is none."""
    try:
        return json.dumps(json.loads(manifest), indent=2, ensure_ascii=False)
    except ValueError:
        return manifest


def _folded(title: str, text: str) -> str:
    return (
        f"<details class='assay-block'><summary>{title}</summary>"
        f"<pre class='assay-text' tabindex='0'>{escape(text)}</pre></details>"
    )


# Registering


def registering_status(state: RegisteringState | None) -> str:
    """How far the registration is, or how the last one ended."""
    if state is None:
        return ""
    message = escape(state.message)
    match state.phase:
        case RegisteringPhase.RUNNING:
            value = "" if state.fraction is None else f" value='{state.fraction:.3f}'"
            return (
                f"<div class='assay-status assay-status-loading' role='status'><span>{message}</span>"
                f"<progress aria-label='Progress of the registration' max='1'{value}></progress></div>"
            )
        case RegisteringPhase.FAILED:
            return f"<div class='assay-error' role='alert'>{message}</div>"
        case _:
            return f"<div class='assay-notice' role='status'>{message}</div>"
