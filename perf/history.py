"""The history page at scale: a SQLite file of many verdicts, and how long its questions take.

    python -m perf.history --verdicts 1000000

Fills a new database (about 2 KB a verdict) through bulk inserts and asks the history what its page asks. A
tenth of the verdicts are labelled, four rubrics and four judges share them unevenly, and the words looked for
stand in none, in one of the oldest, or in half of the instructions. The times are medians; "first" is the first
of the runs, with nothing of the question in memory yet.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from backend.history import Agreement, Filter, History
from backend.types import SCORES, Mode, digest_of
from db import models
from db.session import Store
from perf.options import add_folder, add_runs, add_verdicts, parser_of
from perf.timing import seconds_of

CHUNK = 10_000
START = datetime(2025, 1, 1, tzinfo=UTC)
OLDEST_WORD = "quagga"
LEVEL = "It answers in part, with gaps that matter."
RESPONSE = "Mix one part of white vinegar with two parts of water, and let it soak overnight. " * 3
FEEDBACK = "It answers the question and gives amounts, but it does not say to rinse afterwards. " * 2
SHARES = (0, 0, 0, 0, 0, 0, 1, 1, 2, 3)
"""Which of four rubrics or judges a verdict falls to, by its number: 60%, 20%, 10% and 10%."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "history.db"
        store = Store(f"sqlite:///{path}")
        store.migrate()
        started = time.perf_counter()
        fill(store, options.verdicts)
        size = sum(part.stat().st_size for part in Path(folder).iterdir()) / 1e6
        print(f"{options.verdicts:,} verdicts in {size:,.0f} MB, written in {time.perf_counter() - started:.0f} s")
        for name, ask in _questions(History(store)).items():
            times = [seconds_of(ask) for _ in range(options.runs)]
            print(f"{name:<38} median {statistics.median(times) * 1000:8.1f} ms   first {times[0] * 1000:8.1f} ms")
        store.close()


def _questions(history: History) -> dict[str, Callable[[], object]]:
    rare = Filter(rubric_id=4, model_version_id=4, mode=Mode.PAIRWISE)
    return {
        "first page": lambda: history.page(Filter(), 1, 1),
        "last page that can be reached": lambda: history.page(Filter(), 10_000, 1),
        "page of one mode": lambda: history.page(Filter(mode=Mode.PAIRWISE), 1, 1),
        "page of one model": lambda: history.page(Filter(model_version_id=2), 1, 1),
        "page of one rubric": lambda: history.page(Filter(rubric_id=2), 1, 1),
        "page of a rare model, rubric and mode": lambda: history.page(rare, 1, 1),
        "page of the agreed": lambda: history.page(Filter(agreement=Agreement.AGREED), 1, 1),
        "page of the overridden": lambda: history.page(Filter(agreement=Agreement.OVERRIDDEN), 1, 1),
        "page of the not labelled": lambda: history.page(Filter(agreement=Agreement.UNLABELLED), 1, 1),
        "choices": history.choices,
        "one verdict opened": lambda: history.open(1, 1),
        "search, in half of the instructions": lambda: history.page(Filter(text="kettle"), 1, 1),
        "search, in one of the oldest": lambda: history.page(Filter(text=OLDEST_WORD), 1, 1),
        "search, in none": lambda: history.page(Filter(text="no such words"), 1, 1),
    }


def fill(store: Store, verdicts: int) -> None:
    with store.write() as session:
        session.execute(insert(models.User), [{"id": 1, "name": "owner", "role": "admin"}])
        for table in (models.Rubric, models.RubricVersion, models.ModelVersion, models.Judge):
            session.execute(insert(table), [_maker_row(table, key) for key in range(1, 5)])
    for first in range(1, verdicts + 1, CHUNK):
        tables = _chunk(range(first, min(first + CHUNK, verdicts + 1)))
        with store.write() as session:
            for table, rows in tables.items():
                session.execute(insert(table), rows)


