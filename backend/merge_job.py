"""A merge as a job: asked for once, made behind the page, recorded with its parents, put into service if wished."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import ConflictError
from backend.jobs import Handler, JobContext, JobKind, Jobs
from backend.live_alpha import ENDS_AT_EXPERTS, ends_are_experts
from backend.merge_spec import MergeSpec, read_spec
from backend.merging import ask_once, merge, merged_before
from backend.models import find_model
from backend.registry import Registry

Activate = Callable[[int, int], str]
"""Begins to put a model into service for a person, by their ids, and says so. Raises ConflictError if it can't."""


@dataclass(frozen=True)
class MergeOrder:
    """What a merge job is asked for. activate: put the merged model into service when it is made."""

    spec: MergeSpec
    activate: bool = False

    def document(self) -> dict[str, Any]:
        """Of JSON values; read_order() reads it."""
        return {
            "merge": self.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
            "activate": self.activate,
        }


def read_order(document: dict[str, Any]) -> MergeOrder:
    """Raises InvalidInputError for a merge that can't be meant."""
    return MergeOrder(read_spec(document["merge"]), bool(document["activate"]))


def submit_merge(jobs: Jobs, order: MergeOrder, user_id: int) -> int:
    """The id of the job that will make it. Raises ConflictError if one does exactly this already."""
    document = order.document()
    for job in jobs.list(JobKind.MERGE):
        if not job.finished and job.spec == document:
            raise ConflictError(f"Job {job.id} ({job.state}) makes exactly this merge already. Wait for it.")
    title = f"{order.spec.method} at alpha {order.spec.alpha:g}" + (", then activate" if order.activate else "")
    return jobs.submit(JobKind.MERGE, title, document, user_id)


def merge_handler(home: Path, registry: Registry, activate: Activate) -> Handler:
    """Makes the merge that the job's document describes; made before, it is answered at once.

    Result: model_version_id, folder, recipe_digest; and of an order to activate, activation: {begun, message}.
    A merge that is made stays made where activating it can't begin: that is told, and fails nothing.
    """

    def handle(context: JobContext) -> dict[str, Any]:
        order = read_order(context.spec)
        model_version_id = end_expert(order.spec, registry)
        if model_version_id is None:
            folder = merge(order.spec, home, context.report, context.cancel, ask=ask_once)
            context.report("Taking the merged model into the registry.", 1.0)
            model_version_id = record_merge(folder, home, registry)
        result = {
            "model_version_id": model_version_id,
            "folder": registry.get(model_version_id).path,
            "recipe_digest": order.spec.digest,
        }
        if order.activate:
            result["activation"] = put_into_service(activate, model_version_id, context.user_id)
        return result

    return handle


def put_into_service(activate: Activate, model_version_id: int, user_id: int) -> dict[str, Any]:
    """Begin to; begun: whether it did. message: what happens now, or why nothing does."""
    try:
        return {"begun": True, "message": activate(model_version_id, user_id)}
    except ConflictError as error:
        return {"begun": False, "message": str(error)}


def end_expert(spec: MergeSpec, registry: Registry) -> int | None:
    """The id of the expert that a merge at the end of a line or arc is, to the bit; None for any other merge."""
    end = {1.0: spec.direct, 0.0: spec.pairwise}.get(spec.alpha)
    if spec.method not in ENDS_AT_EXPERTS or end is None or not ends_are_experts(spec):
        return None
    return next((view.id for view in registry.list() if view.digest == end.digest), None)


def record_merge(folder: Path, home: Path, registry: Registry) -> int:
    """The id of a merged model in the registry; recipe and parents are those of its manifest."""
    files = find_model(str(folder), home, prompt_format=None, report=lambda message, fraction: None)
    return registry.record(files)


def made_already(spec: MergeSpec, home: Path, registry: Registry) -> int | None:
    """The id of the model that this recipe makes, if it is there: merged before, or an expert itself; else None."""
    expert = end_expert(spec, registry)
    if expert is not None:
        return expert
    folder = merged_before(spec, home)
    return None if folder is None else record_merge(folder, home, registry)
