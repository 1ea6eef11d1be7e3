"""The lines of a training, read while they are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.training_progress import DevPoint, LossPoint, Progress, progress_of


def written(folder: Path, *lines: Any, tail: str = "") -> Progress:
    (folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return progress_of(folder)


def step(number: int, seconds: float, loss: float = 1.0, of: int = 100) -> dict[str, float]:
    return {"step": number, "of": of, "loss": loss, "seconds": seconds, "rows": 16}


def test_a_training_that_has_not_begun_has_no_progress(tmp_path: Path) -> None:
    assert progress_of(tmp_path / "nowhere") == Progress()
    assert written(tmp_path) == Progress()


def test_steps_and_measurements_are_told_apart(tmp_path: Path) -> None:
    dev = {
        "vicuna": {"metric": "pearson", "value": 0.31, "n": 120},
        "hhh": {"metric": "accuracy", "value": None, "n": 0},
    }
    progress = written(tmp_path, step(1, 30, 2.0), step(2, 60, 1.5), {"step": 2, "dev": dev})
    assert (progress.step, progress.of) == (2, 100)
    assert progress.losses == (LossPoint(1, 2.0), LossPoint(2, 1.5))
    assert progress.dev == (DevPoint(2, "hhh", "accuracy", None, 0), DevPoint(2, "vicuna", "pearson", 0.31, 120))


@pytest.mark.parametrize("tail", ['{"step": 3, "of": 1', '{"step": 3}\n', "[3]\n", '{"dev": 3, "step": 4}\n', "\x00\n"])
def test_a_half_written_or_strange_line_is_passed_over(tmp_path: Path, tail: str) -> None:
    assert written(tmp_path, step(1, 30), step(2, 60), tail=tail).step == 2


def test_the_time_left_is_told_from_the_speed_of_the_last_steps(tmp_path: Path) -> None:
    assert written(tmp_path, step(1, 30)).seconds_left is None
    assert written(tmp_path, step(1, 30), step(2, 50), step(3, 70)).seconds_left == pytest.approx(97 * 20)
    assert written(tmp_path, *(step(number, number**2) for number in range(1, 100))).seconds_left == pytest.approx(
        (99**2 - 49**2) / 50
    )
    assert written(tmp_path, step(99, 30), step(100, 60)).seconds_left == 0


def test_after_an_interruption_the_steps_done_again_count_once_and_the_clock_is_the_new_runs(tmp_path: Path) -> None:
    lines = [step(number, 10.0 * number, loss=1.0) for number in range(1, 26)]
    lines += [step(number, 5.0 * (number - 20), loss=0.5) for number in range(21, 24)]
    progress = written(tmp_path, *lines)
    assert progress.step == 23
    assert [point.step for point in progress.losses] == list(range(1, 24))
    assert [point.loss for point in progress.losses[-4:]] == [1.0, 0.5, 0.5, 0.5]
    assert progress.seconds_left == pytest.approx(77 * 5)


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path) -> None:
    progress = written(tmp_path, step(1, 30), step(2, 60, float("nan")), step(3, 90))
    assert [point.step for point in progress.losses] == [1, 3]
