"""`python3 launch.py` from any Python: it goes on in Assay's own, which `make` sets up. Standard library alone."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("typer", "sqlalchemy", "gradio")
"""Where one of these is missing, so are others."""


def require_packages(project: Path) -> None:
    """Return if this Python has what Assay needs; else start again in the project's .venv, or end with the cure."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if not missing:
        return
    own = project / ".venv" / "bin" / "python"
    if not own.exists() or Path(sys.prefix).resolve() == (project / ".venv").resolve():
        sys.exit(f"{sys.executable} lacks {', '.join(missing)}. `make run` in {project} installs what Assay needs.")
    sys.stdout.flush()
    os.execv(own, [str(own), *sys.argv])  # noqa: S606 - no shell; the same command, in the project's own Python
