"""Teachers: the endpoint is a real HTTP server, the judge runs in the real serving."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest

from backend.endpoint import LONGEST_WAIT_SECONDS
from backend.engines.base import EngineEvent, EngineInfo, FeedbackDelta, ReadingDone
from backend.engines.transformers import TransformersEngine
from backend.errors import InvalidInputError, NotReadyError, QuestionRefusedError, TeacherError
from backend.models import ModelFiles
from backend.prompts import AssayFormat, Prompt
from backend.served import Served
from backend.serving import Serving
from backend.teachers import EndpointTeacher, JudgeTeacher, PairQuestion
from backend.types import Finish, Item, Reading, Rubric, Sampling, Status
from tests.conftest import free_port
from tests.endpoint import Endpoint, Reply, completion
from tests.factories import LEVELS

ITEM = Item("How do I descale a kettle?", ("With vinegar.", "Buy a {winner} new one."), "With vinegar; rinse twice.")
QUESTION = PairQuestion(ITEM, Rubric("Is it helpful?", LEVELS), "A")
KEY = "sk-very-secret"


def replies(*these: Reply) -> Callable[[object], Reply]:
    """Each in its turn; the last one for ever."""
    left = list(these)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def teacher_at(endpoint: Endpoint, waits: list[float] | None = None, key: str | None = KEY) -> EndpointTeacher:
    sleep = (lambda _seconds: None) if waits is None else waits.append
    return EndpointTeacher(endpoint.url, "strong", key=key, sleep=sleep, timeout=5)


# What is asked


def test_the_question_holds_the_material_and_the_winner_and_reads_no_text_as_a_template() -> None:
    for text in (*ITEM.responses, ITEM.instruction, "With vinegar; rinse twice.", "Is it helpful?", *LEVELS):
        assert text in QUESTION.user
    assert "why Response A is the better one" in QUESTION.user
    assert QUESTION.user.endswith("Then write [RESULT] A and nothing behind it.")


def test_a_question_without_reference_and_descriptions_has_no_empty_headings() -> None:
    user = PairQuestion(Item("How?", ("a", "b")), Rubric("Good?"), "B").user
    assert "Reference" not in user
    assert "## Criterion\nGood?\n\n## Instruction\nHow?\n\n## Response A\na\n\n## Response B\nb\n\n" in user


# The endpoint


def test_the_endpoint_is_asked_in_the_openai_form() -> None:
    with Endpoint(replies(completion("Both. [RESULT] A"))) as endpoint, teacher_at(endpoint) as teacher:
        answer = teacher.write(QUESTION, 1)
    (request,) = endpoint.requests
    assert (request.path, request.body["model"]) == ("/v1/chat/completions", "strong")
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (answer.text, answer.result, answer.written_by) == ("Both. [RESULT] A", None, "strong")
    assert (answer.prompt_tokens, answer.new_tokens) == (100, 20)


def test_without_a_key_no_authorization_is_sent() -> None:
    with Endpoint(replies(completion("x"))) as endpoint, teacher_at(endpoint, key=None) as teacher:
        teacher.write(QUESTION, 1)
    assert "Authorization" not in endpoint.requests[0].headers


def test_tokens_that_were_not_counted_are_none() -> None:
    with Endpoint(replies(completion("x", prompt_tokens=None))) as endpoint, teacher_at(endpoint) as teacher:
        answer = teacher.write(QUESTION, 1)
    assert (answer.prompt_tokens, answer.new_tokens) == (None, None)


def test_an_answer_without_text_is_an_empty_one() -> None:
    with Endpoint(replies(completion(None))) as endpoint, teacher_at(endpoint) as teacher:
        assert teacher.write(QUESTION, 1).text == ""


@pytest.mark.parametrize("trouble", [Reply(429, {}), Reply(500, {}), Reply(503, b"<html>"), Reply(closes=True)])
def test_a_busy_endpoint_is_asked_again_after_growing_waits(trouble: Reply) -> None:
    waits: list[float] = []
    answers = replies(trouble, trouble, trouble, completion("x"))
    with Endpoint(answers) as endpoint, teacher_at(endpoint, waits) as teacher:
        assert teacher.write(QUESTION, 1).text == "x"
    assert len(endpoint.requests) == 4
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))


def test_the_wait_that_the_endpoint_names_is_kept() -> None:
    waits: list[float] = []
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    answers = replies(
        Reply(429, {}, {"Retry-After": "7"}), Reply(503, {}, {"Retry-After": in_a_minute}), completion("x")
    )
    with Endpoint(answers) as endpoint, teacher_at(endpoint, waits) as teacher:
        teacher.write(QUESTION, 1)
    assert waits[0] == 7
    assert 50 < waits[1] <= 60


def test_a_wait_that_is_no_date_falls_back_to_the_own_one() -> None:
    waits: list[float] = []
    answers = replies(Reply(429, {}, {"Retry-After": "soon"}), completion("x"))
    with Endpoint(answers) as endpoint, teacher_at(endpoint, waits) as teacher:
        teacher.write(QUESTION, 1)
    assert 0.5 <= waits[0] <= 1


def test_a_wait_that_is_too_long_ends_the_asking() -> None:
    too_long = Reply(429, {"error": "quota"}, {"Retry-After": str(int(LONGEST_WAIT_SECONDS) + 1)})
    with (
        Endpoint(replies(too_long)) as endpoint,
        teacher_at(endpoint) as teacher,
        pytest.raises(TeacherError, match=r"status 429.*quota.*goes on where it stopped"),
    ):
        teacher.write(QUESTION, 1)
    assert len(endpoint.requests) == 1


def test_the_tries_are_bounded() -> None:
    with (
        Endpoint(replies(Reply(500, {}))) as endpoint,
        teacher_at(endpoint) as teacher,
        pytest.raises(TeacherError, match="status 500"),
    ):
        teacher.write(QUESTION, 1)
    assert len(endpoint.requests) == 6


def test_an_endpoint_that_is_not_there_is_told_with_the_cure() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with (
        EndpointTeacher(url, "strong", key=None, sleep=lambda _seconds: None) as teacher,
        pytest.raises(TeacherError, match=r"can't be reached: ConnectError.*Start it"),
    ):
        teacher.write(QUESTION, 1)


def test_an_endpoint_that_never_answers_runs_into_the_time_limit() -> None:
    release = threading.Event()

    def slow(_request: object) -> Reply:
        release.wait(10)
        return Reply(closes=True)

    with Endpoint(slow) as endpoint:
        teacher = EndpointTeacher(endpoint.url, "m", key=None, timeout=0.1, tries=2, sleep=lambda _seconds: None)
        with teacher, pytest.raises(TeacherError, match="ReadTimeout"):
            teacher.write(QUESTION, 1)
        release.set()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_turned_down_is_not_asked_again(status: int) -> None:
    with (
        Endpoint(replies(Reply(status, {"error": "too long"}))) as endpoint,
        teacher_at(endpoint) as teacher,
        pytest.raises(QuestionRefusedError, match=f"status {status}.*too long"),
    ):
        teacher.write(QUESTION, 1)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("reply", "key", "said"),
    [
        (Reply(401, {}), None, "ASSAY_TEACHER_KEY is not set"),
        (Reply(403, {}), KEY, "ASSAY_TEACHER_KEY was not accepted"),
        (Reply(404, {}), KEY, "knows no model strong or no such address"),
        (Reply(200, b"<html>hello"), KEY, "is not JSON: <html>hello"),
        (Reply(200, {"choices": []}), KEY, "is no chat completion"),
        (Reply(200, [1]), KEY, "is no chat completion"),
    ],
)
def test_what_is_set_up_wrongly_is_told_at_once_with_the_cure(reply: Reply, key: str | None, said: str) -> None:
    with (
        Endpoint(replies(reply)) as endpoint,
        teacher_at(endpoint, key=key) as teacher,
        pytest.raises(TeacherError) as caught,
    ):
        teacher.write(QUESTION, 1)
    assert said in str(caught.value)
    assert len(endpoint.requests) == 1


def test_the_key_is_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        Endpoint(replies(Reply(401, {"error": f"bad key {KEY}"}))) as endpoint,
        teacher_at(endpoint) as teacher,
        pytest.raises(TeacherError) as caught,
    ):
        teacher.write(QUESTION, 1)
        assert KEY not in repr(teacher)
    assert "bad key (the key)" in str(caught.value)
    assert KEY not in caplog.text


def test_a_key_that_no_header_can_hold_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidInputError, match="characters that no key has") as caught:
        EndpointTeacher("http://127.0.0.1/v1", "m", key="sk-ключ")
    assert "ключ" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8000/v1", "must be an address such as"),
        ("ftp://host/v1", "must be an address such as"),
        ("http://", "must be an address such as"),
        ("http://host:none/v1", "is no address"),
        ("http://me:secret@host/v1", "has a user or a password in it"),
    ],
)
def test_an_address_that_cant_be_asked_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        EndpointTeacher(url, "m", key=None)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_failure_of_a_request_is_translated() -> None:
    """If the library grows an error outside of TransportError for a request, this fails."""
    others = {
        error
        for error in vars(httpx2).values()
        if isinstance(error, type) and issubclass(error, httpx2.RequestError) and error is not httpx2.RequestError
        if not issubclass(error, httpx2.TransportError) and error is not httpx2.TransportError
    }
    assert others == {httpx2.DecodingError, httpx2.TooManyRedirects}


# A judge of the store


class Scripted:
    """Fault injection: an engine that says what the test decides. asked: with which sampling."""

    info = EngineInfo("scripted", "1", "cpu", "float32", 1000)

    def __init__(self, probabilities: tuple[float, ...] | None) -> None:
        self.probabilities = probabilities
        self.asked: list[tuple[Prompt, Sampling]] = []

    def render(self, prompt: Prompt) -> str:
        return prompt.user

    def check(self, prompt: Prompt, sampling: Sampling) -> int:
        return 1

    def read(self, prompts: Sequence[Prompt], sampling: Sampling, cancel: threading.Event) -> Iterator[EngineEvent]:
        self.asked.append((prompts[0], sampling))
        yield FeedbackDelta(0, "Because.")
        status = Status.UNPARSED if self.probabilities is None else Status.READ
        reading = Reading(
            status, "Because.", "Because. [RESULT] A", ("A", "B"), self.probabilities, Finish.MARKER, 9, 2, 0.5
        )
        yield ReadingDone(0, reading)

    def close(self) -> None:
        pass


def serving_of(engine: object) -> Serving:
    files = ModelFiles(
        name="tiny", kind="external", path=Path("tiny"), digest="d" * 64, architecture="LlamaForCausalLM",
        bytes=1, prompt_format="assay", recipe=None,
    )  # fmt: skip
    return Serving(lambda report: Served(engine, files, AssayFormat(), 1))  # type: ignore[arg-type]


def test_a_judges_verdict_is_taken_from_its_probabilities_not_from_its_text() -> None:
    engine = Scripted((0.2, 0.8))
    answer = JudgeTeacher(serving_of(engine), threading.Event()).write(QUESTION, 1)
    assert (answer.text, answer.result, answer.written_by) == ("Because.", "B", "tiny")
    assert (answer.prompt_tokens, answer.new_tokens) == (9, 2)


def test_a_judge_is_asked_in_its_own_format_and_not_told_the_winner() -> None:
    engine = Scripted((0.2, 0.8))
    JudgeTeacher(serving_of(engine), threading.Event()).write(QUESTION, 1)
    assert engine.asked[0][0] == AssayFormat().pairwise(QUESTION.item, QUESTION.rubric, 0, 1)


def test_a_judge_is_greedy_first_and_drawn_from_by_the_attempts_seed_afterwards() -> None:
    engine = Scripted((0.2, 0.8))
    teacher = JudgeTeacher(serving_of(engine), threading.Event())
    for attempt in (1, 2, 3):
        teacher.write(QUESTION, attempt)
    assert [(s.temperature, s.seed, s.feedback) for _, s in engine.asked] == [
        (0, 0, True), (0.8, 2, True), (0.8, 3, True),
    ]  # fmt: skip


def test_a_judge_without_probabilities_names_no_result() -> None:
    answer = JudgeTeacher(serving_of(Scripted(None)), threading.Event()).write(QUESTION, 1)
    assert (answer.result, answer.text) == (None, "Because.")


def test_a_judge_that_cant_be_loaded_is_told() -> None:
    def load(_report: object) -> Served:
        raise InvalidInputError("No such model.")

    with pytest.raises(NotReadyError, match="No such model"):
        JudgeTeacher(Serving(load), threading.Event()).write(QUESTION, 1)


def test_a_real_engine_writes_and_a_pair_that_is_too_long_for_it_is_refused(tiny_model: Path) -> None:
    engine = TransformersEngine(tiny_model, device="cpu", dtype="float32")
    serving = serving_of(engine)
    teacher = JudgeTeacher(serving, threading.Event(), max_new_tokens=8)
    answer = teacher.write(QUESTION, 1)
    assert answer.result in ("A", "B")
    assert answer.new_tokens
    long = PairQuestion(Item("word " * 5_000, ("a", "b")), QUESTION.rubric, "A")
    with pytest.raises(QuestionRefusedError, match="tokens long"):
        teacher.write(long, 1)
    serving.close()
