"""How long a benchmark run will take, in words: for the page and for the command."""

from pathlib import Path

from backend.bench_pace import Forecast
from ui.job_list import duration


def forecast_words(forecast: Forecast) -> str:
    """How many readings are missing, and how long they take by what was measured before; never a guess."""
    if not forecast.readings:
        return "Everything was read before: only the figures are computed."
    readings = f"{forecast.readings:,} readings are missing."
    timed = (
        f" About {duration(forecast.seconds)}, by {forecast.n:,} earlier readings on this machine."
        if forecast.n
        else ""
    )
    if not forecast.unknown:
        return readings + timed
    names = ", ".join(Path(judge).name for judge in forecast.unknown)
    rest = " more" if timed else ""
    return f"{readings}{timed} How much time{rest} {names} will take can't be said: nothing was read by it here yet."
