"""Estimates with their intervals, one row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lixlib.plots.base import new_figure, style


@dataclass(frozen=True)
class Estimate:
    """One row of a forest plot.

    Args:
        mean: a dot.
        interval: (low, high), a thick bar; None or NaN: no bar.
        wide: (low, high) of a more careful kind, a thin line behind it; None or NaN: no line.
        values: single measurements, small strokes.
        sure: whether the dot is filled.
    """

    mean: float
    interval: tuple[float, float] | None = None
    wide: tuple[float, float] | None = None
    values: Sequence[float] = ()
    sure: bool = False


def forest(
    panels: Mapping[str, Mapping[str, Estimate]], rows: Sequence[str], *, xlabel: str = "", width: float = 10.0
) -> Figure:
    """Estimates and their intervals in panels side by side on one scale, one row for each name, with a line at 0.

    Args:
        panels: estimates by name, by the title of the panel; a name that is missing leaves its row empty.
        rows: the names, from top to bottom.
        xlabel: of every panel.
        width: of the figure, in inches.

    The axes contain 0, all means, thick bars and strokes; a thin line may be cut off.
    """
    with style():
        figure = new_figure(figsize=(width, 0.9 + 0.25 * len(rows)))
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            for name, row in panel.items():
                y = rows.index(name)
                ax.plot(row.mean, y, "o", color="#0072B2", markerfacecolor="#0072B2" if row.sure else "white", zorder=4)
                ax.plot(row.values, [y] * len(row.values), "|", color="#333333", markersize=7, zorder=3)
                if row.interval:
                    ax.plot(row.interval, (y, y), color="#8ECDF0", linewidth=5, solid_capstyle="butt", zorder=2)
            ax.axvline(0, color="#333333", linewidth=0.8)
            ax.set(title=title, xlabel=xlabel)
        axes[0].set_xlim(axes[0].get_xlim())  # of all panels, and from here on fixed
        for ax, panel in zip(axes, panels.values(), strict=True):
            for name, row in panel.items():
                if row.wide:  # a test of the notebooks' figures lets lines of this gid be cut off
                    y = rows.index(name)
                    ax.plot(row.wide, (y, y), color="#AAAAAA", linewidth=1, zorder=1, gid="clipped")
        axes[0].set_yticks(range(len(rows)), rows)
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure
