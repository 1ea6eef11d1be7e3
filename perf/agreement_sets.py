"""Three real sets that people labelled, as projects with their own labels, judged by the judge of a home.

    python -m perf.agreement_sets --data FOLDER/dev --home HOME --rows 100

Makes what is missing and judges what is not judged yet, verdict only, so it can be ended and started again. The rows
are drawn with a seed: the same number is the same rows.
"""

import gzip
import json
import random
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.batch_job import BatchOrder
from backend.benchmarks.rows import HELPFUL
from backend.config import read_settings
from backend.errors import NotFoundError
from backend.projects import ItemOrder, ProjectDraft, ProjectView
from backend.types import Mode, Sampling
from launch import open_store, wire
from perf.options import DEV_SETS, add_data, add_home, parser_of
from ui.services import Services

SETS = {
    "direct_human_mix": Mode.DIRECT,
    "pairwise_pandalm": Mode.PAIRWISE,
    "pairwise_tulu_human": Mode.PAIRWISE,
}
VERDICT_ONLY = Sampling(feedback=False)
SEED = 7


def main() -> None:
    parser = parser_of(__doc__)
    add_data(parser, DEV_SETS)
    add_home(parser, required=True)
    parser.add_argument("--rows", type=int, default=100)
    options = parser.parse_args()
    settings = read_settings(home=options.home)
    store = open_store(settings)
    services = wire(settings, store)
    for name, mode in SETS.items():
        view = _project(services, options.data, name, mode, options.rows)
        done = services.batches.run(
            BatchOrder(view.id, VERDICT_ONLY), services.owner_id, lambda _words, _share: None, threading.Event()
        )
        print(f"{name}: project {view.id}, {done.judged} of {done.items} judged, {done.failed} failed", flush=True)
    services.serving.close()
    store.close()


def _project(services: Services, data: Path, name: str, mode: Mode, count: int) -> ProjectView:
    try:
        return services.projects.named(name)
    except NotFoundError:
        pass
    rubric = services.library.in_place(HELPFUL, services.owner_id)
    draft = ProjectDraft(name, mode, (rubric,), "", blind=True, item_order=ItemOrder.GIVEN)
    view = services.projects.create(draft, services.owner_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, _rows(data / f"{name}.jsonl.gz", count))), encoding="utf-8")
        report = services.importing.run(str(path), view.id, services.owner_id, leave_out_refused=True)
    print(f"{name}: {report.imported} imported, {report.duplicates} duplicates, {report.refused_count} refused")
    return view


def _rows(path: Path, count: int) -> list[Mapping[str, Any]]:
    """Drawn with a seed, in their order. PandaLM names both systems in one field; an import knows them in two."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    drawn = sorted(random.Random(SEED).sample(range(len(rows)), min(count, len(rows))))
    chosen = [rows[place] for place in drawn]
    for row in chosen:
        systems = str(row["meta"].get("cmp", "")).split("_")
        if len(systems) == 2:
            row["model_a"], row["model_b"] = systems
    return chosen


if __name__ == "__main__":
    main()
