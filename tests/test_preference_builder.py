"""The builder: ten pairs of five responses, a teacher that may err, and files that survive a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from filelock import FileLock

from backend.errors import ConflictError, InvalidInputError, QuestionRefusedError, TeacherError
from backend.preference_builder import BuildProgress, BuildReport, Pair, build, pairs_of
from backend.teachers import PairQuestion, TeacherAnswer
from backend.training_forms import load_rows
from backend.training_rows import TrainingRow, score_target, write_rows
from backend.types import Item, Mode, Rubric
from tests.endpoint import Endpoint, Reply, Request, completion
from tests.factories import LEVELS

ROOT = Path(__file__).parent.parent
RUBRIC = Rubric("Is it helpful?", LEVELS)


def row(score: int, instruction: str = "How?", response: str | None = None, **changes: object) -> TrainingRow:
    response = response or f"An answer worth a {score}."
    made = TrainingRow(
        id=f"{instruction}-{score}",
        source="a set",
        licence="MIT",
        item=Item(instruction, (response,), "The reference."),
        rubric=RUBRIC,
        target=score_target([score]),
        feedback=f"It is worth a {score}.",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def five(instruction: str = "How?") -> list[TrainingRow]:
    return [row(score, instruction) for score in range(1, 6)]


class Teacher:
    """Answers as the test says; by default with the winner that it was told. asked: every question, in order."""

    def __init__(self, answer: Callable[[PairQuestion, int], str] | None = None, *, counts: bool = True) -> None:
        self.asked: list[tuple[PairQuestion, int]] = []
        self._answer = answer or (lambda question, attempt: f"Compared. [RESULT] {question.winner}")
        self._counts = counts

    def write(self, question: PairQuestion, attempt: int) -> TeacherAnswer:
        self.asked.append((question, attempt))
        text = self._answer(question, attempt)
        return TeacherAnswer(text, None, 100 if self._counts else None, 10 if self._counts else None, "strong")


def other(winner: str) -> str:
    return "B" if winner == "A" else "A"


def pairs(instructions: int = 1, seed: int = 0) -> tuple[Pair, ...]:
    return pairs_of([made for n in range(instructions) for made in five(f"How {n}?")], seed).pairs


def run(out: Path, teacher: Teacher, made: tuple[Pair, ...] | None = None, **options: int) -> BuildReport:
    return build(pairs() if made is None else made, teacher, out, **({"seed": 0} | options))  # type: ignore[arg-type]


def keys(out: Path) -> list[str]:
    return [json.loads(line)["pair_key"] for line in out.read_text(encoding="utf-8").splitlines()]


# Pairs


def test_five_responses_make_ten_pairs_whose_higher_score_wins() -> None:
    made = pairs_of(five(), 0)
    assert (len(made.pairs), made.refused, made.groups) == (10, (), 1)
    for pair in made.pairs:
        assert (pair.first.score > pair.second.score) == (pair.winner == "A")
    scores = {tuple(sorted([pair.first.score, pair.second.score])) for pair in made.pairs}
    assert scores == set(combinations(range(1, 6), 2))


def test_about_half_of_the_winners_are_shown_first() -> None:
    sides = Counter(pair.winner for pair in pairs(100))
    assert 440 < sides["A"] < 560


def test_a_pairs_side_depends_on_the_seed_and_the_pair_alone() -> None:
    rows = [made for n in range(20) for made in five(f"How {n}?")]
    forward = {pair.key: pair.winner for pair in pairs_of(rows, 7).pairs}
    backward = {pair.key: pair.winner for pair in pairs_of(list(reversed(rows)), 7).pairs}
    otherwise = {pair.key: pair.winner for pair in pairs_of(rows, 8).pairs}
    assert forward == backward
    assert forward.keys() == otherwise.keys()
    assert forward != otherwise


def test_responses_to_another_instruction_or_rubric_or_reference_are_not_paired() -> None:
    rows = [
        row(1),
        row(2, "Why?"),
        row(3, rubric=Rubric("Is it kind?")),
        row(4, item=Item("How?", ("An answer.",))),
    ]
    made = pairs_of(rows, 0)
    assert made.pairs == ()
    assert [refused.reason for refused in made.refused] == ["No other response to its instruction to pair it with."] * 4


def test_a_pair_of_equal_scores_is_refused() -> None:
    made = pairs_of([row(3), row(3, response="Another one."), row(4)], 0)
    assert len(made.pairs) == 2
    assert [refused.reason for refused in made.refused] == ["Both have the score 3."]


def test_equal_texts_with_equal_scores_are_one_response() -> None:
    made = pairs_of([row(3), row(3, response="An answer worth a 3. "), row(4)], 0)
    assert (len(made.pairs), made.duplicates, made.refused) == (1, 1, ())


def test_equal_texts_with_different_scores_are_refused() -> None:
    made = pairs_of([*five(), row(1, response="An answer worth a 5.")], 0)
    assert len(made.pairs) == 6
    assert [refused.reason for refused in made.refused] == ["The same text has the scores 1 and 5."]


def test_rows_that_are_not_one_response_with_one_score_are_refused() -> None:
    pair = row(3, item=Item("How?", ("a", "b")), target=(1.0, 0.0))
    made = pairs_of([*five(), pair, row(3, target=score_target([3.5]))], 0)
    assert len(made.pairs) == 10
    assert [refused.reason for refused in made.refused] == ["It is not one response with one whole score."] * 2


# What the teacher wrote


def test_what_was_built_is_read_back_as_training_rows(tmp_path: Path) -> None:
    report = run(tmp_path / "out.jsonl", Teacher())
    assert (report.written, report.refused, report.attempts) == (10, (), 10)
    loaded = load_rows(str(tmp_path / "out.jsonl"))
    assert (loaded.refused, loaded.duplicates, loaded.forms) == ((), 0, {"Preference Collection": 10})
    by_responses = {pair.item.responses: pair for pair in pairs()}
    for built in loaded.rows:
        pair = by_responses[built.item.responses]
        assert (built.mode, built.result, built.feedback) == (Mode.PAIRWISE, pair.winner, "Compared.")
        assert (built.item.reference, built.rubric) == ("The reference.", RUBRIC)
        assert (built.source, built.licence) == ("a set, compared by strong", "MIT")


def test_the_published_fields_are_all_there(tmp_path: Path) -> None:
    run(tmp_path / "out.jsonl", Teacher(), limit=1)
    line = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    pair = pairs()[0]
    assert line["orig_preference"] == pair.winner
    assert line["output"] == f"Compared. [RESULT] {pair.winner}"
    assert (line["orig_score_A"], line["orig_feedback_B"]) == (str(pair.first.score), pair.second.feedback)
    assert {"orig_instruction", "orig_response_A", "orig_response_B", "orig_reference_answer"} <= line.keys()
    assert {"orig_criteria", "orig_feedback"} <= line.keys()


def test_a_wrong_winner_is_asked_again_and_the_attempts_are_counted(tmp_path: Path) -> None:
    def wrong_twice(question: PairQuestion, attempt: int) -> str:
        return f"Compared. [RESULT] {question.winner if attempt == 3 else other(question.winner)}"

    report = run(tmp_path / "out.jsonl", Teacher(wrong_twice), limit=1)
    assert (report.written, report.attempts, report.prompt_tokens, report.new_tokens) == (1, 3, 300, 30)
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["attempts"] == 3


def test_a_pair_whose_winner_stays_wrong_is_refused_and_never_flipped(tmp_path: Path) -> None:
    teacher = Teacher(lambda question, attempt: f"Compared. [RESULT] {other(question.winner)}")
    report = run(tmp_path / "out.jsonl", teacher, limit=1, attempts=2)
    (refused,) = report.refused
    assert (report.written, report.attempts) == (0, 2)
    assert "2 of 2 attempts failed; the last: It names" in refused.reason
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Response A is better.", "has the marker [RESULT] 0 times"),
        ("Compared. [RESULT] Response {winner}", "stands behind [RESULT]"),
        ("[RESULT] {winner}", "without a word of feedback"),
        ("[RESULT] A or B? [RESULT] {winner}", "has the marker [RESULT] 2 times"),
        ("NUL \x00 [RESULT] {winner}", "a NUL character"),
        ("", "has the marker [RESULT] 0 times"),
    ],
)
def test_an_answer_that_cant_be_learned_from_is_refused(tmp_path: Path, text: str, said: str) -> None:
    teacher = Teacher(lambda question, attempt: text.replace("{winner}", question.winner))
    report = run(tmp_path / "out.jsonl", teacher, limit=1, attempts=1)
    assert said in report.refused[0].reason


def test_a_verdict_from_probabilities_is_not_read_from_the_text(tmp_path: Path) -> None:
    class Judge:
        def write(self, question: PairQuestion, attempt: int) -> TeacherAnswer:
            return TeacherAnswer("Compared.", question.winner, 1, 1, "judge")

    assert build(pairs(), Judge(), tmp_path / "out.jsonl", seed=0).written == 10


def test_tokens_are_none_where_one_was_not_counted(tmp_path: Path) -> None:
    report = run(tmp_path / "out.jsonl", Teacher(counts=False))
    assert (report.prompt_tokens, report.new_tokens) == (None, None)


# Going on


def test_a_second_run_asks_only_what_is_left(tmp_path: Path) -> None:
    out, second = tmp_path / "out.jsonl", Teacher()
    assert run(out, Teacher(), limit=4).left == 6
    report = run(out, second)
    assert (report.written, report.known, report.left, len(second.asked)) == (6, 4, 0, 6)
    assert len(set(keys(out))) == 10


def test_refused_pairs_are_listed_again_and_not_asked_again(tmp_path: Path) -> None:
    out, second = tmp_path / "out.jsonl", Teacher()
    run(out, Teacher(lambda question, attempt: "No."), limit=1)
    report = run(out, second, limit=1)
    assert (report.known, report.written, len(second.asked), len(report.refused)) == (1, 1, 1, 1)


def test_half_a_last_line_is_dropped_and_its_pair_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(out, Teacher())
    whole = out.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1]) - 3):
        out.write_bytes(whole[: len(whole) - cut])
        assert run(out, Teacher()).written == 1
        assert len(set(keys(out))) == 10


def test_a_line_of_zeros_after_a_loss_of_power_is_dropped(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(out, Teacher(), limit=3)
    out.write_bytes(out.read_bytes() + b"\0" * 100)
    assert run(out, Teacher()).written == 7


@pytest.mark.parametrize("content", [b"my own notes", b'{"a": 1}\n', b'{"a": 1', b"[1]\n", b"notes\n"])
def test_a_file_that_was_not_built_here_is_left_alone(tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "out.jsonl"
    out.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"[Cc]hoose another --out"):
        run(out, Teacher())
    assert out.read_bytes() == content


def test_another_seed_than_the_files_own_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "out.jsonl", Teacher(), limit=1)
    with pytest.raises(ConflictError, match="was begun with the seed 0, not 1"):
        run(tmp_path / "out.jsonl", Teacher(), pairs(seed=1), seed=1)


def test_two_builds_cant_write_one_file(tmp_path: Path) -> None:
    with FileLock(str(tmp_path / "out.jsonl.lock")), pytest.raises(ConflictError, match="Another build writes"):
        run(tmp_path / "out.jsonl", Teacher())


def test_a_build_lets_go_of_its_file_when_it_fails(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"notes\n")
    with pytest.raises(InvalidInputError):
        run(out, Teacher())
    out.unlink()
    assert run(out, Teacher()).written == 10


def test_the_file_must_be_json_lines(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"a name that ends in \.jsonl"):
        run(tmp_path / "out.csv", Teacher())


@pytest.mark.parametrize("options", [{"attempts": 0}, {"limit": 0}, {"parallel": 0}])
def test_numbers_below_one_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match="must be 1 or more"):
        run(tmp_path / "out.jsonl", Teacher(), **options)


def test_the_progress_reaches_its_total(tmp_path: Path) -> None:
    seen: list[BuildProgress] = []
    teacher = Teacher(lambda q, attempt: f"C. [RESULT] {q.winner if 'a 1.' in q.item.responses[0] else 'C'}")
    build(pairs(), teacher, tmp_path / "out.jsonl", seed=0, attempts=1, report=seen.append)
    assert [progress.done for progress in seen] == list(range(1, 11))
    assert seen[-1].total == 10
    assert seen[-1].written + seen[-1].refused == 10


# A teacher that fails


def test_what_was_written_before_the_teacher_failed_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    def fails_at_the_fourth(question: PairQuestion, attempt: int) -> str:
        if len(failing.asked) == 4:
            raise TeacherError("It is gone.")
        return f"Compared. [RESULT] {question.winner}"

    failing = Teacher(fails_at_the_fourth)
    with pytest.raises(TeacherError, match="It is gone"):
        run(out, failing)
    assert len(keys(out)) == 3
    assert run(out, Teacher()).written == 7


def test_one_question_that_is_turned_down_is_refused_and_the_build_goes_on(tmp_path: Path) -> None:
    def too_long_once(question: PairQuestion, attempt: int) -> str:
        if len(teacher.asked) == 1:
            raise QuestionRefusedError("It is too long.")
        return f"Compared. [RESULT] {question.winner}"

    teacher = Teacher(too_long_once)
    report = run(tmp_path / "out.jsonl", teacher)
    assert (report.written, [refused.reason for refused in report.refused]) == (9, ["It is too long."])


def test_a_teacher_that_turns_down_everything_stops_the_build_and_nothing_is_marked_as_refused(tmp_path: Path) -> None:
    def never(question: PairQuestion, attempt: int) -> str:
        raise QuestionRefusedError("max_tokens is not supported.")

    out = tmp_path / "out.jsonl"
    with pytest.raises(TeacherError, match=r"turned down the first 10 questions.*max_tokens is not supported"):
        run(out, Teacher(never), pairs(2))
    assert run(out, Teacher(), pairs(2)).written == 20


def test_several_questions_are_asked_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=10)

    class Slow(Teacher):
        def write(self, question: PairQuestion, attempt: int) -> TeacherAnswer:
            together.wait()
            return super().write(question, attempt)

    report = run(tmp_path / "out.jsonl", Slow(), pairs(2), parallel=4)
    assert report.written == 20
    assert len(set(keys(tmp_path / "out.jsonl"))) == 20


def test_answers_that_come_while_another_question_fails_are_kept(tmp_path: Path) -> None:
    failed = threading.Event()

    def one_fails(question: PairQuestion, attempt: int) -> str:
        if question.item == pairs()[0].item:
            failed.set()
            raise TeacherError("It is gone.")
        failed.wait(10)
        return f"Compared. [RESULT] {question.winner}"

    with pytest.raises(TeacherError, match="It is gone"):
        run(tmp_path / "out.jsonl", Teacher(one_fails), parallel=3)
    assert len(keys(tmp_path / "out.jsonl")) == 2


# A kill


def test_a_build_that_was_killed_goes_on_without_asking_anything_twice(tmp_path: Path) -> None:
    """A real process, a real endpoint, and kill -9 while it waits for the eighth answer."""
    write_rows([made for n in range(2) for made in five(f"How {n}?")], tmp_path / "rows.jsonl")
    eighth, release = threading.Event(), threading.Event()

    def answer(request: Request) -> Reply:
        if len(endpoint.requests) == 8 and not eighth.is_set():
            eighth.set()
            release.wait(30)
            return Reply(closes=True)
        found = re.search(r"Response ([AB]) scored higher", request.user)
        assert found
        return completion(f"Compared. [RESULT] {found.group(1)}")

    program = (
        "import sys; from pathlib import Path\n"
        "from backend.preference_builder import build, pairs_of\n"
        "from backend.teachers import EndpointTeacher\n"
        "from backend.training_forms import load_rows\n"
        "rows, out, url = sys.argv[1:]\n"
        "with EndpointTeacher(url, 'strong', key=None) as teacher:\n"
        "    print(build(pairs_of(load_rows(rows).rows, 0).pairs, teacher, Path(out), seed=0).written)\n"
    )
    out = tmp_path / "out.jsonl"
    with Endpoint(answer) as endpoint:
        command = [sys.executable, "-c", program, str(tmp_path / "rows.jsonl"), str(out), endpoint.url]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert eighth.wait(60)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        release.set()
        assert len(keys(out)) == 7
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "13"
    assert len(endpoint.requests) == 21
    assert len(load_rows(str(out)).rows) == 20
