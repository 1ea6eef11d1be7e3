"""Merging: checked before and after, whole or not there at all.

The models are tiny and real, and so is mergekit, in a child process.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from backend.config import read_settings
from backend.errors import CancelledError, EngineError, InvalidInputError, MergeError
from backend.manifests import made_in
from backend.merge_spec import USES, MergeSpec, read_spec
from backend.merging import ask_once, merge
from backend.models import find_model
from backend.starter import MANIFEST
from tests.experts import LARGE, Family, save_weights, sharded, spec_of, weights
from tests.test_starter import Told, small_disks_can_be_made, visible
from ui.commands.merge import app

ROOT = Path(__file__).parent.parent
NEVER = threading.Event()
ON_A_SMALL_DISK = """
import sys, threading
from pathlib import Path
import backend.mergeable
from backend.merge_spec import MergeSpec
from backend.merging import merge

backend.mergeable.SPARE_BYTES = -10**9
spec = MergeSpec.model_validate_json(sys.argv[2])
merge(spec, Path(sys.argv[1]), lambda message, _fraction: print(message, flush=True), threading.Event())
"""


@pytest.fixture(scope="module")
def merged(family: Family, tmp_path_factory: pytest.TempPathFactory) -> tuple[MergeSpec, Path, Path]:
    """A merge, the home it was made in, and its folder."""
    home = tmp_path_factory.mktemp("home")
    spec = spec_of(family, home, alpha=1)
    return spec, home, merge(spec, home, Told(), NEVER, name="mine", ask=ask_once)


def test_a_merge_appears_under_its_name_and_recipe_and_is_a_model_that_is_accepted(
    merged: tuple[MergeSpec, Path, Path],
) -> None:
    spec, home, folder = merged
    assert folder == home / "models" / f"mine-{spec.digest[:12]}"
    assert visible(home) == [folder.name]
    assert find_model(str(folder), home, prompt_format=None, report=Told()).architecture == "LlamaForCausalLM"


def test_at_alpha_1_a_linear_merge_is_the_direct_expert_bit_for_bit(
    family: Family, merged: tuple[MergeSpec, Path, Path]
) -> None:
    given, made = weights(family.direct), weights(merged[2])
    assert all(made[name].equal(tensor) and made[name].dtype == tensor.dtype for name, tensor in given.items())


def test_the_tokenizer_and_the_template_are_copied_byte_for_byte(
    family: Family, merged: tuple[MergeSpec, Path, Path]
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (merged[2] / name).read_bytes() == (family.direct / name).read_bytes()


def test_the_manifest_names_the_recipe_the_files_and_what_made_them(merged: tuple[MergeSpec, Path, Path]) -> None:
    spec, _, folder = merged
    manifest = json.loads((folder / MANIFEST).read_text())
    assert read_spec(manifest["spec"]) == spec
    assert (manifest["recipe"], manifest["recipe_digest"]) == (spec.recipe(), spec.digest)
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {MANIFEST}
    for name, file in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["made_with"]["mergekit"] == "0.1.5"
    assert manifest["seconds"] > 0
    assert manifest["started"] < manifest["finished"]


def test_a_merge_is_known_as_one_with_its_recipe_and_its_parents(merged: tuple[MergeSpec, Path, Path]) -> None:
    spec, home, folder = merged
    files = find_model(str(folder), home, prompt_format=None, report=Told())
    assert (files.kind, files.recipe) == ("merge", spec.recipe())
    made = made_in(folder, home)
    assert made is not None
    assert made.parents == {"direct": spec.direct.digest, "pairwise": spec.pairwise.digest}


def test_the_same_recipe_is_answered_at_once_under_whatever_name(merged: tuple[MergeSpec, Path, Path]) -> None:
    spec, home, folder = merged
    told = Told()
    assert merge(spec, home, told, NEVER, name="another") == folder
    assert told == []


def test_a_damaged_merge_is_made_again(merged: tuple[MergeSpec, Path, Path], tmp_path: Path) -> None:
    spec, home, folder = merged
    copy = Path(shutil.copytree(home, tmp_path / "home"))
    (copy / "models" / folder.name / "model.safetensors").write_bytes(b"")
    assert weights(merge(spec, copy, Told(), NEVER, name="mine")).keys() == weights(folder).keys()
    assert visible(copy) == [folder.name]


def test_the_callers_process_never_imports_torch(merged: tuple[MergeSpec, Path, Path]) -> None:
    spec, home, _ = merged
    program = ON_A_SMALL_DISK + "print(sorted({'torch', 'transformers', 'mergekit'} & set(sys.modules)))"
    command = [sys.executable, "-c", program, home, spec.model_dump_json(by_alias=True, exclude_none=True)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_leads_out_of_the_folder_is_refused(family: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(InvalidInputError, match=r"The name '\.\./up' can't begin a folder's name"):
        merge(spec_of(family, home), home, Told(), NEVER, name="../up")
    assert not (home / "models").exists()


def test_a_number_that_is_none_names_the_tensor_and_the_parent(experts: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    tensors = weights(experts.pairwise)
    tensors[LARGE][3, 5] = float("nan")
    save_weights(experts.pairwise, tensors)
    with pytest.raises(MergeError) as caught:
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert f"{LARGE} in {experts.pairwise} holds values that are no finite numbers" in str(caught.value)
    assert visible(home) == []


def test_tensors_outside_the_architecture_are_refused_and_not_dropped(experts: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in (experts.direct, experts.pairwise):
        save_weights(folder, {**weights(folder), "score.weight": weights(folder)[LARGE].clone()})
    with pytest.raises(MergeError, match=r"1 tensors that mergekit does not know .* for instance score.weight"):
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert visible(home) == []


def test_a_result_that_cannot_judge_is_not_kept(family: Family, tmp_path: Path) -> None:
    home, asked = tmp_path / "home", list[bool]()

    def ask(folder: Path) -> None:
        asked.append((folder / "model.safetensors").is_file())
        raise EngineError("The model's probabilities are not numbers.")

    with pytest.raises(MergeError, match=r"the result can't judge, so it was not kept: The model's probabilities"):
        merge(spec_of(family, home), home, Told(), NEVER, ask=ask)
    assert asked == [True]
    assert visible(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(USES))
def test_every_method_merges_and_can_be_asked(method: str, family: Family, tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(family, home, method)
    folder = merge(spec, home, Told(), NEVER, ask=ask_once)
    assert visible(home) == [folder.name] == [f"{method}-alpha0.3-{spec.digest[:12]}"]


def test_at_alpha_0_a_merge_of_sharded_experts_is_the_pairwise_one(
    experts: Family, family: Family, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for folder in (experts.direct, experts.pairwise):
        sharded(folder)
    made = weights(merge(spec_of(experts, home, alpha=0), home, Told(), NEVER))
    assert all(made[name].equal(tensor) for name, tensor in weights(family.pairwise).items())


@pytest.mark.parametrize(
    "phase",
    ["Checking the models", "Starting", *(pytest.param(p, marks=pytest.mark.slow) for p in ("Merging", "Writ"))],
)
def test_a_cancelled_merge_ends_at_once_and_leaves_nothing(phase: str, family: Family, tmp_path: Path) -> None:
    home, cancel = tmp_path / "home", threading.Event()

    def report(message: str, _fraction: float | None) -> None:
        if message.startswith(phase):
            cancel.set()

    with pytest.raises(CancelledError, match="Nothing of it was kept"):
        merge(spec_of(family, home), home, report, cancel)
    assert visible(home) == []


def test_progress_runs_to_one_by_the_bytes_written(family: Family, tmp_path: Path) -> None:
    home, fractions = tmp_path / "home", list[float]()

    def report(message: str, fraction: float | None) -> None:
        if message.startswith("Merging"):
            assert fraction is not None
            fractions.append(fraction)

    merge(spec_of(family, home, alpha=0.4), home, report, NEVER)
    assert fractions == sorted(fractions)
    assert len(fractions) == len(weights(family.direct))
    assert fractions[-1] == 1


def test_two_merges_at_once_make_it_once(family: Family, tmp_path: Path) -> None:
    home, second_waits, folders, told = tmp_path / "home", threading.Event(), list[Path](), Told()
    spec = spec_of(family, home)

    def first(message: str, _fraction: float | None) -> None:
        if message.startswith("Starting"):
            waiter.start()
            assert second_waits.wait(60)

    def second(message: str, _fraction: float | None) -> None:
        told.append(message)
        second_waits.set()

    waiter = threading.Thread(target=lambda: folders.append(merge(spec, home, second, NEVER, name="second")))
    folders.append(merge(spec, home, first, NEVER, name="first"))
    waiter.join()
    assert told == ["The same recipe is being merged already; waiting for it."]
    assert folders == [home / "models" / f"first-{spec.digest[:12]}"] * 2
    assert visible(home) == [folders[0].name]


def test_who_waits_for_the_same_merge_can_cancel(family: Family, tmp_path: Path) -> None:
    from filelock import FileLock

    home, cancel = tmp_path / "home", threading.Event()
    spec = spec_of(family, home)
    (home / "models").mkdir()
    with FileLock(home / "models" / f".merge-{spec.digest[:12]}.lock"), pytest.raises(CancelledError):
        merge(spec, home, lambda _message, _fraction: cancel.set(), cancel)


@pytest.mark.slow
@pytest.mark.skipif(not small_disks_can_be_made(), reason="this system lets nobody mount a small disk")
@pytest.mark.parametrize(
    ("kilobytes", "phase"),
    [(150, "Merging: the weights"), (330, "Merging: the tokenizer"), (356, "Writing: the manifest")],
)
def test_a_disk_that_becomes_full_is_told_and_left_clean(
    kilobytes: int, phase: str, family: Family, tmp_path: Path
) -> None:
    spec = spec_of(family, tmp_path / "home")
    script = 'mount -t tmpfs -o size="$0"k tmpfs "$1" && "$2" -c "$3" "$1" "$4"; ls -A "$1/models"'
    written = spec.model_dump_json(by_alias=True, exclude_none=True)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(kilobytes), tmp_path / "home",
         sys.executable, ON_A_SMALL_DISK, written],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "MergeError: The disk that holds" in done.stderr, (phase, done.stderr)
    *told, left = done.stdout.splitlines()
    assert told[-1].startswith(phase.split(":")[0])
    assert left == f".merge-{spec.digest[:12]}.lock"


def command(home: Path, *options: object) -> Result:
    """The sub-command as launch.py has it, its home given."""
    cli = typer.Typer()

    @cli.callback()
    def settings(context: typer.Context) -> None:
        context.obj = read_settings(home=home)

    cli.add_typer(app, name="merge")
    return CliRunner().invoke(cli, ["merge", *map(str, options)])


def test_the_command_prints_the_folder_and_the_recipe(family: Family, tmp_path: Path) -> None:
    spec = spec_of(family, tmp_path, alpha=0.9)
    parents = ("--direct", family.direct, "--pairwise", family.pairwise, "--alpha", 0.9)
    done = command(tmp_path, *parents, "--name", "mine", "--json")
    folder = tmp_path / "models" / f"mine-{spec.digest[:12]}"
    assert json.loads(done.stdout) == {"folder": str(folder), "recipe_digest": spec.digest, "recipe": spec.recipe()}
    assert "Merging: " in done.stderr
    again = command(tmp_path, *parents)
    assert (again.stdout, again.stderr) == (f"{folder}\nrecipe {spec.digest}\n", "")


def test_the_command_tells_a_refusal_in_a_line_and_fails(family: Family, tmp_path: Path) -> None:
    done = command(tmp_path, "--direct", family.direct, "--pairwise", family.pairwise, "--density", 0.5)
    assert done.exit_code == 1
    assert done.stderr.startswith("Assay: This merge can't be made. The method linear does not use density.")
    assert done.stdout == ""
