"""The starter judge is made of the starter model and the adapters that ship, once, and by the book."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from backend.models import find_model, weight_files
from backend.starter import MANIFEST, StarterSource, files_of
from backend.starter_judge import SHIPPED, StarterJudge, prepare_starter_judge
from backend.training_start import has_adapter, matrices_digest
from tests.experts import make_family
from tests.tiny import make_tiny_adapter

SOURCE = StarterSource(
    name="tiny",
    requirement="tiny-starter==1.0",
    wheel="tiny_starter-1.0-py3-none-any.whl",
    member="tiny_starter/tiny.gguf",
    gguf_bytes=1,
    gguf_sha256="",
    licence="Apache-2.0",
    needed_bytes=1,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which the starter model is there already."""
    folder = Path(shutil.copytree(make_family(tmp_path / "family").base, tmp_path / "home" / "models" / SOURCE.name))
    (folder / MANIFEST).write_text(json.dumps({"files": files_of(folder)}))
    return tmp_path / "home"


@pytest.fixture
def shipped(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    for seed, format in enumerate(("direct", "pairwise")):
        make_tiny_adapter(tiny_model, folder / format, seed=seed)
        (folder / format / "README.md").write_text(f"# The {format} expert")
    ship(folder, method="linear", alpha=0.25)
    (folder / "README.md").write_text("# The starter judge")
    return folder


def ship(folder: Path, **merge: float | str) -> None:
    (folder / "judge.json").write_text(json.dumps({"merge": merge, "note": "It was measured."}))


def silent(_message: str, _fraction: float | None) -> None:
    pass


def prepared(home: Path, shipped: Path) -> StarterJudge:
    return prepare_starter_judge(home, silent, source=SOURCE, shipped=shipped)


def test_the_judge_is_the_merge_of_the_two_experts_at_the_shipped_alpha(home: Path, shipped: Path) -> None:
    from safetensors.torch import load_file

    from backend.engines.interpolation import interpolate

    made = prepared(home, shipped)
    direct, pairwise, judge = (load_file(weight_files(f)[0]) for f in (made.direct, made.pairwise, made.judge))
    assert any(not direct[name].equal(pairwise[name]) for name in direct)
    for name, tensor in judge.items():
        assert tensor.equal(interpolate(direct[name], pairwise[name], 0.25, tensor.dtype))
    assert made.note == "It was measured."
    assert made.card == "# The starter judge"


def test_a_training_can_go_on_from_the_shipped_experts(home: Path, shipped: Path) -> None:
    made = prepared(home, shipped)
    for format, expert in (("direct", made.direct), ("pairwise", made.pairwise)):
        assert has_adapter(str(expert))
        assert matrices_digest(str(expert)) == matrices_digest(str(shipped / format))
        manifest = json.loads((expert / MANIFEST).read_text())
        assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= manifest["files"].keys()


def test_a_merge_that_adds_to_the_base_is_given_the_base(home: Path, shipped: Path) -> None:
    from safetensors.torch import load_file

    ship(shipped, method="task_arithmetic", alpha=0.5, **{"lambda": 2.0})
    made = prepared(home, shipped)
    base, direct, pairwise, judge = (
        load_file(weight_files(folder)[0]) for folder in (made.base, made.direct, made.pairwise, made.judge)
    )
    for name, tensor in judge.items():
        whole = direct[name].float() + pairwise[name].float() - base[name].float()
        assert tensor.float().allclose(whole, atol=0.02, rtol=0.02)
    described = find_model(str(made.judge), home, prompt_format=None, report=silent)
    assert described.recipe is not None
    assert described.recipe["lambda"] == 2.0


def test_each_part_names_what_it_was_made_of(home: Path, shipped: Path) -> None:
    made = prepared(home, shipped)
    base, direct, pairwise, judge = (
        find_model(str(folder), home, prompt_format=None, report=silent)
        for folder in (made.base, made.direct, made.pairwise, made.judge)
    )
    manifests = [json.loads((f / MANIFEST).read_text()) for f in (made.direct, made.pairwise, made.judge)]
    assert [manifest["parents"] for manifest in manifests] == [
        {"base": base.digest},
        {"base": base.digest},
        {"direct": direct.digest, "pairwise": pairwise.digest},
    ]
    assert (direct.kind, judge.kind) == ("expert", "merge")
    assert judge.recipe is not None
    assert (judge.recipe["method"], judge.recipe["alpha"]) == ("linear", 0.25)


def test_the_second_time_nothing_is_made(home: Path, shipped: Path) -> None:
    first = prepared(home, shipped)
    times = {path: path.stat().st_mtime_ns for path in (home / "models").rglob("*") if path.is_file()}
    assert prepared(home, shipped) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_start_that_finds_all_made_loads_no_torch(home: Path, shipped: Path) -> None:
    made = prepared(home, shipped)
    script = (
        "import json, sys; from pathlib import Path; from backend.starter import StarterSource;"
        "from backend.starter_judge import prepare_starter_judge;"
        "home, shipped, source = sys.argv[1:];"
        "source = StarterSource(**json.loads(source));"
        "made = prepare_starter_judge(Path(home), print, source=source, shipped=Path(shipped));"
        "print(made.judge); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, home, shipped, json.dumps(asdict(SOURCE))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-2:] == [str(made.judge), "False"]


def test_other_adapters_make_another_judge_beside_the_old_one(home: Path, shipped: Path, tiny_model: Path) -> None:
    first = prepared(home, shipped)
    shutil.rmtree(shipped / "pairwise")
    make_tiny_adapter(tiny_model, shipped / "pairwise", seed=7)
    (shipped / "pairwise" / "README.md").write_text("# Another")
    second = prepared(home, shipped)
    assert second.pairwise != first.pairwise
    assert second.direct == first.direct
    assert second.judge != first.judge
    assert first.judge.is_dir()


@pytest.mark.slow
def test_a_start_that_was_killed_anywhere_ends_whole_the_next_time(home: Path, shipped: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from backend.starter import StarterSource; "
        "from backend.starter_judge import prepare_starter_judge as prepare; "
        "prepare(Path(sys.argv[1]), lambda *told: print(*told, flush=True), "
        "source=StarterSource(**json.loads(sys.argv[2])), shipped=Path(sys.argv[3]))"
    )
    for lines in (1, 2, 3, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(home), json.dumps(asdict(SOURCE)), str(shipped)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    prepared(home, shipped)
    assert sorted(path.name.rsplit("-", 1)[0] for path in (home / "models").iterdir() if path.name[0] != ".") == [
        "starter-direct", "starter-judge", "starter-pairwise", "tiny",
    ]  # fmt: skip
    assert not [path for path in (home / "models").iterdir() if "partial" in path.name]


def test_what_ships_is_small_and_has_its_cards() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 12_000_000
    for folder in (SHIPPED, SHIPPED / "direct", SHIPPED / "pairwise"):
        assert "licence" in (folder / "README.md").read_text().lower()
    assert 0 <= json.loads((SHIPPED / "judge.json").read_text())["merge"]["alpha"] <= 1
