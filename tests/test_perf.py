"""The measurements anyone can run: each says what it does and which options it has."""

import importlib
import sys
from pathlib import Path

import pytest

PERF = Path(__file__).parent.parent / "perf"
CHILD = "vllm_child"
"""Run by others, inside of another environment: it has no options."""
SCRIPTS = sorted(path.stem for path in PERF.glob("*.py") if "def main(" in path.read_text() and path.stem != CHILD)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_measurement_tells_its_purpose_and_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module(f"perf.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert script.__doc__ is not None
    assert script.__doc__.splitlines()[0] in shown
    assert "--help" in shown
