"""The paper's eight sets, read from small files of ours in their published forms, and what is wrong in a file is named.

There is no network here: in the tests of the hub the fetch alone is replaced, by a local folder in the hub's layout or
by rows.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.benchmarks.getting import Hub, get_set
from backend.benchmarks.labelled import LabelledSet
from backend.benchmarks.licences import restrictions
from backend.benchmarks.published import (
    AUTOJ,
    FEEDBACK_BENCH,
    FLASK,
    HHH,
    MT_BENCH,
    MT_BENCH_HUMAN,
    PREFERENCE_BENCH,
    VICUNA,
)
from backend.benchmarks.rows import load_set
from backend.benchmarks.sets.catalogue import PAPER_SETS, published_set
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.row_files import RawRow, hub_rows
from backend.types import Mode
from tests import published_rows as rows

Make = Callable[[int], dict[str, Any]]
FILES: dict[str, Make] = {
    VICUNA: rows.scored,
    MT_BENCH: rows.scored,
    FLASK: lambda number: rows.scored(number, human_score=[2, 3], criteria="Factuality"),
    FEEDBACK_BENCH: lambda number: rows.scored(number, gpt4_score=1 + number % 5, idx=None),
    HHH: rows.chosen,
    MT_BENCH_HUMAN: rows.chosen,
    AUTOJ: rows.labelled,
    PREFERENCE_BENCH: rows.chosen,
}
SHA = "0123456789abcdef" * 2 + "01234567"


def got(folder: Path, name: str, made: list[dict[str, Any]], **options: Any) -> LabelledSet:
    """As it lies in the data folder after it was got from a file."""
    file = rows.as_list(folder / "published.json", made)
    get_set(published_set(name), folder, place=str(file), **options)
    return load_set(folder / name)


def hub_of(made: dict[str | None, list[dict[str, Any]]], sha: str = SHA) -> Hub:
    """The hub with the fetch replaced by these rows, by their configuration."""

    def fetch(name: str, *, configuration: str | None, split: str | None, revision: str | None) -> Iterator[RawRow]:
        assert revision == sha
        for number, row in enumerate(made[configuration], start=1):
            yield RawRow(f"{name}, row {number}", row)

    return Hub(fetch, lambda _name: sha)


@pytest.mark.parametrize("name", FILES)
def test_each_set_is_read_from_its_published_file(tmp_path: Path, name: str) -> None:
    labelled = got(tmp_path, name, [FILES[name](number) for number in range(10)])
    assert (labelled.name, labelled.size) == (name, 10)
    assert {row.item.instruction for row in labelled.rows} == {"Say hello."}
    assert labelled.source.startswith("published.json, SHA-256 ")
    assert labelled.licence == published_set(name).licence
    if name != AUTOJ:
        assert {row.rubric.levels for row in labelled.rows} == {rows.LEVELS}


def test_every_set_of_the_paper_says_what_it_is_and_how_to_get_it() -> None:
    assert {one.name for one in PAPER_SETS} == set(FILES)
    for one in PAPER_SETS:
        assert one.mode == one.name.partition("/")[2].partition("_")[0]
        assert one.size > 100
        assert one.labels
        get = f"python3 launch.py bench get {one.name}"
        if one.hub is None:
            assert f"and run: {get} --from FILE, where FILE is that one." in one.cure
        else:
            assert one.cure.startswith(f"Run: {get} (or with --from FILE, where FILE is ")


def test_the_mean_of_gpt4s_scores_is_the_label_and_people_come_first(tmp_path: Path) -> None:
    vicuna = got(tmp_path, VICUNA, [rows.scored(number) for number in range(5)])
    assert [row.label for row in vicuna.rows] == pytest.approx([5 / 3, 7 / 3, 3, 11 / 3, 13 / 3])
    assert [row.category for row in vicuna.rows] == ["writing", "math", "writing", "math", "writing"]
    assert vicuna.rows[0].item.reference == "Good day, dear friend."
    got(tmp_path, FLASK, [rows.scored(number, human_score=[2, 3, 5]) for number in range(5)])
    people = load_set(tmp_path / FLASK)
    assert [row.label for row in people.rows] == pytest.approx([10 / 3] * 5)
    assert {row.labelled_by for row in people.rows} == {"people"}
    assert [row.also for row in people.rows] == pytest.approx([row.label for row in vicuna.rows])
    gpt4 = load_set(tmp_path / FLASK, labelled_by="gpt4")
    assert [row.label for row in gpt4.rows] == [row.also for row in people.rows]
    assert gpt4.name == f"{FLASK}@gpt4"


def test_a_response_with_headings_of_its_own_stays_whole(tmp_path: Path) -> None:
    response = "###Step 1\nHello.\n\n###Response to evaluate:\nno\n\n###Score Rubrics:\n[x]\nScore 1: y"
    made = [rows.scored(1, instruction=rows.prompt(response)), *map(rows.scored, range(2, 5))]
    assert got(tmp_path, VICUNA, made).rows[0].item.responses == (response,)
    plain = got(tmp_path, MT_BENCH, [rows.scored(1, instruction=rows.prompt("Hi.", reference=None))])
    assert (plain.rows[0].item.responses, plain.rows[0].item.reference) == (("Hi.",), None)


def test_the_better_response_is_on_either_side_and_always_on_the_same(tmp_path: Path) -> None:
    made = [rows.chosen(number) for number in range(40)]
    labelled = got(tmp_path, HHH, made)
    decided = [row for row in labelled.rows if row.label != "tie"]
    assert len(decided) == 32
    assert {row.item.responses["AB".index(str(row.label))][:5] for row in decided} == {"Hello"}
    assert 8 < sum(row.label == "A" for row in decided) < 24
    (tmp_path / "again").mkdir()
    assert got(tmp_path / "again", HHH, made).digest == labelled.digest


def test_the_hubs_forms_are_read_and_say_their_revision(tmp_path: Path) -> None:
    hub = hub_of({None: [rows.collected(number) for number in range(10)]})
    feedback = get_set(published_set(FEEDBACK_BENCH), tmp_path, hub=hub)
    assert feedback.labelled.source == "prometheus-eval/Feedback-Bench on the hub at 0123456789ab"
    assert [row.label for row in load_set(tmp_path / FEEDBACK_BENCH).rows] == [1.0 + n % 5 for n in range(10)]
    assert feedback.odd == "It has 10 rows; 1,000 were published."
    hub = hub_of({None: [rows.preferred(number) for number in range(10)]})
    preference = get_set(published_set(PREFERENCE_BENCH), tmp_path, hub=hub).labelled
    assert [row.label for row in preference.rows] == ["A", "B"] * 5
    assert {row.labelled_by for row in preference.rows} == {"gpt4"}
    of_each = {
        name: [rows.choice(2 * place + number) for number in range(2)]
        for place, name in enumerate(("harmless", "helpful", "honest", "other"))
    }
    hhh = get_set(published_set(HHH), tmp_path, hub=hub_of({**of_each})).labelled
    assert hhh.size == 8
    better = {row.item.responses["AB".index(str(row.label))] for row in hhh.rows}
    assert better == {f"Hello, {n}." if n % 2 else f"Go away, {n}." for n in range(8)}


def test_votes_on_the_hub_are_grouped_to_one_winner(tmp_path: Path) -> None:
    votes = [
        rows.vote(81, "model_a"),
        rows.vote(81, "model_b", models=("beta", "alpha")),
        rows.vote(81, "tie"),
        rows.vote(91, "model_a"),
        rows.vote(91, "model_b"),
        rows.vote(91, "model_a", turn=2),
    ]
    labelled = get_set(published_set(MT_BENCH_HUMAN), tmp_path, hub=hub_of({None: votes})).labelled
    assert [(row.id[-13:], row.label) for row in labelled.rows] == [
        ("alpha-beta-t1", "A"),
        ("alpha-beta-t1", "tie"),
        ("alpha-beta-t2", "A"),
    ]
    assert labelled.rows[2].item.responses[1] == "Hello from beta.\n\nHello again from beta."
    assert [row.category for row in labelled.rows] == ["writing", "roleplay", "roleplay"]


def test_a_local_folder_in_the_hubs_layout_is_read_as_the_hub_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub" / "Feedback-Bench"
    folder.mkdir(parents=True)
    rows.as_lines(folder / "train.jsonl", [rows.collected(number) for number in range(6)])

    def fetch(_name: str, *, configuration: str | None, split: str | None, revision: str | None) -> Iterator[RawRow]:
        return hub_rows(str(folder), configuration=configuration, split=split)

    result = get_set(published_set(FEEDBACK_BENCH), tmp_path, hub=Hub(fetch, lambda _name: SHA))
    assert [row.label for row in result.labelled.rows] == [1, 2, 3, 4, 5, 1]


def test_a_set_that_has_changed_is_told_and_not_replaced_unasked(tmp_path: Path) -> None:
    first = [rows.scored(number) for number in range(6)]
    before = got(tmp_path, VICUNA, first)
    assert got(tmp_path, VICUNA, first).digest == before.digest
    changed = [*first[1:5], rows.scored(5, gpt4_score=[5, 5, 5]), rows.scored(9)]
    with pytest.raises(ConflictError, match=r"1 rows are new, 1 are gone, 1 say something else .* Add --replace"):
        got(tmp_path, VICUNA, changed)
    assert load_set(tmp_path / VICUNA).digest == before.digest
    assert got(tmp_path, VICUNA, changed, replace=True).digest != before.digest


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Say hello."}, "instruction: Field required"),
        (rows.scored(1) | {"instruction": "Say hello."}, "no heading '###The instruction to evaluate:'"),
        (rows.scored(1) | {"gpt4_score": "five"}, "gpt4_score"),
        (rows.scored(1, gpt4_score=[9, 9, 9]), "a score that is 9"),
        (rows.scored(1, instruction=rows.prompt("Hi.").replace("Score 3:", "Three:")), "does not describe the scores"),
        (rows.scored(0), "several rows with the id 'direct_vicuna_bench-0-model'"),
    ],
    ids=["other form", "no headings", "no number", "out of range", "no rubric", "duplicate id"],
)
def test_what_is_wrong_in_a_file_is_named_and_nothing_is_written(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=r"published|score|several") as caught:
        got(tmp_path, VICUNA, [rows.scored(0), row])
    assert said in str(caught.value)
    assert not (tmp_path / "benchmarks").exists()


def test_rows_without_any_label_are_no_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no row with a label"):
        got(tmp_path, VICUNA, [rows.scored(number, gpt4_score=[]) for number in range(3)])


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        (AUTOJ, rows.labelled(0, label=7), "label"),
        (PREFERENCE_BENCH, rows.preferred(0, orig_preference="C"), "orig_preference"),
        (HHH, rows.choice(0, targets={"choices": ["a", "b"], "labels": [1, 1]}), "marks 2 of its two"),
        (HHH, rows.chosen(0, rejected_instruction=rows.prompt("No.", instruction="Other?")), "ask different things"),
        (FEEDBACK_BENCH, {**rows.collected(0), "orig_score": None}, "orig_score"),
        (MT_BENCH_HUMAN, {**rows.vote(81, "model_a"), "winner": "both"}, "winner"),
    ],
)
def test_labels_that_are_none_are_named(tmp_path: Path, name: str, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        got(tmp_path, name, [row])


def test_a_response_that_is_empty_is_left_out_and_counted(tmp_path: Path) -> None:
    made = [*map(rows.scored, range(4)), rows.scored(4, instruction=rows.prompt(" "))]
    labelled = got(tmp_path, VICUNA, made)
    assert (len(labelled.rows), labelled.size) == (4, 5)
    assert labelled.left_out[0].id == "direct_vicuna_bench-4-model"


def test_a_set_that_is_on_no_hub_says_where_its_file_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"flask_eval.json .* --from FILE"):
        get_set(published_set(FLASK), tmp_path)
    with pytest.raises(NotFoundError, match=VICUNA):
        published_set("benchmarks/direct_nothing")
    unread = tmp_path / "cut.json"
    unread.write_text(json.dumps([rows.scored(0)])[:-9], encoding="utf-8")
    with pytest.raises(InvalidInputError, match="no rows that can be read"):
        get_set(published_set(VICUNA), tmp_path, place=str(unread))


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("MIT", ""),
        ("Apache-2.0 (prometheus-eval/prometheus-eval)", ""),
        ("CC-BY-NC-4.0", "not for commercial use"),
        ("CC-BY-NC-ND-4.0", "not for commercial use; not to be passed on changed"),
        ("none stated in repo", "no licence is certain, so nothing but your own measuring is"),
    ],
)
def test_what_a_licence_forbids_is_said(licence: str, said: str) -> None:
    assert restrictions(licence) == said


def test_the_modes_of_what_was_got(tmp_path: Path) -> None:
    modes = {name: got(tmp_path, name, [make(n) for n in range(10)]).mode for name, make in FILES.items()}
    assert modes == {one.name: one.mode for one in PAPER_SETS}
    assert list(modes.values()).count(Mode.DIRECT) == 4
