"""The card of an expert: what it was made of, with which settings, and how it did, as Markdown. Pure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.experts import ExpertSpec
from backend.training_rows import TrainingRow


@dataclass
class Counts:
    """What became of the rows that were read.

    tokens: computed in an epoch, with what rows share computed once; plain_tokens: without sharing.
    """

    refused: int = 0
    other_format: int = 0
    not_drawn: int = 0
    too_long: int = 0
    trained: int = 0
    with_feedback: int = 0
    tokens: int = 0
    plain_tokens: int = 0


def card(
    spec: ExpertSpec,
    rows: Sequence[TrainingRow],
    counts: Counts,
    progress: Sequence[str],
    *,
    seconds: float,
    versions: Mapping[str, str],
) -> str:
    """progress: the lines of progress.jsonl. seconds: of the last run, which may have begun at a checkpoint."""
    told = [json.loads(line) for line in progress]
    losses = [entry["loss"] for entry in told if "loss" in entry]
    measured = [entry for entry in told if "dev" in entry]
    settings = spec.model_dump(mode="json", exclude={"data", "dev", "base", "start_from", "beside", "beside_weight"})
    parts = [
        f"# {spec.name}",
        f"An expert trained on the format **{spec.format}**, {spec.method} on `{spec.base.rsplit('/', 1)[-1]}`.",
        ""
        if spec.beside is None
        else (
            f"It was made to be merged with `{spec.beside.rsplit('/', 1)[-1]}`: {spec.beside_weight:g} times what that "
            "has learned was added to the base while it was trained. Alone it judges otherwise."
        ),
        "## Data",
        _table(
            ("source", "licence", "rows drawn"),
            [(source, licence, str(n)) for (source, licence), n in _sources(rows).most_common()],
        ),
        (
            f"{counts.trained:,} rows were trained on, {counts.with_feedback:,} of them with their feedback; "
            f"{counts.too_long:,} longer than {spec.max_tokens:,} tokens were left out whole, {counts.not_drawn:,} not "
            f"drawn, {counts.refused:,} could not be read. An epoch computed {counts.tokens:,} tokens, which would "
            f"have been {counts.plain_tokens:,} without sharing what rows have in common."
        ),
        "## Settings",
        "```json\n" + json.dumps(settings, indent=2) + "\n```",
        "## How it went",
        f"Steps: {len(losses):,}. The last run took {seconds / 60:.0f} min. Loss: {_span(losses)}.",
        _table(("step", "dev set", "metric", "value", "rows"), _curve(measured)),
        "## Versions",
        ", ".join(f"{name} {number}" for name, number in versions.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sources(rows: Sequence[TrainingRow]) -> Counter[tuple[str, str]]:
    """Rows by source and licence; a source's own files (`repository:file`) count together."""
    return Counter((row.source.partition(":")[0], row.licence) for row in rows)


def _span(losses: Sequence[float]) -> str:
    if not losses:
        return "unknown"
    few = max(1, len(losses) // 10)
    return f"from {sum(losses[:few]) / few:.3f} to {sum(losses[-few:]) / few:.3f}"


def _curve(measured: Sequence[Mapping[str, object]]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for entry in measured:
        dev = entry["dev"]
        assert isinstance(dev, dict)
        for name, one in dev.items():
            value = "undefined" if one["value"] is None else f"{one['value']:.3f}"
            lines.append((str(entry["step"]), name, one["metric"].capitalize(), value, str(one["n"])))
    return lines


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    if not lines:
        return ""
    cells = [head, ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
