"""From a question to a stored verdict: every reading kept, nothing asked twice, nothing made up."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.engines.transformers import TransformersEngine
from backend.errors import EngineError
from backend.judging import Judging, Question, Run, RunPhase, RunState
from backend.models import ModelFiles
from backend.passes import Pass, passes_of
from backend.prompts import AssayFormat, Prompt, PromptFormat
from backend.ranking import pair_verdict
from backend.registry import Registry
from backend.rubric_drafts import RubricDraft
from backend.rubrics import RubricLibrary
from backend.served import Phase, Served
from backend.serving import Serving
from backend.types import Finish, Item, Reading, Rubric, Sampling, Status
from db import models as rows
from db.session import Store
from tests.counting_format import CountingFormat

RUBRIC = Rubric("Is it kind?", ("cruel", "cold", "polite", "warm", "loving"))
ONE = Item("Say hello.", ("Hello, my friend!",))
TWO = Item("Say hello.", ("Hello, my friend!", "Go away."), "Good day to you.")
THREE = Item("Say hello.", ("Hello, my friend!", "Go away.", "Hm."))
NINE = Item("Say hello.", tuple(f"Hello, number {n}!" for n in range(9)))
SHORT = Sampling(max_new_tokens=12)
FORMAT = AssayFormat()


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(tiny_model, device="cpu", dtype="float32")
    yield engine
    engine.close()


class Scripted:
    """Fault injection: an engine whose readings, delays and failures the test decides."""

    def __init__(self, answer: Callable[[Prompt], tuple[float, ...] | None], *, fails_at: int | None = None) -> None:
        self.answer, self.fails_at = answer, fails_at
        self.asked: list[Prompt] = []
        self.gate = threading.Event()
        self.gate.set()

    info = EngineInfo("scripted", "1", "cpu", "float32", 1000)

    def render(self, prompt: Prompt) -> str:
        return prompt.user

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        return 1

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        for index, prompt in enumerate(prompts):
            self.gate.wait(10)
            if len(self.asked) == self.fails_at:
                raise EngineError("The engine fell over.")
            self.asked.append(prompt)
            yield FeedbackDelta(index, "Because.")
            probabilities = self.answer(prompt)
            status = Status.UNPARSED if probabilities is None else Status.READ
            yield ReadingDone(
                index, Reading(status, "Because.", "Because.", prompt.results, probabilities, Finish.MARKER, 9, 2, 0.5)
            )

    def close(self) -> None:
        pass


def serving_of(store: Store, engine: object, digest: str = "d" * 64, format: PromptFormat = FORMAT) -> Serving:
    files = ModelFiles(
        name="tiny", kind="external", path=Path("tiny"), digest=digest, architecture="LlamaForCausalLM",
        bytes=1, prompt_format="assay", recipe=None,
    )  # fmt: skip
    version_id = Registry(store, Path()).record(files)
    serving = Serving(lambda report: Served(engine, files, format, version_id))  # type: ignore[arg-type]
    serving.start()
    return serving


@pytest.fixture
def question(store: Store, owner_id: int) -> Callable[[Item], Question]:
    version_id = RubricLibrary(store).in_place(RUBRIC, owner_id)
    return lambda item: Question(item, RUBRIC, version_id)


def count(store: Store, table: type[rows.Base]) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def verdict_of(store: Store, run: Run) -> rows.Verdict:
    state = run.wait()
    assert state.phase is RunPhase.DONE, state.message
    with store.read() as session:
        verdict = session.get_one(rows.Verdict, state.verdict_id)
        assert [part.reading for part in verdict.readings]
        return verdict


def score_by_kindness(prompt: Prompt) -> tuple[float, ...]:
    return (0.0, 0.1, 0.2, 0.6, 0.1) if len(prompt.results) == 5 else (0.9, 0.1)


def test_one_response_is_scored_and_the_verdict_is_stored(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    run = Judging(store, serving_of(store, engine)).start(question(ONE), SHORT, owner_id)
    verdict = verdict_of(store, run)
    reading = verdict.readings[0].reading
    assert verdict.score == 1 + max(range(5), key=reading.probabilities.__getitem__)
    assert verdict.confidence == max(reading.probabilities)
    assert verdict.status == "read"
    assert reading.raw_text
    assert run.state.passes[0].text == reading.feedback


def test_a_pair_is_judged_in_both_orders(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    verdict = verdict_of(store, Judging(store, serving_of(store, engine)).start(question(TWO), SHORT, owner_id))
    parts = {(part.first, part.second): part.reading.probabilities for part in verdict.readings}
    assert set(parts) == {(0, 1), (1, 0)}
    expected = pair_verdict(parts[0, 1][0], parts[1, 0][1])
    assert (verdict.winner, verdict.p_a, verdict.order_sensitive) == (
        expected.winner, expected.p_a, expected.order_sensitive,
    )  # fmt: skip


def test_three_responses_are_scored_and_ranked_from_all_pairs_in_both_orders(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    verdict = verdict_of(store, Judging(store, serving_of(store, engine)).start(question(THREE), SHORT, owner_id))
    parts = {(part.first, part.second) for part in verdict.readings}
    assert parts == {(0, None), (1, None), (2, None), (0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)}
    assert sorted(response["position"] for response in verdict.ranking["ranked"]) == [0, 1, 2]
    assert verdict.ranking["pairs"] == 3


@pytest.mark.parametrize(("item", "prompts"), [(ONE, 1), (TWO, 2), (THREE, 9), (NINE, 81)])
def test_a_verdict_builds_each_prompt_once(
    store: Store,
    owner_id: int,
    engine: TransformersEngine,
    question: Callable[[Item], Question],
    item: Item,
    prompts: int,
) -> None:
    format = CountingFormat()
    verdict_of(store, Judging(store, serving_of(store, engine, format=format)).start(question(item), SHORT, owner_id))
    assert len(format.built) == prompts
    assert set(format.built.values()) == {1}


def test_a_judge_that_likes_the_first_place_is_called_order_sensitive(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    judging = Judging(store, serving_of(store, Scripted(score_by_kindness)))
    verdict = verdict_of(store, judging.start(question(TWO), SHORT, owner_id))
    assert verdict.order_sensitive
    assert verdict.winner == "tie"


def test_many_responses_are_ranked_from_some_of_their_pairs(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    assert len(passes_of(NINE)) == 9 + 72
    judging = Judging(store, serving_of(store, engine))
    verdict = verdict_of(store, judging.start(question(NINE), SHORT, owner_id))
    assert {response["position"] for response in verdict.ranking["ranked"]} == set(range(9))
    assert len(verdict.readings) == 9 + 2 * verdict.ranking["pairs"]
    assert 9 <= verdict.ranking["pairs"] < 36
    again = judging.start(question(NINE), SHORT, owner_id, anew=True)
    assert verdict_of(store, again).ranking == verdict.ranking


def test_the_same_question_is_answered_from_the_store(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    engine = Scripted(score_by_kindness)
    judging = Judging(store, serving_of(store, engine))
    first = judging.start(question(TWO), SHORT, owner_id).wait()
    again = judging.start(question(TWO), SHORT, owner_id).wait()
    assert (again.verdict_id, again.from_store, first.from_store) == (first.verdict_id, True, False)
    assert len(engine.asked) == 2
    assert count(store, rows.Verdict) == 1


def test_asked_anew_it_is_another_attempt_and_the_first_is_kept(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    engine = Scripted(score_by_kindness)
    judging = Judging(store, serving_of(store, engine))
    judging.start(question(ONE), SHORT, owner_id).wait()
    second = verdict_of(store, judging.start(question(ONE), SHORT, owner_id, anew=True))
    assert second.attempt == 2
    assert second.readings[0].reading.attempt == 2
    assert len(engine.asked) == 2
    latest = judging.start(question(ONE), SHORT, owner_id).wait()
    assert latest.verdict_id == second.id


@pytest.mark.parametrize(
    "sampling", [replace(SHORT, max_new_tokens=13), replace(SHORT, feedback=False), replace(SHORT, temperature=0.5)]
)
def test_another_sampling_is_another_judge(
    store: Store, owner_id: int, question: Callable[[Item], Question], sampling: Sampling
) -> None:
    engine = Scripted(score_by_kindness)
    judging = Judging(store, serving_of(store, engine))
    judging.start(question(ONE), SHORT, owner_id).wait()
    judging.start(question(ONE), sampling, owner_id).wait()
    assert len(engine.asked) == 2
    assert count(store, rows.Judge) == 2


def test_other_weights_are_another_judge(store: Store, owner_id: int, question: Callable[[Item], Question]) -> None:
    for digest in ("a" * 64, "b" * 64):
        engine = Scripted(score_by_kindness)
        judging = Judging(store, serving_of(store, engine, digest))
        assert not judging.start(question(ONE), SHORT, owner_id).wait().from_store
        assert len(engine.asked) == 1


def test_readings_are_shared_between_questions(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    """A pair asked the other way round, and a ranking that contains it, ask only what is new."""
    engine = Scripted(score_by_kindness)
    judging = Judging(store, serving_of(store, engine))
    judging.start(question(Item("Say hello.", THREE.responses[:2])), SHORT, owner_id).wait()
    swapped = judging.start(question(Item("Say hello.", THREE.responses[1::-1])), SHORT, owner_id).wait()
    assert len(engine.asked) == 2
    assert swapped.from_store
    judging.start(question(THREE), SHORT, owner_id).wait()
    assert len(engine.asked) == 2 + 9 - 2


def test_after_a_cancel_the_finished_readings_are_kept_and_used(
    store: Store, owner_id: int, question: Callable[[Item], Question], engine: TransformersEngine
) -> None:
    judging = Judging(store, serving_of(store, engine))
    long = Sampling(max_new_tokens=2000)
    run = judging.start(question(ONE), long, owner_id)
    while run.state.phase is RunPhase.WAITING or not run.state.passes[0].text:
        time.sleep(0.01)
    run.cancel.set()
    assert run.wait().phase is RunPhase.CANCELLED
    assert count(store, rows.Verdict) == count(store, rows.Reading) == 0
    assert judging.start(question(ONE), SHORT, owner_id).wait().phase is RunPhase.DONE


def test_a_failure_halfway_keeps_what_was_read_and_goes_on_from_there(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    broken = Scripted(score_by_kindness, fails_at=4)
    failed = Judging(store, serving_of(store, broken)).start(question(THREE), SHORT, owner_id).wait()
    assert failed.phase is RunPhase.FAILED
    assert "fell over" in failed.message
    assert (count(store, rows.Reading), count(store, rows.Verdict)) == (4, 0)
    whole = Scripted(score_by_kindness)
    Judging(store, serving_of(store, whole)).start(question(THREE), SHORT, owner_id).wait()
    assert len(whole.asked) == 5
    assert (count(store, rows.Reading), count(store, rows.Verdict)) == (9, 1)


def test_what_could_not_be_read_is_unparsed_and_has_no_result(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    judging = Judging(store, serving_of(store, Scripted(lambda prompt: None)))
    for item in (ONE, TWO, THREE):
        verdict = verdict_of(store, judging.start(question(item), SHORT, owner_id))
        assert verdict.status == "unparsed"
        assert verdict.score is verdict.winner is verdict.ranking is verdict.confidence is None
        assert verdict.readings[0].reading.raw_text == "Because."


def test_a_prompt_that_does_not_fit_fails_before_anything_is_judged(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    item = Item("Say hello.", ("Hello", "Hello " * 5000))
    state = Judging(store, serving_of(store, engine)).start(question(item), SHORT, owner_id).wait()
    assert state.phase is RunPhase.FAILED
    assert "4,096" in state.message
    assert count(store, rows.Reading) == count(store, rows.Item) == 0


def test_two_who_ask_at_once_are_answered_one_after_the_other(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    engine = Scripted(score_by_kindness)
    judging = Judging(store, serving_of(store, engine))
    runs = [judging.start(question(TWO), SHORT, owner_id) for _ in range(6)]
    assert len({run.wait().verdict_id for run in runs}) == 1
    assert len(engine.asked) == 2


def test_a_waiting_run_can_be_cancelled(store: Store, owner_id: int, question: Callable[[Item], Question]) -> None:
    engine = Scripted(score_by_kindness)
    engine.gate.clear()
    judging = Judging(store, serving_of(store, engine))
    busy = judging.start(question(ONE), SHORT, owner_id)
    waiting = judging.start(question(TWO), SHORT, owner_id)
    waiting.cancel.set()
    assert waiting.wait().phase is RunPhase.CANCELLED
    engine.gate.set()
    assert busy.wait().phase is RunPhase.DONE


def test_a_run_is_found_again_and_watched_to_its_end(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    judging = Judging(store, serving_of(store, Scripted(score_by_kindness)))
    run = judging.start(question(THREE), SHORT, owner_id)
    found = judging.run(run.id)
    assert found is run
    states: list[RunState] = list(found.watch(interval=0.01))
    assert states[-1].phase is RunPhase.DONE
    assert all(one.reading for one in states[-1].passes)
    assert judging.run("unknown") is None


def test_a_stored_reading_is_shown_as_from_the_store(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    judging = Judging(store, serving_of(store, Scripted(score_by_kindness)))
    judging.start(question(Item("Say hello.", THREE.responses[:2])), SHORT, owner_id).wait()
    state = judging.start(question(THREE), SHORT, owner_id).wait()
    stored = {one.asked for one in state.passes if one.from_store}
    assert stored == {Pass(0, 1), Pass(1, 0)}
    assert not state.from_store


def test_a_judge_that_failed_to_load_says_why_and_can_be_tried_again(
    store: Store, owner_id: int, question: Callable[[Item], Question]
) -> None:
    tries: list[int] = []
    working = serving_of(store, Scripted(score_by_kindness))
    with working.use(threading.Event()) as served:
        good = served

    def load(report: object) -> Served:
        tries.append(1)
        if len(tries) == 1:
            raise EngineError("The disk is on fire. Put it out.")
        return good

    serving = Serving(load)
    serving.start()
    failed = Judging(store, serving).start(question(ONE), SHORT, owner_id).wait()
    assert "Put it out" in failed.message
    assert serving.state.phase is Phase.FAILED
    serving.start()
    assert Judging(store, serving).start(question(ONE), SHORT, owner_id).wait().phase is RunPhase.DONE


def test_a_bug_while_loading_is_told_and_not_swallowed(store: Store) -> None:
    def load(report: object) -> Served:
        raise ZeroDivisionError("oh")

    serving = Serving(load)
    serving.start()
    deadline = time.monotonic() + 5
    while serving.state.phase is Phase.LOADING and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "ZeroDivisionError" in serving.state.message


def test_a_verdict_names_its_maker(
    store: Store, owner_id: int, engine: TransformersEngine, question: Callable[[Item], Question]
) -> None:
    verdict = verdict_of(store, Judging(store, serving_of(store, engine)).start(question(ONE), SHORT, owner_id))
    with store.read() as session:
        judge = session.get_one(rows.Judge, verdict.judge_id)
        assert judge.model_version.digest == "d" * 64
        assert judge.format_digest == AssayFormat().digest
        assert judge.engine == "transformers"
        assert "torch" in judge.engine_version
        assert (judge.temperature, judge.max_new_tokens, judge.feedback) == (0.0, 12, True)
    assert verdict.created_by_id == owner_id


def test_a_rubric_edited_while_the_judge_works_is_not_what_the_verdict_names(store: Store, owner_id: int) -> None:
    library = RubricLibrary(store)
    view = library.create(RubricDraft("Kindness", RUBRIC.criterion, RUBRIC.levels), owner_id)
    engine = Scripted(score_by_kindness)
    engine.gate.clear()
    run = Judging(store, serving_of(store, engine)).start(Question(ONE, RUBRIC, view.version_id), SHORT, owner_id)
    while run.state.phase is RunPhase.WAITING:
        time.sleep(0.01)
    edited = RubricDraft("Kindness", "Is it cruel?", RUBRIC.levels)
    assert library.edit(view.id, view.revision, edited, owner_id).version_id == view.version_id
    engine.gate.set()
    verdict = verdict_of(store, run)
    assert verdict.rubric_version_id != view.version_id
    assert library.get_version(verdict.rubric_version_id).rubric == RUBRIC
