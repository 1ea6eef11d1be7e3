"""Finds a model's files, refuses what can't be judged with before anything is loaded, and knows it by its digest."""

import ast
import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from backend.errors import ModelFetchError, ModelFilesError, ModelUnsupportedError
from backend.manifests import made_in
from backend.starter import SMOLLM2, Report, prepare_starter
from backend.types import digest_of
from backend.weights import FETCH_AGAIN, read_header

STARTER = "starter-base"
"""The starter model as it was published, not trained to judge."""
STARTER_NAME = "SmolLM2-135M-Instruct"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
PICKLES = (".bin", ".pt", ".pth")
TOKENIZERS = ("tokenizer.json", "tokenizer.model")
SAID_WITH = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
"""The small files that, beside weights, tokenizer and template, change what a model says."""
SAVED_BY = (
    "_name_or_path",
    "_model_name_or_path",
    "name_or_path",
    "is_local",
    "local_files_only",
    "transformers_version",
)
"""Entries of those files that tell where and by what they were saved, and change nothing that is said."""


@dataclass(frozen=True)
class ModelFiles:
    """A model that passed every check that needs no loading.

    kind: base, expert, merge or external. digest: see weights_digest. bytes: of the weights alone.
    recipe: how a merge was made, None for other models.
    """

    name: str
    kind: str
    path: Path
    digest: str
    architecture: str
    bytes: int
    prompt_format: str
    recipe: dict[str, Any] | None


def find_model(model: str, home: Path, *, prompt_format: str | None, report: Report) -> ModelFiles:
    """The files of "starter-base", of a local folder, or of a hub name ("organisation/name"), fetched where needed.

    prompt_format: None takes that of its training, or guesses by the name. Of a model that Assay made, kind and
    recipe are those of its manifest. Imports neither torch nor transformers. Raises ModelFetchError, ModelFilesError
    and ModelUnsupportedError.
    """
    try:
        return _checked_files(_place(model, home, report), home, prompt_format, report)
    except PermissionError as error:
        raise ModelFilesError(f"{error.filename} can't be read. Give this user read access to it.") from error


