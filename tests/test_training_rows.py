"""Training rows: every published form is read strictly, and what can't be learned from is refused by name."""

import os
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InvalidInputError
from backend.row_summary import summary_of
from backend.training_forms import load_rows
from backend.training_rows import Loaded, TrainingRow, published, score_target, split_output, winner_target, write_rows
from backend.types import SCORES, SIDES, Item, Mode, Rubric
from tests.factories import LEVELS
from tests.training_forms import collected, direct, load, only, pairwise, preferred, reason, without

# Targets


def test_a_whole_score_is_one_hot() -> None:
    assert score_target([4]) == (0, 0, 0, 1, 0)


def test_a_mean_between_two_scores_is_split_so_that_it_stays_the_mean() -> None:
    assert score_target([3.67]) == pytest.approx((0, 0, 0.33, 0.67, 0))


def test_several_peoples_scores_give_their_shares() -> None:
    assert score_target([4, 5, 5]) == pytest.approx((0, 0, 0, 1 / 3, 2 / 3))


def test_many_equal_scores_are_exactly_one_hot() -> None:
    assert all(score_target([5] * people) == (0, 0, 0, 0, 1) for people in range(1, 40))


@pytest.mark.parametrize("score", [0.99, 5.01, -1, float("nan")])
def test_a_score_off_the_scale_has_no_target(score: float) -> None:
    with pytest.raises(InvalidInputError, match="must lie between 1 and 5"):
        score_target([score])


def test_a_tie_is_half_of_each() -> None:
    assert winner_target(["tie"]) == (0.5, 0.5)


def test_votes_give_their_shares() -> None:
    assert winner_target(["A", "A", "B", "tie"]) == (0.625, 0.375)


def test_another_word_than_a_b_or_tie_is_no_winner() -> None:
    with pytest.raises(InvalidInputError, match="'C'; it must be A, B or tie"):
        winner_target(["C"])


# The published output


@pytest.mark.parametrize(
    ("output", "results", "feedback", "result"),
    [
        ("Feedback: Good. [RESULT] 4", SCORES, "Good.", "4"),
        ("Good. So the overall score is 4. [RESULT] 4\n", SCORES, "Good. So the overall score is 4.", "4"),
        ("(A says more.) [RESULT] A", SIDES, "(A says more.)", "A"),
        ("[RESULT] B", SIDES, None, "B"),
    ],
)
def test_an_output_is_split_into_feedback_and_result(
    output: str, results: tuple[str, ...], feedback: str | None, result: str
) -> None:
    assert split_output(output, results) == (feedback, result)


@pytest.mark.parametrize(
    "output",
    ["Good. 4", "Good. [RESULT] 6", "Good. [RESULT] 4.", "Good. [RESULT]", "[RESULT] 4 [RESULT] 4", "a [RESULT] 4/5"],
)
def test_an_output_whose_result_cant_be_read_is_refused(output: str) -> None:
    with pytest.raises(InvalidInputError, match="The result can't be read"):
        split_output(output, SCORES)


# The Feedback Collection's and the Preference Collection's fields


def test_a_feedback_collection_row_is_read(tmp_path: Path) -> None:
    row = only(load(tmp_path, collected()))
    assert row.item == Item("How do I descale a kettle?", ("With vinegar.",), "With diluted vinegar; rinse twice.")
    assert row.rubric == Rubric("Is it helpful?", LEVELS)
    assert (row.mode, row.result) == (Mode.DIRECT, "3")
    assert row.feedback == "It names the means but not the amounts."
    assert (row.source, row.licence) == ("Feedback Collection", "not stated")


def test_a_preference_collection_row_is_read(tmp_path: Path) -> None:
    row = only(load(tmp_path, preferred()))
    assert row.item.responses == ("With vinegar.", "Buy a new one.")
    assert (row.mode, row.result, row.rubric.levels) == (Mode.PAIRWISE, "A", ())
    assert row.feedback == "Both are short; Response A answers."


def test_an_output_alone_gives_the_result(tmp_path: Path) -> None:
    assert only(load(tmp_path, without(collected(), "orig_score", "orig_feedback"))).result == "3"


def test_a_score_alone_gives_the_result(tmp_path: Path) -> None:
    row = only(load(tmp_path, without(collected(orig_score=3), "output")))
    assert (row.result, row.feedback) == ("3", "It names the means but not the amounts.")


