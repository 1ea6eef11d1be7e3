"""The history finds verdicts, opens one whole, and compares people with the model."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend import history as history_module
from backend.errors import InvalidInputError, NotFoundError
from backend.history import Agreement, Filter, History
from backend.judging import Judging, Question
from backend.labels import Labels
from backend.models import ModelFiles
from backend.prompts import AssayFormat
from backend.registry import Registry
from backend.results import result_words
from backend.rubrics import RubricLibrary
from backend.served import Served
from backend.serving import Serving
from backend.types import Mode, PairVerdict, RankingVerdict, Sampling, ScoreVerdict, Status
from db import queries
from db.session import Store
from tests.conftest import add_user
from tests.factories import RECIPE, Bench
from tests.test_judging import ONE, RUBRIC, Scripted, score_by_kindness

OWNER = 1
"""The id of who made everything in the store: the first person of a Bench."""


@pytest.fixture
def bench(any_store: Store) -> Bench:
    return Bench(any_store)


@pytest.fixture
def history(bench: Bench) -> History:
    return History(bench.store)


@pytest.fixture
def labels(bench: Bench) -> Labels:
    return Labels(bench.store)


def click() -> str:
    return uuid.uuid4().hex


def found(history: History, **wanted: object) -> list[int]:
    return [row.id for row in history.page(Filter(**wanted), 1, OWNER).rows]


def test_an_empty_store_has_one_empty_page(history: History) -> None:
    page = history.page(Filter(), 1, OWNER)
    assert (page.rows, page.total, page.more, page.pages) == ((), 0, False, 1)
    assert history.choices().models == ()


def test_rows_say_the_result_in_words(bench: Bench, history: History) -> None:
    bench.direct(4)
    bench.pairwise("B")
    bench.pairwise("tie")
    bench.ranking((2, 1, 2))
    bench.unparsed()
    words = [row.result for row in history.page(Filter(), 1, OWNER).rows]
    assert words == ["not readable", "B > A = C", "Tie", "B", "4 of 5"]


def test_a_row_names_rubric_model_and_what_people_said(bench: Bench, history: History, labels: Labels) -> None:
    verdict = bench.direct(4, instruction="x" * 500)
    labels.override_score(verdict, bench.author_id, click(), 2)
    labels.agree(verdict, add_user(bench.store, "Ada", "lead"), click())
    (row,) = history.page(Filter(), 1, OWNER).rows
    assert (row.rubric_name, row.rubric_number, row.model_name) == ("Helpfulness", 1, "starter")
    assert row.instruction == "x" * 160
    assert row.confidence == pytest.approx(0.6)
    assert [(label.words, label.author, label.agrees) for label in row.labels] == [
        ("2 of 5", "owner", False),
        ("4 of 5", "Ada", True),
    ]


def test_order_sensitive_verdicts_are_marked(bench: Bench, history: History) -> None:
    bench.pairwise("A", p_a_first=0.9, p_a_second=0.3)
    bench.pairwise("A", p_a_first=0.9, p_a_second=0.7)
    bench.ranking(sensitive_pairs=2)
    bench.ranking(sensitive_pairs=0)
    assert [row.order_sensitive for row in history.page(Filter(), 1, OWNER).rows] == [
        False,
        True,
        False,
        True,
    ]


def test_the_newest_comes_first_and_pages_do_not_overlap(bench: Bench, history: History) -> None:
    made = [bench.direct(1 + n % 5) for n in range(12)]
    pages = [history.page(Filter(), number, bench.author_id, size=5) for number in (1, 2, 3)]
    assert [row.id for page in pages for row in page.rows] == made[::-1]
    assert [(page.first, page.total, page.pages) for page in pages] == [(1, 12, 3), (6, 12, 3), (11, 12, 3)]


def test_a_page_past_the_end_is_the_last_one(bench: Bench, history: History) -> None:
    made = [bench.direct() for _ in range(3)]
    page = history.page(Filter(), 9, bench.author_id, size=2)
    assert (page.number, [row.id for row in page.rows]) == (2, made[:1])


def test_pages_start_at_one(history: History) -> None:
    with pytest.raises(InvalidInputError, match="Page 0"):
        history.page(Filter(), 0, OWNER)


def test_what_lies_beyond_the_limit_is_said_but_not_counted(
    bench: Bench, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_FOUND", 4)
    for _ in range(4):
        bench.direct()
    exactly = history.page(Filter(), 1, bench.author_id, size=3)
    assert (exactly.total, exactly.more, exactly.pages) == (4, False, 2)
    bench.direct()
    beyond = history.page(Filter(), 1, bench.author_id, size=3)
    assert (beyond.total, beyond.more, beyond.pages) == (4, True, 2)


def test_filters_by_mode_model_and_rubric(bench: Bench, history: History) -> None:
    direct, pair = bench.direct(), bench.pairwise()
    other_version = bench.rubric("Honesty")
    newer_version = bench.rubric("Honesty", "Is it honest about doubt?", number=2)
    honest = [bench.direct(rubric_version_id=other_version), bench.direct(rubric_version_id=newer_version)]
    other_model = bench.model("second")
    cold = bench.judge("second", model_version_id=other_model)
    warm = bench.judge("second", Sampling(temperature=0.7), other_model)
    of_other = [bench.direct(judge_id=cold), bench.pairwise(judge_id=warm)]
    choices = history.choices()
    assert [name for _, name in choices.models] == ["second", "starter"]
    rubrics = {name: number for number, name in choices.rubrics}
    assert found(history, rubric_id=rubrics["Honesty"]) == honest[::-1]
    assert found(history, model_version_id=other_model) == of_other[::-1]
    assert found(history, model_version_id=other_model, mode=Mode.PAIRWISE) == [of_other[1]]
    assert found(history, mode=Mode.PAIRWISE) == [of_other[1], pair]
    assert direct in found(history, mode=Mode.DIRECT)
    assert found(history, mode=Mode.RANKING) == []


def test_models_and_rubrics_without_verdicts_are_no_choice(bench: Bench, history: History) -> None:
    bench.judge("never asked")
    bench.rubric("never used")
    bench.direct()
    assert [name for _, name in history.choices().models] == ["starter"]
    assert [name for _, name in history.choices().rubrics] == ["Helpfulness"]


def test_every_verdict_is_agreed_overridden_or_unlabelled(bench: Bench, history: History, labels: Labels) -> None:
    ada = add_user(bench.store, "Ada", "lead")
    agreed, kept, split, changed, undone, plain = (bench.direct(4) for _ in range(6))
    labels.agree(agreed, bench.author_id, click())
    labels.override_score(kept, bench.author_id, click(), 4)
    labels.agree(split, bench.author_id, click())
    labels.override_score(split, ada, click(), 1)
    labels.agree(changed, bench.author_id, click())
    labels.override_score(changed, bench.author_id, click(), 2)
    labels.override_score(undone, bench.author_id, click(), 2)
    labels.undo(undone, bench.author_id, click())
    assert found(history, agreement=Agreement.AGREED) == [kept, agreed]
    assert found(history, agreement=Agreement.OVERRIDDEN) == [changed, split]
    assert found(history, agreement=Agreement.UNLABELLED) == [plain, undone]


def test_text_is_found_in_every_field_in_any_case(bench: Bench, history: History) -> None:
    instruction = bench.direct(instruction="Where do otters SLEEP?")
    response = bench.direct(response="On kelp, asleep.")
    reference = bench.direct(reference="They sleep afloat.")
    feedback = bench.direct(feedback="Sleepy but right.")
    second = bench.pairwise(responses=("No idea.", "In their SLEEP."))
    bench.direct()
    assert found(history, text="sLeEp") == [second, feedback, reference, response, instruction]


def test_wildcards_are_looked_for_as_they_are(bench: Bench, history: History) -> None:
    percent, underscore = bench.direct(response="It is 100% right."), bench.direct(response="Use snake_case.")
    slash = bench.direct(response="either/or \\ neither")
    bench.direct(response="It is 100 times right; snakeXcase.")
    assert found(history, text="100%") == [percent]
    assert found(history, text="snake_case") == [underscore]
    assert found(history, text="r/o") == [slash]
    assert found(history, text="\\") == [slash]


def test_words_beyond_ascii_are_found_in_the_usual_cases(bench: Bench, history: History) -> None:
    made = [bench.direct(response=word) for word in ("Ärger", "ärger", "ÄRGER")]
    assert found(history, text="ärger") == made[::-1]
    assert found(history, text="Ärger") == made[::-1]


def test_filters_narrow_together(bench: Bench, history: History, labels: Labels) -> None:
    wanted = bench.direct(instruction="kelp and otters")
    bench.pairwise(instruction="kelp for two")
    other = bench.direct(instruction="kelp again")
    labels.override_score(wanted, bench.author_id, click(), 1)
    labels.agree(other, bench.author_id, click())
    assert found(history, text="kelp", mode=Mode.DIRECT, agreement=Agreement.OVERRIDDEN) == [wanted]


def test_an_opened_direct_assessment_is_whole(bench: Bench, history: History, labels: Labels) -> None:
    verdict = bench.direct(
        4, instruction="Why?", response="Because.", reference="For this reason.", feedback="Too short."
    )
    labels.override_score(verdict, bench.author_id, click(), 2, "thin")
    detail = history.open(verdict, bench.author_id)
    assert detail.item.instruction == "Why?"
    assert detail.item.responses == ("Because.",)
    assert detail.item.reference == "For this reason."
    assert isinstance(detail.result, ScoreVerdict)
    assert detail.result.distribution == (0.1, 0.1, 0.1, 0.6, 0.1)
    assert (detail.result.score, detail.result.expected) == (4, pytest.approx(3.5))
    (reading,) = detail.readings
    assert (reading.first, reading.second, reading.reading.feedback) == (0, None, "Too short.")
    assert (detail.prompt_tokens, detail.new_tokens, detail.seconds) == (412, 57, 3.25)
    assert (detail.rubric_name, detail.rubric_number, len(detail.rubric.levels)) == ("Helpfulness", 1, 5)
    assert (detail.status, detail.attempt, detail.created_by) == (Status.READ, 1, "owner")
    assert [label.note for label in detail.labels] == ["thin"]


def test_an_opened_verdict_names_its_maker(bench: Bench, history: History) -> None:
    maker = history.open(bench.direct(), bench.author_id).maker
    assert (maker.model_name, maker.engine, maker.device, maker.dtype) == ("starter", "transformers", "cpu", "bfloat16")
    assert maker.recipe == '{"alpha": 0.5, "method": "linear", "parents": ["direct", "pairwise"]}'
    assert len(maker.model_digest) == len(maker.format_digest) == 64
    assert maker.sampling == Sampling()
    assert "torch 2.13.0" in maker.engine_version


@pytest.mark.parametrize("recipe", [None, {"method": "ties", "alpha": 0.3, "density": 0.5}])
def test_the_maker_of_an_opened_verdict_has_the_digest_that_its_judge_was_stored_with(
    bench: Bench, history: History, recipe: dict[str, Any] | None
) -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, seed=7)
    bench.judge_id = bench.judge("another", sampling, bench.model("another", recipe))
    detail = history.open(bench.direct(), bench.author_id)
    assert detail.maker.digest == detail.maker_digest


def test_a_loaded_judge_and_the_verdict_it_gave_name_one_maker(store: Store, owner_id: int) -> None:
    files = ModelFiles("merged", "merge", Path("merged"), "d" * 64, "LlamaForCausalLM", 1, "assay", RECIPE)
    served = Served(Scripted(score_by_kindness), files, AssayFormat(), Registry(store, Path()).record(files))  # type: ignore[arg-type]
    serving = Serving(lambda report: served)
    serving.start()
    rubric_version_id = RubricLibrary(store).in_place(RUBRIC, owner_id)
    asked = Sampling(temperature=0.0, top_p=0.5, seed=3)
    state = Judging(store, serving).start(Question(ONE, RUBRIC, rubric_version_id), asked, owner_id).wait()
    assert state.verdict_id is not None
    detail = History(store).open(state.verdict_id, owner_id)
    assert detail.maker == served.maker(asked)
    assert detail.maker_digest == detail.maker.digest


def test_an_opened_pair_has_both_orders(bench: Bench, history: History) -> None:
    detail = history.open(bench.pairwise("A", p_a_first=0.9, p_a_second=0.4), bench.author_id)
    assert isinstance(detail.result, PairVerdict)
    assert (detail.result.p_a_first, detail.result.p_a_second) == (0.9, 0.4)
    assert detail.result.confidence == pytest.approx(0.65)
    assert detail.order_sensitive
    assert [(reading.first, reading.second) for reading in detail.readings] == [(0, 1), (1, 0)]


def test_an_opened_ranking_is_best_first(bench: Bench, history: History) -> None:
    detail = history.open(bench.ranking((2, 1, 3), sensitive_pairs=1), bench.author_id)
    assert isinstance(detail.result, RankingVerdict)
    assert detail.result.order == (1, 0, 2)
    assert (detail.result.sensitive_pairs, detail.result.pairs) == (1, 3)
    assert result_words(detail.result) == "B > A > C"
    assert len(detail.readings) == 9


def test_an_unreadable_verdict_keeps_its_text_and_has_no_result(bench: Bench, history: History) -> None:
    detail = history.open(bench.unparsed("I would rather not say."), bench.author_id)
    assert (detail.result, detail.status) == (None, Status.UNPARSED)
    assert detail.readings[0].reading.raw_text == "I would rather not say."
    assert detail.readings[0].reading.probabilities is None


def test_an_unknown_verdict_is_named(history: History) -> None:
    with pytest.raises(NotFoundError, match="404"):
        history.open(404, OWNER)


def sqlite_plan(store: Store, *wanted: object) -> str:
    from sqlalchemy.dialects import sqlite

    query = queries.newest_verdict_ids(wanted, 26)  # type: ignore[arg-type]
    statement = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with store.read() as session:
        return "\n".join(row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {statement}")))


def test_a_page_walks_an_index_in_its_order_and_sorts_nothing(store: Store) -> None:
    for plan, index in [
        (sqlite_plan(store), "ix_verdicts_created"),
        (sqlite_plan(store, queries.of_mode("direct")), "ix_verdicts_mode_created"),
    ]:
        assert f"COVERING INDEX {index}" in plan
        assert "TEMP B-TREE" not in plan


def test_a_page_of_one_model_or_rubric_touches_its_own_index_entries_only(store: Store) -> None:
    assert "SEARCH verdicts USING COVERING INDEX ix_verdicts_judge_created" in sqlite_plan(store, queries.by_model(1))
    assert "SEARCH verdicts USING COVERING INDEX ix_verdicts_rubric_created" in sqlite_plan(store, queries.by_rubric(1))
