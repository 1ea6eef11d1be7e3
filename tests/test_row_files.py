"""Files of rows: JSON, JSON lines, gzip, Parquet and the hub are read, and what is no data set is one clear error."""

import gzip
import json
from pathlib import Path

import pytest

from backend.errors import DataFetchError, InvalidInputError
from backend.row_files import hub_rows
from backend.training_forms import load_rows
from tests.training_forms import collected, direct, reason

# Files


def test_a_json_list_is_read(tmp_path: Path) -> None:
    place = tmp_path / "rows.json"
    place.write_text(json.dumps([collected(), direct()]), encoding="utf-8")
    assert len(load_rows(str(place)).rows) == 2


def test_json_lines_named_json_are_read(tmp_path: Path) -> None:
    place = tmp_path / "rows.json"
    place.write_text(json.dumps(collected()) + "\n" + json.dumps(direct()) + "\n", encoding="utf-8")
    assert len(load_rows(str(place)).rows) == 2


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    place = tmp_path / "rows.jsonl"
    place.write_text(json.dumps(direct()), encoding="utf-8-sig")
    assert len(load_rows(str(place)).rows) == 1


def test_a_pattern_reads_all_its_files_in_order(tmp_path: Path) -> None:
    for part in (2, 1):
        with gzip.open(tmp_path / f"set.0{part}of02.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(json.dumps(direct(id=f"r{part}", human_score=part)) + "\n")
    assert [row.id for row in load_rows(str(tmp_path / "set*.jsonl.gz")).rows] == ["r1", "r2"]


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    place = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([collected(), collected(orig_score="9")]), place)
    loaded = load_rows(str(place))
    assert (len(loaded.rows), loaded.refused[0].where) == (1, "rows.parquet, row 2")


def test_half_a_json_line_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    place = tmp_path / "rows.jsonl"
    place.write_text(json.dumps(direct()) + "\n" + json.dumps(direct(id="r2"))[:40], encoding="utf-8")
    loaded = load_rows(str(place))
    assert len(loaded.rows) == 1
    assert "It is not JSON" in reason(loaded)


def test_a_line_in_another_encoding_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    place = tmp_path / "rows.jsonl"
    place.write_bytes(json.dumps(direct()).encode() + b"\n" + '{"response": "für"}'.encode("latin-1") + b"\n")
    assert "It is not UTF-8 text (byte 16)" in reason(load_rows(str(place)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b"", "is empty"),
        ("rows.jsonl", b" \n\n", "holds blank lines only"),
        ("rows.jsonl", json.dumps(direct()).encode("utf-16"), "is text in UTF-16"),
        ("rows.json", json.dumps([direct()]).encode("utf-16"), "is text in UTF-16"),
        ("rows.json", b"[]", "holds an empty list"),
        ("rows.json", json.dumps([direct()]).encode()[:50], "It is not JSON"),
        ("rows.json", '["für"]'.encode("latin-1"), "It is not UTF-8 text"),
        ("rows.json", b"[" * 100_000, "nested too deeply"),
        ("rows.jsonl.gz", b"no gzip at all", "is damaged or cut off"),
        ("rows.jsonl.gz", gzip.compress(json.dumps(direct()).encode())[:-10], "is damaged or cut off"),
        ("rows.parquet", b"no parquet", "can't be read as Parquet"),
        ("rows.csv", b"a,b", "is of no kind that can be read"),
        ("rows.jsonl", b'{"text": "a", "label": 1}\n', "its fields are: label, text. Known are Preference Collection"),
        ("rows.jsonl", b"[1]\n", "It is not an object with fields. Known are"),
        ("rows.jsonl", b"\x00\x00\n", "It is not JSON"),
    ],
)
def test_a_file_that_is_no_data_set_is_one_clear_error(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        load_rows(str(tmp_path / name))
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="There is no file"):
        load_rows(str(tmp_path / "none.jsonl"))


def test_a_folder_asks_for_its_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Name its files, for instance"):
        load_rows(str(tmp_path))


# The hub


def test_a_data_set_in_the_hubs_layout_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "organisation" / "name"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(json.dumps(collected()) + "\n", encoding="utf-8")
    (row,) = hub_rows(str(folder))
    assert row.value["orig_score"] == "3"


def test_a_hub_that_cant_be_reached_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def unreachable(*_name: str | None, **_options: str | None) -> None:
        raise ConnectionError("Couldn't reach 'a/b' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataFetchError, match=r"a/b could not be had .* Couldn't reach .* download its files"):
        load_rows("a/b")
