"""How far a training is, read from the lines that it writes. Pure but for the reading."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECENT_STEPS = 50
"""The time left is told from the speed of so many last steps, measurements included."""


@dataclass(frozen=True)
class LossPoint:
    """step: counted from 1. loss: mean over the step's rows."""

    step: int
    loss: float


@dataclass(frozen=True)
class DevPoint:
    """Agreement on a dev set after a step. value: None where the metric is undefined. n: rows that count."""

    step: int
    dev_set: str
    metric: str
    value: float | None
    n: int


@dataclass(frozen=True)
class Progress:
    """step of `of`; both 0 before the first step. seconds_left: None until two steps of this run are done."""

    step: int = 0
    of: int = 0
    losses: tuple[LossPoint, ...] = ()
    dev: tuple[DevPoint, ...] = ()
    seconds_left: float | None = None


@dataclass(frozen=True)
class _Step:
    step: int
    of: int
    loss: float
    seconds: float


def progress_of(folder: Path) -> Progress:
    """The progress of the training in this folder (progress.jsonl); none at all if it has not begun.

    A training that was interrupted does the steps since its last checkpoint again: the later line counts.
    Lines that say nothing known, and a last one that is half written, are passed over.
    """
    try:
        lines = (folder / "progress.jsonl").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return Progress()
    told = list(_objects(lines))
    steps = [step for entry in told if (step := _step(entry)) is not None]
    dev = {(point.dev_set, point.step): point for entry in told for point in _dev_points(entry)}
    if not steps:
        return Progress(dev=tuple(dev.values()))
    newest = steps[-1]
    by_step = {step.step: step for step in steps if step.step <= newest.step}
    return Progress(
        step=newest.step,
        of=newest.of,
        losses=tuple(
            LossPoint(number, by_step[number].loss) for number in sorted(by_step) if math.isfinite(by_step[number].loss)
        ),
        dev=tuple(sorted(dev.values(), key=lambda point: (point.dev_set, point.step))),
        seconds_left=_seconds_left(steps),
    )


def _objects(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told


def _step(entry: Mapping[str, Any]) -> _Step | None:
    try:
        return _Step(int(entry["step"]), int(entry["of"]), float(entry["loss"]), float(entry["seconds"]))
    except (KeyError, TypeError, ValueError):
        return None


def _dev_points(entry: Mapping[str, Any]) -> Iterator[DevPoint]:
    sets = entry.get("dev")
    for name, told in (sets if isinstance(sets, dict) else {}).items():
        try:
            value = None if told["value"] is None else float(told["value"])
            yield DevPoint(int(entry["step"]), str(name), str(told["metric"]), value, int(told["n"]))
        except (KeyError, TypeError, ValueError):
            continue


def _seconds_left(steps: list[_Step]) -> float | None:
    """By the speed of the run that is going on: its clock began at 0 when it started."""
    run = [steps[-1]]
    for step in reversed(steps[:-1]):
        if step.step >= run[-1].step or step.seconds > run[-1].seconds or len(run) > RECENT_STEPS:
            break
        run.append(step)
    if len(run) < 2:
        return None
    newest, oldest = run[0], run[-1]
    per_step = (newest.seconds - oldest.seconds) / (newest.step - oldest.step)
    return max(0.0, per_step * (newest.of - newest.step))
