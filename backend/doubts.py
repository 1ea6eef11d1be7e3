"""How doubtful an item of the second stream is, by its newest verdict and by people, and its place that follows."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from backend.labels import label_opinion
from backend.streams import Foremost, doubt_key, entropy, spread
from backend.types import Mode
from db import models as rows
from db import stream_queries as queries


def place_again(session: Session, item_id: int, rubric_version_id: int) -> None:
    """After a verdict on this question: wherever it stands in a second stream, it moves to the place of its doubt."""
    for item, project in queries.in_second_streams(session, item_id, rubric_version_id):
        place(session, project, item)


def place(session: Session, project: rows.Project, item: rows.ProjectItem) -> None:
    """Move an item of the second stream to the place of its doubt, as it is now."""
    verdict = queries.newest_verdicts(session, [(item.item_id, item.rubric_version_id)])
    doubt = doubt_of(project, next(iter(verdict.values()), None), queries.first_labels(session, item.id))
    key = doubt_key(project.seed, item.position, doubt)
    if item.order_key != key:
        queries.move(session, item.id, key)


def doubt_of(project: rows.Project, verdict: rows.Verdict | None, labels: Sequence[rows.Label]) -> float | None:
    """0 to 1; None where neither a distribution nor two labels tell.

    uncertain: of a score the entropy of the judge's distribution, of a pair that of its mean of both orders, of a
    ranking the share of pairs whose winner changes with the order. disputed: how far people's labels are apart, or, if
    that is more, how far the two orders of a pair are, or that same share.
    """
    if project.foremost == Foremost.UNCERTAIN:
        return None if verdict is None else _unsure(verdict)
    found = [] if verdict is None else [_order_sensitive(verdict)]
    if len(labels) > 1:
        found.append(spread([label_opinion(label) for label in labels]))
    return max((one for one in found if one is not None), default=None)


def _unsure(verdict: rows.Verdict) -> float | None:
    match Mode(verdict.mode):
        case Mode.DIRECT:
            reading = verdict.readings[0].reading if verdict.readings else None
            return None if reading is None or reading.probabilities is None else entropy(reading.probabilities)
        case Mode.PAIRWISE:
            return None if verdict.p_a is None else entropy((verdict.p_a, 1 - verdict.p_a))
        case Mode.RANKING:
            return _order_sensitive(verdict)


def _order_sensitive(verdict: rows.Verdict) -> float | None:
    if verdict.ranking is not None:
        pairs = int(verdict.ranking["pairs"])
        return int(verdict.ranking["sensitive_pairs"]) / pairs if pairs else None
    if verdict.p_a_first is None or verdict.p_a_second is None:
        return None
    return abs(verdict.p_a_first - verdict.p_a_second) if verdict.order_sensitive else 0.0
