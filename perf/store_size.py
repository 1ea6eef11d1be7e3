"""Pages over a large store: a million verdicts, a tenth of them on the items of one project that people label.

    python -m perf.store_size --verdicts 1000000 --items 100000

Fills a new SQLite file as perf.history does, makes a blind project of the first items, labels most of them, and asks
what the pages Projects, Label, Adjudicate and History ask, History also for an annotator, who sees only what is theirs.
The times are medians; "first" is the first of the runs, with nothing of the question in memory yet.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import insert, update

from backend.adjudicating import Adjudicating, Why
from backend.history import Filter, History
from backend.labelling import Labelling
from backend.projects import ProjectDraft, Projects
from backend.types import Mode
from db import models
from db.session import Store
from perf.history import CHUNK, fill
from perf.options import add_folder, add_runs, add_verdicts, parser_of
from perf.timing import seconds_of

LEAD, ANN, BOB = 1, 2, 3


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store = Store(f"sqlite:///{Path(folder) / 'assay.db'}")
        store.migrate()
        started = time.perf_counter()
        fill(store, options.verdicts)
        project_id = _project(store, options.items)
        print(
            f"{options.verdicts:,} verdicts, a project of {options.items:,} items, "
            f"written in {time.perf_counter() - started:.0f} s"
        )
        slowest = 0.0
        for name, ask in _questions(store, project_id).items():
            times = [seconds_of(ask) for _ in range(options.runs)]
            slowest = max(slowest, *times)
            print(f"{name:<42} median {statistics.median(times) * 1000:8.1f} ms   first {times[0] * 1000:8.1f} ms")
        print(f"the slowest answer of all: {slowest:.2f} s")
        store.close()


def _questions(store: Store, project_id: int) -> dict[str, Callable[[], object]]:
    projects, labelling = Projects(store), Labelling(store)
    history, adjudicating = History(store), Adjudicating(store)

    def label() -> None:
        task = labelling.next(project_id, ANN)
        assert task is not None, "items are left"
        labelling.submit(task.project_item_id, ANN, uuid.uuid4().hex, "4", seconds=5)

    return {
        "projects: the list": projects.list,
        "projects: one with its progress": lambda: projects.progress(project_id),
        "label: an item taken and its label saved": label,
        "label: the next item": lambda: labelling.next(project_id, BOB),
        "label: the last ten decisions": lambda: labelling.recent(project_id, ANN),
        "adjudicate: people disagree": lambda: adjudicating.queue(project_id, LEAD),
        "adjudicate: people and model disagree": lambda: adjudicating.queue(project_id, LEAD, Why.MODEL),
        "history: first page, lead": lambda: history.page(Filter(), 1, LEAD),
        "history: first page, annotator": lambda: history.page(Filter(), 1, ANN),
        "history: first page, annotator of nothing": lambda: history.page(Filter(), 1, BOB),
    }


def _project(store: Store, items: int) -> int:
    """A blind project of the first items by rubric 1; two labels on nine of ten, of which a tenth disagree."""
    with store.write() as session:
        people = [{"id": ANN, "name": "ann", "role": "annotator"}, {"id": BOB, "name": "bob", "role": "annotator"}]
        session.execute(insert(models.User), people)
        session.execute(update(models.Verdict).where(models.Verdict.id <= items).values(rubric_version_id=1))
    view = Projects(store).create(ProjectDraft("Kettles", Mode.DIRECT, (1,), people_per_item=2), LEAD)
    for first in range(1, items + 1, CHUNK):
        numbers = range(first, min(first + CHUNK, items + 1))
        with store.write() as session:
            rows = [
                {
                    "id": n, "project_id": view.id, "item_id": n, "rubric_version_id": 1, "position": n,
                    "order_key": n, "people": 0 if n % 10 == 0 else 2,
                }
                for n in numbers
            ]  # fmt: skip
            session.execute(insert(models.ProjectItem), rows)
            labels = [
                {
                    "client_id": f"p{person}-{n}", "kind": "blind", "item_id": n, "rubric_version_id": 1,
                    "project_item_id": n, "author_id": person, "score": 2 if person == BOB and n % 10 == 1 else 4,
                    "note": "", "round": 1, "seconds": 9.0,
                }
                for n in numbers if n % 10
                for person in (ANN, BOB)
            ]  # fmt: skip
            session.execute(insert(models.Label), labels)
            reveals = [
                {"project_item_id": n, "user_id": ANN, "verdict_id": n} for n in numbers if n % 10
            ]  # fmt: skip
            session.execute(insert(models.Reveal), reveals)
    return view.id


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_verdicts(parser)
    parser.add_argument("--items", type=int, default=100_000)
    add_runs(parser, 3)
    add_folder(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
