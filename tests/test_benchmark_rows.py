"""Labelled sets: files of the published form and the store's own labels become rows; what is wrong is named."""

from collections import Counter
from pathlib import Path

import pytest

from backend.benchmarks.labelled import subset
from backend.benchmarks.own import own_labels
from backend.benchmarks.rows import HELPFUL, WantedSet, load_set, open_set, sets_in, wanted_set
from backend.errors import InvalidInputError, NotFoundError
from backend.labels import Labels
from backend.types import Mode, Rubric
from db.session import Store
from tests.conftest import add_user
from tests.factories import Bench
from tests.labelled import RUBRIC, direct_row, direct_set, pairwise_row, write_rows, write_sets


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    return tmp_path / "dev"


def test_a_direct_set_is_read_with_its_rubric_and_scores(dev: Path) -> None:
    write_rows(dev / "direct_kind.jsonl.gz", [direct_row(0, reference="Good day."), direct_row(3)])
    labelled = load_set(dev / "direct_kind")
    assert (labelled.name, labelled.mode, labelled.licence) == ("dev/direct_kind", Mode.DIRECT, "MIT")
    assert [row.label for row in labelled.rows] == [1.0, 4.0]
    assert labelled.rows[0].item.reference == "Good day."
    assert labelled.rows[0].rubric == Rubric(RUBRIC["criteria"], tuple(RUBRIC["scores"]))
    assert labelled.rows[0].labelled_by == "people"


def test_a_pairwise_set_in_parts_is_one_set(dev: Path) -> None:
    write_rows(dev / "pairwise_kind.01of02.jsonl.gz", [pairwise_row(0), pairwise_row(1)])
    write_rows(dev / "pairwise_kind.02of02.jsonl.gz", [pairwise_row(2)])
    labelled = load_set(dev / "pairwise_kind")
    assert labelled.mode is Mode.PAIRWISE
    assert [row.label for row in labelled.rows] == ["A", "B", "tie"]
    assert labelled.rows[0].rubric == HELPFUL


def test_a_missing_part_is_named_and_not_passed_over(dev: Path) -> None:
    write_rows(dev / "pairwise_kind.02of02.jsonl.gz", [pairwise_row(2)])
    with pytest.raises(InvalidInputError, match="1 of its 2 files"):
        load_set(dev / "pairwise_kind")


def test_sets_whose_names_begin_alike_stay_apart(dev: Path) -> None:
    write_rows(dev / "direct_kind.jsonl.gz", [direct_row(0)])
    write_rows(dev / "direct_kind_extra.jsonl.gz", [direct_row(1)])
    assert [row.id for row in load_set(dev / "direct_kind").rows] == ["d0"]


def test_scores_on_another_scale_are_mapped_to_one_to_five(dev: Path) -> None:
    rows = [direct_row(0, scale=[1, 4], human_score=2.5), direct_row(1, scale=[0, 10], human_score=10)]
    write_rows(dev / "direct_kind.jsonl.gz", rows)
    assert [row.label for row in load_set(dev / "direct_kind").rows] == [3.0, 5.0]


def test_people_come_before_gpt4_unless_gpt4_is_asked_for(dev: Path) -> None:
    rows = [direct_row(0, human_score=2, gpt4_score=5), direct_row(1, human_score=None, gpt4_score=4)]
    write_rows(dev / "direct_kind.jsonl.gz", rows)
    place = dev / "direct_kind"
    assert [(row.label, row.labelled_by) for row in load_set(place).rows] == [(2.0, "people"), (4.0, "gpt4")]
    assert [row.label for row in load_set(place, labelled_by="gpt4").rows] == [5.0, 4.0]
    assert [row.id for row in load_set(place, labelled_by="people").rows] == ["d0"]


def test_a_set_without_the_labels_asked_for_says_so(dev: Path) -> None:
    write_rows(dev / "direct_kind.jsonl.gz", [direct_row(0)])
    with pytest.raises(InvalidInputError, match="by GPT-4"):
        load_set(dev / "direct_kind", labelled_by="gpt4")


