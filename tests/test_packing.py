"""Packs: what begins alike is computed once, and nothing else changes."""

from pathlib import Path

import pytest

from backend.packing import Example, Goal, Pack, pack_rows


def example(*ids: int, weight: float = 1.0) -> Example:
    return Example(ids, (Goal(len(ids) - 1, (1, 2), (0.25, 0.75), weight),))


def test_a_shared_beginning_is_held_once() -> None:
    pack = Pack()
    pack.add(example(5, 6, 7))
    assert pack.added(example(5, 6, 8, 9)) == 2
    pack.add(example(5, 6, 8, 9))
    assert pack.ids == [5, 6, 7, 8, 9]
    assert pack.parents == [-1, 0, 1, 1, 3]
    assert pack.depths == [0, 1, 2, 2, 3]


def test_a_goal_stands_at_its_own_token_of_the_pack() -> None:
    pack = Pack()
    pack.add(example(5, 6, 7))
    pack.add(example(5, 6, 8, 9, weight=2.0))
    assert [(goal.place, goal.weight) for goal in pack.goals] == [(2, 1.0), (4, 2.0)]


def test_the_same_sequence_twice_keeps_both_goals() -> None:
    pack = Pack()
    pack.add(example(5, 6))
    pack.add(example(5, 6))
    assert len(pack) == 2
    assert [goal.place for goal in pack.goals] == [1, 1]


def test_rows_that_begin_alike_come_together() -> None:
    rows = [[example(1, 2, 3)], [example(9, 9, 9)], [example(1, 2, 4)], [example(9, 9, 8)]]
    packs = pack_rows(rows, 4)
    assert [(pack.rows, len(pack)) for pack in packs] == [(2, 4), (2, 4)]


def test_a_pack_holds_at_most_its_tokens_and_no_row_is_divided_or_lost() -> None:
    rows = [[example(*range(n, n + 10)), example(*range(n, n + 5), 99)] for n in range(0, 400, 7)]
    packs = pack_rows(rows, 40)
    assert all(len(pack) <= 40 for pack in packs)
    assert sum(pack.rows for pack in packs) == len(rows)
    assert sum(len(pack.goals) for pack in packs) == 2 * len(rows)


def test_a_row_longer_than_a_pack_has_one_of_its_own() -> None:
    packs = pack_rows([[example(*range(100))], [example(1, 2)]], 10)
    assert sorted(len(pack) for pack in packs) == [2, 100]


def test_a_model_says_in_a_pack_what_it_says_of_the_plain_sequences(tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from backend.training import collate, goal_log_probabilities

    model = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="sdpa").eval()
    sequences = [example(3, 14, 15, 92, 65), example(3, 14, 15, 35), example(3, 14, 20, 7, 7, 7), example(8, 8)]
    [pack] = pack_rows([sequences], 100)
    assert len(pack) < sum(len(one.ids) for one in sequences)
    with torch.inference_mode():
        packed = goal_log_probabilities(model, collate([pack]))
        for one, got in zip(sequences, packed, strict=True):
            logits = model(torch.tensor([one.ids])).logits[0, -1]
            expected = torch.log_softmax(logits, -1)[[1, 2]]
            assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
