"""Makes a Preference Collection out of a Feedback Collection: pairs, and a teacher's feedback on each.

After arXiv 2405.01535, the section on the Preference Collection: an instruction's five responses, one of each
score, make ten pairs; the response with the higher score wins; a strong model compares the two in words.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from backend.build_journal import BuildJournal
from backend.errors import AssayError, InvalidInputError, QuestionRefusedError, TeacherError
from backend.teachers import PairQuestion, Teacher, TeacherAnswer
from backend.training_rows import RefusedRow, TrainingRow, published, split_output
from backend.types import SIDES, Item, Mode, Rubric, digest_of

ATTEMPTS = 3
"""How often a pair is asked about until the teacher's verdict is the pair's own."""
REFUSED_IN_A_ROW = 10
"""So many questions turned down before a single one was answered: then the trouble is not the questions."""


@dataclass(frozen=True)
class Scored:
    """A response with its whole score 1..5 and the feedback it was scored with."""

    row_id: str
    response: str
    score: int
    feedback: str | None


@dataclass(frozen=True)
class Pair:
    """Two responses of different scores to one instruction, in the order in which they are shown.

    key: of the pair whatever side each response is on; the same in every run and on every machine.
    """

    key: str
    instruction: str
    reference: str | None
    rubric: Rubric
    first: Scored
    second: Scored
    source: str
    licence: str

    @property
    def winner(self) -> str:
        return SIDES[0] if self.first.score > self.second.score else SIDES[1]

    @property
    def item(self) -> Item:
        return Item(self.instruction, (self.first.response, self.second.response), self.reference)

    @property
    def where(self) -> str:
        return f"pair of {self.first.row_id} and {self.second.row_id}"


@dataclass(frozen=True)
class Pairs:
    """The pairs that rows make. groups: instructions with their rubric. duplicates: rows whose text came before."""

    pairs: tuple[Pair, ...]
    refused: tuple[RefusedRow, ...]
    groups: int
    duplicates: int


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is. done: of the total pairs of this run, written or refused."""

    done: int
    total: int
    written: int
    refused: int


@dataclass(frozen=True)
class BuildReport:
    """What became of the pairs.

    written: in this run; known: written or refused by earlier runs; left: not asked about, because of the
    limit. refused: of this run and earlier ones. attempts: questions asked in this run. prompt_tokens,
    new_tokens: of all of them, as the teacher counted; None if it did not count one.
    """

    written: int
    known: int
    left: int
    refused: tuple[RefusedRow, ...]
    attempts: int
    prompt_tokens: int | None
    new_tokens: int | None


def pairs_of(rows: Iterable[TrainingRow], seed: int) -> Pairs:
    """Every pair of responses with different scores to the same instruction, by the same rubric.

    seed: decides, for each pair by itself, on which side its winner is shown. Refused are rows that are not
    one response with one whole score, responses that have two scores, responses that are alone, and pairs
    of equal scores.
    """
    refused: list[RefusedRow] = []
    groups: dict[str, list[TrainingRow]] = {}
    for row in rows:
        if row.mode is Mode.DIRECT and row.result is not None:
            groups.setdefault(_group_key(row), []).append(row)
        else:
            refused.append(RefusedRow(f"row {row.id}", "It is not one response with one whole score."))
    pairs: list[Pair] = []
    duplicates = 0
    for group in groups.values():
        distinct = _distinct(group, refused)
        duplicates += len(group) - len({row.item.responses[0].strip() for row in group})
        if len(distinct) == 1:
            refused.append(RefusedRow(f"row {distinct[0].id}", "No other response to its instruction to pair it with."))
        for one, other in combinations(distinct, 2):
            pair = _pair(one, other, seed)
            if pair.first.score == pair.second.score:
                refused.append(RefusedRow(pair.where, f"Both have the score {pair.first.score}."))
            else:
                pairs.append(pair)
    return Pairs(tuple(pairs), tuple(refused), len(groups), duplicates)