def test_a_row_that_cannot_be_asked_is_left_out_and_counts_in_the_size(dev: Path) -> None:
    write_rows(dev / "pairwise_kind.jsonl.gz", [pairwise_row(0), pairwise_row(1, response_b="")])
    labelled = load_set(dev / "pairwise_kind")
    assert [(row.id, row.reason) for row in labelled.left_out] == [("p1", "Response B is empty. Fill it in.")]
    assert (len(labelled.rows), labelled.size) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"response": None}, "response: Input should be a valid string"),
        ({"human_score": 7}, "7 on the scale from 1 to 5"),
        ({"rubric": {"scores": []}}, "rubric.criteria: Field required"),
        ({"scale": [1]}, "scale"),
        ({"scale": [3, 3]}, "scale"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_line(dev: Path, changes: dict[str, object], said: str) -> None:
    write_rows(dev / "direct_kind.jsonl.gz", [direct_row(0), direct_row(1, **changes)])
    with pytest.raises(InvalidInputError, match=r"direct_kind\.jsonl\.gz, line 2") as caught:
        load_set(dev / "direct_kind")
    assert said in str(caught.value)


def test_a_line_that_is_no_json_is_named(dev: Path) -> None:
    import gzip

    dev.mkdir()
    (dev / "direct_kind.jsonl.gz").write_bytes(gzip.compress(b"{not json}\n"))
    with pytest.raises(InvalidInputError, match="line 1"):
        load_set(dev / "direct_kind")


def test_two_rows_of_one_id_are_refused(dev: Path) -> None:
    write_rows(dev / "direct_kind.jsonl.gz", [direct_row(0), direct_row(0)])
    with pytest.raises(InvalidInputError, match="'d0'"):
        load_set(dev / "direct_kind")


def test_a_set_that_is_not_there_is_named_with_its_folder(dev: Path) -> None:
    with pytest.raises(NotFoundError, match=r"direct_kind\.jsonl\.gz"):
        load_set(dev / "direct_kind")


def test_the_sets_of_a_data_folder_are_listed_by_name(tmp_path: Path) -> None:
    write_sets(tmp_path, 3)
    write_rows(tmp_path / "train" / "direct_no.jsonl.gz", [direct_row(0)])
    assert [(place.name, place.mode) for place in sets_in(tmp_path)] == [
        ("benchmarks/direct_bench", Mode.DIRECT),
        ("dev/direct_kind", Mode.DIRECT),
        ("dev/pairwise_kind", Mode.PAIRWISE),
    ]
    assert sets_in(tmp_path / "nowhere") == ()


def test_only_published_sets_are_benchmarks(tmp_path: Path, store: Store) -> None:
    write_sets(tmp_path, 3)
    assert open_set(wanted_set("benchmarks/direct_bench:2"), tmp_path, store).is_benchmark
    assert not open_set(wanted_set("dev/direct_kind"), tmp_path, store).is_benchmark


def test_a_wanted_set_is_a_name_and_a_number_of_rows() -> None:
    assert wanted_set("dev/direct_kind") == WantedSet(name="dev/direct_kind", size=None)
    assert wanted_set("dev/direct_kind:20", seed=4) == WantedSet(name="dev/direct_kind", size=20, seed=4)
    for text in ("dev/direct_kind:many", "dev/direct_kind:0"):
        with pytest.raises(InvalidInputError, match="whole number of rows"):
            wanted_set(text)


def test_a_wanted_set_that_is_not_there_lists_those_that_are(tmp_path: Path, store: Store) -> None:
    write_sets(tmp_path, 3)
    with pytest.raises(NotFoundError, match="dev/pairwise_kind"):
        open_set(wanted_set("dev/pairwise"), tmp_path, store)


def test_a_subset_has_each_label_in_proportion_and_says_so_in_its_name() -> None:
    whole = direct_set(320)
    part = subset(whole, 200, seed=0)
    assert part.name == "dev/direct_kind (200 of 320)"
    assert Counter(row.label for row in part.rows) == dict.fromkeys((1.0, 2.0, 3.0, 4.0, 5.0), 40)
    assert [row.id for row in whole.rows if row in part.rows] == [row.id for row in part.rows]


def test_a_subset_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    whole = direct_set(100)
    assert subset(whole, 30, 1).digest == subset(whole, 30, 1).digest
    assert subset(whole, 30, 1).digest != subset(whole, 30, 2).digest
    assert subset(whole, 30, 2).name == "dev/direct_kind (30 of 100, seed 2)"


def test_a_smaller_subset_lies_in_a_larger_one() -> None:
    whole = direct_set(100)
    assert {row.id for row in subset(whole, 20, 0).rows} < {row.id for row in subset(whole, 50, 0).rows}


@pytest.mark.parametrize("n", [1, 2, 3, 50, 99])
def test_a_subset_has_exactly_as_many_rows_as_asked_for(n: int) -> None:
    assert len(subset(direct_set(100), n, 0).rows) == n


def test_a_subset_of_everything_is_the_set_itself() -> None:
    whole = direct_set(10)
    assert subset(whole, 10, 0) == subset(whole, 11, 0) == whole


def test_the_digest_is_of_the_rows_and_not_of_the_name() -> None:
    assert direct_set(5).digest == direct_set(5, name="dev/other").digest
    assert direct_set(5).digest != direct_set(6).digest


def test_own_labels_are_the_labels_that_stand(any_store: Store) -> None:
    bench = Bench(any_store)
    labels = Labels(any_store)
    kept, taken_back, agreed = (bench.direct(score=4) for _ in range(3))
    labels.override_score(kept, bench.author_id, "1", 2)
    labels.override_score(taken_back, bench.author_id, "2", 1)
    labels.undo(taken_back, bench.author_id, "3")
    labels.agree(agreed, bench.author_id, "4")
    bench.pairwise("A")
    own = own_labels(any_store, Mode.DIRECT)
    assert own.name == "own/direct"
    assert [row.label for row in own.rows] == [2.0, 4.0]
    assert not own.is_benchmark


def test_several_peoples_labels_of_one_item_are_one_row(any_store: Store) -> None:
    bench = Bench(any_store)
    labels = Labels(any_store)
    people = [bench.author_id, *(add_user(any_store, name, "lead") for name in ("ann", "bob"))]
    scored, paired, split = bench.direct(), bench.pairwise("A"), bench.pairwise("A")
    for person, score, winner, other in zip(people, (1, 2, 5), "BAB", ("A", "B", "tie"), strict=True):
        labels.override_score(scored, person, f"s{person}", score)
        labels.override_winner(paired, person, f"p{person}", winner)
        labels.override_winner(split, person, f"t{person}", other)
    assert [row.label for row in own_labels(any_store, Mode.DIRECT).rows] == [pytest.approx(8 / 3)]
    assert [row.label for row in own_labels(any_store, Mode.PAIRWISE).rows] == ["B", "tie"]


def test_of_one_persons_labels_of_one_item_the_last_counts(any_store: Store) -> None:
    bench = Bench(any_store)
    first = bench.direct(instruction="Say hello.")
    bench.judge_id = bench.judge("another")
    second = bench.direct(instruction="Say hello.")
    Labels(any_store).override_score(first, bench.author_id, "1", 1)
    Labels(any_store).override_score(second, bench.author_id, "2", 5)
    assert [row.label for row in own_labels(any_store, Mode.DIRECT).rows] == [5.0]


def test_own_labels_are_opened_by_name_like_any_set(store: Store, tmp_path: Path) -> None:
    bench = Bench(store)
    Labels(store).agree(bench.direct(score=3), bench.author_id, "1")
    assert [row.label for row in open_set(wanted_set("own/direct"), tmp_path, store).rows] == [3.0]
    with pytest.raises(InvalidInputError, match="nobody has agreed with a pairwise verdict"):
        open_set(wanted_set("own/pairwise"), tmp_path, store)
