"""The family of a model as a figure: who is drawn, which arrows, and what stands on them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from backend.lineage import lineage_of
from backend.model_views import ModelView, ParentView, Presence
from ui import making_charts

HOSTILE = '<a href="javascript:alert(1)">x</a>'


def model(number: int, name: str, *parents: tuple[str, int], kind: str = "expert", **changes: Any) -> ModelView:
    view = ModelView(
        id=number,
        name=name,
        kind=kind,
        trained_on=None,
        path=f"/models/{name}",
        digest=f"{number:064x}",
        architecture="LlamaForCausalLM",
        bytes=1,
        prompt_format="assay",
        recipe=None,
        card=None,
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        removed_at=None,
        presence=Presence.HERE,
        parents=tuple(ParentView(role, parent, f"model {parent}", f"{parent:064x}") for role, parent in parents),
        children=0,
        verdicts=0,
        active=False,
        measurements=(),
    )
    return replace(view, **changes)


BASE = model(1, "base", kind="base")
DIRECT = model(2, "direct-expert", ("base", 1), trained_on="direct")
PAIRWISE = model(3, "pairwise-expert", ("base", 1), trained_on="pairwise")
MERGE = model(4, "merged", ("direct", 2), ("pairwise", 3), kind="merge", recipe={"alpha": 0.3})
FAMILY = [BASE, DIRECT, PAIRWISE, MERGE]


def texts(figure: Any) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations if annotation.text]


def boxes(figure: Any) -> list[Any]:
    return [annotation for annotation in figure.layout.annotations if annotation.width]


def arrows(figure: Any) -> list[Any]:
    return [annotation for annotation in figure.layout.annotations if annotation.arrowhead]


def test_a_merge_stands_right_of_its_experts_and_they_right_of_their_base() -> None:
    figure = making_charts.lineage(lineage_of(4, FAMILY))
    columns = {box.text.split("</b>")[0]: box.x for box in boxes(figure)}
    assert columns == {"<b>base": 0, "<b>direct-": 1, "<b>pairwise-": 1, "<b>merged": 2}
    assert len(arrows(figure)) == 4


def test_roles_and_weights_stand_on_the_arrows() -> None:
    figure = making_charts.lineage(lineage_of(4, FAMILY))
    assert [text for text in texts(figure) if "<b>" not in text] == ["base", "base"]
    assert {"direct<br><b>0.3</b>", "pairwise<br><b>0.7</b>"} <= set(texts(figure))


def test_the_opened_model_is_marked() -> None:
    figure = making_charts.lineage(lineage_of(3, FAMILY))
    (marked,) = [box for box in boxes(figure) if box.bordercolor == making_charts.TEAL]
    assert marked.text.startswith("<b>pairwise-")


def test_a_model_alone_has_no_figure() -> None:
    assert making_charts.lineage(lineage_of(1, [BASE])) is None


def test_of_many_children_the_latest_are_drawn_and_the_ancestors_always() -> None:
    children = [model(number, f"expert {number}", ("base", 1)) for number in range(2, 40)]
    merge = model(50, "merged", ("direct", 2), ("pairwise", 3), kind="merge", recipe={"alpha": 0.5})
    views = [BASE, *children, merge]
    drawn = {box.text for box in boxes(making_charts.lineage(lineage_of(1, views)))}
    assert sum("expert" in text for text in drawn) == making_charts.MOST_IN_COLUMN
    assert any("39" in text for text in drawn)
    figure = making_charts.lineage(lineage_of(50, views))
    assert len(boxes(figure)) == 4


def test_names_are_cut_after_dashes_and_long_ones_end_in_dots() -> None:
    long = model(2, "ties-alpha0.3-0123456789abcdef", ("base", 1))
    texts_drawn = [box.text for box in boxes(making_charts.lineage(lineage_of(2, [BASE, long])))]
    assert any(text.startswith("<b>ties-</b><br><b>alpha0.3-</b><br><b>0123456789…</b>") for text in texts_drawn)


def test_html_in_a_name_is_escaped() -> None:
    hostile = model(2, HOSTILE, ("base", 1))
    figure = making_charts.lineage(lineage_of(2, [BASE, hostile]))
    assert not any("<a" in text for text in texts(figure))
    assert not any("<a" in (box.hovertext or "") for box in boxes(figure))
