"""mergekit's arithmetic, in this process, since importing it takes seconds: our settings, and our own interpolation."""

from pathlib import Path
from typing import Any

import pytest

from backend.merge_process import MergeJob, run
from backend.merge_spec import USES, MergeSpec
from tests.experts import LARGE, Family, spec_of, weights

pytestmark = pytest.mark.filterwarnings(
    "ignore:numpy.core is deprecated:DeprecationWarning"  # mergekit 0.1.5 allows it to be unpickled, by its old name
)


def merge_here(spec: MergeSpec, folder: Path) -> dict[str, Any]:
    """The weights that mergekit makes of the recipe, in this process."""
    tensors = sorted(weights(spec.direct.path))
    run(MergeJob(spec.mergekit_yaml(), spec.seed, tensors, str(folder), None), lambda _event: None)
    return weights(folder)


@pytest.mark.parametrize("alpha", [0, 0.1, 0.3, 0.5, 1])
def test_an_interpolation_in_memory_is_mergekits_linear_merge_bit_for_bit(
    alpha: float, family: Family, tmp_path: Path
) -> None:
    import torch

    from backend.engines.interpolation import interpolate

    spec = spec_of(family, tmp_path / "home", alpha=alpha)
    made = merge_here(spec, tmp_path / "made")
    direct, pairwise = weights(family.direct), weights(family.pairwise)
    assert made.keys() == direct.keys()
    for name, tensor in made.items():
        mine = interpolate(direct[name], pairwise[name], alpha)
        assert torch.equal(mine.view(torch.int16), tensor.view(torch.int16)), name


def test_an_interpolation_in_float32_is_mergekits_too(family: Family, tmp_path: Path) -> None:
    import torch

    from backend.engines.interpolation import interpolate

    made = merge_here(spec_of(family, tmp_path / "home", alpha=0.7, out_dtype="float32"), tmp_path / "made")
    direct, pairwise = weights(family.direct), weights(family.pairwise)
    for name, tensor in made.items():
        assert torch.equal(interpolate(direct[name], pairwise[name], 0.7, torch.float32), tensor), name


@pytest.mark.parametrize("method", sorted(USES))
def test_every_method_writes_every_tensor_finite_and_in_its_shape(method: str, family: Family, tmp_path: Path) -> None:
    made = merge_here(spec_of(family, tmp_path / "home", method), tmp_path / "made")
    direct = weights(family.direct)
    assert {name: tensor.shape for name, tensor in made.items()} == {
        name: tensor.shape for name, tensor in direct.items()
    }
    assert all(tensor.isfinite().all() for tensor in made.values())
    assert not made[LARGE].equal(direct[LARGE])


def test_task_arithmetic_with_lambda_1_is_a_linear_merge(family: Family, tmp_path: Path) -> None:
    made = {
        method: merge_here(spec_of(family, tmp_path / "home", method, out_dtype="float32"), tmp_path / method)
        for method in ("linear", "task_arithmetic")
    }
    assert made["linear"][LARGE].allclose(made["task_arithmetic"][LARGE], atol=1e-6)


def test_true_dare_scales_what_it_keeps_by_one_over_the_density(family: Family, tmp_path: Path) -> None:
    spec = spec_of(family, tmp_path / "home", "true_dare", alpha=1, density=0.25, out_dtype="float32")
    made, base, direct = merge_here(spec, tmp_path / "made"), weights(family.base), weights(family.direct)
    learned, merged = direct[LARGE].float() - base[LARGE].float(), made[LARGE] - base[LARGE].float()
    kept = merged != 0
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert merged[kept].allclose(4 * learned[kept], atol=1e-6)


@pytest.mark.parametrize("method", ["dare_ties", "dare_linear", "true_dare"])
def test_the_seed_decides_what_is_dropped(method: str, family: Family, tmp_path: Path) -> None:
    made = [
        merge_here(spec_of(family, tmp_path / "home", method, seed=seed), tmp_path / str(number))[LARGE]
        for number, seed in enumerate((1, 1, 2))
    ]
    assert made[0].equal(made[1])
    assert not made[0].equal(made[2])


def test_a_parameter_that_mergekit_does_not_know_is_refused_and_not_ignored(family: Family, tmp_path: Path) -> None:
    spec = spec_of(family, tmp_path / "home", "ties")
    changed = spec.mergekit_yaml().replace("normalize", "normalise")
    with pytest.raises(Exception, match="does not know normalise of the method ties and would ignore it"):
        run(MergeJob(changed, None, [LARGE], str(tmp_path / "made"), None), lambda _event: None)
