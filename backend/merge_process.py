"""One merge by mergekit, in a process of its own: it can be ended, its caches go with it, and the page stays quick.

    python -m backend.merge_process

The first line of its standard input is a MergeJob as JSON. What happens is told on standard output, a JSON object a
line: {"written": bytes} for every tensor, and {"failed": reason} where it fails. It ends when its standard input
closes, so that it never outlives who started it. This is the one file that imports mergekit (0.1.5).
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.child_process import end_with_parent

SHARD_BYTES = 1_000_000_000
"""The longest weight file that is written. mergekit keeps a whole one in memory, and 5 GB by default."""
FLUSH_BYTES = 250_000_000
"""After so much output the parents' files are closed, which gives back the memory that they are mapped to."""

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class MergeJob:
    """yaml: mergekit's configuration. tensors: the names that the parents have. folder: where to write.

    seed: None where nothing is drawn. equals: the parent whose weights must come out unchanged, if there is one.
    """

    yaml: str
    seed: int | None
    tensors: list[str]
    folder: str
    equals: str | None


class RefusedError(Exception):
    """What can't be merged, or came out wrong, in words for a person."""


def run(job: MergeJob, tell: Tell) -> None:
    """Write the merged weights and their config.json into the job's folder. Raises RefusedError and mergekit's own."""
    import yaml  # type: ignore[import-untyped]
    from mergekit.config import MergeConfiguration
    from mergekit.io import tasks
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(
        random_seed=job.seed, out_shard_size=SHARD_BYTES, copy_tokenizer=False, write_model_card=False, quiet=True
    )
    document = yaml.safe_load(job.yaml)
    _check_parameters(document)
    # run_merge changes the configuration that it is given: each gets its own.
    _check_architecture(job, MergeConfiguration.model_validate(document), options)
    tasks.TensorWriter = _watched_writer(tell)
    run_merge(MergeConfiguration.model_validate(document), job.folder, options=options)
    if job.equals is not None:
        _check_equal(Path(job.folder), Path(job.equals))


def _check_parameters(document: dict[str, Any]) -> None:
    """mergekit ignores a parameter that it does not know."""
    from mergekit import merge_methods

    known = {parameter.name for parameter in merge_methods.get(document["merge_method"]).spec.parameters}
    given = set(document.get("parameters", {}))
    for model in document["models"]:
        given |= set(model.get("parameters", {}))
    if given - known:
        raise RefusedError(
            f"The installed mergekit does not know {', '.join(sorted(given - known))} of the method "
            f"{document['merge_method']} and would ignore it. Install the version that requirements.txt names."
        )


def _check_architecture(job: MergeJob, configuration: Any, options: Any) -> None:
    """mergekit leaves out, without a word, what is not in its table of the architecture."""
    from mergekit.architecture import get_architecture_info

    known = set()
    for weight in get_architecture_info(configuration, options).all_weights(configuration.base_model.config()):
        known |= {weight.name, *(weight.aliases or ()), *(weight.tied_names or ())}
    unknown = sorted(set(job.tensors) - known)
    if unknown:
        raise RefusedError(
            f"The models hold {len(unknown)} tensors that mergekit does not know in their architecture and would leave "
            f"out, for instance {unknown[0]}. Remove them from the models, or merge models without them."
        )


def _watched_writer(tell: Tell) -> type[Any]:
    """mergekit's writer, which looks at each tensor that is written, counts it, and lets go of what was read."""
    import torch
    from mergekit.io.tasks import LoaderCache
    from mergekit.io.tensor_writer import TensorWriter

    class Watched(TensorWriter):  # type: ignore[misc]
        unflushed = 0

        def save_tensor(self, name: str, tensor: torch.Tensor, clone: bool = False) -> None:
            if not _is_finite(tensor):
                raise RefusedError(_where_from(name, LoaderCache().loaders))
            super().save_tensor(name, tensor, clone)
            tell({"written": tensor.nbytes})
            self.unflushed += tensor.nbytes
            if self.unflushed > FLUSH_BYTES:
                LoaderCache().flush_all()
                self.unflushed = 0

    return Watched


def _is_finite(tensor: Any) -> bool:
    """A sum is finite only where every part is, and takes one pass; where it is not, each part is looked at."""
    import torch

    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def _where_from(name: str, loaders: dict[Any, Any]) -> str:
    for model, loader in loaders.items():
        if name in loader.index.tensor_paths and not _is_finite(loader.get_tensor(name)):
            return (
                f"{name} in {model.model.path} holds values that are no finite numbers: this parent is damaged. "
                "Fetch or train it again."
            )
    return (
        f"{name} of the merged model would hold values that are no finite numbers, though the parents' are finite: "
        "they exceed what the output's number format can hold. Choose bfloat16 or float32, or a smaller lambda."
    )


def _check_equal(folder: Path, parent: Path) -> None:
    """At its ends a linear merge is a parent, value by value (of a zero, mergekit may lose the sign)."""
    import torch
    from mergekit.io.lazy_tensor_loader import LazyTensorLoader

    made, given = LazyTensorLoader.from_disk(str(folder)), LazyTensorLoader.from_disk(str(parent))
    for name in given.index.tensor_paths:
        if not torch.equal(made.get_tensor(name), given.get_tensor(name)):
            raise RefusedError(
                f"{name} of the merged model is not that of {parent}, though alpha gives it all the weight. The "
                "installed mergekit computes otherwise than 0.1.5: install the version that requirements.txt names."
            )


def main() -> None:
    """Run the job that standard input names; exits with 0 when it is done and with 1 when it failed."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as given:
        job = MergeJob(**json.loads(given.readline()))
    end_with_parent()
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not come between our lines

    def tell(event: dict[str, Any]) -> None:
        print(json.dumps(event), file=lines, flush=True)

    try:
        run(job, tell)
    except RefusedError as error:
        tell({"failed": str(error)})
        sys.exit(1)
    except Exception as error:
        tell({"failed": f"mergekit failed: {type(error).__name__}: {error}"})
        raise
    os._exit(0)  # all is written; an orderly end takes another second


if __name__ == "__main__":
    main()
