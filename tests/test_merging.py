"""Merging: described exactly, checked before and after, whole or not there at all.

The models are tiny and real, and so is mergekit: in a child process wherever `merge` is called, and in this process
where only its arithmetic counts, since importing it takes seconds.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from backend.config import read_settings
from backend.errors import (
    CancelledError,
    EngineError,
    InvalidInputError,
    MergeError,
    ModelError,
    ModelFilesError,
    ModelUnsupportedError,
)
from backend.manifests import made_in
from backend.merge_process import MergeJob, run
from backend.merge_spec import USES, MergeSpec, read_spec
from backend.mergeable import check_mergeable, describe
from backend.merging import ask_once, merge
from backend.models import find_model
from backend.starter import MANIFEST
from tests.test_starter import Told, small_disks_can_be_made, visible
from tests.tiny import MISTRAL, make_tiny_model
from ui.commands.merge import app

pytestmark = pytest.mark.filterwarnings(
    "ignore:numpy.core is deprecated:DeprecationWarning"  # mergekit 0.1.5 allows it to be unpickled, by its old name
)

ROOT = Path(__file__).parent.parent
NEVER = threading.Event()
LARGE = "model.layers.0.mlp.up_proj.weight"
METHODS = sorted(USES)
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


def save_weights(folder: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def edit_json(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base and two experts that differ from it a little, in bfloat16 as real ones are."""
    import torch

    folder = tmp_path_factory.mktemp("family")
    family = {"base": make_tiny_model(folder / "base")}
    base = weights(family["base"])
    for seed, role in enumerate(("base", "direct", "pairwise")):
        family[role] = folder / role
        if role != "base":
            shutil.copytree(family["base"], family[role])
        noise = torch.Generator().manual_seed(seed)
        learned = {
            name: tensor + seed * 0.01 * torch.randn(tensor.shape, generator=noise) for name, tensor in base.items()
        }
        save_weights(family[role], {name: tensor.to(torch.bfloat16) for name, tensor in learned.items()})
        edit_json(family[role] / "config.json", dtype="bfloat16")
    return family


