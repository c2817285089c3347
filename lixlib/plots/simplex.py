"""Triangles of all distributions over three classes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import cycle

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lixlib.plots.base import limits_of, new_figure, style


@dataclasses.dataclass(frozen=True)
class Simplex:
    """What to draw over the triangle of all distributions over three classes.

    Args:
        field: a function of distributions (N, 3) -> (N,), drawn as filled contours; None: an empty triangle.
        arrows: (points, directions), both (N, 3), directions that sum to 0: their lengths share one scale.
        paths: (n, 3) each, by name; they begin at a ring and end at a dot.
        points: (3,) each, by name.
    """

    field: Callable[[np.ndarray], ArrayLike] | None = None
    arrows: tuple[ArrayLike, ArrayLike] | None = None
    paths: Mapping[str, ArrayLike] = dataclasses.field(default_factory=dict)
    points: Mapping[str, ArrayLike] = dataclasses.field(default_factory=dict)


def simplexes(
    panels: Mapping[str, Simplex],
    corners: Sequence[str] = ("class 1", "class 2", "class 3"),
    *,
    label: str = "",
    limits: tuple[float, float] | None = None,
    colours: Mapping[str, str] | None = None,
    width: float = 10.0,
) -> Figure:
    """Triangles side by side: every point is a distribution over three classes, a corner is certainty.

    Args:
        corners: names of the classes: left, right, top.
        label: of the colour bar, which all fields share.
        limits: lowest and highest colour; None: of the fields' own values but for the highest 3 %, near the edges.
        colours: of paths and points by name; other paths take colours in turn, other points are black.
        width: of the figure at most, in inches.
    """
    grid = _triangle_grid(40)
    fields = {name: np.asarray(panel.field(grid), dtype=float) for name, panel in panels.items() if panel.field}
    low, high = limits or limits_of([np.sort(values)[: int(0.97 * len(values))] for values in fields.values()])
    with style():
        legend = any(panel.paths for panel in panels.values())
        cell = min((width - bool(fields)) / len(panels), 4.6)
        figure = new_figure(figsize=(cell * len(panels) + bool(fields), 0.86 * cell + 0.55 + 0.3 * legend))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        lines, drawn = {}, None
        names = dict.fromkeys(name for panel in panels.values() for name in panel.paths)
        colour_of = dict(zip(names, cycle(("#D55E00", "#0072B2", "#CC79A7", "#009E73")), strict=False)) | dict(
            colours or {}
        )
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            if title in fields:
                levels = np.linspace(low, high, 15)
                values = fields[title].clip(low, high - 1e-6 * (high - low))  # what reaches the last level stays white
                drawn = ax.tricontourf(*_flat(grid), values, levels=levels, alpha=0.9)
            ax.plot(*_flat(np.eye(3)[[0, 1, 2, 0]]), color="#333333", linewidth=1)
            for corner, name, ha, va in zip(np.eye(3), corners, ("left", "right", "center"), "ttb", strict=True):
                x, y = _flat(corner)
                ax.text(x, y + (0.03 if va == "b" else -0.03), name, ha=ha, va="bottom" if va == "b" else "top")
            if panel.arrows:
                _arrows(ax, *panel.arrows)
            for name, path in panel.paths.items():
                colour = colour_of[name]
                x, y = _flat(path)
                lines[name] = ax.plot(x, y, color=colour)[0]
                ax.plot(x[0], y[0], "o", markerfacecolor="white", markeredgecolor=colour, markersize=7)
                ax.plot(x[-1], y[-1], "o", color=colour, markeredgecolor="white", markersize=8)
            for name, point in panel.points.items():
                x, y = _flat(point)
                ax.plot(x, y, "D", color=(colours or {}).get(name, "black"), markeredgecolor="white", markersize=7)
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1}
                ax.annotate(name, (x, y), xytext=(7, 4), textcoords="offset points", fontsize=9, bbox=box)
            ax.set(xlim=(-0.06, 1.06), ylim=(-0.11, 0.98), aspect="equal")
            ax.set_title(title)
            ax.axis("off")
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=list(axes), fraction=0.03, pad=0.02, label=label, format="%.3g")
            bar.locator = plt.MaxNLocator(6)
            bar.update_ticks()
        if legend:
            figure.legend(lines.values(), lines, loc="outside lower center", ncols=len(lines))
    return figure


def _flat(p: ArrayLike) -> np.ndarray:
    """Points of the simplex in the plane. **Shapes**: (..., 3) -> (2, ...)."""
    p = np.asarray(p, dtype=float)
    return np.stack([p[..., 1] + 0.5 * p[..., 2], 0.75**0.5 * p[..., 2]])


@cache
def _triangle_grid(steps: int) -> np.ndarray:
    """Points all over the simplex, a little inside of its edges, where logarithms are finite."""
    grid = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)], dtype=float)
    return (grid / steps + 1e-4) / (1 + 3e-4)


def _arrows(ax, points: ArrayLike, directions: ArrayLike) -> None:
    directions = _flat(directions)
    longest = np.hypot(*directions).max()
    scale = longest / 0.13 if longest > 0 else 1
    ax.quiver(*_flat(points), *directions, angles="xy", scale_units="xy", scale=scale, width=0.006, color="black")
