"""Where the labels of dots go: apart from each other, and off the other dots."""

import itertools

from ui.label_places import DOT, _around, _Box, sides_of

LABELS = ["direct", "0.8", "0.7", "base"]
DOTS = [(100.0, 100.0), (104.0, 103.0), (96.0, 98.0), (200.0, 20.0)]


def boxes_of(sides: list[str]) -> list[_Box]:
    return [dict(_around(dot, label))[side] for dot, label, side in zip(DOTS, LABELS, sides, strict=True)]


def test_labels_of_dots_that_lie_close_share_nothing() -> None:
    boxes = boxes_of(sides_of(DOTS, LABELS))
    assert all(one.shared(other) == 0 for one, other in itertools.combinations(boxes, 2))


def test_a_label_keeps_off_the_dots() -> None:
    edges = [_Box(x - DOT, x + DOT, y - DOT, y + DOT) for x, y in DOTS]
    boxes = boxes_of(sides_of(DOTS, LABELS))
    assert all(box.shared(edge) <= 20 for box, edge in itertools.product(boxes, edges)), "a corner at most"


def test_a_dot_that_is_alone_has_its_label_above() -> None:
    assert sides_of([(10.0, 10.0)], ["base"]) == ["top center"]


def test_labels_on_one_place_do_not_fail_where_no_side_is_free() -> None:
    assert len(sides_of([(10.0, 10.0)] * 12, ["0.5"] * 12)) == 12
