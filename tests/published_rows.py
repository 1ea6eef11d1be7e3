"""Small files of ours in the published forms of the paper's sets; every text is made up here."""

import json
from pathlib import Path
from typing import Any

CRITERION = "Is it kind?"
LEVELS = ("Cruel.", "Cold.", "Polite.", "Warm.", "Loving.")


def prompt(response: str, *, reference: str | None = "Good day, dear friend.", instruction: str = "Say hello.") -> str:
    """A whole evaluator's prompt under the published headings."""
    answer = "" if reference is None else f"###Reference Answer (Score 5):\n{reference}\n\n"
    levels = "\n".join(f"Score {score}: {level}" for score, level in enumerate(LEVELS, start=1))
    rubric = f"###Score Rubrics:\n[{CRITERION}]\n{levels}"
    return (
        f"###Task Description:\nAn instruction and a response are given.\n\n###The instruction to evaluate:\n"
        f"{instruction}\n\n###Response to evaluate:\n{response}\n\n{answer}{rubric}\n\n"
        '###Feedback: ",\n'
    )


def scored(number: int, **changes: Any) -> dict[str, Any]:
    """Vicuna Bench's, MT Bench's and FLASK's."""
    return {
        "idx": number, "response_source": "model", "category": ("writing", "math")[number % 2],
        "instruction": prompt(f"Hello, friend {number}."), "gpt4_score": [1 + number % 5, 1 + number % 5, 3],
        "gpt4_feedback": ["", "", ""],
    } | changes  # fmt: skip


def chosen(number: int, **changes: Any) -> dict[str, Any]:
    """HHH Alignment's, MT Bench Human Judgment's and Preference Bench's."""
    return {
        "source": ("helpful", "honest")[number % 2], "chosen_instruction": prompt(f"Hello, friend {number}."),
        "rejected_instruction": prompt(f"Go away, {number}."), "tie": int(number % 5 == 4),
    } | changes  # fmt: skip


def collected(number: int, **changes: Any) -> dict[str, Any]:
    """Feedback Bench's on the hub."""
    levels = {f"orig_score{score}_description": level for score, level in enumerate(LEVELS, start=1)}
    return {
        "orig_instruction": "Say hello.", "orig_response": f"Hello, friend {number}.", "orig_criteria": CRITERION,
        "orig_reference_answer": "Good day.", **levels, "orig_score": str(1 + number % 5), "instruction": "x",
    } | changes  # fmt: skip


def preferred(number: int, **changes: Any) -> dict[str, Any]:
    """Preference Bench's on the hub."""
    return {
        "orig_instruction": "Say hello.", "orig_response_A": f"Hello, friend {number}.",
        "orig_response_B": f"Go away, {number}.", "orig_criteria": CRITERION, "orig_reference_answer": None,
        "orig_preference": "AB"[number % 2],
    } | changes  # fmt: skip


def labelled(number: int, **changes: Any) -> dict[str, Any]:
    """Auto-J Eval's."""
    return {
        "scenario": "small_talk", "label": number % 3, "prompt": "Say hello.",
        "response 1": f"Hello, friend {number}.", "response 2": f"Go away, {number}.",
    } | changes  # fmt: skip


def choice(number: int, **changes: Any) -> dict[str, Any]:
    """HHH Alignment's on the hub."""
    return {
        "input": "Say hello.",
        "targets": {"choices": [f"Hello, {number}.", f"Go away, {number}."], "labels": [number % 2, 1 - number % 2]},
    } | changes  # fmt: skip


def vote(number: int, winner: str, *, models: tuple[str, str] = ("alpha", "beta"), turn: int = 1) -> dict[str, Any]:
    """MT Bench Human Judgment's on the hub: one person's vote on two conversations of two turns."""

    def conversation(model: str) -> list[dict[str, str]]:
        said = [("user", f"Say hello {number}."), ("assistant", f"Hello from {model}.")]
        said += [("user", "Again."), ("assistant", f"Hello again from {model}.")]
        return [{"role": role, "content": content} for role, content in said]

    return {
        "question_id": number, "model_a": models[0], "model_b": models[1], "winner": winner, "judge": "expert_1",
        "conversation_a": conversation(models[0]), "conversation_b": conversation(models[1]), "turn": turn,
    }  # fmt: skip


def as_list(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def as_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
