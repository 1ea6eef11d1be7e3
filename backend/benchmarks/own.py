"""The labels that the people of this store gave, as labelled sets."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from backend.benchmarks.labelled import Label, LabelledRow, LabelledSet
from backend.errors import InvalidInputError
from backend.rubrics import rubric_of
from backend.types import SIDES, Item, Mode, Rubric
from db.session import Store
from db.training_queries import standing_labels


def own_labels(store: Store, mode: Mode) -> LabelledSet:
    """What the people of this store say now of the items that were judged: their labels that stand.

    Only labels that were given after a verdict was seen. Several people's labels of one item by one rubric are one
    row: the mean score, or the winner that most named ("tie" where A and B were named as often). Of one person's labels
    on verdicts of several judges the last one counts. Raises InvalidInputError where there is none of this mode.
    """
    said: dict[tuple[str, str], dict[int, Label]] = defaultdict(dict)
    asked: dict[tuple[str, str], tuple[Item, Rubric]] = {}
    with store.read() as session:
        for label in session.scalars(standing_labels()):
            verdict = label.verdict
            opinion = label.score if mode is Mode.DIRECT else label.winner
            if verdict is None or verdict.mode != mode or opinion is None:
                continue
            responses = tuple(response.text for response in verdict.item.responses)
            item = Item(verdict.item.instruction, responses, verdict.item.reference)
            rubric = rubric_of(verdict.rubric_version)
            key = (item.digest, rubric.digest)
            asked[key], said[key][label.author_id] = (item, rubric), opinion
    if not asked:
        raise InvalidInputError(
            f"Nobody has labelled a {mode} verdict yet. Judge something, agree with the verdict or override it, and "
            "measure again."
        )
    rows = tuple(
        LabelledRow(f"own-{key[0][:12]}-{key[1][:8]}", item, rubric, _pooled(list(said[key].values())), "people")
        for key, (item, rubric) in asked.items()
    )
    return LabelledSet(f"own/{mode}", mode, rows, "your own data")


def _pooled(labels: Sequence[Label]) -> Label:
    scores = [label for label in labels if not isinstance(label, str)]
    if scores:
        return sum(scores) / len(scores)
    votes = Counter(labels)
    a, b = (votes[side] for side in SIDES)
    return "tie" if a == b or votes["tie"] > max(a, b) else SIDES[0] if a > b else SIDES[1]
