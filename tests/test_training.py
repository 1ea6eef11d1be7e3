"""Experts are trained for real, on a tiny model: what is learned, what is left out, and what a kill costs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from backend.engines.tokenizer import PromptTokenizer
from backend.errors import CancelledError, InvalidInputError, TrainingError
from backend.experts import DataSource, ExpertSpec, read_spec, train
from backend.models import find_model, weight_files
from backend.prompts import AssayFormat
from backend.starter import is_complete
from backend.training_choice import choose_rows, longer_wins
from backend.training_encoding import Encoder
from backend.training_forms import load_rows

GOOD = "It answers the question fully, and every step follows from the one before."
BAD = "It wanders from the subject and invents what it says."


def direct_row(number: int, score: float, *, response: str = "", feedback: str | None = None) -> dict[str, object]:
    return {
        "id": f"d{number}",
        "source": "ours",
        "instruction": f"How do I bake bread number {number // 2}?",
        "response": response or (GOOD if score > 3 else BAD) + f" Loaf {number}.",
        "reference": None,
        "rubric": {"criteria": "Does it answer?", "scores": None},
        "scale": [1, 5],
        "human_score": score,
        "human_feedback": feedback,
        "license": "CC0",
        "meta": {"score_1to5": score},
    }


def pair_row(number: int, winner: str, *, longer_wins: bool = True) -> dict[str, object]:
    better, worse = (GOOD * 2, BAD) if longer_wins else (GOOD, BAD * 2)
    a, b = (better, worse) if winner == "A" else (worse, better)
    return {
        "id": f"p{number}",
        "source": "ours",
        "instruction": f"Which loaf is number {number}?",
        "response_a": a,
        "response_b": b,
        "reference": None,
        "rubric": {"criteria": "Which answers better?", "scores": None},
        "human_label": winner,
        "license": "CC0",
        "meta": {},
    }


def write_rows(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.fixture
def direct_rows(tmp_path: Path) -> str:
    rows = [direct_row(n, 5 if n % 2 else 1, feedback=GOOD if n % 4 == 1 else None) for n in range(24)]
    return write_rows(tmp_path / "direct.jsonl", rows)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [pair_row(n, "AB"[n % 2], longer_wins=n % 3 != 0) for n in range(12)]
    return write_rows(tmp_path / "pairs.jsonl", rows)


def spec_of(base: Path, place: str, **given: object) -> ExpertSpec:
    settings = {
        "name": "tiny-direct",
        "format": "direct",
        "base": str(base),
        "data": [{"place": place}],
        "lora_rank": 4,
        "learning_rate": 0.01,
        "rows_per_step": 4,
        "pack_tokens": 400,
        "checkpoint_steps": 2,
        "evaluate_steps": 3,
    }
    return read_spec(settings | given)


def silent(_message: str, _fraction: float | None) -> None:
    pass


def run(spec: ExpertSpec, home: Path) -> Path:
    return train(spec, home, silent, threading.Event()).folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor for path in weight_files(folder) for name, tensor in load_file(path).items()}


def equal(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def encoder(spec: ExpertSpec, base: Path) -> Encoder:
    return Encoder(spec, PromptTokenizer(base), AssayFormat())


# What is learned from a row


def test_what_is_trained_on_is_what_the_engine_reads(tiny_model: Path, direct_rows: str) -> None:
    spec = spec_of(tiny_model, direct_rows)
    [row] = [row for row in load_rows(direct_rows).rows if row.id == "d1"]
    tokenizer, prompt = PromptTokenizer(tiny_model), AssayFormat().direct(row.item, row.rubric, 0)
    asked, tokens = tokenizer.encode(prompt), tokenizer.result_tokens(prompt.marker, prompt.results)
    [silently, written] = encoder(spec, tiny_model).encode(row, with_feedback=True).examples
    assert list(silently.ids) == [*asked, *tokens.forced]
    assert [(goal.place, goal.choices) for goal in silently.goals] == [(len(silently.ids) - 1, tokens.choices)]
    assert tokenizer.decode(written.ids[len(asked) :]) == f"{GOOD} [RESULT] {row.result}"
    assert written.goals[0].place == len(asked) - 1
    assert (written.goals[-1].place, written.goals[-1].choices) == (len(written.ids) - 2, tokens.choices)


def test_after_the_verdict_the_turn_ends_as_other_programs_expect(tiny_model: Path, direct_rows: str) -> None:
    [row] = [row for row in load_rows(direct_rows).rows if row.id == "d1"]
    written = encoder(spec_of(tiny_model, direct_rows), tiny_model).encode(row, with_feedback=True).examples[-1]
    [end] = [goal for goal in written.goals if goal.place == len(written.ids) - 1]
    assert end.choices == (PromptTokenizer(tiny_model).end_of_turn,)


def test_the_verdict_counts_as_much_as_the_whole_feedback(tiny_model: Path, direct_rows: str) -> None:
    spec = spec_of(tiny_model, direct_rows, verdict_weight=2.0)
    [row] = [row for row in load_rows(direct_rows).rows if row.id == "d1"]
    written = encoder(spec, tiny_model).encode(row, with_feedback=True).examples[-1]
    assert sum(goal.weight for goal in written.goals[:-1]) == pytest.approx(1.0)
    assert written.goals[-1].weight == 2.0


def test_a_mean_score_is_a_soft_target_unless_that_is_switched_off(tiny_model: Path, tmp_path: Path) -> None:
    place = write_rows(tmp_path / "mean.jsonl", [direct_row(0, 3.75)])
    [row] = load_rows(place).rows
    soft = encoder(spec_of(tiny_model, place), tiny_model).encode(row, with_feedback=False).examples[0]
    hard = (
        encoder(spec_of(tiny_model, place, soft_targets=False), tiny_model).encode(row, with_feedback=False).examples[0]
    )
    assert soft.goals[0].probabilities == pytest.approx((0, 0, 0.25, 0.75, 0))
    assert hard.goals[0].probabilities == (0, 0, 0, 1, 0)


def test_a_pair_is_learned_in_both_orders(tiny_model: Path, pairs: str) -> None:
    row = load_rows(pairs).rows[0]
    one, other = (
        encoder(spec_of(tiny_model, pairs, format="pairwise"), tiny_model).encode(row, with_feedback=False).examples
    )
    assert one.goals[0].probabilities == tuple(reversed(other.goals[0].probabilities))
    assert one.ids != other.ids


def test_a_feedback_on_a_pair_is_learned_in_both_orders(tiny_model: Path, tmp_path: Path) -> None:
    said = {**pair_row(0, "A"), "feedback": "Response A answers; Response B wanders."}
    place = write_rows(tmp_path / "said.jsonl", [said])
    [row], tokenizer = load_rows(place).rows, PromptTokenizer(tiny_model)
    *_, one, other = (
        encoder(spec_of(tiny_model, place, format="pairwise"), tiny_model).encode(row, with_feedback=True).examples
    )
    taught = [
        tokenizer.decode(example.ids[len(tokenizer.encode(AssayFormat().pairwise(row.item, row.rubric, *order))) :])
        for example, order in ((one, (0, 1)), (other, (1, 0)))
    ]
    assert taught == [
        "Response A answers; Response B wanders. [RESULT] A",
        "Response B answers; Response A wanders. [RESULT] B",
    ]
    assert [example.goals[-1].probabilities for example in (one, other)] == [(1, 0), (0, 1)]


def test_a_feedback_that_names_the_responses_otherwise_stays_in_its_order(tiny_model: Path, tmp_path: Path) -> None:
    place = write_rows(tmp_path / "said.jsonl", [{**pair_row(0, "A"), "feedback": "The first one answers."}])
    [row] = load_rows(place).rows
    examples = (
        encoder(spec_of(tiny_model, place, format="pairwise"), tiny_model).encode(row, with_feedback=True).examples
    )
    assert [len(example.goals) > 1 for example in examples] == [False, False, True]


@pytest.mark.parametrize(
    ("feedback", "early"),
    [
        ("Response A answers; Response B wanders.", " A"),
        ("Overall, Response A's answer is the better one.", " A"),
        ("Response B wanders; Response A answers.", None),
        ("It answers; the other one wanders.", None),
        ("Responses A and B answer, Response A better.", None),
    ],
)
def test_the_winners_name_at_the_head_of_a_feedback_weighs_as_the_verdict_does(
    tiny_model: Path, tmp_path: Path, feedback: str, early: str | None
) -> None:
    place = write_rows(tmp_path / "said.jsonl", [{**pair_row(0, "A"), "feedback": feedback}])
    [row], tokenizer = load_rows(place).rows, PromptTokenizer(tiny_model)
    spec = spec_of(tiny_model, place, format="pairwise", both_orders=False, verdict_weight=2.0)
    *written, verdict = encoder(spec, tiny_model).encode(row, with_feedback=True).examples[-1].goals
    heavy = [tokenizer.decode(goal.choices) for goal in written if goal.weight > 2.0]
    assert heavy == ([] if early is None else [early])
    assert verdict.weight == 2.0


def test_a_tie_has_no_winner_whose_name_could_weigh_more(tiny_model: Path, tmp_path: Path) -> None:
    place = write_rows(
        tmp_path / "tie.jsonl", [{**pair_row(0, "A"), "human_label": "tie", "feedback": "Response A is as good."}]
    )
    [row] = load_rows(place).rows
    *written, _verdict = (
        encoder(spec_of(tiny_model, place, format="pairwise"), tiny_model)
        .encode(row, with_feedback=True)
        .examples[2]
        .goals
    )
    assert max(goal.weight for goal in written) < 1


# Which rows


def test_only_the_formats_own_rows_are_taken(tiny_model: Path, direct_rows: str, pairs: str) -> None:
    both = [DataSource(place=direct_rows), DataSource(place=pairs)]
    counts = {}
    for format in ("direct", "pairwise", "joint"):
        spec = spec_of(tiny_model, direct_rows, format=format, balance_length=False)
        counts[format] = len(choose_rows(spec, both).rows)
    assert counts == {"direct": 24, "pairwise": 12, "joint": 36}


def test_longer_and_shorter_winners_are_balanced(tiny_model: Path, pairs: str) -> None:
    spec = spec_of(tiny_model, pairs, format="pairwise")
    rows = choose_rows(spec, spec.data).rows
    assert [longer_wins(row) for row in rows].count(True) == [longer_wins(row) for row in rows].count(False) == 4


def test_the_rows_drawn_depend_on_the_seed_alone(tiny_model: Path, direct_rows: str) -> None:
    def ids(seed: int) -> list[str]:
        spec = spec_of(tiny_model, direct_rows, seed=seed)
        return [row.id for row in choose_rows(spec, [DataSource(place=direct_rows, limit=8)]).rows]

    assert ids(1) == ids(1)
    assert len(ids(1)) == 8
    assert ids(1) != ids(2)


# Bad specifications


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"format": "ranking"}, "format"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rte": 1e-4}, "learning_rte"),
        ({"name": "../evil"}, "name"),
        ({"data": []}, "data"),
        ({"data": [{"place": "x", "limit": 0}]}, "limit"),
        ({"data": [{"place": "x"}], "dev": [{"place": "x"}]}, "measured on"),
        ({"beside": "x", "method": "full"}, "beside"),
        ({"beside": "x", "beside_weight": 0}, "beside_weight"),
    ],
)
def test_a_bad_specification_names_its_fault(given: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=named):
        spec_of(tmp_path, "rows.jsonl", **given)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="paper-7b-full"):
        read_spec({}, preset="paper-70b")


# Whole trainings


@pytest.mark.slow
def test_an_expert_learns_and_is_a_model_that_can_be_judged_with(
    tiny_model: Path, direct_rows: str, tmp_path: Path
) -> None:
    dev = write_rows(tmp_path / "dev.jsonl", [direct_row(n, 5 if n % 2 else 1) for n in range(100, 110)])
    spec = spec_of(tiny_model, direct_rows, epochs=6, dev=[{"place": dev}])
    folder = run(spec, tmp_path)
    files = find_model(str(folder), tmp_path, prompt_format=None, report=silent)
    assert files.architecture == "LlamaForCausalLM"
    told = [json.loads(line) for line in (spec.workplace(tmp_path) / "progress.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in told if "loss" in entry]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    measured = [entry["dev"]["dev"] for entry in told if "dev" in entry][-1]
    assert measured["n"] == 10
    assert measured["value"] > 0.8
    card = (folder / "README.md").read_text()
    assert "| ours | CC0 | 24 |" in card
    assert "Pearson" in card
    assert not list(spec.workplace(tmp_path).glob("checkpoint-*"))


@pytest.mark.slow
def test_the_same_specification_again_is_answered_at_once(tiny_model: Path, direct_rows: str, tmp_path: Path) -> None:
    spec = spec_of(tiny_model, direct_rows)
    folder = run(spec, tmp_path)
    changed = (folder / "manifest.json").stat().st_mtime_ns
    assert run(spec, tmp_path) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == changed


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_trainings_go_on_and_end_like_an_uninterrupted_one(
    method: str, tiny_model: Path, direct_rows: str, pairs: str, tmp_path: Path
) -> None:
    data = [{"place": direct_rows}, {"place": pairs}]
    spec = spec_of(tiny_model, direct_rows, format="joint", data=data, method=method, epochs=4, learning_rate=0.003)
    straight = run(spec, tmp_path / "straight")
    home = tmp_path / "killed"
    program = (
        "import sys, threading; from pathlib import Path; from backend.experts import ExpertSpec, train; "
        "train(ExpertSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]), lambda *_: None, threading.Event())"
    )
    for seconds in (0.0, 1.0):
        process = subprocess.Popen([sys.executable, "-c", program, spec.model_dump_json(), str(home)])
        _wait_for(lambda: list(spec.workplace(home).glob("checkpoint-*/trainer_state.json")))
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not is_complete(spec.folder(home))
    assert equal(run(spec, home), straight)


@pytest.mark.slow
def test_a_cancelled_training_leaves_no_model_and_can_go_on(tiny_model: Path, direct_rows: str, tmp_path: Path) -> None:
    spec = spec_of(tiny_model, direct_rows, epochs=50)
    cancel = threading.Event()

    def stop_once_it_steps(message: str, _fraction: float | None) -> None:
        if message.startswith("Step"):
            cancel.set()

    with pytest.raises(CancelledError, match="goes on"):
        train(spec, tmp_path, stop_once_it_steps, cancel)
    assert not spec.folder(tmp_path).exists()


@pytest.mark.slow
def test_rows_longer_than_the_limit_are_left_out_whole_and_counted(tiny_model: Path, tmp_path: Path) -> None:
    rows = [direct_row(n, 5) for n in range(6)] + [direct_row(7, 1, response="word " * 600)]
    spec = spec_of(tiny_model, write_rows(tmp_path / "long.jsonl", rows), max_tokens=600)
    card = (run(spec, tmp_path) / "README.md").read_text()
    assert "6 rows were trained on" in card
    assert "1 longer than 600 tokens were left out whole" in card


@pytest.mark.slow
def test_no_row_left_is_an_error_that_says_so(tiny_model: Path, pairs: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No row is left"):
        run(spec_of(tiny_model, pairs, format="direct"), tmp_path)


@pytest.mark.slow
def test_a_base_that_cannot_be_loaded_is_told_with_the_log(tmp_path: Path, direct_rows: str) -> None:
    with pytest.raises(TrainingError):
        run(spec_of(tmp_path / "nowhere", direct_rows), tmp_path)


def test_a_training_that_was_killed_names_the_signal_and_quotes_no_progress_bar(
    tmp_path: Path, direct_rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "python"
    dying.write_text(
        "#!/bin/sh\n"
        r"printf 'Loading:   0%%|          | 0/2\rLoading:  50%%|█████     | 1/2\rIts last words.\n' >&2"
        "\nkill -TERM $$\n"
    )
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(TrainingError) as caught:
        run(spec_of(tmp_path / "base", direct_rows), tmp_path)
    assert str(caught.value).startswith("The training was ended by SIGTERM, not by Assay. Start it again")
    assert str(caught.value).endswith("which ends: Its last words.")


def _wait_for(condition, seconds: float = 120) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