@pytest.fixture
def experts(family: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copies of the family, to be damaged."""
    return {role: Path(shutil.copytree(folder, tmp_path / "experts" / role)) for role, folder in family.items()}


def document(method: str = "linear", **entries: Any) -> dict[str, Any]:
    """A merge of models that need not exist."""
    parents = {"direct": {"path": "/m/a", "digest": "a" * 64}, "pairwise": {"path": "/m/b", "digest": "b" * 64}}
    if method not in ("linear", "slerp"):
        parents["base"] = {"path": "/m/base", "digest": "c" * 64}
    if method not in ("linear", "slerp", "task_arithmetic"):
        entries = {"density": 0.5, **entries}
    return {"method": method, "alpha": 0.3, **parents, **entries}


def spec_of(family: dict[str, Path], home: Path, method: str = "linear", **given: Any) -> MergeSpec:
    home.mkdir(exist_ok=True)
    base = {"base": family["base"]} if "base" in USES[method] else {}
    density = {"density": 0.5} if "density" in USES[method] else {}
    return describe(
        method, home, Told(), direct=family["direct"], pairwise=family["pairwise"],
        **base, **{"alpha": 0.3, **density, **given},
    )  # fmt: skip


def merge_here(spec: MergeSpec, folder: Path) -> dict[str, Any]:
    """The weights that mergekit makes of the recipe, in this process."""
    tensors = sorted(weights(spec.direct.path))
    run(MergeJob(spec.mergekit_yaml(), spec.seed, tensors, str(folder), None), lambda _event: None)
    return weights(folder)


@pytest.mark.parametrize(
    ("method", "entries", "expected"),
    [
        (
            "linear",
            {},
            {
                "merge_method": "linear",
                "base_model": "/m/a",
                "models": [
                    {"model": "/m/a", "parameters": {"weight": 0.3}},
                    {"model": "/m/b", "parameters": {"weight": 0.7}},
                ],
            },
        ),
        (
            "slerp",
            {},
            {
                "merge_method": "slerp",
                "base_model": "/m/b",
                "models": [{"model": "/m/a"}, {"model": "/m/b"}],
                "parameters": {"t": 0.3},
            },
        ),
        (
            "task_arithmetic",
            {"lambda": 0.8},
            {
                "merge_method": "task_arithmetic",
                "base_model": "/m/base",
                "models": [
                    {"model": "/m/a", "parameters": {"weight": 0.3}},
                    {"model": "/m/b", "parameters": {"weight": 0.7}},
                ],
                "parameters": {"normalize": False, "lambda": 0.8},
            },
        ),
        (
            "ties",
            {"density": 0.2},
            {
                "merge_method": "ties",
                "base_model": "/m/base",
                "models": [
                    {"model": "/m/a", "parameters": {"weight": 0.3, "density": 0.2}},
                    {"model": "/m/b", "parameters": {"weight": 0.7, "density": 0.2}},
                ],
                "parameters": {"normalize": False, "lambda": 1.0},
            },
        ),
        *(
            (
                method,
                {"seed": 7},
                {
                    "merge_method": method,
                    "base_model": "/m/base",
                    "models": [
                        {"model": "/m/a", "parameters": {"weight": 0.3, "density": 0.5}},
                        {"model": "/m/b", "parameters": {"weight": 0.7, "density": 0.5}},
                    ],
                    "parameters": {"normalize": False, "lambda": 1.0, "rescale": True},
                },
            )
            for method in ("dare_ties", "dare_linear")
        ),
        (
            "true_dare",
            {"density": 0.25, "lambda": 0.5},
            {
                "merge_method": "dare_linear",
                "base_model": "/m/base",
                "models": [
                    {"model": "/m/a", "parameters": {"weight": 0.3, "density": 0.25}},
                    {"model": "/m/b", "parameters": {"weight": 0.7, "density": 0.25}},
                ],
                "parameters": {"normalize": False, "lambda": 2.0, "rescale": False},
            },
        ),
    ],
)
def test_mergekit_is_given_the_configuration_that_avoids_its_traps(
    method: str, entries: dict[str, Any], expected: dict[str, Any]
) -> None:
    spec = read_spec(document(method, **entries))
    assert yaml.safe_load(spec.mergekit_yaml()) == {**expected, "dtype": "float32", "out_dtype": "bfloat16"}


def test_a_path_that_mergekit_would_take_for_an_adapter_or_a_revision_is_told_more_fully() -> None:
    given = document(direct={"path": "/m/a+b@c", "digest": "a" * 64})
    told = yaml.safe_load(read_spec(given).mergekit_yaml())
    assert told["base_model"] == {"model": {"path": "/m/a+b@c"}} == told["models"][0]["model"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"alpha": 1.1}, "alpha is 1.1. It is the weight of the direct-assessment expert and must lie between 0 and 1"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"method": "ties", "density": 0}, "density is 0. It is the share"),
        ({"method": "ties", "density": 1.5}, "density is 1.5"),
        ({"method": "ties", "density": None}, "The method ties needs a density. It is the share"),
        ({"method": "ties", "lambda": -1}, "lambda is -1. It scales what the experts have learned and must be 0"),
        ({"method": "dare_ties", "seed": -1}, "seed is -1"),
        ({"method": "dare_ties", "base": None}, "needs a base. It is the model that both experts were trained from"),
        ({"density": 0.5}, "The method linear does not use density. Leave it out; it is for ties, dare_ties"),
        ({"lambda": 1}, "The method linear does not use lambda"),
        ({"method": "ties", "seed": 1}, "The method ties does not use seed"),
        ({"base": {"path": "/m/c", "digest": "c" * 64}}, "The method linear does not use base"),
        ({"densty": 0.5}, "There is no parameter 'densty'. Did you mean 'density'?"),
        ({"epsilon": 0.5}, "There is no parameter 'epsilon'. Leave it out."),
        ({"method": "breadcrumbs"}, "method is 'breadcrumbs'. It must be one of linear, slerp, task_arithmetic, ties"),
        ({"dtype": "bfloat16"}, "dtype is 'bfloat16'. Merges are computed in float32"),
        ({"out_dtype": "int8"}, "out_dtype is 'int8'. It must be bfloat16"),
        ({"direct": {"path": "m/a", "digest": "a" * 64}}, "direct.path: the folder's path must be absolute"),
        ({"direct": {"path": "/m/b", "digest": "a" * 64}}, "Pairwise and direct are the same model (/m/b)"),
        ({"direct": {"path": "/m/a", "digest": "b" * 64}}, "Pairwise and direct are the same model"),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused_with_the_value_and_the_cure(
    entries: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_spec({**document(entries.get("method", "linear")), **entries})
    assert message in str(caught.value)


def test_what_is_missing_is_asked_for() -> None:
    given = document()
    del given["alpha"]
    with pytest.raises(InvalidInputError, match=r"needs a value for alpha. It is the weight of the direct-assessment"):
        read_spec(given)


def test_a_fault_in_a_parameter_is_told_before_any_model_is_read(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(InvalidInputError, match=r"alpha is 2\."):
        describe("linear", tmp_path, Told(), direct=nowhere / "a", pairwise=nowhere / "b", alpha=2)


def test_the_recipe_names_parents_by_digest_and_no_place() -> None:
    spec = read_spec(document("ties"))
    assert "/m/" not in json.dumps(spec.recipe())
    moved = document("ties", direct={"path": "/elsewhere", "digest": "a" * 64})
    assert read_spec(moved).digest == spec.digest
    assert read_spec(document("ties", alpha=0.4)).digest != spec.digest
    assert read_spec(document("ties", **{"lambda": 1.0})).digest == spec.digest


def test_a_description_survives_being_written_down() -> None:
    spec = read_spec(document("dare_ties", seed=3))
    assert read_spec(json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))) == spec


@pytest.mark.parametrize("alpha", [0, 0.1, 0.3, 0.5, 1])
def test_an_interpolation_in_memory_is_mergekits_linear_merge_bit_for_bit(
    alpha: float, family: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    from backend.engines.interpolation import interpolate

    spec = spec_of(family, tmp_path / "home", alpha=alpha)
    made = merge_here(spec, tmp_path / "made")
    direct, pairwise = weights(family["direct"]), weights(family["pairwise"])
    assert made.keys() == direct.keys()
    for name, tensor in made.items():
        mine = interpolate(direct[name], pairwise[name], alpha)
        assert torch.equal(mine.view(torch.int16), tensor.view(torch.int16)), name


def test_an_interpolation_in_float32_is_mergekits_too(family: dict[str, Path], tmp_path: Path) -> None:
    import torch

    from backend.engines.interpolation import interpolate

    made = merge_here(spec_of(family, tmp_path / "home", alpha=0.7, out_dtype="float32"), tmp_path / "made")
    direct, pairwise = weights(family["direct"]), weights(family["pairwise"])
    for name, tensor in made.items():
        assert torch.equal(interpolate(direct[name], pairwise[name], 0.7, torch.float32), tensor), name


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_every_tensor_finite_and_in_its_shape(
    method: str, family: dict[str, Path], tmp_path: Path
) -> None:
    made = merge_here(spec_of(family, tmp_path / "home", method), tmp_path / "made")
    direct = weights(family["direct"])
    assert {name: tensor.shape for name, tensor in made.items()} == {
        name: tensor.shape for name, tensor in direct.items()
    }
    assert all(tensor.isfinite().all() for tensor in made.values())
    assert not made[LARGE].equal(direct[LARGE])


def test_task_arithmetic_with_lambda_1_is_a_linear_merge(family: dict[str, Path], tmp_path: Path) -> None:
    made = {
        method: merge_here(spec_of(family, tmp_path / "home", method, out_dtype="float32"), tmp_path / method)
        for method in ("linear", "task_arithmetic")
    }
    assert made["linear"][LARGE].allclose(made["task_arithmetic"][LARGE], atol=1e-6)


def test_true_dare_scales_what_it_keeps_by_one_over_the_density(family: dict[str, Path], tmp_path: Path) -> None:
    spec = spec_of(family, tmp_path / "home", "true_dare", alpha=1, density=0.25, out_dtype="float32")
    made, base, direct = merge_here(spec, tmp_path / "made"), weights(family["base"]), weights(family["direct"])
    learned, merged = direct[LARGE].float() - base[LARGE].float(), made[LARGE] - base[LARGE].float()
    kept = merged != 0
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert merged[kept].allclose(4 * learned[kept], atol=1e-6)


@pytest.mark.parametrize("method", ["dare_ties", "dare_linear", "true_dare"])
def test_the_seed_decides_what_is_dropped(method: str, family: dict[str, Path], tmp_path: Path) -> None:
    made = [
        merge_here(spec_of(family, tmp_path / "home", method, seed=seed), tmp_path / str(number))[LARGE]
        for number, seed in enumerate((1, 1, 2))
    ]
    assert made[0].equal(made[1])
    assert not made[0].equal(made[2])


def test_a_parameter_that_mergekit_does_not_know_is_refused_and_not_ignored(
    family: dict[str, Path], tmp_path: Path
) -> None:
    spec = spec_of(family, tmp_path / "home", "ties")
    changed = spec.mergekit_yaml().replace("normalize", "normalise")
    with pytest.raises(Exception, match="does not know normalise of the method ties and would ignore it"):
        run(MergeJob(changed, None, [LARGE], str(tmp_path / "made"), None), lambda _event: None)


@pytest.fixture(scope="module")
def merged(family: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[MergeSpec, Path, Path]:
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
    family: dict[str, Path], merged: tuple[MergeSpec, Path, Path]
) -> None:
    given, made = weights(family["direct"]), weights(merged[2])
    assert all(made[name].equal(tensor) and made[name].dtype == tensor.dtype for name, tensor in given.items())


def test_the_tokenizer_and_the_template_are_copied_byte_for_byte(
    family: dict[str, Path], merged: tuple[MergeSpec, Path, Path]
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (merged[2] / name).read_bytes() == (family["direct"] / name).read_bytes()


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


def sharded(folder: Path) -> None:
    """The same model in two weight files and their index."""
    tensors = sorted(weights(folder).items())
    shards = {"one.safetensors": dict(tensors[:5]), "two.safetensors": dict(tensors[5:])}
    (folder / "model.safetensors").unlink()
    for name, part in shards.items():
        save_weights(folder, part)
        (folder / "model.safetensors").rename(folder / name)
    index = {"weight_map": {tensor: name for name, part in shards.items() for tensor in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "two.safetensors").unlink()


def with_a_wrong_index(folder: Path) -> None:
    sharded(folder)
    index = folder / "model.safetensors.index.json"
    edit_json(index, weight_map={**json.loads(index.read_text())["weight_map"], "more": "one.safetensors"})


def with_weights_twice(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    sharded(folder)
    (folder / "model.safetensors").write_bytes(whole)


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def of_another_architecture(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="mistral", architectures=["MistralForCausalLM"])


def of_another_vocabulary(folder: Path) -> None:
    tensors = weights(folder)
    edit_json(folder / "config.json", vocab_size=len(tensors["model.embed_tokens.weight"]) - 1)
    save_weights(folder, {**tensors, "model.embed_tokens.weight": tensors["model.embed_tokens.weight"][1:].clone()})


def of_another_shape(folder: Path) -> None:
    save_weights(folder, {**weights(folder), LARGE: weights(folder)[LARGE][1:].clone()})


def untied(folder: Path) -> None:
    edit_json(folder / "config.json", tie_word_embeddings=False)
    save_weights(folder, {**weights(folder), "lm_head.weight": weights(folder)["model.embed_tokens.weight"].clone()})


def with_a_head_of_its_own(folder: Path) -> None:
    save_weights(folder, {**weights(folder), "lm_head.weight": weights(folder)["model.embed_tokens.weight"].clone()})


def turning_faster(folder: Path) -> None:
    edit_json(folder / "config.json", rope_parameters={"rope_theta": 500000.0, "rope_type": "default"})


def in_float32(folder: Path) -> None:
    save_weights(folder, {name: tensor.float() for name, tensor in weights(folder).items()})


def quantised(folder: Path) -> None:
    import torch

    save_weights(folder, {**weights(folder), LARGE: torch.zeros(4, dtype=torch.int8)})


def with_another_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def with_another_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(MISTRAL)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without_a_shard, ModelFilesError, "lacks two.safetensors, one of its weight files"),
        (with_a_wrong_index, MergeError, "the files that it names disagree about more"),
        (with_weights_twice, MergeError, "has its weights twice"),
        (cut_off, ModelFilesError, "its header promises"),
        (of_another_architecture, MergeError, "The architectures differ: ['LlamaForCausalLM'] in the direct"),
        (of_another_vocabulary, MergeError, "The vocabulary sizes differ"),
        (of_another_shape, MergeError, f"The shapes of {LARGE} differ: [128, 64]"),
        (untied, MergeError, "The tying of the embeddings (tie_word_embeddings) differ: True in the direct"),
        (with_a_head_of_its_own, MergeError, "has lm_head.weight and"),
        (turning_faster, MergeError, "The rope settings differ: {'rope_theta': 10000.0} in the direct"),
        (in_float32, MergeError, "The number formats of"),
        (quantised, MergeError, f"holds {LARGE} as I8, which can't be averaged"),
        (with_another_tokenizer, MergeError, "The experts' tokenizers differ"),
        (with_another_template, MergeError, "The experts' chat templates differ"),
    ],
)
def test_experts_that_do_not_fit_are_refused_with_a_reason_and_nothing_is_left(
    damage: Callable[[Path], None], error: type[ModelError], message: str, experts: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    damage(experts["pairwise"])
    with pytest.raises(error) as caught:
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert message in str(caught.value)
    assert str(experts["pairwise"]) in str(caught.value)
    assert not (home / "models").exists() or visible(home) == []


def test_a_base_that_does_not_fit_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    of_another_shape(experts["base"])
    spec = spec_of(experts, tmp_path / "home", "ties")
    with pytest.raises(MergeError, match=r"\[127, 64\] in the base model"):
        merge(spec, tmp_path / "home", Told(), NEVER)
    assert visible(tmp_path / "home") == []


def test_a_base_needs_neither_tokenizer_nor_template(experts: dict[str, Path], tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (experts["base"] / name).unlink()
    spec = spec_of(experts, tmp_path / "home", "ties")
    assert LARGE in check_mergeable(spec, tmp_path / "home", Told())


def test_settings_that_mean_the_same_are_no_difference(experts: dict[str, Path], tmp_path: Path) -> None:
    config = json.loads((experts["pairwise"] / "config.json").read_text())
    del config["rope_parameters"], config["head_dim"]
    config |= {"rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "bfloat16", "transformers_version": "4.38.0"}
    (experts["pairwise"] / "config.json").write_text(json.dumps(config))
    edit_json(experts["pairwise"] / "tokenizer.json", padding={"strategy": "BatchLongest"}, truncation=None)
    spec = spec_of(experts, tmp_path / "home")
    assert LARGE in check_mergeable(spec, tmp_path / "home", Told())


def test_a_parent_that_changed_since_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(experts, home)
    changed = weights(experts["pairwise"])
    changed[LARGE] += 1
    save_weights(experts["pairwise"], changed)
    with pytest.raises(MergeError, match=r"The pairwise expert in .* has changed since this merge was described"):
        merge(spec, home, Told(), NEVER)
    assert visible(home) == []


def test_a_parent_that_was_deleted_since_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(experts, home)
    shutil.rmtree(experts["direct"])
    with pytest.raises(MergeError, match=r"The folder of the direct-assessment expert, .*, is not there. Put it back"):
        merge(spec, home, Told(), NEVER)
    assert visible(home) == []


def test_the_same_model_twice_is_refused_wherever_its_copies_lie(experts: dict[str, Path], tmp_path: Path) -> None:
    shutil.rmtree(experts["pairwise"])
    shutil.copytree(experts["direct"], experts["pairwise"])
    with pytest.raises(InvalidInputError, match="Pairwise and direct are the same model"):
        spec_of(experts, tmp_path / "home")


def test_an_adapter_alone_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    (experts["direct"] / "config.json").unlink()
    with pytest.raises(ModelFilesError, match=r"has no config.json"):
        spec_of(experts, tmp_path / "home")


def test_a_model_that_runs_code_of_its_own_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    edit_json(experts["direct"] / "config.json", auto_map={"AutoModel": "code.Model"})
    with pytest.raises(ModelUnsupportedError, match="auto_map"):
        spec_of(experts, tmp_path / "home")


def test_too_small_a_disk_is_told_before_the_work(
    family: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.mergeable.SPARE_BYTES", 10**18)
    home = tmp_path / "home"
    with pytest.raises(MergeError, match=r"needs 1,000,000,000,000 MB of free disk space, and .* has .*--home"):
        merge(spec_of(family, home), home, Told(), NEVER)
    assert visible(home) == []


def test_a_name_that_leads_out_of_the_folder_is_refused(family: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(InvalidInputError, match=r"The name '\.\./up' can't begin a folder's name"):
        merge(spec_of(family, home), home, Told(), NEVER, name="../up")
    assert not (home / "models").exists()


def test_a_number_that_is_none_names_the_tensor_and_the_parent(experts: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    tensors = weights(experts["pairwise"])
    tensors[LARGE][3, 5] = float("nan")
    save_weights(experts["pairwise"], tensors)
    with pytest.raises(MergeError) as caught:
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert f"{LARGE} in {experts['pairwise']} holds values that are no finite numbers" in str(caught.value)
    assert visible(home) == []


def test_tensors_outside_the_architecture_are_refused_and_not_dropped(experts: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    for role in ("direct", "pairwise"):
        save_weights(experts[role], {**weights(experts[role]), "score.weight": weights(experts[role])[LARGE].clone()})
    with pytest.raises(MergeError, match=r"1 tensors that mergekit does not know .* for instance score.weight"):
        merge(spec_of(experts, home), home, Told(), NEVER)
    assert visible(home) == []


def test_a_result_that_cannot_judge_is_not_kept(family: dict[str, Path], tmp_path: Path) -> None:
    home, asked = tmp_path / "home", list[bool]()

    def ask(folder: Path) -> None:
        asked.append((folder / "model.safetensors").is_file())
        raise EngineError("The model's probabilities are not numbers.")

    with pytest.raises(MergeError, match=r"the result can't judge, so it was not kept: The model's probabilities"):
        merge(spec_of(family, home), home, Told(), NEVER, ask=ask)
    assert asked == [True]
    assert visible(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_merges_and_can_be_asked(method: str, family: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = spec_of(family, home, method)
    folder = merge(spec, home, Told(), NEVER, ask=ask_once)
    assert visible(home) == [folder.name] == [f"{method}-alpha0.3-{spec.digest[:12]}"]


def test_at_alpha_0_a_merge_of_sharded_experts_is_the_pairwise_one(
    experts: dict[str, Path], family: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for role in ("direct", "pairwise"):
        sharded(experts[role])
    made = weights(merge(spec_of(experts, home, alpha=0), home, Told(), NEVER))
    assert all(made[name].equal(tensor) for name, tensor in weights(family["pairwise"]).items())


@pytest.mark.parametrize(
    "phase",
    ["Checking the models", "Starting", *(pytest.param(p, marks=pytest.mark.slow) for p in ("Merging", "Writ"))],
)
def test_a_cancelled_merge_ends_at_once_and_leaves_nothing(phase: str, family: dict[str, Path], tmp_path: Path) -> None:
    home, cancel = tmp_path / "home", threading.Event()

    def report(message: str, _fraction: float | None) -> None:
        if message.startswith(phase):
            cancel.set()

    with pytest.raises(CancelledError, match="Nothing of it was kept"):
        merge(spec_of(family, home), home, report, cancel)
    assert visible(home) == []


def test_progress_runs_to_one_by_the_bytes_written(family: dict[str, Path], tmp_path: Path) -> None:
    home, fractions = tmp_path / "home", list[float]()

    def report(message: str, fraction: float | None) -> None:
        if message.startswith("Merging"):
            assert fraction is not None
            fractions.append(fraction)

    merge(spec_of(family, home, alpha=0.4), home, report, NEVER)
    assert fractions == sorted(fractions)
    assert len(fractions) == len(weights(family["direct"]))
    assert fractions[-1] == 1


def test_two_merges_at_once_make_it_once(family: dict[str, Path], tmp_path: Path) -> None:
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


def test_who_waits_for_the_same_merge_can_cancel(family: dict[str, Path], tmp_path: Path) -> None:
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
    kilobytes: int, phase: str, family: dict[str, Path], tmp_path: Path
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


def test_the_command_prints_the_folder_and_the_recipe(family: dict[str, Path], tmp_path: Path) -> None:
    spec = spec_of(family, tmp_path, alpha=0.9)
    parents = ("--direct", family["direct"], "--pairwise", family["pairwise"], "--alpha", 0.9)
    done = command(tmp_path, *parents, "--name", "mine", "--json")
    folder = tmp_path / "models" / f"mine-{spec.digest[:12]}"
    assert json.loads(done.stdout) == {"folder": str(folder), "recipe_digest": spec.digest, "recipe": spec.recipe()}
    assert "Merging: " in done.stderr
    again = command(tmp_path, *parents)
    assert (again.stdout, again.stderr) == (f"{folder}\nrecipe {spec.digest}\n", "")


def test_the_command_tells_a_refusal_in_a_line_and_fails(family: dict[str, Path], tmp_path: Path) -> None:
    done = command(tmp_path, "--direct", family["direct"], "--pairwise", family["pairwise"], "--density", 0.5)
    assert done.exit_code == 1
    assert done.stderr.startswith("Assay: This merge can't be made. The method linear does not use density.")
    assert done.stdout == ""
