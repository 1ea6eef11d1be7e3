"""The projects page as HTML: what the preview of an import shows."""

from pathlib import Path

from backend.types import Mode
from db.session import Store
from tests.project_bench import ProjectBench
from ui.projects_render import preview_table


def test_a_column_taken_as_the_reference_is_in_the_preview(store: Store, tmp_path: Path) -> None:
    bench = ProjectBench(store, tmp_path)
    row = {"instruction": "How?", "response": "So.", "reference": "<b>So, and rinse.</b>"}
    shown = preview_table(bench.importing.preview(str(bench.file([row])), Mode.DIRECT))
    assert "<th>Reference answer<th>" in shown
    assert "&lt;b&gt;So, and rinse.&lt;/b&gt;" in shown
    plain = preview_table(bench.importing.preview(str(bench.file([{**row, "reference": ""}])), Mode.DIRECT))
    assert plain.count("<th>") == plain.count("<td dir")
    del row["reference"]
    without = preview_table(bench.importing.preview(str(bench.file([row])), Mode.DIRECT))
    assert "Reference answer" not in without
