"""How long an import keeps other writers waiting: somebody saves something small, again and again, while it runs.

    python -m perf.import_wait --rows 100000

Both work in one process, as in the server, on a new SQLite file. Times are what the other writer waited for one save.
"""

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

from sqlalchemy import update

from backend.project_import import ProjectImport
from backend.projects import ItemOrder, ProjectDraft, Projects
from backend.rubrics import RubricLibrary
from backend.types import Mode, Rubric
from backend.users import owner
from db import models
from db.session import Store
from perf.options import add_folder, parser_of

PAUSE_SECONDS = 0.02
"""Between two saves of the other writer."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    add_folder(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store = Store(f"sqlite:///{Path(folder) / 'assay.db'}", busy_timeout=60)
        store.migrate()
        lead = owner(store)
        rubric = RubricLibrary(store).in_place(Rubric("Is it kind?", ("1", "2", "3", "4", "5")), lead)
        draft = ProjectDraft("Kettles", Mode.DIRECT, (rubric,), item_order=ItemOrder.RANDOM)
        project = Projects(store).create(draft, lead).id
        place = Path(folder) / "rows.jsonl"
        with place.open("w", encoding="utf-8") as file:
            for n in range(options.rows):
                row = {"instruction": f"Question {n}?", "response": f"Answer {n}. " * 20, "model": "one", "id": str(n)}
                file.write(json.dumps(row) + "\n")
        over = threading.Event()
        waits: list[float] = []
        other = threading.Thread(target=_save, args=(store, lead, over, waits))
        other.start()
        started = time.perf_counter()
        report = ProjectImport(store).run(str(place), project, lead)
        seconds = time.perf_counter() - started
        over.set()
        other.join()
        store.close()
    waits.sort()
    print(f"{report.imported:,} rows imported in {seconds:.1f} s; {len(waits):,} saves meanwhile")
    print(
        f"a save took {statistics.median(waits) * 1000:.0f} ms (median), {waits[int(0.95 * len(waits))] * 1000:.0f} ms "
        f"(95th percentile), {waits[-1]:.2f} s at most"
    )


def _save(store: Store, user_id: int, over: threading.Event, waits: list[float]) -> None:
    while not over.is_set():
        started = time.perf_counter()
        with store.write() as session:
            session.execute(update(models.User).where(models.User.id == user_id).values(disabled_at=None))
        waits.append(time.perf_counter() - started)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
