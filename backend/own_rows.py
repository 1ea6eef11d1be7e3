"""The labels of this store as training rows: what people here said is the best data for a judge of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.rubrics import rubric_of
from backend.training_rows import Loaded, RefusedRow, TrainingRow, score_target, winner_target
from backend.types import Finish, Item, Mode, Rubric, Status
from db.models import Label, Verdict
from db.session import Store
from db.training_queries import standing_labels

SOURCE = "labels in this store"
LICENCE = "your own data"


@dataclass
class _Judged:
    """An item judged by one rubric: each author's last label that stands, and the verdicts they had seen."""

    item: Item
    rubric: Rubric
    said: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)


_CUT_OFF = (Finish.TOKEN_LIMIT, Finish.LOOP)
"""Feedback that ends so has no end that could be learned."""


def own_rows(store: Store) -> Loaded:
    """A row for each item and rubric that somebody's label stands on.

    The target is what people said; several people's labels on the same item and rubric count the same,
    and of one person's, on verdicts of several judges, the last one. The feedback is the newest labelled
    verdict's, if everybody agrees with that verdict and the feedback itself was written for that result
    and came to its end. Rankings of three and more are refused: they are in no form that an expert
    learns. Raises StoreError.
    """
    judged: dict[tuple[str, str], _Judged] = {}
    refused: dict[str, RefusedRow] = {}
    with store.read() as session:
        for label in session.scalars(standing_labels()):
            verdict = label.verdict
            assert verdict is not None, "a label stands on a verdict"
            item, rubric = _item(verdict), rubric_of(verdict.rubric_version)
            if item.mode is Mode.RANKING:
                where = f"verdict {verdict.id}"
                refused[where] = RefusedRow(where, f"It ranks {len(item.responses)} responses; rows have one or two.")
                continue
            group = judged.setdefault((item.digest, rubric.digest), _Judged(item, rubric))
            group.said[label.author_id] = _word(label)
            group.verdicts[verdict.id] = verdict
    rows = tuple(_row(group) for group in judged.values())
    return Loaded(rows, tuple(refused.values()), duplicates=0, forms={SOURCE: len(rows)})


def _row(judged: _Judged) -> TrainingRow:
    said = list(judged.said.values())
    target = score_target([int(word) for word in said]) if judged.item.mode is Mode.DIRECT else winner_target(said)
    row_id = f"own-{judged.item.digest[:12]}-{judged.rubric.digest[:8]}"
    return TrainingRow(row_id, SOURCE, LICENCE, judged.item, judged.rubric, target, _feedback(judged, said))


def _feedback(judged: _Judged, said: Sequence[str]) -> str | None:
    """What the newest verdict with which everybody agrees says of the item as it is shown."""
    for verdict in sorted(judged.verdicts.values(), key=lambda verdict: verdict.id, reverse=True):
        result = str(verdict.score) if judged.item.mode is Mode.DIRECT else verdict.winner
        if verdict.status != Status.READ or set(said) != {result}:
            continue
        for part in verdict.readings:
            reading = part.reading
            if part.first == 0 and reading.finish not in _CUT_OFF and reading.probabilities is not None:
                best = max(range(len(reading.results)), key=reading.probabilities.__getitem__)
                if reading.results[best] == result and reading.feedback.strip():
                    return reading.feedback
    return None


def _word(label: Label) -> str:
    """ "1" to "5", or "A", "B" or "tie"."""
    if label.score is not None:
        return str(label.score)
    assert label.winner is not None, "a label on one or two responses has a score or a winner"
    return label.winner


def _item(verdict: Verdict) -> Item:
    responses = tuple(response.text for response in verdict.item.responses)
    return Item(verdict.item.instruction, responses, verdict.item.reference)