def test_an_instruction_of_its_own_name_is_read_where_it_is_no_whole_prompt(tmp_path: Path) -> None:
    row = without(collected(instruction="How?"), "orig_instruction")
    assert only(load(tmp_path, row)).item.instruction == "How?"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (without(collected(), "orig_instruction"), "orig_instruction, the instruction alone, is missing"),
        (without(collected(), "orig_criteria"), "orig_criteria is missing"),
        (collected(orig_response=" "), "orig_response is empty"),
        (collected(orig_response=None), "orig_response is empty"),
        (collected(orig_response=["a"]), "orig_response is not text"),
        (without(collected(), "orig_score3_description"), "missing: orig_score3_description"),
        (collected(orig_score="6", output=None), "The score is '6'"),
        (collected(orig_score=3.5, output=None), "The score is '3.5'"),
        (collected(orig_score=True, output=None), "The score is 'True'"),
        (collected(orig_score="4"), "its result is 4, but its output ends in 3"),
        (collected(output="Fine. [RESULT] good"), "'good' stands behind [RESULT]"),
        (without(collected(), "orig_score", "output"), "It has no result"),
        (collected(output=None, orig_feedback="Good. [RESULT] 3"), "has the marker [RESULT] in it"),
        (collected(orig_response="half \x00 a text"), "a NUL character at position 6"),
        (collected(orig_response="half \ud83d"), "a lone surrogate"),
        (preferred(orig_preference="C"), "orig_preference is 'C'"),
        (preferred(orig_preference="B"), "the scores of A and B are 3 and 1"),
        (preferred(orig_score_B="3"), "Both responses have the score 3"),
        (without(preferred(), "orig_response_B"), "orig_response_B is missing"),
        (preferred(output="A. [RESULT] B"), "its result is A, but its output ends in B"),
    ],
)
def test_a_published_row_that_cant_be_learned_from_is_refused_with_its_reason(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    loaded = load(tmp_path, collected(orig_instruction="Another?"), row)
    assert len(loaded.rows) == 1
    assert loaded.refused[0].where == "rows.jsonl, line 2"
    assert said in reason(loaded)


# Rows with scores or winners of people and GPT-4


def test_peoples_scores_are_the_target_and_their_words_the_feedback(tmp_path: Path) -> None:
    row = direct(human_scores=[4, 5, 5], human_score=4.67, gpt4_score=1, human_feedback="Good.", gpt4_feedback="Bad.")
    read = only(load(tmp_path, row))
    assert read.target == pytest.approx((0, 0, 0, 1 / 3, 2 / 3))
    assert (read.feedback, read.id, read.licence, read.source) == ("Good.", "r1", "MIT", "a set")


def test_without_people_gpt4s_score_and_words_are_taken(tmp_path: Path) -> None:
    read = only(load(tmp_path, direct(human_score=None, gpt4_score=2.0, gpt4_feedback="Bad.", human_feedback="Mine.")))
    assert (read.result, read.feedback) == ("2", "Bad.")


def test_scores_on_another_scale_are_mapped_to_1_to_5(tmp_path: Path) -> None:
    row = direct(scale=[1, 4], human_score=2.5, human_scores=[2, 3], meta={"score_1to5": 3.0})
    assert only(load(tmp_path, row)).target == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3, 0))


def test_pairs_take_votes_before_the_majority(tmp_path: Path) -> None:
    assert only(load(tmp_path, pairwise(meta={"votes": ["A", "A", "B"]}))).target == pytest.approx((2 / 3, 1 / 3))


def test_peoples_winner_goes_before_gpt4s_and_drops_a_feedback_that_may_argue_against_it(tmp_path: Path) -> None:
    read = only(load(tmp_path, pairwise(human_label="B", gpt4_label="A", feedback="A is better.")))
    assert (read.result, read.feedback) == ("B", None)


def test_a_tie_of_gpt4s_is_half_of_each(tmp_path: Path) -> None:
    read = only(load(tmp_path, pairwise(human_label=None, gpt4_label="tie", feedback="Both are fine.")))
    assert (read.target, read.result, read.feedback) == ((0.5, 0.5), None, "Both are fine.")


def test_rows_that_state_no_rubric_take_the_one_that_is_given(tmp_path: Path) -> None:
    load(tmp_path, pairwise(rubric=None))
    rubric = Rubric("Which helps more?")
    assert only(load_rows(str(tmp_path / "rows.jsonl"), rubric=rubric)).rubric == rubric


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (without(direct(), "instruction"), "instruction is missing"),
        (direct(response=""), "response is empty"),
        (direct(human_score=None), "It has no score"),
        (direct(human_score=6), "The score is 6; its own scale goes from 1 to 5"),
        (direct(human_scores=[4, 0]), "The score is 0; its own scale goes from 1 to 5"),
        (direct(human_score="4"), "human_scores holds '4', which is no number"),
        (direct(human_score=True), "human_scores holds True, which is no number"),
        (direct(human_score=float("nan")), "human_scores holds nan, which is no number"),
        (direct(human_scores=4), "human_scores is 4; it must be a list of numbers"),
        (without(direct(), "scale"), "scale is None"),
        (direct(scale=[5, 1]), "its second number must be the higher one"),
        (direct(meta={"score_1to5": 2.0}), "meta.score_1to5 is 2.0, but its scores give 4"),
        (direct(meta=[]), "meta is not an object"),
        (direct(rubric={"criteria": "Good?", "scores": ["bad", "good"]}), "this one describes 2"),
        (direct(rubric={"criteria": "Good?", "scores": [1, 2, 3, 4, 5]}), "not a list of five descriptions"),
        (direct(rubric="Good?"), "Its rubric is not an object"),
        (direct(rubric=None), "It states no rubric"),
        (direct(id=1.5), "id is 1.5"),
        (pairwise(response_b="\n"), "response_b is empty"),
        (pairwise(human_label="a"), "The winner is 'a'"),
        (pairwise(human_label=None), "It has no winner"),
        (pairwise(meta={"votes": "A"}), "meta.votes is 'A'"),
    ],
)
def test_a_row_that_cant_be_learned_from_is_refused_with_its_reason(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    loaded = load(tmp_path, direct(instruction="Another?"), row)
    assert len(loaded.rows) == 1
    assert said in reason(loaded)


def test_a_row_that_teaches_what_an_earlier_one_does_is_a_duplicate(tmp_path: Path) -> None:
    loaded = load(tmp_path, direct(), direct(id="r2", source="another set"), direct(id="r3", human_score=2))
    assert ([row.id for row in loaded.rows], loaded.duplicates) == (["r1", "r3"], 1)


def test_forms_may_stand_side_by_side_in_one_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, direct(), pairwise(), collected(), preferred())
    assert loaded.forms == {
        "responses with scores": 1,
        "pairs with winners": 1,
        "Feedback Collection": 1,
        "Preference Collection": 1,
    }