def build(
    pairs: Sequence[Pair],
    teacher: Teacher,
    out: Path,
    *,
    seed: int,
    attempts: int = ATTEMPTS,
    limit: int | None = None,
    parallel: int = 1,
    report: Callable[[BuildProgress], None] = lambda _progress: None,
) -> BuildReport:
    """Have the teacher write on each pair, and append what is right to `out` in the published field names.

    A feedback whose verdict is not the pair's own is asked for again, up to `attempts` times in all; then the
    pair is refused and kept in the file out + ".refused". Each line is on the disk before it counts, so a
    run that was killed goes on where it stopped; delete the second file to have the refused pairs asked again.
    limit: at most so many pairs in this run. parallel: questions asked at once.

    Raises InvalidInputError, ConflictError if another run writes the file or it was begun with another seed,
    TeacherError or EngineError if the teacher can't be asked: what was written stays.
    """
    _check_numbers(attempts=attempts, limit=limit, parallel=parallel)
    with BuildJournal(out, seed) as journal:
        unknown = [pair for pair in pairs if pair.key not in journal.known]
        todo = unknown if limit is None else unknown[:limit]
        run = _Run(journal, total=len(todo), report=report)
        _ask_all(todo, teacher, attempts, parallel, run)
        return BuildReport(
            written=run.written,
            known=len(pairs) - len(unknown),
            left=len(unknown) - len(todo),
            refused=tuple(journal.refused),
            attempts=run.attempts,
            prompt_tokens=run.prompt_tokens,
            new_tokens=run.new_tokens,
        )


def _group_key(row: TrainingRow) -> str:
    return digest_of("group", row.item.instruction, row.item.reference, row.rubric.digest)


def _distinct(group: Iterable[TrainingRow], refused: list[RefusedRow]) -> list[TrainingRow]:
    """One row for each text; texts that have several scores go to the refused."""
    by_text: dict[str, list[TrainingRow]] = {}
    for row in group:
        by_text.setdefault(row.item.responses[0].strip(), []).append(row)
    distinct = []
    for same in by_text.values():
        scores = sorted({row.result or "" for row in same})
        if len(scores) == 1:
            distinct.append(same[0])
        else:
            names = ", ".join(row.id for row in same)
            refused.append(RefusedRow(f"rows {names}", f"The same text has the scores {' and '.join(scores)}."))
    return distinct


def _pair(one: TrainingRow, other: TrainingRow, seed: int) -> Pair:
    key = digest_of("pair", _group_key(one), sorted([one.item.responses[0], other.item.responses[0]]))
    better, worse = sorted([_scored(one), _scored(other)], key=lambda scored: scored.score, reverse=True)
    better_first = int(digest_of("side", seed, key), 16) % 2 == 0
    first, second = (better, worse) if better_first else (worse, better)
    return Pair(key, one.item.instruction, one.item.reference, one.rubric, first, second, one.source, one.licence)


def _scored(row: TrainingRow) -> Scored:
    return Scored(row.id, row.item.responses[0], int(row.result or ""), row.feedback)


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise InvalidInputError(f"--{name} is {number}; it must be 1 or more.")


@dataclass(frozen=True)
class _Outcome:
    """What became of one pair: the line to keep, or why there is none. answered: the teacher did write something."""

    pair: Pair
    line: dict[str, Any] | None
    reason: str
    attempts: int
    answered: bool
    prompt_tokens: int | None
    new_tokens: int | None


def _ask(pair: Pair, teacher: Teacher, attempts: int, stop: threading.Event) -> _Outcome | None:
    """Ask until the verdict is the pair's own; None if the run was stopped before."""
    answers: list[TeacherAnswer] = []
    reason, asked = "", 0
    for attempt in range(1, attempts + 1):
        if stop.is_set():
            return None
        asked = attempt
        try:
            answer = teacher.write(PairQuestion(pair.item, pair.rubric, pair.winner), attempt)
        except QuestionRefusedError as error:
            reason = str(error)
            break
        answers.append(answer)
        try:
            row = _row(pair, answer)
        except InvalidInputError as error:
            reason = f"{attempt} of {attempts} attempts failed; the last: {error}"
        else:
            return _outcome(pair, answers, asked, _line(pair, row, asked), "")
    return _outcome(pair, answers, asked, None, reason)


