"""The labels of this store as training rows: what people here said is the best data for a judge of one's own."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from sqlalchemy.orm import Session

from backend.agreement_rows import Kind
from backend.benchmarks.own import KINDS
from backend.rubrics import rubric_of
from backend.training_rows import Loaded, RefusedRow, TrainingRow, score_target, winner_target
from backend.types import Finish, Item, Mode, Rubric, Status
from db import models as rows
from db.session import Store
from db.training_queries import blind_labels, standing_labels

SOURCES = {kind: f"{words}, in this store" for kind, words in KINDS.items()}
LICENCE = "your own data"


@dataclass(frozen=True)
class _Given:
    """A label with what it is on. where: in words, for a label that makes no row."""

    label: rows.Label
    item: rows.Item
    rubric: rows.RubricVersion
    where: str


@dataclass
class _Judged:
    """An item judged by one rubric: each author's last label that stands, and the verdicts they had seen."""

    item: Item
    rubric: Rubric
    said: dict[int, rows.Label] = field(default_factory=dict)
    verdicts: dict[int, rows.Verdict] = field(default_factory=dict)


_CUT_OFF = (Finish.TOKEN_LIMIT, Finish.LOOP)
"""Feedback that ends so has no end that could be learned."""


def own_rows(store: Store) -> Loaded:
    """A row for each item and rubric that somebody's label stands on: on a verdict, or in a project's first round.

    The target is what people said; several people's labels on the same item and rubric count the same,
    and of one person's, on verdicts of several judges or before and after one, the last. The source says of which kind
    they are, and where both kinds are pooled. The feedback is the newest labelled verdict's, if everybody agrees with
    that verdict and the feedback itself was written for that result and came to its end; a verdict that no label was
    given on lends none. Rankings of three and more are refused: they are in no form that an expert learns. Raises
    StoreError.
    """
    judged: dict[tuple[str, str], _Judged] = {}
    refused: dict[str, RefusedRow] = {}
    with store.read() as session:
        for given in sorted(_given(session), key=attrgetter("label.id")):
            label, item, rubric = given.label, _item(given.item), rubric_of(given.rubric)
            if item.mode is Mode.RANKING:
                reason = f"It ranks {len(item.responses)} responses; rows have one or two."
                refused[given.where] = RefusedRow(given.where, reason)
                continue
            group = judged.setdefault((item.digest, rubric.digest), _Judged(item, rubric))
            group.said[label.author_id] = label
            if label.verdict is not None:
                group.verdicts[label.verdict.id] = label.verdict
        made = tuple(_row(group) for group in judged.values())
    return Loaded(made, tuple(refused.values()), duplicates=0, forms=Counter(row.source for row in made))


def _given(session: Session) -> Iterator[_Given]:
    for label in session.scalars(standing_labels()):
        verdict = label.verdict
        assert verdict is not None, "a label stands on a verdict"
        yield _Given(label, verdict.item, verdict.rubric_version, f"verdict {verdict.id}")
    for label, row, project in session.execute(blind_labels()):
        yield _Given(label, row.item, row.rubric_version, f"item {row.position + 1} of the project {project}")


def _row(judged: _Judged) -> TrainingRow:
    said = [_word(label) for label in judged.said.values()]
    target = score_target([int(word) for word in said]) if judged.item.mode is Mode.DIRECT else winner_target(said)
    row_id = f"own-{judged.item.digest[:12]}-{judged.rubric.digest[:8]}"
    return TrainingRow(
        row_id, SOURCES[_kind(judged)], LICENCE, judged.item, judged.rubric, target, _feedback(judged, said)
    )


def _kind(judged: _Judged) -> Kind:
    kinds = {Kind.BLIND if label.verdict_id is None else Kind.AFTER for label in judged.said.values()}
    return kinds.pop() if len(kinds) == 1 else Kind.POOLED


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


def _word(label: rows.Label) -> str:
    """ "1" to "5", or "A", "B" or "tie"."""
    if label.score is not None:
        return str(label.score)
    assert label.winner is not None, "a label on one or two responses has a score or a winner"
    return label.winner


def _item(row: rows.Item) -> Item:
    return Item(row.instruction, tuple(response.text for response in row.responses), row.reference)
