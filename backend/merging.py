"""Makes one judge of two experts: a merge is checked before and after, and appears whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from backend.errors import CancelledError, EngineError, InvalidInputError, MergeError, ModelError
from backend.merge_process import MergeJob
from backend.merge_spec import MergeSpec
from backend.mergeable import check_mergeable, check_unchanged, merged_bytes
from backend.models import find_model, weight_files
from backend.starter import MANIFEST, Report, is_complete
from backend.trial import try_out
from backend.weights import TensorHeader, read_headers
from backend.whole_folders import MADE, arriving, leftovers

DIGITS = 12
"""Of a recipe's digest in the name of a folder."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}", re.ASCII)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)
"""Copied byte for byte from the direct-assessment expert: a tokenizer that is saved anew can come out otherwise."""
LIBRARIES = ("mergekit", "safetensors", "torch", "transformers")
POLL_SECONDS = 0.1


def merge(
    spec: MergeSpec,
    home: Path,
    report: Report,
    cancel: threading.Event,
    *,
    name: str | None = None,
    ask: Callable[[Path], None] | None = None,
) -> Path:
    """The folder `home`/models/NAME-DIGEST of the merged model, made first if the recipe was not merged before.

    name: begins the folder's name; method and alpha unless given. ask: called with the finished weights before
    they appear; raises ModelError or EngineError where they can't judge. Two merges of one recipe make it once.

    Raises MergeError and other ModelErrors, InvalidInputError for the name, and CancelledError; none of them
    leaves anything behind. What a killed merge left is removed by the next merge, whatever that merges.
    """
    name = name or f"{spec.method}-alpha{spec.alpha:g}"
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"The name {name!r} can't begin a folder's name. Use at most 80 letters, digits, dots, dashes and "
            "underscores, the first of them a letter or a digit."
        )
    models = home / "models"
    try:
        models.mkdir(parents=True, exist_ok=True)
        with _alone(_lock_file(models, spec.digest[:DIGITS]), report, cancel):
            made = merged_before(spec, home)
            if made is not None:
                return made
            _remove_leftovers(models, spec.digest[:DIGITS])
            return _make(spec, home, models / f"{name}-{spec.digest[:DIGITS]}", report, cancel, ask)
    except OSError as error:
        message = _message(error, home)
        if message is None:
            raise
        raise MergeError(message) from error


def merged_before(spec: MergeSpec, home: Path) -> Path | None:
    """The whole folder that this recipe was merged to, under whatever name; None if there is none."""
    for folder in sorted((home / "models").glob(f"[!.]*-{spec.digest[:DIGITS]}")):
        if is_complete(folder) and json.loads((folder / MANIFEST).read_text("utf-8"))["recipe_digest"] == spec.digest:
            return folder
    return None


def ask_once(folder: Path) -> None:
    """Read one verdict of each format from the model in the folder. Raises ModelError or EngineError if it can't."""
    from backend.engines.transformers import TransformersEngine
    from backend.prompts import AssayFormat

    engine = TransformersEngine(folder)
    try:
        try_out(engine, AssayFormat(), threading.Event())
    finally:
        engine.close()


def _lock_file(models: Path, recipe: str) -> Path:
    return models / f".merge-{recipe}.lock"


@contextlib.contextmanager
def _alone(lock_file: Path, report: Report, cancel: threading.Event) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    waiting = False
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
            break
        except Timeout:
            _stop_if(cancel)
            if not waiting:
                report("The same recipe is being merged already; waiting for it.", None)
            waiting = True
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(models: Path, own: str) -> None:
    """Of merges that were killed: those whose lock nobody holds. Our own lock we hold ourselves."""
    from filelock import FileLock, Timeout

    for leftover in leftovers(models, "*"):
        recipe = leftover.name.partition(".partial-")[0].rpartition("-")[2]
        lock_file = _lock_file(models, recipe)
        if recipe == own:
            shutil.rmtree(leftover, ignore_errors=True)
        elif lock_file.is_file():  # without one it is no merge's
            with contextlib.suppress(Timeout), FileLock(lock_file, timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)


def _make(
    spec: MergeSpec,
    home: Path,
    target: Path,
    report: Report,
    cancel: threading.Event,
    ask: Callable[[Path], None] | None,
) -> Path:
    began, started = time.monotonic(), datetime.now(UTC)
    report("Checking the models that are merged.", None)
    tensors = check_mergeable(spec, home, report)
    _stop_if(cancel)
    with arriving(target, target.name) as workplace:
        made = workplace / MADE
        made.mkdir()
        _merge_apart(_job(spec, made, tensors), merged_bytes(spec, tensors), report, cancel)
        _copy_tokenizer(spec.direct.path, made)
        report("Checking the merged model.", None)
        check_unchanged(spec, home, report)
        _check_tensors(made, tensors)
        if ask is not None:
            report("Asking the merged model for one verdict of each format.", None)
            _check_verdicts(ask, made)
        report("Writing down what was made.", None)
        manifest = {
            "kind": "merge",
            "parents": {role: parent.digest for role, parent in spec.parents().items()},
            "prompt_format": find_model(str(spec.direct.path), home, prompt_format=None, report=report).prompt_format,
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
            "recipe": spec.recipe(),
            "recipe_digest": spec.digest,
            "made_with": {library: version(library) for library in LIBRARIES},
            "started": started.isoformat(timespec="seconds"),
        }
        _write_manifest(made, manifest, began, cancel)
    return target


