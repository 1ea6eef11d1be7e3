"""A table of figures as plain words: each with its interval, or with why it has none."""

from dataclasses import dataclass

from backend.agreement import ENOUGH, Share
from backend.agreement.bootstrap import Stat

NONE = "–"
STAT_HEADS = ("", "Value", "95% interval", "Labels", "Items")


@dataclass(frozen=True)
class Table:
    """key: names its file. rows: cells of plain text, the first is the row's head. note: what to know; "" for
    nothing."""

    key: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def stat_row(name: str, stat: Stat, *, signed: bool = False) -> tuple[str, ...]:
    """A figure as the cells under STAT_HEADS; where it lacks a value or an interval, why."""
    form = "+.3f" if signed else ".3f"
    value = NONE if stat.value is None else f"{stat.value:{form}}"
    interval = stat.missing if stat.low is None else f"{stat.low:{form}} to {stat.high:{form}}"
    return name, value, interval, f"{stat.n:,}", f"{stat.items:,}"


def share_row(name: str, share: Share | None) -> tuple[str, ...]:
    if share is None:
        return name, NONE, "There is nothing to count.", "0", ""
    return name, f"{share.value:.3f}", f"{share.low:.3f} to {share.high:.3f}", f"{share.n:,}", ""


def with_interval(stat: Stat) -> str:
    """A figure in one cell; why it has none where it has none."""
    if stat.value is None:
        return "too few" if stat.items < ENOUGH else stat.missing
    return f"{stat.value:.3f}" if stat.low is None else f"{stat.value:.3f} ({stat.low:.3f} to {stat.high:.3f})"
