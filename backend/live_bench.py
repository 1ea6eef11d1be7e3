"""Two experts on the bench: the live judge of the alpha lab, loaded beside the one that serves, and asked by hand.

It has an engine of its own, so that moving alpha neither changes nor holds the judge that people use.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from backend.accounts import Permit
from backend.engines.base import ReadingDone
from backend.errors import SHOWN, CancelledError, ConflictError, EngineError, InvalidInputError, NotReadyError
from backend.live_alpha import LiveAlpha
from backend.loading import require_files
from backend.memory import available_bytes, bytes_to_serve
from backend.model_views import ModelView
from backend.models import weight_files
from backend.passes import prompts_of
from backend.ranking import pair_verdict, score_verdict
from backend.registry import Registry
from backend.serving import Serving
from backend.trial import VERDICT_ONLY
from backend.types import Item, Mode, PairVerdict, Rubric, ScoreVerdict
from backend.weights import read_headers

log = logging.getLogger(__name__)

EMPTY = "Nothing is loaded."


class BenchPhase(StrEnum):
    EMPTY = "empty"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class BenchState:
    """What lies on the bench. message: a sentence for people. pair: ids of the direct and the pairwise expert.

    asked_at: the alpha whose opinion is being read; None while nothing is asked.
    """

    phase: BenchPhase
    message: str
    pair: tuple[int, int] | None = None
    asked_at: float | None = None


@dataclass(frozen=True)
class Opinion:
    """What the experts, mixed at alpha, say of an item. Kept nowhere. recipe_digest: of the merge that would say it.

    mixing, reading: seconds that each took; waiting for an earlier question is in neither.
    """

    alpha: float
    recipe_digest: str
    result: ScoreVerdict | PairVerdict
    mixing: float
    reading: float


class LiveBench:
    """Holds one pair of experts at a time. device, dtype: as the engines take them."""

    def __init__(
        self,
        registry: Registry,
        serving: Serving,
        home: Path,
        permit: Permit,
        *,
        device: str = "auto",
        dtype: str = "auto",
        available: Callable[[str], int | None] = available_bytes,
    ) -> None:
        self._registry = registry
        self._serving = serving
        self._home = home
        self._permit = permit
        self._device = device
        self._dtype = dtype
        self._available = available
        self._guard = threading.Lock()
        self._alone = threading.Lock()  # with the engine
        self._state = BenchState(BenchPhase.EMPTY, EMPTY)
        self._cancel = threading.Event()
        self._live: LiveAlpha | None = None
        self._asked_at: float | None = None

    @property
    def state(self) -> BenchState:
        return replace(self._state, asked_at=self._asked_at)

    def load(self, direct_id: int, pairwise_id: int, user_id: int) -> None:
        """Begin to load this pair in a thread of its own, in the place of any other; `state` tells how far it is.

        Raises ConflictError while a pair is being loaded, EngineError where memory does not hold it,
        NotAllowedError, NotFoundError and ModelFilesError.
        """
        self._permit(user_id)
        direct, pairwise = self._registry.get(direct_id), self._registry.get(pairwise_id)
        for view in (direct, pairwise):
            require_files(view)
        with self._guard:
            if self._state.phase is BenchPhase.LOADING:
                raise ConflictError("Two experts are being loaded. Wait for them, or press Cancel first.")
            if self._state.phase is BenchPhase.READY and self._state.pair == (direct_id, pairwise_id):
                return
            before = self._state
            self._cancel = threading.Event()
            self._state = BenchState(BenchPhase.LOADING, "Checking both experts …", (direct_id, pairwise_id))
        try:
            self._let_go()
            self._require_memory(direct, pairwise)
        except BaseException:
            self._state = BenchState(BenchPhase.EMPTY, EMPTY) if before.phase is BenchPhase.READY else before
            raise
        work = (direct, pairwise, self._cancel)
        threading.Thread(target=self._run, args=work, name="live-bench", daemon=True).start()

    def clear(self, user_id: int) -> None:
        """Give the memory back; a pair that is being loaded is given up at its next step. Raises NotAllowedError."""
        self._permit(user_id)
        with self._guard:
            self._cancel.set()
            if self._state.phase is BenchPhase.LOADING:
                self._state = BenchState(BenchPhase.LOADING, "Giving up …", self._state.pair)
                return
            self._state = BenchState(BenchPhase.EMPTY, EMPTY)
        self._let_go()

    def ask(self, pair: tuple[int, int], alpha: float, item: Item, rubric: Rubric, user_id: int) -> Opinion:
        """One verdict without feedback, of one response or of two in both orders. One caller at a time.

        Raises NotReadyError unless this pair is loaded, InvalidInputError for an item or alpha that can't be asked
        about, NotAllowedError and EngineError.
        """
        self._permit(user_id)
        if item.mode is Mode.RANKING:
            raise InvalidInputError(f"Live alpha takes one response or two; this item has {len(item.responses)}.")
        with self._alone:
            live = self._live
            if live is None or self._state.pair != pair:
                raise NotReadyError("These two experts are not loaded. Press “Load both experts” first.")
            self._asked_at = alpha
            try:
                began = time.monotonic()
                recipe_digest = live.mix(alpha)
                mixed = time.monotonic()
                result = _opinion(live, item, rubric)
            finally:
                self._asked_at = None
            return Opinion(alpha, recipe_digest, result, mixed - began, time.monotonic() - mixed)

    def _run(self, direct: ModelView, pairwise: ModelView, cancel: threading.Event) -> None:
        pair = (direct.id, pairwise.id)

        def report(message: str, fraction: float | None) -> None:
            if cancel.is_set():
                raise CancelledError("Loading was cancelled.")
            self._state = BenchState(BenchPhase.LOADING, message, pair)

        try:
            live = LiveAlpha(
                Path(direct.path),
                Path(pairwise.path),
                self._home,
                self._registry,
                report,
                device=self._device,
                dtype=self._dtype,
            )
            if cancel.is_set():
                live.close()
                raise CancelledError("Loading was cancelled.")
        except CancelledError:
            self._state = BenchState(BenchPhase.EMPTY, EMPTY)
        except SHOWN as error:
            self._state = BenchState(BenchPhase.FAILED, str(error), pair)
        except Exception as error:
            log.exception("loading two experts failed")
            self._state = BenchState(BenchPhase.FAILED, f"The experts can't be loaded: {error!r}. See the log.", pair)
        else:
            self._live = live
            message = f"{direct.name} and {pairwise.name} are loaded. Move alpha, or press Ask."
            self._state = BenchState(BenchPhase.READY, message, pair)

    def _let_go(self) -> None:
        with self._alone:
            if self._live is not None:
                self._live.close()
                self._live = None

    def _require_memory(self, direct: ModelView, pairwise: ModelView) -> None:
        """Both experts as they are stored, and one model to be mixed in. The judge that serves stays loaded."""
        served = self._serving.served
        device, dtype = (served.engine.info.device, served.engine.info.dtype) if served else ("cpu", "float32")
        numbers = sum(header.elements for header in read_headers(weight_files(Path(direct.path))).values())
        needed = {device: bytes_to_serve(numbers, dtype)}
        needed["cpu"] = needed.get("cpu", 0) + direct.bytes + pairwise.bytes
        for place, count in needed.items():
            free = self._available(place)
            if free is not None and free < count:
                raise EngineError(
                    f"There is no memory for live alpha: both experts and the model that they are mixed in need about "
                    f"{count / 1e9:,.1f} GB on {place} beside the judge that serves, and {free / 1e9:,.1f} GB are "
                    "free. Close other programs, or merge at a few alphas and compare those."
                )


def _opinion(live: LiveAlpha, item: Item, rubric: Rubric) -> ScoreVerdict | PairVerdict:
    prompts = list(prompts_of(item, rubric, live.format).values())
    for prompt in prompts:
        live.engine.check(prompt, VERDICT_ONLY)
    read = {
        event.index: event.reading.probabilities
        for event in live.engine.read(prompts, VERDICT_ONLY, threading.Event())
        if isinstance(event, ReadingDone)
    }
    given = [one for index in range(len(prompts)) if (one := read.get(index)) is not None]
    if len(given) < len(prompts):
        raise EngineError("The mixed model gave no verdict that can be read. Try an alpha nearer to 0 or 1.")
    if item.mode is Mode.DIRECT:
        return score_verdict(given[0])
    return pair_verdict(given[0][0], given[1][1])
