"""MT Bench Human Judgment: pairs of answers of six models to MT Bench's questions, with experts' votes. Pure.

Published as a file of chosen and rejected prompts, and on the hub as single votes on whole conversations; those are
grouped here: the winner is the one that more than half of the votes name, else it is a tie.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from backend.benchmarks.published import MT_BENCH_HUMAN
from backend.benchmarks.sets.form import Published, PublishedSet, Row, chosen_prompts, pair_row, parsed, states
from backend.row_files import RawRow
from backend.types import SIDES, Mode

LICENCE = "CC-BY-4.0 (as its authors say; not checked where Assay was built)"
CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
FIRST_QUESTION, OF_EACH = 81, 10


class _Turn(Published):
    role: Literal["user", "assistant"]
    content: str


class _Vote(Published):
    """A row of the hub's form."""

    question_id: int
    model_a: str
    model_b: str
    winner: Literal["model_a", "model_b", "tie", "tie (inconsistent)"]
    conversation_a: list[_Turn]
    conversation_b: list[_Turn]
    turn: int


def _read(raws: Sequence[RawRow]) -> list[Row]:
    if not states(raws, "conversation_a"):
        return chosen_prompts(MT_BENCH_HUMAN, LICENCE, "human_label", raws)
    groups: dict[tuple[int, int, str, str], list[tuple[_Vote, str]]] = {}
    for raw in raws:
        vote = parsed(_Vote, raw)
        one, other = sorted((vote.model_a, vote.model_b))
        said = {"model_a": vote.model_a, "model_b": vote.model_b}.get(vote.winner, "tie")
        groups.setdefault((vote.question_id, vote.turn, one, other), []).append((vote, said))
    return [_row(key, votes) for key, votes in groups.items()]


def _row(key: tuple[int, int, str, str], votes: Sequence[tuple[_Vote, str]]) -> Row:
    question, turn, *models = key
    vote = votes[0][0]
    texts = {vote.model_a: vote.conversation_a, vote.model_b: vote.conversation_b}
    counts = Counter(said for _, said in votes)
    winner = next((side for side, model in zip(SIDES, models, strict=True) if counts[model] > len(votes) / 2), "tie")
    responses = [_joined(texts[model], "assistant", turn) for model in models]
    place = (question - FIRST_QUESTION) // OF_EACH
    return pair_row(
        f"pairwise_mt_bench_human-{question}-{models[0]}-{models[1]}-t{turn}",
        _joined(texts[models[0]], "user", turn),
        (responses[0], responses[1]),
        winner=winner,
        label="human_label",
        licence=LICENCE,
        category=CATEGORIES[place] if 0 <= place < len(CATEGORIES) else "",
    )


def _joined(turns: Sequence[_Turn], role: str, count: int) -> str:
    """What this one said in the first `count` turns."""
    return "\n\n".join([turn.content for turn in turns if turn.role == role][:count])


MT_BENCH_HUMAN_SET = PublishedSet(
    name=MT_BENCH_HUMAN,
    mode=Mode.PAIRWISE,
    size=3_360,
    licence=LICENCE,
    labels="the winner by experts' votes, with ties",
    file="evaluation/benchmark/data/mt_bench_human_judgement_eval.json of prometheus-eval/prometheus on GitHub",
    read=_read,
    hub="lmsys/mt_bench_human_judgments",
    split="human",
)
