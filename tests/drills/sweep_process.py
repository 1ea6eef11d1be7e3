"""The process that tests.drills.test_sweep_kill kills: python -m tests.drills.sweep_process HOME."""

import sys
import threading
from pathlib import Path

from backend.registry import Registry
from backend.sweep_spec import SweepSpec
from backend.sweeps import Sweeps
from backend.users import owner
from db.session import Store


def main(home: Path) -> None:
    store = Store(f"sqlite:///{home / 'assay.db'}")
    spec = SweepSpec.model_validate_json((home / "sweep.json").read_text())
    sweeps = Sweeps(store, Registry(store, home), home, home / "data", device="cpu")
    result = sweeps.run(spec, owner(store), lambda message, fraction: None, threading.Event())
    (home / "result.json").write_text(result.model_dump_json())
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
