"""Puts a model of the registry into service, and writes down who did."""

from pathlib import Path

from backend.accounts import Permit
from backend.errors import ConflictError
from backend.loading import JudgeLoader, require_files
from backend.models import weight_files
from backend.registry import Registry
from backend.served import Successor
from backend.serving import Serving
from backend.weights import read_headers


class Activating:
    """Hot swaps, begun by people. How far one is, and how it ended, is in the state of `serving`."""

    def __init__(self, registry: Registry, serving: Serving, loader: JudgeLoader, permit: Permit) -> None:
        self._registry = registry
        self._serving = serving
        self._loader = loader
        self._permit = permit

    def start(self, model_version_id: int, user_id: int) -> str:
        """Begin to put the model into service, and say so in a sentence.

        Raises ConflictError if it serves already, another one is on its way, or an endpoint serves; ModelFilesError
        if its files are not there, NotAllowedError, NotFoundError and StoreError.
        """
        self._permit(user_id)
        self._loader.require_own_models()
        view = self._registry.get(model_version_id)
        served = self._serving.served
        if served is not None and served.model_version_id == view.id:
            if view.active:
                raise ConflictError(f"{view.name} serves already.")
            self._registry.activate(view.id, user_id)
            return f"{view.name} serves already, and from now on it does so after every start."
        require_files(view)
        headers = read_headers(weight_files(Path(view.path)))
        self._serving.swap(
            Successor(
                model_version_id=view.id,
                name=view.name,
                weights=sum(header.elements for header in headers.values()),
                load=lambda report: self._loader.recorded(view, report),
                record=lambda: self._registry.activate(view.id, user_id),
            )
        )
        return f"{view.name} is being loaded. The judge that serves now goes on until it is ready."

    def cancel(self, user_id: int) -> None:
        """Give up the swap that is going on; the judge that serves stays. Raises NotAllowedError."""
        self._permit(user_id)
        self._serving.cancel_swap()