def _job(spec: MergeSpec, folder: Path, tensors: Mapping[str, TensorHeader]) -> MergeJob:
    dtypes = {tensor.dtype for tensor in tensors.values()}
    unchanged = spec.method == "linear" and dtypes == {_SAFETENSORS_DTYPE[spec.out_dtype]}
    ends = {1.0: spec.direct, 0.0: spec.pairwise} if unchanged else {}
    end = ends.get(spec.alpha)
    return MergeJob(
        yaml=spec.mergekit_yaml(),
        seed=spec.seed,
        tensors=sorted(tensors),
        folder=str(folder),
        equals=str(end.path) if end else None,
    )


_SAFETENSORS_DTYPE = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def _merge_apart(job: MergeJob, total: int, report: Report, cancel: threading.Event) -> None:
    """Run the job in a process that ends with this one, and on cancel. total: bytes that it will write."""
    report("Starting mergekit.", 0.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.merge_process"],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C asks us, and we end it; else it would look like a merge that failed
    )
    assert process.stdin is not None  # for the type checker: they are pipes
    assert process.stdout is not None
    assert process.stderr is not None
    events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    errors: list[str] = []
    readers = [
        threading.Thread(target=_read_lines, args=(process.stdout, events), daemon=True),
        threading.Thread(target=_read_all, args=(process.stderr, errors), daemon=True),
    ]
    try:
        for reader in readers:
            reader.start()
        with contextlib.suppress(BrokenPipeError):  # it has ended already; its exit code tells
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.flush()
        failure = _follow(events, total, report, cancel)
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        for pipe in (process.stdout, process.stderr):
            pipe.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    if code != 0:
        raise _child_error(failure, code, "".join(errors))


def _read_lines(pipe: IO[str], events: "queue.SimpleQueue[str | None]") -> None:
    for line in pipe:
        events.put(line)
    events.put(None)


def _read_all(pipe: IO[str], errors: list[str]) -> None:
    errors.append(pipe.read())


def _follow(events: "queue.SimpleQueue[str | None]", total: int, report: Report, cancel: threading.Event) -> str | None:
    """Pass on the child's progress until it ends; why it failed, if it said so. Raises CancelledError."""
    written, failure = 0, None
    while True:
        _stop_if(cancel)
        try:
            line = events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            return failure
        match json.loads(line):
            case {"written": int(size)}:
                written += size
                report(f"Merging: {written / 1e6:,.0f} of {total / 1e6:,.0f} MB.", min(1.0, written / total))
            case {"failed": str(reason)}:
                failure = reason


def _child_error(failure: str | None, code: int, errors: str) -> Exception:
    if any(sign in f"{failure} {errors}" for sign in ("No space left on device", "os error 28", "os error 122")):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if failure is not None:
        return MergeError(f"The merge failed, and no model was made: {failure}")
    if code < 0:
        return MergeError(
            f"The merge was ended from outside (signal {-code}), most often because memory ran out, and no model was "
            "made. Close other programs and try again."
        )
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), f"exit code {code}")
    return MergeError(f"The merge failed, and no model was made: {last}")


def _copy_tokenizer(donor: Path, folder: Path) -> None:
    for name in TOKENIZER_FILES:
        if (donor / name).is_file():
            shutil.copyfile(donor / name, folder / name)


def _check_tensors(folder: Path, expected: Mapping[str, TensorHeader]) -> None:
    """That every tensor of the parents was written in its shape, and no other."""
    made = read_headers(weight_files(folder))
    wrong = sorted(made.keys() ^ expected.keys())
    wrong += [name for name in made.keys() & expected.keys() if made[name].shape != expected[name].shape]
    if wrong:
        raise MergeError(
            f"The merge failed, and no model was made: mergekit left out, added or reshaped {len(wrong)} tensors, for "
            f"instance {wrong[0]}. It does not know this architecture well enough; merge models of another."
        )


def _check_verdicts(ask: Callable[[Path], None], folder: Path) -> None:
    try:
        ask(folder)
    except (ModelError, EngineError) as error:
        raise MergeError(
            f"The models were merged, but the result can't judge, so it was not kept: {error} "
            "Check that both experts can, and try an alpha nearer to 0 or 1."
        ) from error


def _write_manifest(folder: Path, manifest: Mapping[str, Any], began: float, cancel: threading.Event) -> None:
    """Written last, when all files are on the disk: a folder that has it is whole."""
    files = {}
    for path in sorted(folder.iterdir()):
        _stop_if(cancel)
        with path.open("rb") as file:
            files[path.name] = {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            os.fsync(file.fileno())
    times = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": round(time.monotonic() - began, 1)}
    (folder / MANIFEST).write_text(json.dumps({**manifest, **times, "files": files}, indent=2) + "\n", "utf-8")


def _stop_if(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise CancelledError("The merge was cancelled. Nothing of it was kept.")


def _message(error: OSError, home: Path) -> str | None:
    """What a failure of the disk means to a person; None for any other."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"The disk that holds {home} became full during the merge. Free some space, or choose a home folder on "
                "another disk with --home. Nothing half-written was left behind."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"The merged model can't be written: {error.filename or home} does not accept writes. Give this user "
                "write access, or choose another home folder with --home."
            )
        case _:
            return None
