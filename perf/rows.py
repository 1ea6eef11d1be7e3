"""Prompts of ours for machines without labelled sets; the sets themselves are backend.benchmarks.rows."""

from backend.benchmarks.rows import HELPFUL
from backend.types import Item, Rubric


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
