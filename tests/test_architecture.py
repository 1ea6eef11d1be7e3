"""The arrows run one way: launch -> ui -> backend -> db, never in a circle, and the pure files stay pure."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = ("prompts", "parsing", "agreement", "ranking", "types", "errors")
MAY_IMPORT_OURS = {"ui": {"ui", "backend"}, "backend": {"backend", "db"}, "db": {"db"}}
TABLES = ("base", "people", "rubrics", "items", "judges", "jobs", "opinions", "projects", "labelling")
"""The topics of the tables: each may import those before it."""
FORBIDDEN = {
    "ui": {"torch", "transformers", "sqlalchemy", "alembic"},
    "backend": {"gradio"},
    "db": {"gradio", "torch", "transformers"},
}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", ["ui", "backend", "db"])
def test_the_arrows_run_one_way(folder: str) -> None:
    ours = {"ui", "backend", "db", "launch", "tests"}
    assert files_of(folder)
    for path in files_of(folder):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert roots & ours <= MAY_IMPORT_OURS[folder], path
        assert not roots & FORBIDDEN[folder], path


@pytest.mark.parametrize("folder", ["ui", "backend", "db"])
def test_no_file_imports_itself_by_way_of_others(folder: str) -> None:
    modules = {module_name(path): imports_of(path) for path in files_of(folder)}
    arrows = {module: {name for name in names if name in modules} for module, names in modules.items()}
    assert len(tuple(TopologicalSorter(arrows).static_order())) == len(modules)


@pytest.mark.parametrize("name", PURE)
def test_pure_files_import_each_other_and_the_errors_only(name: str) -> None:
    allowed = {f"backend.{other}" for other in PURE} | {"db.errors"}
    files = sorted((ROOT / "backend" / name).glob("*.py")) or [ROOT / "backend" / f"{name}.py"]
    for path in files:
        ours = {other for other in imports_of(path) if other.split(".")[0] in ("backend", "db")}
        assert {".".join(other.split(".")[:2]) for other in ours} <= allowed, path


def test_each_topic_of_the_tables_imports_those_before_it_only() -> None:
    folder = ROOT / "db" / "models"
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *TABLES}
    for place, topic in enumerate(TABLES):
        ours = {name for name in imports_of(folder / f"{topic}.py") if name.split(".")[0] == "db"}
        assert {name.split(".")[2] for name in ours} <= set(TABLES[:place]), topic


def test_the_app_is_built_without_importing_torch() -> None:
    heavy = "{'torch', 'transformers', 'scipy', 'sklearn', 'plotly'}"
    program = f"import sys, launch, ui.app; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
