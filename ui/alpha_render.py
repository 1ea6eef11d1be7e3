"""The alpha lab as HTML in which every text is escaped: notes, live opinions, and what became of a merge."""

from collections.abc import Sequence
from typing import Any

from backend.live_alpha import ENDS_AT_EXPERTS
from backend.live_bench import BenchPhase, BenchState, Opinion
from backend.merge_spec import USES, MergeSpec
from backend.model_views import DIGITS, ModelView
from backend.types import SCORES, PairVerdict, ScoreVerdict
from ui.model_render import recipe_yaml
from ui.shell import escape

METHODS = {
    "linear": "Linear (weighted mean)",
    "slerp": "SLERP (along the arc)",
    "task_arithmetic": "Task arithmetic",
    "ties": "TIES",
    "dare_ties": "DARE-TIES",
    "dare_linear": "DARE-linear (mergekit's, L1 norm kept)",
    "true_dare": "DARE as in its paper (rescaled by 1/density)",
}
LIVE_ONLY = "linear"
NO_EXPERTS = (
    "<div class='assay-empty'><p><strong>There are no two experts to mix yet.</strong></p><p>A merge takes one expert "
    "of direct assessment and one of pairwise ranking, trained from the same base. Train both on the page "
    "<a href='experts'>Experts</a>, or register two that you have on the page <a href='models'>Models</a>.</p></div>"
)


# Picking


def ends(alpha: float) -> str:
    """What the two ends of the slider are, and the shares at this alpha."""
    return (
        "<div class='assay-ends'><span>◂ pairwise expert</span>"
        f"<strong>{1 - alpha:.1%} pairwise · {alpha:.1%} direct</strong><span>direct expert ▸</span></div>"
    )


def notes(method: str, alpha: float, density: float | None, lambda_: float | None) -> str:
    """What a person should know of the method as it is set."""
    said = []
    uses = USES.get(method, frozenset())
    if method == "slerp":
        said.append(
            "Where two tensors point nearly the same way (cosine above .9995), SLERP is linear. Those of two light "
            "fine-tunes of one base mostly do."
        )
    if method == "task_arithmetic" and lambda_ in (None, 1):
        said.append("With lambda 1 this is the linear merge: the base cancels out.")
    if "density" in uses and density is not None and density < 1:
        said.append(
            "With a density below 1 the ends of the curve are not the experts: alpha 1 is not the direct expert, and "
            "alpha 0 not the pairwise one."
        )
    if "density" in uses and density is None:
        said.append("Density has no default: nobody knows a good one beforehand.")
    if method == "dare_linear":
        said.append(
            "This is not how the released Prometheus 2 8x7B was made: another tool made it, which drops and rescales "
            "otherwise."
        )
    if method in ENDS_AT_EXPERTS and alpha in (0, 1):
        said.append(f"At alpha {alpha:g} this is the {'direct' if alpha else 'pairwise'} expert itself.")
    return "".join(f"<p class='assay-note'>{note}</p>" for note in said)


def trained_note(role: str, view: ModelView | None) -> str:
    """A warning about a model that was not trained for its place."""
    if view is None or view.trained_on == role:
        return ""
    known = f"was trained on {view.trained_on}" if view.trained_on else "is not known to be an expert"
    return (
        f"<p class='assay-note'><span class='assay-badge assay-badge-warn'>Check</span> {escape(view.name)} {known}, "
        f"and stands for the {role} expert here.</p>"
    )


def recipe_document(spec: MergeSpec, names: dict[str, str]) -> str:
    """The recipe as YAML, with the digest and the names of the parents as comments."""
    called = "".join(
        f"# {role}: {' '.join(names.get(parent.digest, '').split())}\n" for role, parent in spec.parents().items()
    )
    return f"# recipe {spec.digest[:DIGITS]}\n{called}{recipe_yaml(spec.recipe())}"


# Live


def bench_status(state: BenchState) -> str:
    """What lies on the bench, and how far loading is; of a pair that is being asked, at which alpha."""
    message = escape(state.message)
    match state.phase:
        case BenchPhase.LOADING:
            return (
                f"<div class='assay-status assay-status-loading' role='status'><span class='assay-dot' "
                f"aria-hidden='true'></span><span>{message}</span>"
                "<progress aria-label='Progress of loading both experts' max='1'></progress></div>"
            )
        case BenchPhase.FAILED:
            return f"<div class='assay-error' role='alert'>{message}</div>"
        case BenchPhase.READY if state.asked_at is not None:
            return (
                "<div class='assay-status assay-status-loading' role='status'><span class='assay-dot' "
                f"aria-hidden='true'></span><span>Mixing and reading at alpha {state.asked_at:g} …</span></div>"
            )
        case BenchPhase.READY:
            return (
                "<div class='assay-status assay-status-ready' role='status'><span class='assay-dot' "
                f"aria-hidden='true'></span><span>{message}</span></div>"
            )
        case BenchPhase.EMPTY:
            return (
                "<div class='assay-empty'><p><strong>Hear how alpha changes an opinion.</strong></p><p>Load both "
                "experts, fill in an item, and move alpha: the mix answers at once, without writing a model. The judge "
                "that serves is not touched.</p></div>"
            )


