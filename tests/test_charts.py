"""Figures show the values that they were given, and say how many there are."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.types import SCORES, PairVerdict, RankedResponse, RankingVerdict, ScoreVerdict
from ui import charts

RANKED = (
    RankedResponse(position=1, rank=1, strength=0.9, low=0.2, high=1.4, expected_score=4.2),
    RankedResponse(position=0, rank=2, strength=-0.1, low=-0.8, high=0.5, expected_score=None),
    RankedResponse(position=2, rank=3, strength=-0.8, low=-1.9, high=-0.1, expected_score=2.0),
)
MATRIX = ((3, 1, 0), (0, 4, 0), (0, 0, 0))


def sent(figure: Any) -> dict[str, Any]:
    """The figure as the browser gets it."""
    return json.loads(figure.to_json())


def test_a_distribution_has_a_bar_and_per_cent_for_each_result() -> None:
    (bars,) = charts.distribution(SCORES, (0.05, 0.05, 0.1, 0.6, 0.2), "4").data
    assert list(bars.x) == ["1", "2", "3", "<b>4</b>", "5"]
    assert list(bars.text) == ["5%", "5%", "10%", "60%", "20%"]
    assert list(bars.y) == [0.05, 0.05, 0.1, 0.6, 0.2]


def test_the_chosen_bar_alone_is_strong() -> None:
    (bars,) = charts.distribution(("A", "B"), (0.7, 0.3), "A").data
    assert list(bars.marker.color) == [charts.TEAL, charts.GREY]


def test_a_tie_chooses_no_bar() -> None:
    (bars,) = charts.distribution(("A", "B"), (0.5, 0.5), "tie").data
    assert set(bars.marker.color) == {charts.GREY}


def test_a_ranking_has_the_best_on_top_with_its_interval() -> None:
    (dots,) = charts.ranking(RANKED).data
    assert list(dots.y) == ["3. <b>C</b> (score 2.0)", "2. <b>A</b>", "1. <b>B</b> (score 4.2)"]
    assert list(dots.error_x.array) == pytest.approx([0.7, 0.6, 0.5])
    assert list(dots.error_x.arrayminus) == pytest.approx([1.1, 0.7, 0.7])


def test_a_confusion_has_counts_row_shares_and_n() -> None:
    figure = charts.confusion(MATRIX, ("A", "B", "tie"))
    (cells,) = figure.data
    assert cells.text[0][0] == "<b>3</b><br>75%"
    assert cells.text[1][1] == "<b>4</b><br>100%"
    assert cells.text[2][2] == ""
    assert "n = 8" in figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text == "Model"


def test_a_verdict_gets_the_figure_of_its_kind() -> None:
    direct = charts.verdict(ScoreVerdict(4, 3.5, 0.6, (0.1, 0.1, 0.1, 0.6, 0.1)))
    pair = charts.verdict(PairVerdict("B", 0.25, 0.4, 0.1, False, 0.0))
    ranking = charts.verdict(RankingVerdict((1, 0, 2), RANKED, 0, 3))
    assert [figure.data[0].type for figure in (direct, pair, ranking)] == ["bar", "bar", "scatter"]
    assert list(pair.data[0].y) == [0.25, 0.75]


def test_nothing_is_drawn_where_no_result_was_read() -> None:
    assert charts.verdict(None) is None
    assert charts.verdict(ScoreVerdict(4, 4.0, 1.0, ())) is None


@pytest.mark.parametrize(
    "figure",
    [
        charts.distribution(SCORES, (0.2,) * 5, "1"),
        charts.ranking(RANKED),
        charts.confusion(MATRIX, ("A", "B", "tie")),
    ],
    ids=["distribution", "ranking", "confusion"],
)
def test_every_figure_is_transparent_and_cannot_be_dragged(figure: Any) -> None:
    layout = sent(figure)["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert layout["dragmode"] is False
    assert layout["xaxis"]["fixedrange"] is layout["yaxis"]["fixedrange"] is True


def test_the_style_sheet_gives_figures_the_pages_own_text_colour() -> None:
    css = (Path(charts.__file__).with_name("style.css")).read_text()
    assert ".js-plotly-plot text" in css
