"""A figure that is touched: a reader clicks on it, or drags points in it, and it is drawn again."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MOST_STEPS = 60  # of a way that a point is carried along
STYLE = """
.lix-touch { position: relative; display: inline-block; max-width: 100%; cursor: crosshair; touch-action: none; }
.lix-touch img { display: block; max-width: 100%; user-select: none; }
.lix-touch-point { position: absolute; width: 20px; height: 20px; margin: -12px; cursor: grab; border-radius: 50%;
  border: 2px solid white; outline: 1.5px solid #333333; }
.lix-touch-point:focus-visible { outline-width: 3px; }
"""


class Touch(anywidget.AnyWidget, ipywidgets.ValueWidget):
    """Points in the first axes of a figure that a reader moves: a control of `explore`, which draws the figure.

    Its value is `{name: (x, y)}`, in the units of those axes. A click moves the point that is nearest, a pointer drags
    it, and the arrow keys move the one that has the focus. No point leaves the polygon of `corners`. When a point is
    let go, and the axes have a line with the gid "way", the first point is carried to the end of that line.

    Args:
        corners: (x, y) of the corners of a convex polygon, in order.
        alt: what the picture shows, for those who do not see it.
        points: the points by name, and where they are at first.

    Raises:
        ValueError: fewer than three corners, or no point; corners of no convex polygon, or a point of no two numbers.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = STYLE
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Unicode().tag(sync=True)  # as a data URL
    places = traitlets.List().tag(sync=True)  # (x, y) of each point, as fractions of the picture, from its upper left
    way = traitlets.List().tag(sync=True)  # places that the first point comes by when it is let go
    touched = traitlets.Dict().tag(sync=True)  # what the pointer did: which point, x, y, phase, and a running number
    answered = traitlets.Int().tag(sync=True)  # the running number of what has been drawn

    def __init__(self, corners: Sequence[tuple[float, float]], alt: str = "", **points: tuple[float, float]):
        if len(corners) < 3 or not points:
            raise ValueError(f"Touch needs three corners or more and a point, found {len(corners)} and {len(points)}")
        self.corners = _convex(corners)
        self._axes: Any = None
        super().__init__(names=list(points), alt=alt)
        self.value = {name: self._nearest(point) for name, point in points.items()}
        self.observe(self._answer, "touched")

    @property
    def ends(self) -> list[dict[str, tuple[float, float]]]:
        """Its values with one point after the other at each corner."""
        corners = [tuple(corner) for corner in self.corners.tolist()]
        return [self.value | {name: corner} for name in self.names for corner in corners]

    def show(self, figure: Figure) -> None:
        """Make this figure the picture; its size should be the same at every call."""
        canvas, image = FigureCanvasAgg(figure), io.BytesIO()
        canvas.print_png(image)
        self._axes = figure.axes[0]
        ways = [line.get_xydata() for line in self._axes.lines if line.get_gid() == "way"]
        way = ways[0] if ways else np.empty((0, 2))
        way = way[np.isfinite(way).all(1)]  # a line may have gaps
        kept = np.linspace(0, len(way) - 1, min(len(way), MOST_STEPS)).round().astype(int)
        with self.hold_sync():
            self.picture = "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
            self.places = self._to_fractions(list(self.value.values()))
            self.way = self._to_fractions(way[kept])

    def _answer(self, change: dict) -> None:
        touched = change["new"]
        try:
            place = np.array([touched["x"], 1 - touched["y"]]) * self._axes.figure.bbox.size
            point = self._nearest(self._axes.transData.inverted().transform(place))
            self.value = self.value | {self.names[touched["which"]]: point}  # explore draws
        finally:
            self.answered = touched["count"]

    def _to_fractions(self, points: Any) -> list[list[float]]:
        if not len(points):
            return []
        fractions = self._axes.transData.transform(points) / self._axes.figure.bbox.size
        return np.column_stack([fractions[:, 0], 1 - fractions[:, 1]]).tolist()

    def _nearest(self, point: Any) -> tuple[float, float]:
        """The point itself if it is in the polygon, else the nearest one on its edges."""
        point = np.asarray(point, dtype=float)
        if point.shape != (2,) or not np.isfinite(point).all():
            raise ValueError(f"a point of Touch is two finite numbers (x, y), found {point.tolist()}")
        start, edge = self.corners, np.roll(self.corners, -1, axis=0) - self.corners
        from_start = point - start
        side = edge[:, 0] * from_start[:, 1] - edge[:, 1] * from_start[:, 0]
        if not ((side >= 0).all() or (side <= 0).all()):
            along = ((from_start * edge).sum(1) / (edge**2).sum(1)).clip(0, 1)
            feet = start + along[:, None] * edge
            point = feet[((feet - point) ** 2).sum(1).argmin()]
        x, y = point.tolist()
        return x, y


def _convex(corners: Sequence[tuple[float, float]]) -> np.ndarray:
    found = np.asarray(corners, dtype=float)
    if found.shape[1:] == (2,) and np.isfinite(found).all():
        edge = np.roll(found, -1, axis=0) - found
        after = np.roll(edge, -1, axis=0)
        turn = edge[:, 0] * after[:, 1] - edge[:, 1] * after[:, 0]
        slack = 1e-9 * np.abs(turn).max()
        if slack and edge.any(1).all() and ((turn >= -slack).all() or (turn <= slack).all()):
            return found
    raise ValueError(f"corners of Touch are finite (x, y) of a convex polygon, each once, found {found.tolist()}")