def _row(pair: Pair, answer: TeacherAnswer) -> TrainingRow:
    """The pair with the teacher's feedback. Raises InvalidInputError unless that names the pair's winner."""
    feedback, result = (answer.text, answer.result) if answer.result else split_output(answer.text, SIDES)
    if result != pair.winner:
        raise InvalidInputError(f"It names {result} as the better one, but {pair.winner} has the higher score.")
    if not feedback or not feedback.strip():
        raise InvalidInputError("It names the winner without a word of feedback.")
    target = tuple(float(side == pair.winner) for side in SIDES)
    source = f"{pair.source}, compared by {answer.written_by}"
    return TrainingRow(pair.key[:16], source, pair.licence, pair.item, pair.rubric, target, feedback)


def _line(pair: Pair, row: TrainingRow, attempts: int) -> dict[str, Any]:
    return published(row) | {
        "orig_score_A": str(pair.first.score),
        "orig_score_B": str(pair.second.score),
        "orig_feedback_A": pair.first.feedback,
        "orig_feedback_B": pair.second.feedback,
        "attempts": attempts,
    }


def _outcome(
    pair: Pair, answers: Sequence[TeacherAnswer], attempts: int, line: dict[str, Any] | None, reason: str
) -> _Outcome:
    return _Outcome(
        pair=pair,
        line=line,
        reason=reason,
        attempts=attempts,
        answered=bool(answers),
        prompt_tokens=_sum([answer.prompt_tokens for answer in answers]),
        new_tokens=_sum([answer.new_tokens for answer in answers]),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


def _ask_all(todo: Sequence[Pair], teacher: Teacher, attempts: int, parallel: int, run: "_Run") -> None:
    """Ask about all pairs, at most `parallel` at once; what is answered when one question fails is kept first."""
    stop = threading.Event()
    failure: AssayError | None = None
    coming = iter(todo)
    asked: set[Future[_Outcome | None]] = set()
    with ThreadPoolExecutor(parallel, thread_name_prefix="teacher") as pool:
        try:
            while True:
                while failure is None and len(asked) < parallel and (pair := next(coming, None)) is not None:
                    asked.add(pool.submit(_ask, pair, teacher, attempts, stop))
                if not asked:
                    break
                done, asked = wait(asked, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        run.take(future.result())
                    except AssayError as error:
                        failure = failure or error
                        stop.set()
        finally:
            stop.set()
    if failure is not None:
        raise failure
    run.finish()


class _Run:
    """One run of a build: keeps what comes, counts it, and tells how far it is."""

    def __init__(self, journal: BuildJournal, *, total: int, report: Callable[[BuildProgress], None]) -> None:
        self._journal = journal
        self._total = total
        self._report = report
        self._held: list[_Outcome] = []
        self._refused = 0
        self._answered = False
        self.written = 0
        self.attempts = 0
        self.prompt_tokens: int | None = 0
        self.new_tokens: int | None = 0

    def take(self, outcome: _Outcome | None) -> None:
        """Keep it. Raises TeacherError if the teacher turns down everything from the first question on."""
        if outcome is None:
            return
        self._count(outcome)
        self._held.append(outcome)
        self._answered = self._answered or outcome.answered
        if self._answered:
            self.finish()
        elif len(self._held) >= REFUSED_IN_A_ROW:
            raise TeacherError(
                f"The teacher turned down the first {len(self._held)} questions, so the build was stopped. The last: "
                f"{outcome.reason} Check --teacher-model and --teacher-url. Nothing was written."
            )

    def finish(self) -> None:
        """Write down what was held back until it was certain that the teacher works."""
        for outcome in self._held:
            if outcome.line is not None:
                self._journal.add(outcome.pair.key, outcome.line)
                self.written += 1
            else:
                self._journal.refuse(outcome.pair.key, outcome.pair.where, outcome.reason, outcome.attempts)
                self._refused += 1
            done = self.written + self._refused
            self._report(BuildProgress(done, self._total, self.written, self._refused))
        self._held.clear()

    def _count(self, outcome: _Outcome) -> None:
        self.attempts += outcome.attempts
        self.prompt_tokens = _sum([self.prompt_tokens, outcome.prompt_tokens])
        self.new_tokens = _sum([self.new_tokens, outcome.new_tokens])
