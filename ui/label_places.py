"""Where the label of each dot in a figure goes, so that no two lie on each other and none on another dot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHARACTER, LINE, DOT = 7.0, 15.0, 6.0
"""Pixels: a character's width, a line's height, and from a dot's middle to its edge."""
SIDES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "bottom left": (-1, -1),
}
"""Plotly's words for the place of a dot's text, the best first, and the way it goes from the dot."""


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    bottom: float
    top: float

    def shared(self, other: "_Box") -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)


def sides_of(dots: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[str]:
    """A key of SIDES for each dot, in their order. dots: in pixels from the lower left corner.

    One after the other takes the side where its label covers least of the dots and of the labels before it.
    """
    taken = [_Box(x - DOT, x + DOT, y - DOT, y + DOT) for x, y in dots]
    chosen = []
    for dot, label in zip(dots, labels, strict=True):
        boxes = dict(_around(dot, label))
        side = min(boxes, key=lambda side: sum(boxes[side].shared(other) for other in taken))
        taken.append(boxes[side])
        chosen.append(side)
    return chosen


def _around(dot: tuple[float, float], label: str) -> Iterator[tuple[str, _Box]]:
    width, (x, y) = CHARACTER * len(label), dot
    for side, (right, up) in SIDES.items():
        middle_x = x + right * (DOT + width / 2)
        middle_y = y + up * (DOT + LINE / 2)
        yield side, _Box(middle_x - width / 2, middle_x + width / 2, middle_y - LINE / 2, middle_y + LINE / 2)
