"""The process that tests.drills.test_job_kill kills: python -m tests.drills.job_process HOME JOB_ID."""

import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from backend.jobs import JobContext, JobKind, Jobs
from db.session import Store

CELL_SECONDS = 0.2


def fill_cells(home: Path, context: JobContext) -> dict[str, Any]:
    """Look whether each cell is there, and make it if it isn't. Two at once would make some twice."""
    cells = sqlite3.connect(home / "cells.db")
    for number in range(context.spec["cells"]):
        if cells.execute("SELECT 1 FROM cells WHERE number = ?", (number,)).fetchone() is None:
            time.sleep(CELL_SECONDS)
            with cells:
                cells.execute("INSERT INTO cells VALUES (?)", (number,))
        context.report(f"Cell {number}.", number / context.spec["cells"])
    (count,) = cells.execute("SELECT count(*) FROM cells").fetchone()
    cells.close()
    return {"cells": count}


def main(home: Path, job_id: int) -> None:
    store = Store(f"sqlite:///{home / 'assay.db'}")
    handlers = {
        JobKind.SWEEP: lambda context: fill_cells(home, context),
        JobKind.TRAIN: lambda context: os._exit(9),
    }
    most_attempts = 15 if Jobs(store, home, {}).get(job_id).kind is JobKind.SWEEP else 3
    jobs = Jobs(store, home, handlers, most_attempts=most_attempts)
    jobs.start()
    jobs.wait(job_id)
    jobs.close()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
