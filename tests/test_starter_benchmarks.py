"""A tiny version of each of the paper's benchmarks on the real starter judge, by the commands that a person types."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from backend.benchmarks.metrics import Metric
from backend.benchmarks.published import FEEDBACK_BENCH, VICUNA
from tests.test_published_sets import FILES, got

ROOT = Path(__file__).parent.parent
ROWS = 5


def command(home: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "launch.py", "--home", str(home), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "ASSAY_DATA_FOLDER": str(home / "data")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_benchmark_of_the_paper_runs_on_the_starter_and_its_figures_are_its_items(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, make in FILES.items():
        got(tmp_path / "data", name, [make(number) for number in range(ROWS)])
    sets = [word for name in FILES for word in ("--set", name)]
    result = json.loads(command(tmp_path, "bench", "run", "--judge", "starter", *sets, "--json"))
    assert [one["name"] for one in result["sets"]] == list(FILES)
    (row,) = result["rows"]
    assert [(cell["read"], cell["total"]) for cell in row["cells"]] == [(ROWS, ROWS)] * len(FILES)
    for name in (VICUNA, FEEDBACK_BENCH):
        lines = command(tmp_path, "bench", "items", "--judge", "starter", "--set", name).splitlines()
        items = [json.loads(line) for line in lines]
        by_hand = numpy.corrcoef([item["value"] for item in items], [float(item["label"]) for item in items])[0, 1]
        figures = row["cells"][list(FILES).index(name)]["figures"]
        (told,) = (figure["value"] for figure in figures if figure["metric"] == Metric.PEARSON)
        assert told == pytest.approx(by_hand, abs=1e-3)  # the responses are much alike, and items are rounded
