"""The process that tests.drills.test_batch_kill kills: python -m tests.drills.batch_process HOME JOB_ID."""

import sys
from pathlib import Path

from backend.batch_job import BatchJudging
from backend.jobs import JobKind, Jobs
from db.session import Store
from tests.batch_engine import FastEngine, fast_serving


def main(home: Path, job_id: int) -> None:
    store = Store(f"sqlite:///{home / 'assay.db'}")
    judging = BatchJudging(store, fast_serving(store, home, FastEngine(seconds=0.03)))
    jobs = Jobs(store, home, {JobKind.JUDGE: judging.handle}, most_attempts=50)
    jobs.start()
    jobs.wait(job_id)
    jobs.close()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
