"""Points that all carry their names."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lixlib.plots.base import new_figure, style

MARKERS = "osD^v"
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
# from a point to its name, in pixels of the style
DISTANCES = np.array([7, 14, 24, 36, 48, 60, 74, 88, 104, 120, 138, 156, 176])


def scatter(
    panels: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]],
    *,
    xlabels: Sequence[str] = ("",),
    ylabel: str = "",
    log: str = "",
    diagonal: bool = False,
    width: float = 10.0,
    height: float = 4.6,
) -> Figure:
    """Named points in panels side by side, one colour and marker for each series; no name covers another or a point.

    A name is written where there is room near its point, and joined to it by a line if it is not beside it.

    Args:
        panels: (x, y) or (x, y, spread) of every point by name, by series, by the title of the panel; spread is the
            half length of a vertical bar.
        xlabels: of every panel, or one for all.
        ylabel: of the first panel.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        diagonal: whether to draw the line y = x.
        width, height: of the figure, in inches.
    """
    with style():
        colours = cycle(plt.rcParams["axes.prop_cycle"].by_key()["color"])
        series = dict.fromkeys(name for panel in panels.values() for name in panel)
        looks = dict(zip(series, zip(colours, cycle(MARKERS), strict=False), strict=False))
        figure = new_figure(figsize=(width, height), layout="none")
        bottom = 0.55 + 0.3 * (len(series) > 1)
        inner = {"left": 0.7 / width, "right": 1 - 0.15 / width, "bottom": bottom / height, "top": 1 - 0.35 / height}
        axes = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=inner | {"wspace": 0.14})[0]
        for ax, xlabel, (title, panel) in zip(axes, cycle(xlabels), panels.items(), strict=False):
            for name, points in panel.items():
                colour, marker = looks[name]
                x, y, spread = _columns(points)
                ax.errorbar(x, y, spread, fmt=marker, color=colour, markersize=6.5, elinewidth=0.8, label=name)
            if diagonal:
                ax.axline((0, 0), slope=1, color="#999999", linewidth=0.8, zorder=0)
            ax.margins(0.12)
            ax.set(title=title, xlabel=xlabel)
            ax.set_xscale("log" if "x" in log else "linear")
            ax.set_yscale("log" if "y" in log else "linear")
            ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # from here on names have their place in pixels
        axes[0].set_ylabel(ylabel)
        if len(series) > 1:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="lower center", ncols=len(series))
        for ax, panel in zip(axes, panels.values(), strict=True):
            _name_points(ax, {name: point for points in panel.values() for name, point in points.items()})
    return figure


def _name_points(ax: Axes, points: Mapping[str, Sequence[float]]) -> None:
    """Write every name near its point where it covers least; those in dense regions come first."""
    if not points:
        return
    renderer, scale = ax.figure.canvas.get_renderer(), ax.figure.dpi / 90
    x, y, spread = _columns(points)
    reach = np.nan_to_num(spread)
    centres, low, high = (ax.transData.transform(np.stack([x, end], 1)) for end in (y, y - reach, y + reach))
    # boxes are (left, bottom, right, top) in pixels: markers, bars, and then names
    taken = np.concatenate([_boxes(centres - 5 * scale, centres + 5 * scale), _boxes(low - 1, high + 1)])
    crowd = np.exp(-np.linalg.norm(centres[:, None] - centres, axis=-1) / (40 * scale)).sum(1)
    for index in np.argsort(-crowd, kind="stable"):
        name, centre = list(points)[index], centres[index]
        options = {"textcoords": "offset pixels", "fontsize": 8.5, "va": "bottom"}
        text = ax.annotate(name, (x[index], y[index]), xytext=(0, 0), **options)
        extent = text.get_window_extent(renderer)
        size = np.array([extent.width + 4, extent.height + 2])
        near = centre + scale * (DISTANCES[:, None, None] * DIRECTIONS).reshape(-1, 2)
        corners = near + (np.tile(DIRECTIONS, (len(DISTANCES), 1)) - 1) / 2 * size
        boxes = _boxes(corners, corners + size)
        inside = _overlap(boxes, np.array(ax.get_window_extent(renderer).extents))
        distance = np.repeat(DISTANCES, len(DIRECTIONS))
        covered = _overlap(boxes[:, None], taken).sum(1) + size.prod() - inside
        costs = 5 * covered + distance
        best = int(np.argmin(costs))
        text.set_position(corners[best] - centre + (2, 1))
        taken = np.concatenate([taken, boxes[best : best + 1]])
        if distance[best] > DISTANCES[1]:
            ends = ax.transData.inverted().transform([centre, np.clip(centre, boxes[best, :2], boxes[best, 2:])])
            ax.plot(*ends.T, color="#777777", linewidth=0.6, zorder=1)


def _columns(points: Mapping[str, Sequence[float]]) -> np.ndarray:
    """x, y and spread of all points; NaN for a spread that is not given. **Shapes**: N points -> (3, N)."""
    return np.array([(*point, np.nan)[:3] for point in points.values()], dtype=float).reshape(-1, 3).T


def _boxes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.concatenate([low, high], axis=-1)


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Common area of boxes. **Shapes**: (..., 4), (..., 4) -> (...)."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return sides.clip(0).prod(-1)
