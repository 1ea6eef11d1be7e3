"""Whether models can be merged: everything that mergekit would notice too late, or not at all, is looked at before."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.disk_space import require_space
from backend.errors import MergeError
from backend.merge_spec import MergeSpec, read_spec
from backend.models import SAVED_BY, TOKENIZERS, find_model, read_json, weight_files, weights_digest
from backend.starter import Report
from backend.types import digest_of
from backend.weights import TensorHeader, read_headers

ROLES: Mapping[str, str] = {
    "direct": "direct-assessment expert",
    "pairwise": "pairwise expert",
    "base": "base model",
}
"""What people call the parents."""
ITEM_BYTES: Mapping[str, int] = {"bfloat16": 2, "float16": 2, "float32": 4}
MERGED_DTYPES = ("BF16", "F16", "F32")
SPARE_BYTES = 64_000_000
"""Free disk space asked for beside the weights: the tokenizer, the settings, and the file system's own needs."""
MAY_DIFFER = (
    *SAVED_BY,
    "dtype",
    "torch_dtype",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "attention_dropout",
    "initializer_range",
)
"""Entries of config.json that training may change, and that change nothing in what a weight means."""
CALLED: Mapping[str, str] = {
    "architectures": "architectures",
    "model_type": "architectures",
    "rope": "rope settings",
    "tie_word_embeddings": "tying of the embeddings (tie_word_embeddings)",
    "vocab_size": "vocabulary sizes",
}
"""What a person calls an entry of config.json; the others by their own names."""


def describe(
    method: str, home: Path, report: Report, *, direct: Path, pairwise: Path, base: Path | None = None, **given: Any
) -> MergeSpec:
    """A merge of these folders as they are now; given: alpha and the method's own parameters.

    Computes the digests of weights that were not seen before, about a second a gigabyte. Raises InvalidInputError,
    MergeError for a folder that is not there, ModelFilesError and ModelUnsupportedError.
    """
    named = {"direct": direct, "pairwise": pairwise} | ({} if base is None else {"base": base})
    folders = {role: folder.expanduser().resolve() for role, folder in named.items()}
    # First with digests that are none: a fault in a parameter should not cost minutes of reading.
    read_spec({"method": method, **given, **_parents(folders, digest_of)})
    return read_spec(
        {"method": method, **given, **_parents(folders, lambda role: _digest(role, folders[role], home, report))}
    )


def check_mergeable(spec: MergeSpec, home: Path, report: Report) -> dict[str, TensorHeader]:
    """The tensors of the direct-assessment expert by name, which are those of the merged model too.

    Raises MergeError for each thing that stands in the way, ModelFilesError and ModelUnsupportedError for a
    parent that is no whole model. Loads no tensor.
    """
    check_unchanged(spec, home, report)
    tensors = {role: _tensors(role, parent.path) for role, parent in spec.parents().items()}
    for role, parent in spec.parents().items():
        if role != "direct":
            _check_same_settings(spec.direct.path, role, parent.path)
            _check_same_tensors(tensors["direct"], spec.direct.path, tensors[role], role, parent.path)
    _check_same_tokenizer(spec.direct.path, spec.pairwise.path)
    _check_same_template(spec.direct.path, spec.pairwise.path)
    require_space(home, merged_bytes(spec, tensors["direct"]) + SPARE_BYTES, "The merged model", MergeError)
    return tensors["direct"]


def check_unchanged(spec: MergeSpec, home: Path, report: Report) -> None:
    """Raises MergeError where a parent is gone, or is not what it was when the merge was described."""
    for role, parent in spec.parents().items():
        digest = _digest(role, parent.path, home, report)
        if digest != parent.digest:
            raise MergeError(
                f"The {ROLES[role]} in {parent.path} has changed since this merge was described: its digest was "
                f"{parent.digest[:12]} and is {digest[:12]}. Describe the merge anew if the change was meant."
            )


def merged_bytes(spec: MergeSpec, tensors: Mapping[str, TensorHeader]) -> int:
    """Of the merged model's weights."""
    return sum(tensor.elements for tensor in tensors.values()) * ITEM_BYTES[spec.out_dtype]