def not_live(reason: str) -> str:
    return f"<div class='assay-notice' role='status'>{escape(reason)}</div>"


def opinion(one: Opinion, *, now: float) -> str:
    """The newest opinion, large. now: the alpha that is chosen; at another one than its own it is marked as earlier."""
    match one.result:
        case ScoreVerdict() as result:
            head = f"<span class='assay-verdict-value'>{result.expected:.2f}</span> <span>expected score, of 5</span>"
            facts = [("Most probable", f"{result.score}"), ("Confidence", f"{result.confidence:.0%}")]
        case PairVerdict() as result:
            words, after = ("Tie", "") if result.winner == "tie" else (result.winner, "is better")
            head = f"<span class='assay-verdict-value'>{words}</span> <span>{after}</span>"
            facts = [
                ("Both orders", _side(result.p_a)),
                ("A shown first", _side(result.p_a_first)),
                ("B shown first", _side(result.p_a_second)),
            ]
    sensitive = ""
    if isinstance(one.result, PairVerdict) and one.result.order_sensitive:
        sensitive = (
            "<p class='assay-badges'><span class='assay-badge assay-badge-warn'>Order-sensitive</span> "
            "<span>The two orders name different winners.</span></p>"
        )
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    which, earlier = "Live", ""
    if one.alpha != now:
        which = "Earlier"
        earlier = (
            "<p class='assay-badges'><span class='assay-badge assay-badge-warn'>Earlier</span> "
            f"<span>as of alpha {one.alpha:g}, not of {now:g}</span></p>"
        )
    return (
        f"<section class='assay-verdict' aria-label='{which} opinion at alpha {one.alpha:g}'>"
        f"<p class='assay-verdict-head'>{head}</p>{earlier}{sensitive}<dl class='assay-facts'>{body}</dl>"
        "<p class='assay-badges'><span class='assay-badge assay-badge-good'>Live</span> "
        "<span>nothing was written to disk</span></p>"
        f"<p class='assay-signature'><strong>alpha {one.alpha:g}</strong> · {one.mixing + one.reading:.2f} s from "
        f"slider to verdict (mixing {one.mixing:.2f}, reading {one.reading:.2f}) · recipe "
        f"{one.recipe_digest[:DIGITS]}</p>"
        "</section>"
    )


def side_by_side(trail: Sequence[Opinion], newest: float) -> str:
    """The opinions at the last few alphas of one item, from 0 to 1."""
    if len(trail) < 2:
        return ""
    cards = "".join(f"<li>{_small(one, newest=one.alpha == newest)}</li>" for one in sorted(trail, key=_by_alpha))
    return (
        "<section class='assay-block'><h3>The last alphas, side by side</h3>"
        f"<ul class='assay-opinions' aria-label='Opinions by alpha'>{cards}</ul></section>"
    )


def _by_alpha(one: Opinion) -> float:
    return one.alpha


def _small(one: Opinion, *, newest: bool) -> str:
    match one.result:
        case ScoreVerdict() as result:
            said, names, shares = f"{result.expected:.2f}", SCORES, result.distribution
            chosen = str(result.score)
        case PairVerdict() as result:
            said = "Tie" if result.winner == "tie" else f"{result.winner} {result.confidence:.0%}"
            names, shares, chosen = ("A", "B"), (result.p_a, 1 - result.p_a), result.winner
    bars = "".join(
        f"<span class='assay-bar' title='{name}: {share:.0%}'><i style='height:{max(share, 0.02):.0%}' "
        f"data-chosen='{str(name == chosen).lower()}'></i><b>{name}</b></span>"
        for name, share in zip(names, shares, strict=True)
    )
    return (
        f"<article class='assay-opinion' data-newest='{str(newest).lower()}'><span>alpha {one.alpha:g}</span>"
        f"<strong>{said}</strong><div class='assay-bars' aria-hidden='true'>{bars}</div></article>"
    )


def _side(p_a: float) -> str:
    if p_a == 0.5:
        return "even"
    return f"A {p_a:.0%}" if p_a > 0.5 else f"B {1 - p_a:.0%}"


# Merging


def made(view: ModelView, recipe_digest: str, activation: dict[str, Any] | None, *, before: bool) -> str:
    """Which model came of a merge. before: it was there already. activation: what activating it led to."""
    what = "This recipe is there already:" if before else "Merged:"
    said = ""
    if activation:
        under_way = "It is being put into service: the line at the top tells how far that is."
        said = f"<p>{under_way if activation['begun'] else escape(activation['message'])}</p>"
    return (
        f"<div class='assay-notice assay-made' role='status'><p>{what} <a href='models?model={view.id}' dir='auto'>"
        f"{escape(view.name)}</a></p><p class='assay-muted'>recipe <code>{recipe_digest[:DIGITS]}</code>, weights "
        f"<code>{view.digest[:DIGITS]}</code></p>{said}</div>"
    )
