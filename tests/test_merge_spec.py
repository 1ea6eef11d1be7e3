"""The description of a merge: what mergekit is told, what is refused, and what its recipe holds."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.errors import InvalidInputError
from backend.merge_spec import read_spec
from backend.mergeable import describe
from tests.test_starter import Told


def document(method: str = "linear", **entries: Any) -> dict[str, Any]:
    """A merge of models that need not exist."""
    parents = {"direct": {"path": "/m/a", "digest": "a" * 64}, "pairwise": {"path": "/m/b", "digest": "b" * 64}}
    if method not in ("linear", "slerp"):
        parents["base"] = {"path": "/m/base", "digest": "c" * 64}
    if method not in ("linear", "slerp", "task_arithmetic"):
        entries = {"density": 0.5, **entries}
    return {"method": method, "alpha": 0.3, **parents, **entries}


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
