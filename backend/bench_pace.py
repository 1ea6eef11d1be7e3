"""How long a run will take, from how fast these judges have read on this machine before. Nothing is guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from sqlalchemy.orm import Session

from backend.bench_spec import BenchSpec
from backend.benchmarks.labelled import LabelledSet
from backend.formats import prompt_format
from backend.measuring import missing_readings
from db import measuring_queries as queries

NEWEST = 512
"""Readings that the pace is taken from, at most."""
TOGETHER_SECONDS = 0.5
"""Readings that were kept within this time of the one before were kept at once."""
LONGEST_SECONDS = 600.0
"""A longer time between two keepings is a pause and not work."""


@dataclass(frozen=True)
class Pace:
    """seconds: of one reading, in batches as runs read. n: readings that it was measured on."""

    seconds: float
    n: int


@dataclass(frozen=True)
class Forecast:
    """readings: that are missing and will be asked for. seconds: for those of judges whose pace is known. n: readings
    behind the paces. unknown: judges that have read nothing here yet, so that nobody can say; as they were named.
    """

    readings: int
    seconds: float
    n: int
    unknown: tuple[str, ...]


def pace(kept: Sequence[datetime]) -> Pace | None:
    """From when readings were kept, the oldest first: the median, over keepings, of the time since the keeping before
    by its number of readings. None for fewer than two keepings.
    """
    keepings = list[list[datetime]]()
    for moment in kept:
        if keepings and (moment - keepings[-1][-1]).total_seconds() <= TOGETHER_SECONDS:
            keepings[-1].append(moment)
        else:
            keepings.append([moment])
    taken = [((later[0] - earlier[-1]).total_seconds(), len(later)) for earlier, later in pairwise(keepings)]
    worked = [(seconds / count, count) for seconds, count in taken if seconds <= LONGEST_SECONDS]
    if not worked:
        return None
    return Pace(median(each for each, _ in worked), sum(count for _, count in worked))


def forecast(session: Session, spec: BenchSpec, sets: Sequence[LabelledSet]) -> Forecast:
    """sets: all that the run asks about, those for consistency too. Judges are known by their model's folder."""
    readings, seconds, n = 0, 0.0, 0
    unknown = list[str]()
    for judge in spec.judges:
        model = queries.model_at(session, judge)
        asked = None if model is None else queries.newest_judge(session, model.id, spec.sampling.feedback)
        format = prompt_format("assay" if model is None else model.prompt_format)
        missing = spec.repeats * sum(missing_readings(session, asked, labelled, format) for labelled in sets)
        readings += missing
        known = None if asked is None else pace(queries.newest_times(session, asked, NEWEST))
        if known is not None:
            seconds += missing * known.seconds
            n += known.n
        elif missing:
            unknown.append(judge)
    return Forecast(readings, seconds, n, tuple(unknown))