def _parents(folders: Mapping[str, Path], digest: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    return {role: {"path": folder, "digest": digest(role)} for role, folder in folders.items()}


def _digest(role: str, folder: Path, home: Path, report: Report) -> str:
    """As it is now. A base only gives numbers, so it needs neither tokenizer nor chat template; experts judge."""
    if not folder.is_dir():
        raise MergeError(
            f"The folder of the {ROLES[role]}, {folder}, is not there. Put it back, or describe the merge anew with "
            "the folder where it is now."
        )
    if role == "base":
        return weights_digest(folder, home, report)
    return find_model(str(folder), home, prompt_format=None, report=report).digest


def _tensors(role: str, folder: Path) -> dict[str, TensorHeader]:
    """Every tensor of a parent, if all programs that read the folder would find the same ones."""
    tensors = read_headers(weight_files(folder))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        if (folder / "model.safetensors").is_file():
            raise MergeError(
                f"The {ROLES[role]} in {folder} has its weights twice, as model.safetensors and as the files that "
                f"{index.name} names, and programs differ in which they read. Remove one of the two."
            )
        strays = sorted(read_json(index)["weight_map"].keys() ^ tensors.keys())
        if strays:
            raise MergeError(
                f"The {ROLES[role]} in {folder} is damaged: {index.name} and the files that it names disagree about "
                f"{_some(strays)}. Fetch or save the model again."
            )
    for name, tensor in tensors.items():
        if tensor.dtype not in MERGED_DTYPES:
            raise MergeError(
                f"The {ROLES[role]} in {folder} holds {name} as {tensor.dtype}, which can't be averaged. Merge models "
                f"whose weights are {', '.join(MERGED_DTYPES)}: save a quantised one again without quantisation."
            )
    return tensors


def _check_same_settings(direct: Path, role: str, other: Path) -> None:
    """Compare what both config.json say. What only one says is left to the tensors, which have to fit anyway."""
    ours, theirs = _settings(direct), _settings(other)
    for name in sorted(ours.keys() & theirs.keys(), key=lambda name: (name not in CALLED, name)):
        if ours[name] != theirs[name]:
            raise MergeError(
                f"The {CALLED.get(name, name)} differ: {ours[name]!r} in the direct-assessment expert ({direct}) and "
                f"{theirs[name]!r} in the {ROLES[role]} ({other}). Merge models that were trained from the same base."
            )


def _settings(folder: Path) -> dict[str, Any]:
    """config.json without what may differ, and with the rope settings as one entry however they were written."""
    settings = {name: value for name, value in read_json(folder / "config.json").items() if name not in MAY_DIFFER}
    rope = {"rope_theta": settings.pop("rope_theta")} if "rope_theta" in settings else {}
    rope |= settings.pop("rope_scaling", None) or {}
    rope |= settings.pop("rope_parameters", None) or {}
    kind = rope.pop("rope_type", None) or rope.pop("type", None)
    if kind not in (None, "default"):
        rope["rope_type"] = kind
    return settings | ({"rope": rope} if rope else {})


def _check_same_tensors(
    ours: Mapping[str, TensorHeader], direct: Path, theirs: Mapping[str, TensorHeader], role: str, other: Path
) -> None:
    strays = sorted(ours.keys() ^ theirs.keys())
    if strays:
        has, lacks = (direct, other) if strays[0] in ours else (other, direct)
        raise MergeError(
            f"The models have different tensors: {has} has {_some(strays)} and {lacks} has not. "
            "Merge models that were trained from the same base."
        )
    for name, tensor in ours.items():
        if tensor.shape != theirs[name].shape:
            raise MergeError(
                f"The shapes of {name} differ: {list(tensor.shape)} in the direct-assessment expert ({direct}) and "
                f"{list(theirs[name].shape)} in the {ROLES[role]} ({other}). Merge models of one size and vocabulary."
            )
        if tensor.dtype != theirs[name].dtype:
            raise MergeError(
                f"The number formats of {name} differ: {tensor.dtype} in the direct-assessment expert ({direct}) and "
                f"{theirs[name].dtype} in the {ROLES[role]} ({other}). Save both in the same format first."
            )


def _check_same_tokenizer(direct: Path, pairwise: Path) -> None:
    shared = [name for name in TOKENIZERS if (direct / name).is_file() and (pairwise / name).is_file()]
    if not shared:
        raise MergeError(
            f"The experts' tokenizers can't be compared: {direct} and {pairwise} have no tokenizer file of the same "
            f"name ({' or '.join(TOKENIZERS)}). Copy the files from one to the other if they are the same."
        )
    for name in shared:
        if _tokenizer(direct / name) != _tokenizer(pairwise / name):
            raise MergeError(
                f"The experts' tokenizers differ: {direct / name} and {pairwise / name} are not the same, so a weight "
                "of one token would be averaged with that of another. Merge models with one tokenizer."
            )


def _tokenizer(path: Path) -> bytes | dict[str, Any]:
    """What it does to a text; cutting and padding are how it was last called, and are saved along."""
    if path.suffix != ".json":
        return path.read_bytes()
    return {name: part for name, part in read_json(path).items() if name not in ("truncation", "padding")}


def _check_same_template(direct: Path, pairwise: Path) -> None:
    if _template(direct) != _template(pairwise):
        raise MergeError(
            f"The experts' chat templates differ ({direct} and {pairwise}), so they were asked in different words. "
            "Merge experts that were trained with the same template."
        )


def _template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8").strip()
    template = read_json(folder / "tokenizer_config.json").get("chat_template")
    return template.strip() if isinstance(template, str) else json.dumps(template, sort_keys=True)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
