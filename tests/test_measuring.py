"""A judge on a labelled set: every prompt is read once and kept, whatever happens, and the figures are stored."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from scipy.stats import pearsonr
from sqlalchemy import func, select

from backend.benchmarks.labelled import LabelledSet, LeftOut, subset
from backend.benchmarks.metrics import Metric, PairOutcome, ScoreOutcome
from backend.engines.transformers import TransformersEngine
from backend.errors import CancelledError, EngineError, NotFoundError
from backend.measuring import KEPT_AT_ONCE, NOT_READ, UNPARSED, Measured, measure, recall
from backend.prompts import AssayFormat
from backend.served import Served
from backend.types import Item, Sampling
from db import models as rows
from db.session import Store
from tests.labelled import Scripted, direct_set, pairwise_set, served_by

FORMAT = AssayFormat()


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(tiny_model, device="cpu", dtype="float32")
    yield engine
    engine.close()


def measured(
    served: Served, labelled: LabelledSet, store: Store, *, cancel: threading.Event | None = None, **options: Sampling
) -> Measured:
    return measure(
        served, labelled, store, report=lambda message, fraction: None, cancel=cancel or threading.Event(), **options
    )


def count(store: Store, table: type[rows.Base]) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def distinct_prompts(store: Store) -> int:
    with store.read() as session:
        return session.scalar(select(func.count(rows.Reading.prompt_digest.distinct()))) or 0


def with_long_row(labelled: LabelledSet) -> LabelledSet:
    long = replace(
        labelled.rows[0], id="long", item=Item("Say hello.", ("Hello " * 200,) * len(labelled.rows[0].item.responses))
    )
    return replace(labelled, rows=(*labelled.rows, long))


def test_a_direct_set_is_read_and_compared_with_its_labels(
    any_store: Store, tmp_path: Path, engine: TransformersEngine
) -> None:
    result = measured(served_by(any_store, tmp_path, engine), direct_set(12), any_store)
    said = [outcome for outcome in result.outcomes if isinstance(outcome, ScoreOutcome)]
    assert [outcome.label for outcome in said] == [row.label for row in direct_set(12).rows]
    expected = pearsonr([outcome.expected for outcome in said], [outcome.label for outcome in said]).statistic
    assert result.estimate(Metric.PEARSON).value == pytest.approx(expected)
    assert count(any_store, rows.Reading) == 12


def test_pairs_are_read_in_both_orders(any_store: Store, tmp_path: Path) -> None:
    scripted = Scripted()
    result = measured(served_by(any_store, tmp_path, scripted), pairwise_set(7), any_store)
    assert len(scripted.asked) == 14
    row, outcome = pairwise_set(7).rows[3], result.outcomes[3]
    first = scripted._reading(FORMAT.pairwise(row.item, row.rubric, 0, 1)).probabilities
    second = scripted._reading(FORMAT.pairwise(row.item, row.rubric, 1, 0)).probabilities
    assert isinstance(outcome, PairOutcome)
    assert (outcome.p_a_first, outcome.p_a_second) == (first[0], second[1])
    assert outcome.longer == "A"


def test_the_tiny_models_probability_of_a_does_not_depend_on_how_a_pair_is_stored(
    store: Store, tmp_path: Path, engine: TransformersEngine
) -> None:
    """Swapping the responses and the label changes nothing but the names."""
    served = served_by(store, tmp_path, engine)
    labelled = pairwise_set(3)
    swapped = replace(
        labelled,
        rows=tuple(
            replace(
                row, item=Item(row.item.instruction, row.item.responses[::-1]), label="BA"["AB".index(str(row.label))]
            )
            for row in labelled.rows
        ),
    )
    one, other = measured(served, labelled, store), measured(served, swapped, store)
    assert count(store, rows.Reading) == 6
    assert [outcome.p_a for outcome in one.outcomes] == pytest.approx([1 - outcome.p_a for outcome in other.outcomes])
    assert one.estimate(Metric.ACCURACY).value == other.estimate(Metric.ACCURACY).value


def test_a_second_run_asks_nothing_and_finds_the_same(any_store: Store, tmp_path: Path) -> None:
    scripted = Scripted()
    served = served_by(any_store, tmp_path, scripted)
    first = measured(served, pairwise_set(9), any_store)
    assert measured(served, pairwise_set(9), any_store) == first
    assert len(scripted.asked) == count(any_store, rows.Reading) == 18
    assert count(any_store, rows.Measurement) == len(first.estimates)


def test_rows_of_another_set_are_not_read_again(store: Store, tmp_path: Path) -> None:
    scripted = Scripted()
    served = served_by(store, tmp_path, scripted)
    measured(served, subset(direct_set(40), 20, 0), store)
    measured(served, direct_set(40), store)
    assert len(scripted.asked) == 40


def test_rows_with_the_same_prompt_are_read_once(store: Store, tmp_path: Path) -> None:
    scripted = Scripted()
    labelled = direct_set(5)
    twice = replace(labelled, rows=(*labelled.rows, *(replace(row, id=row.id + "again") for row in labelled.rows)))
    result = measured(served_by(store, tmp_path, scripted), twice, store)
    assert (len(result.outcomes), len(scripted.asked)) == (10, 5)


@pytest.mark.parametrize("broken", [Scripted(fails_at=20), Scripted(cancels_at=20)], ids=["failure", "cancel"])
def test_what_was_read_before_a_stop_is_kept_and_not_read_again(
    any_store: Store, tmp_path: Path, broken: Scripted
) -> None:
    broken.asked.clear()
    with pytest.raises((EngineError, CancelledError)):
        measured(served_by(any_store, tmp_path, broken), direct_set(50), any_store)
    assert count(any_store, rows.Reading) == 20
    assert count(any_store, rows.Measurement) == 0
    whole = Scripted()
    measured(served_by(any_store, tmp_path, whole), direct_set(50), any_store)
    assert len(whole.asked) == 30
    assert distinct_prompts(any_store) == count(any_store, rows.Reading) == 50


def test_readings_are_kept_while_the_judge_still_works(store: Store, tmp_path: Path) -> None:
    """A process that is killed loses less than a chunk."""
    kept: list[int] = []

    class Watched(Scripted):
        def read(self, prompts, sampling, cancel):  # type: ignore[no-untyped-def]
            for event in super().read(prompts, sampling, cancel):
                yield event
                kept.append(count(store, rows.Reading))

    measured(served_by(store, tmp_path, Watched()), direct_set(40), store)
    assert all(asked - there <= KEPT_AT_ONCE for asked, there in enumerate(kept, start=1))


def test_two_processes_that_read_the_same_set_keep_one_reading_of_each_prompt(any_store: Store, tmp_path: Path) -> None:
    served = served_by(any_store, tmp_path, Scripted())

    class Raced(Scripted):
        def read(self, prompts, sampling, cancel):  # type: ignore[no-untyped-def]
            measured(served, direct_set(20), any_store)
            yield from super().read(prompts, sampling, cancel)

    measured(served_by(any_store, tmp_path, Raced()), direct_set(20), any_store)
    assert distinct_prompts(any_store) == count(any_store, rows.Reading) == 20


@pytest.mark.parametrize("labelled", [direct_set(6), pairwise_set(6)], ids=["direct", "pairwise"])
def test_a_row_that_does_not_fit_is_listed_and_counts_in_the_total_only(
    store: Store, tmp_path: Path, labelled: LabelledSet
) -> None:
    scripted = Scripted(too_long=900)
    result = measured(served_by(store, tmp_path, scripted), with_long_row(labelled), store)
    assert (len(result.outcomes), result.total) == (6, 7)
    assert [left.id for left in result.unread] == ["long"]
    assert "Shorten the texts" in result.unread[0].reason
    assert all("Hello Hello" not in prompt.user for prompt in scripted.asked)
    with store.read() as session:
        stored = session.scalars(select(rows.Measurement)).all()
    assert {(row.n <= 6, row.total) for row in stored} == {(True, 7)}


def test_rows_that_were_left_out_of_the_set_count_in_the_total(store: Store, tmp_path: Path) -> None:
    labelled = replace(direct_set(6), left_out=(LeftOut("empty", "The response is empty."),))
    result = measured(served_by(store, tmp_path, Scripted()), labelled, store)
    assert result.total == 7
    assert result.unread == labelled.left_out


def test_an_answer_without_a_result_is_unread_and_nothing_is_made_up(store: Store, tmp_path: Path) -> None:
    result = measured(served_by(store, tmp_path, Scripted(silent=True)), direct_set(5), store)
    assert [left.reason for left in result.unread] == [UNPARSED] * 5
    assert all(figure.value is None and figure.missing for figure in result.estimates)


def test_prompts_with_a_common_beginning_are_asked_one_after_the_other(store: Store, tmp_path: Path) -> None:
    labelled = direct_set(20)
    mixed = replace(
        labelled,
        rows=tuple(
            replace(row, item=Item(f"Question {number % 4}.", row.item.responses))
            for number, row in enumerate(labelled.rows)
        ),
    )
    scripted = Scripted()
    measured(served_by(store, tmp_path, scripted), mixed, store)
    questions = [prompt.user[prompt.user.index("Question") :][:10] for prompt in scripted.asked]
    assert sum(one != other for one, other in pairwise(questions)) == 3


def test_progress_ends_at_one_and_names_the_set(store: Store, tmp_path: Path) -> None:
    told: list[tuple[str, float | None]] = []
    measure(
        served_by(store, tmp_path, Scripted()), direct_set(40), store, cancel=threading.Event(),
        report=lambda message, fraction: told.append((message, fraction)),
    )  # fmt: skip
    fractions = [fraction for _, fraction in told if fraction is not None]
    assert told[-1] == ("dev/direct_kind: 40 of 40 readings.", 1.0)
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0


def test_a_cancel_before_the_start_asks_nothing(store: Store, tmp_path: Path) -> None:
    cancel, scripted = threading.Event(), Scripted()
    cancel.set()
    with pytest.raises(CancelledError):
        measured(served_by(store, tmp_path, scripted), direct_set(5), store, cancel=cancel)
    assert scripted.asked == []


def test_with_feedback_it_is_another_judge(store: Store, tmp_path: Path, engine: TransformersEngine) -> None:
    served = served_by(store, tmp_path, engine)
    silent = measured(served, direct_set(3), store)
    writing = measured(served, direct_set(3), store, sampling=Sampling(max_new_tokens=8))
    assert silent.judge_id != writing.judge_id
    with store.read() as session:
        assert session.scalars(select(rows.Reading).where(rows.Reading.judge_id == writing.judge_id)).first().raw_text


def test_it_is_recalled_from_the_store_as_it_was_measured(any_store: Store, tmp_path: Path) -> None:
    served = served_by(any_store, tmp_path, Scripted(too_long=900))
    for labelled in (with_long_row(direct_set(12)), with_long_row(pairwise_set(12))):
        result = measured(served, labelled, any_store)
        with any_store.read() as session:
            again = recall(session, result.judge_id, labelled)
        assert again is not None
        assert again.outcomes == result.outcomes
        assert again.estimates == result.estimates
        assert [(left.id, left.reason) for left in again.unread] == [("long", NOT_READ)]


def test_undefined_figures_are_recalled_with_their_reason(store: Store, tmp_path: Path) -> None:
    labelled = replace(direct_set(5), rows=tuple(replace(row, label=3.0) for row in direct_set(5).rows))
    result = measured(served_by(store, tmp_path, Scripted()), labelled, store)
    with store.read() as session:
        again = recall(session, result.judge_id, labelled)
    assert again is not None
    assert "has the label 3" in again.estimate(Metric.PEARSON).missing


def test_what_did_not_come_to_its_end_is_not_recalled(store: Store, tmp_path: Path) -> None:
    served = served_by(store, tmp_path, Scripted())
    judge_id = measured(served, direct_set(5), store).judge_id
    with store.read() as session:
        assert recall(session, judge_id, direct_set(6)) is None
        with pytest.raises(NotFoundError, match="99"):
            recall(session, 99, direct_set(5))


def test_two_judges_are_compared_on_the_rows_that_both_could_read(store: Store, tmp_path: Path) -> None:
    labelled = with_long_row(direct_set(30))
    one = measured(served_by(store, tmp_path, Scripted()), labelled, store)
    other = measured(served_by(store, tmp_path, Scripted(too_long=900), digest="e" * 64), labelled, store)
    assert one.judge_id != other.judge_id
    assert (len(one.outcomes), len(other.outcomes)) == (31, 30)
    assert one.difference(one, Metric.PEARSON).n == 31
    assert one.difference(other, Metric.PEARSON).n == 30