def _maker_row(table: type[models.Base], key: int) -> dict[str, Any]:
    digest = digest_of(table.__tablename__, key)
    if table is models.Rubric:
        return {"id": key, "name": f"Rubric {key}"}
    if table is models.RubricVersion:
        levels = {f"level_{score}": LEVEL for score in SCORES}
        return {"id": key, "rubric_id": key, "number": 1, "digest": digest, "criterion": "Does it help?", **levels}
    if table is models.ModelVersion:
        return {
            "id": key, "digest": digest, "name": f"model {key}", "kind": "base", "path": "/models",
            "architecture": "LlamaForCausalLM", "bytes": 1, "prompt_format": "assay",
        }  # fmt: skip
    return {
        "id": key, "digest": digest, "model_version_id": key, "prompt_format": "assay", "format_digest": digest,
        "engine": "transformers", "engine_version": "1", "device": "cpu", "dtype": "float32", "temperature": 0.0,
        "top_p": 1.0, "seed": 0, "max_new_tokens": 256, "feedback": True,
    }  # fmt: skip


def _chunk(numbers: range) -> dict[type[models.Base], list[dict[str, Any]]]:
    """The rows of these verdicts by their tables, in an order that foreign keys allow."""
    return {
        models.Item: [_item(number) for number in numbers],
        models.Response: [row for number in numbers for row in _responses(number)],
        models.Reading: [_reading(number) for number in numbers],
        models.Verdict: [_verdict(number) for number in numbers],
        models.VerdictReading: [
            {"verdict_id": number, "reading_id": number, "first": 0, "second": 1 if _is_pair(number) else None}
            for number in numbers
        ],
        models.Label: [_label(number) for number in numbers if number % 10 == 1],
    }


def _is_pair(number: int) -> bool:
    return number % 3 == 0


def _mode(number: int) -> Mode:
    return Mode.PAIRWISE if _is_pair(number) else Mode.DIRECT


def _item(number: int) -> dict[str, Any]:
    thing = OLDEST_WORD if number == 1 else "kettle" if number % 2 else "bath"
    return {
        "id": number, "digest": digest_of("item", number), "mode": _mode(number), "reference": None,
        "instruction": f"How do I get limescale out of {thing} number {number}, and keep it out for good?",
    }  # fmt: skip


def _responses(number: int) -> Iterator[dict[str, Any]]:
    for position in range(2 if _is_pair(number) else 1):
        yield {"item_id": number, "position": position, "text": RESPONSE}


def _reading(number: int) -> dict[str, Any]:
    return {
        "id": number, "judge_id": _share(number // 10), "prompt_digest": digest_of("prompt", number), "attempt": 1,
        "status": "read", "results": list(SCORES), "probabilities": [0.1, 0.1, 0.1, 0.6, 0.1], "feedback": FEEDBACK,
        "raw_text": FEEDBACK, "finish": "marker", "prompt_tokens": 412, "new_tokens": 57, "seconds": 3.0,
    }  # fmt: skip


def _verdict(number: int) -> dict[str, Any]:
    pair = _is_pair(number)
    return {
        "id": number, "item_id": number, "rubric_version_id": _share(number), "judge_id": _share(number // 10),
        "attempt": 1, "mode": _mode(number), "status": "read", "score": None if pair else 4,
        "expected_score": None if pair else 3.5, "confidence": 0.6, "winner": "A" if pair else None,
        "p_a": 0.6 if pair else None, "p_a_first": 0.7 if pair else None, "p_a_second": 0.5 if pair else None,
        "order_sensitive": False if pair else None, "tie_margin": 0.05 if pair else None, "seconds": 3.0,
        "created_by_id": 1, "created_at": START + timedelta(seconds=number),
    }  # fmt: skip


def _label(number: int) -> dict[str, Any]:
    """Three of four labels agree."""
    pair, agrees = _is_pair(number), number % 40 != 1
    return {
        "client_id": str(number), "kind": "agree" if agrees else "override", "item_id": number,
        "rubric_version_id": _share(number), "verdict_id": number, "author_id": 1,
        "score": None if pair else (4 if agrees else 2), "winner": ("A" if agrees else "B") if pair else None,
        "agrees": agrees, "note": "",
    }  # fmt: skip


def _share(number: int) -> int:
    return 1 + SHARES[number % len(SHARES)]


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_verdicts(parser)
    add_runs(parser, 5)
    add_folder(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