# Writing


def test_written_rows_are_read_back_as_they_were(tmp_path: Path) -> None:
    rows = load(
        tmp_path,
        direct(),
        direct(id="shared", human_scores=[1, 2]),
        direct(id="no levels", rubric={"criteria": "Is it kind?"}, human_feedback="It is."),
        pairwise(),
        pairwise(id="tie", human_label="tie", reference="A reference."),
        collected(),
        preferred(),
    ).rows
    assert write_rows(rows, tmp_path / "out.jsonl") == 7
    assert load_rows(str(tmp_path / "out.jsonl")) == Loaded(
        rows, (), 0, {"Feedback Collection": 4, "Preference Collection": 3}
    )


def test_a_result_and_a_target_at_once_are_refused(tmp_path: Path) -> None:
    assert "It says its result twice" in reason(load(tmp_path, direct(), collected(target=[0, 0, 1, 0, 0])))


@pytest.mark.parametrize("target", [[0.5, 0.5], [0.5, 0.5, 0.5, 0, 0], [2, -1, 0, 0, 0], ["1", 0, 0, 0, 0], 3])
def test_a_target_that_is_no_probability_of_each_score_is_refused(tmp_path: Path, target: Any) -> None:
    row = without(collected(target=target), "orig_score", "output")
    assert "target" in reason(load(tmp_path, direct(), row))


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="is there already"):
        write_rows([], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "precious"


def test_a_file_that_cant_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="can't be written"):
        write_rows([], tmp_path / "no folder" / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_published_fields_end_in_the_result_as_the_judges_do(tmp_path: Path) -> None:
    assert published(only(load(tmp_path, preferred())))["output"] == "Both are short; Response A answers. [RESULT] A"


def test_a_row_of_three_responses_is_no_training_row() -> None:
    with pytest.raises(InvalidInputError, match="It has 3 responses"):
        TrainingRow("r", "s", "l", Item("i", ("a", "b", "c")), Rubric("Good?"), (1.0, 0.0), None)


def test_a_summary_counts_shares_as_shares(tmp_path: Path) -> None:
    summary = summary_of(load(tmp_path, direct(), direct(id="r2", human_scores=[3, 4]), pairwise(human_label="tie")))
    assert summary.scores == {"1": 0, "2": 0, "3": 0.5, "4": 1.5, "5": 0}
    assert summary.winners == {"A": 0.5, "B": 0.5}
    assert (summary.direct, summary.pairwise, summary.shared, summary.sources) == (2, 1, 2, {"a set (MIT)": 3})


# The real data, where it is there


def data_folder() -> Path:
    """The folder of the data page: ASSAY_TEST_DATA, or shared/data beside the repository."""
    given = os.environ.get("ASSAY_TEST_DATA")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "train").is_dir():
        pytest.skip("the data page's rows are not on this machine; name their folder in ASSAY_TEST_DATA")
    return folder


def test_every_row_of_the_training_sets_is_read_or_refused_by_name() -> None:
    loaded = load_rows(str(data_folder() / "train" / "*.jsonl.gz"))
    assert loaded.forms == {"responses with scores": 19_565, "pairs with winners": 14_533}
    assert len(loaded.rows) + loaded.duplicates == 34_098
    assert loaded.refused == ()
    assert len({row.id for row in loaded.rows}) == len(loaded.rows)


def test_mt_bench_votes_are_shares() -> None:
    loaded = load_rows(str(data_folder() / "benchmarks" / "pairwise_mt_bench_human*.jsonl.gz"))
    assert [refused.reason for refused in loaded.refused] == ["response_b is empty."] * 2
    assert {row.target for row in loaded.rows} > {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)}