def weights_digest(folder: Path, home: Path, report: Report) -> str:
    """SHA-256 over all in a model folder that changes what it says: weights, tokenizer, chat template, settings.

    Each large file's own SHA-256 is remembered in `home`/digests.json as long as its size and time of change
    stay the same. Where the folder lies, and which version of transformers saved it, change nothing.
    """
    names = [path.name for path in weight_files(folder)]
    names += [name for name in (*TOKENIZERS, "chat_template.jinja") if (folder / name).is_file()]
    settings = {name: _said_with(folder / name) for name in SAID_WITH if (folder / name).is_file()}
    return digest_of("model", _file_digests(folder, sorted(names), home, report), settings)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that loading this folder reads. Raises ModelFilesError if there are none."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        return [folder / name for name in _shard_names(index)]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise ModelFilesError(
            f"The model folder {folder} has its weights as pickle files only ({', '.join(pickles[:3])}). They can run "
            "any code when they are opened, so Assay reads safetensors only. Choose a model that is published as "
            "safetensors; or, if you trust it, load it in transformers and save_pretrained() it to a new folder, which "
            "writes safetensors."
        )
    raise ModelFilesError(
        f"The model folder {folder} has no weights: neither model.safetensors nor model.safetensors.index.json. "
        "Choose a folder or a hub model whose weights are safetensors as transformers saves them."
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a model's JSON file. Raises ModelFilesError where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelFilesError(f"{path} is damaged: it is no JSON ({error}). {FETCH_AGAIN}") from error
    if not isinstance(content, dict):
        raise ModelFilesError(f"{path} is damaged: it holds no JSON object. {FETCH_AGAIN}")
    return content


@dataclass(frozen=True)
class _Place:
    name: str
    kind: str
    folder: Path
    recipe: dict[str, Any] | None = None
    prompt_format: str | None = None


def _checked_files(place: _Place, home: Path, prompt_format: str | None, report: Report) -> ModelFiles:
    architecture = _checked_architecture(place.folder)
    weights = weight_files(place.folder)
    for path in weights:
        read_header(path)
    _check_tokenizer(place.folder)
    return ModelFiles(
        name=place.name,
        kind=place.kind,
        path=place.folder,
        digest=weights_digest(place.folder, home, report),
        architecture=architecture,
        bytes=sum(path.stat().st_size for path in weights),
        prompt_format=prompt_format or place.prompt_format or guessed_format(place.name),
        recipe=place.recipe,
    )


def _place(model: str, home: Path, report: Report) -> _Place:
    if model == STARTER:
        return _Place(STARTER_NAME, "base", prepare_starter(home, report))
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _local(folder.resolve(), home)
    if folder.exists():
        raise ModelFilesError(f"The model {folder} is a file. Name the folder that holds the model's files.")
    if HUB_NAME.fullmatch(model):
        return _Place(model, "external", _fetched(model, report))
    raise ModelFilesError(
        f"There is no model folder {model!r} on this machine. Name an existing folder, a model of the hub as "
        f'"organisation/name", or "{STARTER}".'
    )


def _local(folder: Path, home: Path) -> _Place:
    made = made_in(folder, home)
    if made is not None:
        return _Place(folder.name, made.kind, folder, made.recipe, made.prompt_format)
    if folder == (home / "models" / SMOLLM2.name).resolve():
        return _Place(STARTER_NAME, "base", folder)
    return _Place(folder.name, "external", folder)


def guessed_format(name: str) -> str:
    """The prompt format of a model of which nothing but the name is known."""
    return "prometheus-2" if "prometheus" in name.lower() else "assay"


def _fetched(name: str, report: Report) -> Path:
    """The folder of a hub model in the hub's own cache; without a network, what an earlier start has left there."""
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        XetDownloadError,
    )

    report(f"Looking for {name} on the model hub.", None)
    cure = (
        "Check the network (and HF_ENDPOINT, if it is set) and try again, or name a model folder with --model FOLDER."
    )
    try:
        folder = snapshot_download(
            name,
            allow_patterns=["*.safetensors", "*.json", "*.model", "*.jinja", "*.txt", "README.md"],
            ignore_patterns=["*/*", "consolidated*"],  # other programs' copies of the same weights
            tqdm_class=_progress_bar(name, report),
        )
    except GatedRepoError as error:
        raise ModelFetchError(
            f"The model hub gives {name} only to those who accepted its terms. Accept them on its page, log in with "
            "`hf auth login`, and try again."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelFetchError(
            f"There is neither a folder {name} on this machine nor a model of that name on the model hub that you may "
            "read. Check the spelling; for a private model, log in with `hf auth login`."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, XetDownloadError, httpx2.HTTPError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFetchError(f"The model {name} could not be fetched from the model hub: {reason} {cure}") from error
    except OSError as error:
        raise ModelFetchError(
            f"The model {name} could not be written to the model hub's cache: {error.strerror or error}. "
            "Free some space there, or choose another folder for the cache with HF_HOME."
        ) from error
    return Path(folder)


def _progress_bar(name: str, report: Report) -> type[Any]:
    """A bar that draws nothing and reports the bytes fetched."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Reporter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.counts_bytes = options.get("unit") == "B"
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.counts_bytes and self.total:
                report(f"Downloading {name}: {self.n / 1e6:,.0f} MB.", min(1.0, self.n / self.total))

    return Reporter


def _checked_architecture(folder: Path) -> str:
    if not (folder / "config.json").is_file():
        raise ModelFilesError(
            f"The folder {folder} has no config.json, so it is no model as transformers saves it. "
            "Name the folder that holds config.json, the safetensors and the tokenizer's files."
        )
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise ModelUnsupportedError(
            f"The model in {folder} asks to run program code of its own (auto_map in its config.json), which Assay "
            "never does. Choose a model whose architecture transformers has built in."
        )
    names = config.get("architectures")
    architecture = names[0] if isinstance(names, list) and names else None
    known = _known_architectures()
    if architecture not in known.values() or str(config.get("model_type")) not in known:
        raise ModelUnsupportedError(
            f"The model in {folder} has the architecture {architecture!r} (model_type {config.get('model_type')!r}), "
            "which the installed transformers can't write text with. Choose a causal language model, such as a "
            "Llama, Mistral, Mixtral or Qwen; or install a transformers that knows it."
        )
    return str(architecture)


def _known_architectures() -> dict[str, str]:
    """Model type to architecture, of every causal language model of the installed transformers.

    Read from its source: importing the same table would import torch, seconds before the page is up.
    """
    package = distribution("transformers")
    source = Path(str(package.locate_file("transformers/models/auto/modeling_auto.py")))
    for statement in ast.parse(source.read_text("utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")], value=ast.Call(args=[pairs])):
                return dict(ast.literal_eval(pairs))
    raise LookupError(f"{source} has no table of causal language models")


def _shard_names(index: Path) -> list[str]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelFilesError(f"{index} names no files. {FETCH_AGAIN}")
    names = sorted({str(name) for name in shards.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelFilesError(
                f"{index} names {name!r}, which is not a safetensors file of the model's own folder. "
                "Assay reads nothing else: choose another model."
            )
        if not (index.parent / name).is_file():
            raise ModelFilesError(
                f"The model folder {index.parent} lacks {name}, one of its weight files. {FETCH_AGAIN}"
            )
    return names


def _check_tokenizer(folder: Path) -> None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelFilesError(
            f"The model folder {folder} has no tokenizer: neither tokenizer.json nor tokenizer.model. "
            "Copy the tokenizer's files there from the model that it was made from."
        )
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    if "auto_map" in config:
        raise ModelUnsupportedError(
            f"The tokenizer in {folder} asks to run program code of its own (auto_map in its tokenizer_config.json), "
            "which Assay never does. Choose another model."
        )
    if not (folder / "chat_template.jinja").is_file() and not config.get("chat_template"):
        raise ModelUnsupportedError(
            f"The model in {folder} has no chat template, so it can't be asked as a judge. Choose the model's "
            "instruction-tuned (chat) version, or put the template of the model it was made from into "
            f"{folder / 'chat_template.jinja'}."
        )


def _said_with(path: Path) -> dict[str, Any]:
    return {name: value for name, value in read_json(path).items() if name not in SAVED_BY}


def _file_digests(folder: Path, names: Sequence[str], home: Path, report: Report) -> dict[str, str]:
    """The SHA-256 of each file by its name; computed only where the file is new or has changed."""
    cache_file, key = home / "digests.json", str(folder.resolve())
    cache = _read_cache(cache_file)
    known, entries = cache.get(key), {}
    for position, name in enumerate(names):
        stat = (folder / name).stat()
        entry = known.get(name) if isinstance(known, dict) else None
        if not isinstance(entry, list) or entry[:2] != [stat.st_size, stat.st_mtime_ns] or len(entry) != 3:
            report(f"Computing the digest of {name} (once).", position / len(names))
            with (folder / name).open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            entry = [stat.st_size, stat.st_mtime_ns, sha256]
        entries[name] = entry
    if entries != known:
        _write_cache(cache_file, {**cache, key: entries})
    return {name: str(entry[2]) for name, entry in entries.items()}


def _read_cache(path: Path) -> dict[str, Any]:
    """What was remembered; nothing where the file is missing or damaged, since all of it can be computed again."""
    try:
        cache = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return cache if isinstance(cache, dict) else {}


def _write_cache(path: Path, cache: dict[str, Any]) -> None:
    """All or nothing. A disk that is full or read-only costs time at the next start, and no verdict."""
    with contextlib.suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(prefix=".digests-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(cache, file, indent=1)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink()
            raise
