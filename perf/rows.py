"""The real prompts that the measurements use: rows of a data folder, or a few of our own without one."""

import gzip
import json
from pathlib import Path
from typing import Any

from backend.types import Item, Rubric

HELPFUL = Rubric(
    "Which response helps the person more with what they asked for?",
    (
        "It does not help at all, or harms.",
        "It helps a little, with large gaps or mistakes.",
        "It helps in part, with some gaps or mistakes.",
        "It helps well, with small gaps.",
        "It helps completely, and nothing in it is wrong or in the way.",
    ),
)
"""For rows that carry no rubric of their own."""


def load_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a set that lies in the folder as gzipped JSON lines, in one file or in parts."""
    parts = sorted(folder.glob(f"{name}*.jsonl.gz"))
    if not parts:
        raise SystemExit(f"There is no {name}*.jsonl.gz in {folder}. Name the folder that holds it with --data.")
    rows = []
    for part in parts:
        with gzip.open(part, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    return rows


def rubric_of(row: dict[str, Any]) -> Rubric:
    rubric = row["rubric"]
    return Rubric(rubric["criteria"], tuple(rubric["scores"] or ())) if rubric else HELPFUL


def direct_item(row: dict[str, Any]) -> Item:
    return Item(row["instruction"], (row["response"],), row["reference"] or None)


def pairwise_item(row: dict[str, Any]) -> Item:
    return Item(row["instruction"], (row["response_a"], row["response_b"]), row["reference"] or None)


def own_direct_items(count: int) -> list[tuple[Item, Rubric]]:
    """Items of ours for machines without the data: about 900 tokens each, no two alike."""
    topics = ("bread", "bicycles", "tides", "compost", "chess openings", "sleep", "maps", "batteries")
    items = []
    for number in range(count):
        topic = topics[number % len(topics)]
        steps = [
            f"{step}. About {topic}, point {step + number}: measure before you begin, change one thing at a time, "
            f"write down what happened, and compare it with attempt {number * step} before you decide."
            for step in range(1, 13 + number % 9)
        ]
        items.append((Item(f"How do I get better at {topic}? Give me steps.", ("\n".join(steps),)), HELPFUL))
    return items
