"""Keeps one judge loaded, puts another in its place without a gap, and lets one caller at a time ask it."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from backend.errors import SHOWN, CancelledError, ConflictError, NotReadyError
from backend.memory import available_bytes, bytes_to_serve
from backend.served import (
    Change,
    ChangePhase,
    Loader,
    Phase,
    Served,
    ServingState,
    Successor,
)
from backend.trial import try_out
from backend.turns import Turns, raise_if_set

log = logging.getLogger(__name__)

UNTRAINED = " It is a small base model that was not trained to judge: expect poor verdicts from it."


class Serving:
    """Loads judges in threads of their own; use() waits for one and queues those who ask.

    load: of the first judge. available: bytes of free memory on a device, None where that is unknown.
    """

    def __init__(self, load: Loader, available: Callable[[str], int | None] = available_bytes) -> None:
        self._load = load  # of the judge that serves, or is the next to
        self._available = available
        self._changed = threading.Condition()
        self._state = ServingState(Phase.LOADING, "Starting the judge …")
        self._change: Change | None = None
        self._served: Served | None = None
        self._loading = False
        self._gap = False  # nothing serves until a successor does
        self._successor: Successor | None = None
        self._paused_id: int | None = None
        self._turns = Turns(self._changed, self._is_ready)

    @property
    def state(self) -> ServingState:
        with self._changed:
            state = replace(self._state, change=self._change)
            trouble = None if self._served is None else self._served.trouble()
        if trouble is None:
            return state
        return replace(
            state, phase=Phase.FAILED if trouble.gone else Phase.LOADING, message=trouble.message, fraction=None
        )

    @property
    def served(self) -> Served | None:
        """The judge if it is loaded, to look at; to ask it, use()."""
        return self._served

    def in_use(self) -> Mapping[int, str]:
        """The models that can't be done without, by the ids of their rows, and why."""
        with self._changed:
            needed = {}
            if self._successor is not None:
                needed[self._successor.model_version_id] = "it is being put into service. Cancel that first."
            if self._paused_id is not None:
                needed[self._paused_id] = "it serves again if the model that is being loaded can't. Wait a moment."
            if self._served is not None:
                needed[self._served.model_version_id] = "it is the judge that serves now. Activate another model first."
            return needed

    def start(self) -> None:
        """Begin to load, unless it is loading or loaded already. After a failure this tries again."""
        with self._changed:
            lost = self._served
            if self._loading or (lost is not None and not _is_gone(lost)):
                return
            self._served, self._loading = None, True
            self._state = ServingState(Phase.LOADING, "Starting the judge …")
        threading.Thread(target=self._run, args=(lost,), name="load-judge", daemon=True).start()

    @contextmanager
    def use(self, cancel: threading.Event) -> Iterator[Served]:
        """The judge that serves when this caller's turn has come, for this caller alone, in the order of asking.

        Raises NotReadyError if none could be loaded, CancelledError if cancel is set while waiting.
        """
        with self._turns.turn(cancel):
            assert self._served is not None, "a turn comes when a judge is loaded, and only who has it changes that"
            yield self._served

    @contextmanager
    def use_behind(self, cancel: threading.Event) -> Iterator[tuple[Served, threading.Event]]:
        """As use(), for long work: whoever else asks goes ahead. The event is set as soon as somebody waits.

        Whoever works here then stops, and asks for another turn.
        """
        with self._turns.turn_behind(cancel) as give_way:
            assert self._served is not None, "a turn comes when a judge is loaded, and only who has it changes that"
            yield self._served, give_way

    def swap(self, successor: Successor) -> None:
        """Begin to put another judge into service; `state` tells how far that is and how it ended.

        It is loaded and has answered a question of each format before it is asked anything else. Where memory
        holds both, the old judge answers meanwhile; else it stops first, those who ask wait, and it is loaded
        again if the new one fails. Raises ConflictError while another change is going on.
        """
        with self._changed:
            if self._successor is not None:
                raise ConflictError(
                    f"{self._successor.name} is being put into service. Wait until it serves, or cancel that first."
                )
            self._successor = successor
            self._tell(successor, f"Loading {successor.name} …", None)
        threading.Thread(target=self._run_swap, args=(successor,), name="swap-judge", daemon=True).start()

    def cancel_swap(self) -> None:
        """Give up the change that is going on, as soon as that is possible; the old judge stays."""
        with self._changed:
            if self._successor is not None:
                self._successor.cancel.set()
                self._tell(self._successor, f"Giving up {self._successor.name} …", None)

    def close(self) -> None:
        """Let go of the judge, once the verdict in progress is there; who asks after that gets NotReadyError."""
        self.cancel_swap()
        with self._turns.turn_to_exchange(threading.Event()), self._changed:
            if self._served is not None:
                self._served.engine.close()
                self._served = None
            self._settle_without("Assay is closing.")

    def _is_ready(self) -> bool:
        if self._served is None and self._state.phase is Phase.FAILED:
            raise NotReadyError(f"No judge is loaded. {self._state.message}")
        return self._served is not None

    # The first judge

    def _run(self, lost: Served | None = None) -> None:
        """Load where nothing serves. lost: what served until it was gone."""
        if lost is not None:
            lost.engine.close()
        try:
            served = self._load(self._report)
        except SHOWN as error:
            self._settle_without(str(error))
        except Exception as error:
            log.exception("loading the judge failed")
            self._settle_without(f"The judge could not be loaded: {error!r}. See the log.")
        else:
            self._install(served, self._load)

    def _report(self, message: str, fraction: float | None) -> None:
        """Also a line in the log for each thing that is begun, not for each step of it."""
        if message.partition(":")[0] != self._state.message.partition(":")[0]:
            log.info("judge: %s", message)
        self._state = ServingState(Phase.LOADING, message, fraction)

    def _install(self, served: Served, load: Loader) -> Served | None:
        """From now on this one serves; the one that did until now."""
        info = served.engine.info
        caution = UNTRAINED if served.files.kind == "base" else ""
        note = f" {served.note}" if served.note else ""
        message = f"{served.files.name} is ready ({info.name} on {info.device} in {info.dtype}).{caution}{note}"
        with self._changed:
            old, self._served, self._load = self._served, served, load
            self._state, self._loading, self._gap = ServingState(Phase.READY, message, 1.0), False, False
            self._changed.notify_all()
        log.info("judge: %s", message)
        return old

    def _settle_without(self, message: str) -> None:
        with self._changed:
            self._state, self._loading, self._gap = ServingState(Phase.FAILED, message), False, False
            self._changed.notify_all()
        log.info("judge: %s", message)

    # The change to another judge

    def _run_swap(self, successor: Successor) -> None:
        try:
            self._exchange(successor)
        except CancelledError:
            message = f"{successor.name} was not put into service: that was cancelled."
            self._end_swap(successor, ChangePhase.CANCELLED, message)
        except SHOWN as error:
            self._end_swap(successor, ChangePhase.FAILED, f"{successor.name} was not put into service. {error}")
        except Exception as error:
            log.exception("putting %s into service failed", successor.name)
            message = f"{successor.name} was not put into service: {error!r}. See the log."
            self._end_swap(successor, ChangePhase.FAILED, message)
        else:
            self._end_swap(successor, ChangePhase.DONE, f"{successor.name} serves now.")

    def _exchange(self, successor: Successor) -> None:
        with self._changed:
            while self._loading:
                raise_if_set(successor.cancel)
                self._tell(successor, f"{successor.name} is next, when the judge that is being loaded is there.", None)
                self._changed.wait(timeout=0.1)
            old = self._served
            if old is None:
                self._loading = self._gap = True
        if old is None:
            self._load_into_gap(successor)
            return
        missing = self._missing_memory(successor, old)
        if missing is None:
            self._load_beside(successor)
        else:
            self._load_instead(successor, old, missing)

    def _load_into_gap(self, successor: Successor) -> None:
        """Nothing serves: those who ask wait for this one."""
        try:
            served = self._tried(successor)
            self._recorded(successor, served)
        except CancelledError:
            self._settle_without("It was cancelled before a judge was loaded.")
            raise
        except Exception as error:
            self._settle_without(f"{successor.name} could not be loaded: {error}")
            raise
        self._install(served, successor.load)

    def _load_beside(self, successor: Successor) -> None:
        """The old judge answers until the new one has."""
        served = self._tried(successor)
        self._tell(successor, f"{successor.name} is loaded and takes over after the verdict in progress.", None)
        try:
            with self._turns.turn_to_exchange(successor.cancel):
                self._recorded(successor, served)
                old = self._install(served, successor.load)
        except CancelledError:
            served.engine.close()
            raise
        if old is not None:
            old.engine.close()

    def _load_instead(self, successor: Successor, old: Served, missing: str) -> None:
        """The old judge stops first; it is loaded again if the new one can't be."""
        self._tell(successor, f"{missing} {old.files.name} stops after the verdict in progress.", None)
        with self._turns.turn_to_exchange(successor.cancel):
            with self._changed:
                self._served, self._paused_id = None, old.model_version_id
                self._loading = self._gap = True
                self._tell(successor, f"{missing} {old.files.name} stopped; judging waits.", None)
            old.engine.close()
            try:
                served = self._tried(successor)
                self._recorded(successor, served)
            except BaseException as error:
                _let_go(error)
                self._tell(successor, f"{successor.name} won't serve; loading {old.files.name} again …", None)
                self._run()
                raise
            finally:
                self._paused_id = None
            self._install(served, successor.load)

    def _missing_memory(self, successor: Successor, old: Served) -> str | None:
        """Why there is no room for two judges; None if there is."""
        info = old.engine.info
        needed = bytes_to_serve(successor.weights, info.dtype)
        free = self._available(info.device)
        if free is None:
            return "This system does not tell how much memory is free, so only one judge is loaded at a time."
        if needed <= free:
            return None
        return (
            f"There is no memory for two judges: {successor.name} needs about {needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free."
        )

    def _tried(self, successor: Successor) -> Served:
        """Loaded, and it has answered a question of each format."""

        def report(message: str, fraction: float | None) -> None:
            raise_if_set(successor.cancel)
            self._tell(successor, message, fraction)

        served = successor.load(report)
        try:
            report(f"Asking {successor.name} one question of each format.", None)
            try_out(served.engine, served.format, successor.cancel)
            raise_if_set(successor.cancel)
        except BaseException:
            served.engine.close()
            raise
        return served

    def _recorded(self, successor: Successor, served: Served) -> None:
        """The store says that this one serves; where it can't, the engine is closed and what it raised goes on."""
        try:
            successor.record()
        except BaseException:
            served.engine.close()
            raise

    def _tell(self, successor: Successor, message: str, fraction: float | None) -> None:
        """How far the change is; where nothing serves meanwhile, the state tells it too.

        What a library's own thread still reports of a change that has ended is not told.
        """
        with self._changed:
            if self._successor is successor:
                self._change = Change(successor.model_version_id, ChangePhase.LOADING, message, fraction)
                if self._gap:
                    self._report(message, fraction)

    def _end_swap(self, successor: Successor, phase: ChangePhase, message: str) -> None:
        with self._changed:
            self._change = Change(successor.model_version_id, phase, message)
            self._successor = None
            self._changed.notify_all()
        log.info("change of judge: %s", message)


def _is_gone(served: Served) -> bool:
    trouble = served.trouble()
    return trouble is not None and trouble.gone


def _let_go(error: BaseException) -> None:
    """A traceback keeps its frames, and they a half-loaded model, for which there is no room beside the old one."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
