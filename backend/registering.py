"""Registers a model in a thread of its own, since a download outlasts the page that asked for it."""

import logging
import threading
from dataclasses import dataclass
from enum import StrEnum

from backend.accounts import Permit
from backend.errors import SHOWN, CancelledError, ConflictError
from backend.registry import Registry
from backend.types import checked_text

log = logging.getLogger(__name__)


class RegisteringPhase(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RegisteringState:
    """How far it is. message: a sentence for people. fraction: 0..1 where it is known. id: of the model, when done."""

    place: str
    phase: RegisteringPhase
    message: str
    fraction: float | None = None
    id: int | None = None


class Registering:
    """One registration at a time, to be watched from any page."""

    def __init__(self, registry: Registry, permit: Permit) -> None:
        self._registry = registry
        self._permit = permit
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._state: RegisteringState | None = None

    @property
    def state(self) -> RegisteringState | None:
        """Of the registration that is going on, or of the last one; None before the first."""
        return self._state

    def start(self, place: str, user_id: int) -> None:
        """Begin to register a folder or hub name.

        Raises InvalidInputError for an empty place, ConflictError while another is being registered, NotAllowedError.
        """
        self._permit(user_id)
        place = checked_text("The folder or hub name", place).strip()
        with self._lock:
            if self._state is not None and self._state.phase is RegisteringPhase.RUNNING:
                raise ConflictError(f"{self._state.place} is being registered. Wait for it, or cancel it first.")
            self._cancel = threading.Event()
            self._state = RegisteringState(place, RegisteringPhase.RUNNING, f"Looking for {place} …")
        threading.Thread(target=self._run, args=(place, self._cancel), name="register-model", daemon=True).start()

    def cancel(self, user_id: int) -> None:
        """Stop it at its next report; what was downloaded by then stays in the hub's cache. Raises NotAllowedError."""
        self._permit(user_id)
        self._cancel.set()

    def _run(self, place: str, cancel: threading.Event) -> None:
        def report(message: str, fraction: float | None) -> None:
            if cancel.is_set():
                raise CancelledError(f"{place} was not registered: that was cancelled.")
            with self._lock:  # what a library's own thread still reports after the end is not told
                if self._cancel is cancel and self._state and self._state.phase is RegisteringPhase.RUNNING:
                    self._state = RegisteringState(place, RegisteringPhase.RUNNING, message, fraction)

        try:
            registration = self._registry.register(place, report)
        except CancelledError as error:
            self._end(RegisteringState(place, RegisteringPhase.CANCELLED, str(error)))
        except SHOWN as error:
            self._end(RegisteringState(place, RegisteringPhase.FAILED, str(error)))
        except Exception as error:
            log.exception("registering %s failed", place)
            message = f"{place} could not be registered: {error!r}. See the log."
            self._end(RegisteringState(place, RegisteringPhase.FAILED, message))
        else:
            self._end(RegisteringState(place, RegisteringPhase.DONE, registration.note, 1.0, registration.id))

    def _end(self, state: RegisteringState) -> None:
        with self._lock:
            self._state = state
