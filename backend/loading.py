"""From a model's name or row to a loaded judge: which one serves at the start, and whether its files are its own."""

import logging
from dataclasses import replace
from functools import cached_property

from backend.choosing import Choice, choose_engine
from backend.config import Settings
from backend.engines.base import Engine
from backend.errors import ConflictError, ModelError, ModelFilesError, ModelUnsupportedError
from backend.formats import prompt_format
from backend.memory import available_bytes
from backend.model_views import DIGITS, ModelView, Presence
from backend.models import ModelFiles, find_model
from backend.registry import Registry
from backend.served import Report, Served
from backend.starter_judge import prepare_starter_judge
from backend.vllm_server import room_beside

log = logging.getLogger(__name__)

STARTER_JUDGE = "starter"
ACTIVE = "active"
"""Names the judge that this store has in service."""
"""What the settings call the judge that ships."""


class JudgeLoader:
    """Loads judges as the settings say. Slow: the first one imports torch."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry

    def first(self, report: Report) -> Served:
        """The model that the settings name; else the one put into service last, or the starter where that one fails.

        Behind an endpoint there is one model, and that one serves. Raises ModelError, EngineError, SettingsError and
        StoreError.
        """
        if self._choice.engine == "openai":
            return self._endpoint_judge(report)
        active = None if "model" in self._settings.model_fields_set else self._registry.active()
        if active is None:
            return self._named(self._settings.model, report)
        view = self._registry.get(active)
        try:
            return self.recorded(view, report)
        except ModelError as error:
            log.warning("the model put into service last can't be loaded: %s", error)
            served = self._named(self._settings.model, report)
            note = f"It stands in for {view.name}, which was put into service last and can't be loaded: {error}"
            return _noted(served, note)

    def recorded(self, view: ModelView, report: Report) -> Served:
        """A model of the registry, if its files are the ones that were recorded. Raises as first() does."""
        require_files(view)
        format = self._settings.prompt_format or view.prompt_format
        files = find_model(view.path, self._settings.home_folder, prompt_format=format, report=report)
        if files.digest != view.digest:
            raise ModelFilesError(
                f"The files in {view.path} have changed since {view.name} was registered: their digest is "
                f"{files.digest[:DIGITS]} instead of {view.digest[:DIGITS]}. Register the folder again to use it as it "
                "is now; it is another model version."
            )
        return self._loaded(files, report)

    def by_name(self, model: str, report: Report) -> Served:
        """The judge in service for "active", else the model of this name, beside whatever serves. Raises as first().

        With an engine that asks an endpoint, the endpoint's model is the only one there is, and in service.
        """
        if model == ACTIVE:
            return self.first(report)
        self.require_own_models()
        return self._named(model, report)

    def _named(self, model: str, report: Report) -> Served:
        settings = self._settings
        if model == STARTER_JUDGE:
            return self._starter_judge(report)
        files = find_model(model, settings.home_folder, prompt_format=settings.prompt_format, report=report)
        return self._loaded(files, report)

    def _starter_judge(self, report: Report) -> Served:
        """The judge that ships, made first if it isn't there, and recorded with all that it is made of."""
        home = self._settings.home_folder
        made = prepare_starter_judge(home, report)
        for folder in (made.base, made.direct, made.pairwise):
            self._registry.record(find_model(str(folder), home, prompt_format=None, report=report))
        files = find_model(str(made.judge), home, prompt_format=self._settings.prompt_format, report=report)
        self._registry.record(files, card=made.card)
        return _noted(self._loaded(files, report), made.note)

    def _loaded(self, files: ModelFiles, report: Report) -> Served:
        settings, choice = self._settings, self._choice
        if choice.vllm is None:
            served = load_judge(
                files, self._registry, report, device=settings.device, dtype=settings.dtype, engine=choice.engine
            )
        else:
            from backend.remote import vllm_judge

            served = vllm_judge(
                files, self._registry, settings.home_folder, report, python=choice.vllm, settings=settings
            )
        return _noted(served, choice.note)

    def _endpoint_judge(self, report: Report) -> Served:
        from backend.remote import endpoint_judge

        return endpoint_judge(self._settings, self._registry, report)

    @cached_property
    def _choice(self) -> Choice:
        choice = choose_engine(self._settings)
        log.info("engine: %s (%s)", choice.engine, choice.why)
        return choice

    def available(self, device: str) -> int | None:
        """Bytes that a second judge could have on a device beside the one that serves; None where that is unknown."""
        if self._choice.engine == "vllm":
            return room_beside(device, self._settings.vllm_memory_share)
        return available_bytes(device)

    def require_own_models(self) -> None:
        """Raises ConflictError where the judge is behind an endpoint: what serves there is not for Assay to change."""
        if self._choice.engine == "openai":
            raise ConflictError(
                f"This Assay judges with the model behind {self._settings.base_url}, and with no other. Start it "
                "without --engine openai and --base-url to load models."
            )


def _noted(served: Served, note: str) -> Served:
    """With a further note before its own."""
    return replace(served, note=f"{note} {served.note}".strip())


def load_judge(
    files: ModelFiles,
    registry: Registry,
    report: Report,
    *,
    device: str,
    dtype: str,
    engine: str = "transformers",
) -> Served:
    """A judge of these files, recorded. Raises ModelError, SettingsError and StoreError.

    engine: transformers, or openvino, which leaves models that it doesn't know to transformers. What verdicts name
    (the model's name and recipe) is as it was recorded, wherever its files lie by now.
    """
    format = prompt_format(files.prompt_format)
    report(f"Loading {files.name} …", None)

    loaded, note = None, ""
    if engine == "openvino":
        loaded, note = _on_openvino(files, dtype)
    if loaded is None:
        from backend.engines.transformers import TransformersEngine

        loaded = TransformersEngine(files.path, device=device, dtype="auto" if dtype == "int8" else dtype)
    view = registry.get(registry.record(files))
    known = replace(files, name=view.name, kind=view.kind, recipe=view.recipe)
    return Served(loaded, known, format, view.id, note)


def _on_openvino(files: ModelFiles, dtype: str) -> tuple[Engine | None, str]:
    """The engine; or none, with a note for people, where the model is not one that openvino knows."""
    from backend.engines.openvino import OpenVinoEngine

    try:
        return OpenVinoEngine(files.path, dtype=dtype), ""
    except ModelUnsupportedError as error:
        log.info("%s runs on transformers: %s", files.name, error)
        return None, f"It runs on transformers, slower than openvino would be: {error}"


def require_files(view: ModelView) -> None:
    """Raises ModelFilesError, with the cure, for a model whose files can't be where they were recorded."""
    match view.presence:
        case Presence.REMOVED:
            raise ModelFilesError(f"{view.name} was deleted. Register or make it again to use it.")
        case Presence.ELSEWHERE:
            raise ModelFilesError(f"{view.name} is served by an endpoint. Start Assay with --base-url to use it.")
        case Presence.IN_MEMORY:
            raise ModelFilesError(f"{view.name} was only ever in memory. Merge it to disk to use it.")
        case Presence.REPLACED:
            raise ModelFilesError(
                f"The folder that {view.name} was in holds another model by now. Register it from where its files are."
            )
        case Presence.MISSING:
            raise ModelFilesError(
                f"The files of {view.name} are no longer in {view.path}. Put them back, or register the model from "
                "where they are now."
            )
