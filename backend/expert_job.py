"""A training as a job: asked for once, worked on by the page's queue or by the command line."""

import glob
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from backend.errors import ConflictError, InvalidInputError
from backend.experts import DataSource, ExpertSpec, TrainedExpert, read_spec
from backend.jobs import Handler, JobContext, JobKind, Jobs
from backend.row_files import SUFFIXES
from backend.starter import Report
from backend.training_start import adapter_of, lora_of

Train = Callable[[ExpertSpec, Path, Report, threading.Event], TrainedExpert]
Record = Callable[[Path], int]
"""Takes the finished model's folder into the registry, and gives its id there."""


def submit_training(jobs: Jobs, spec: ExpertSpec, user_id: int) -> int:
    """The id of the job that will train this. Raises what placed raises, and ConflictError if one does already."""
    spec = placed(spec)
    document = spec.model_dump(mode="json")
    for job in jobs.list(JobKind.TRAIN):
        if not job.finished and job.spec == document:
            raise ConflictError(
                f"Job {job.id} ({job.state}) trains exactly this already. Change a setting to train something else."
            )
    return jobs.submit(JobKind.TRAIN, f"{spec.name} ({spec.format})", document, user_id)


def placed(spec: ExpertSpec) -> ExpertSpec:
    """The same with every place of this machine written out from its root, since a training runs in another folder.

    The rank, alpha and layers of an expert that it goes on from are taken. Raises InvalidInputError for a base, rows or
    adapters that are not there: before hours in a queue.
    """
    base = Path(spec.base).expanduser().absolute()
    if not (base / "config.json").is_file():
        raise InvalidInputError(
            f"The base {spec.base} is no model folder: it has no config.json. Choose one of the list, or give the "
            "folder of a model as transformers saves it."
        )
    found: dict[str, Any] = {"base": str(base), "data": _placed(spec.data), "dev": _placed(spec.dev)}
    if spec.start_from is not None:
        start = str(Path(spec.start_from).expanduser().absolute())
        found |= {"start_from": start, **lora_of(start)}
    if spec.beside is not None:
        found["beside"] = str(Path(spec.beside).expanduser().absolute())
        adapter_of(found["beside"])
    return spec.model_copy(update=found)


def _placed(sources: Sequence[DataSource]) -> tuple[DataSource, ...]:
    return tuple(source.model_copy(update={"place": _absolute(source.place)}) for source in sources)


def _absolute(place: str) -> str:
    path = Path(place).expanduser().absolute()
    if path.exists() or glob.glob(str(path)):  # noqa: PTH207 (Path.glob takes no absolute pattern)
        return str(path)
    if place.endswith(SUFFIXES) or place.count("/") != 1:
        raise InvalidInputError(
            f"There is no file {place}. Name a file, a pattern such as folder/name*.jsonl, or a data set on the hub as "
            "organisation/name."
        )
    return place


def expert_handler(home: Path, train: Train, record: Record) -> Handler:
    """Trains what the job's specification says and registers the model.

    Result: model_version_id, folder, card (Markdown). Besides what train raises, ConflictError while another process
    trains the same.
    """

    def handle(context: JobContext) -> dict[str, Any]:
        spec = read_spec(context.spec)
        workplace = spec.workplace(home)
        workplace.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workplace / "training.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ConflictError(
                f"Another process trains {spec.name} in {workplace} right now. Wait for it, or stop it first."
            ) from error
        try:
            made = train(spec, home, context.report, context.cancel)
        finally:
            lock.release()
        context.report("Taking the finished expert into the registry.", 1.0)
        return {"model_version_id": record(made.folder), "folder": str(made.folder), "card": made.card}

    return handle
