"""One comparison beside another: who changes place, and which parts a gain is made of."""

from collections.abc import Mapping
from itertools import cycle

from matplotlib.figure import Figure

from lixlib.plots.base import new_figure, style

RISES, FALLS, STAYS = "#0072B2", "#D55E00", "#999999"


def slopes(
    left: Mapping[str, float],
    right: Mapping[str, float],
    *,
    titles: tuple[str, str] = ("", ""),
    numbers: str = "{:+.1f}",
    width: float = 7.5,
) -> Figure:
    """Two rankings of the same names, the largest value on top, and a line for each name from its place to its place.

    Blue lines rise, orange ones fall, grey ones stay; the winner of each side is bold.

    Args:
        left, right: values by name; names that are not in both are left out.
        titles: of the two sides.
        numbers: how a value is written beside its name.
        width: of the figure, in inches.

    Raises:
        ValueError: no name is in both.
    """
    names = [name for name in left if name in right]
    if not names:
        raise ValueError("no name is in both: give values of the same names")
    places = [{n: p for p, n in enumerate(sorted(names, key=lambda n: -side[n]))} for side in (left, right)]
    with style():
        figure = new_figure(figsize=(width, 1.0 + 0.36 * len(names)))
        ax = figure.subplots()
        for name in names:
            ends = [place[name] for place in places]
            colour = STAYS if ends[0] == ends[1] else RISES if ends[1] < ends[0] else FALLS
            ax.plot((0, 1), ends, "o-", color=colour, linewidth=1 + 0.7 * abs(ends[0] - ends[1]), markersize=7)
            for x, y, side, align in ((-0.05, ends[0], left, "right"), (1.05, ends[1], right, "left")):
                words = [name, numbers.format(round(side[name], 6) + 0.0)]
                weight = "normal" if y else "bold"
                ax.text(x, y, "  ".join(words), ha=align, va="center", color=colour, weight=weight)
        for x, title in enumerate(titles):
            ax.text(x, -0.95, title, ha="center", va="center", fontsize=11)
        ax.set(xlim=(-1.0, 2.0), ylim=(len(names) - 0.5, -1.4))
        ax.set_axis_off()
    return figure


def stacked(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]], *, xlabel: str = "", width: float = 10.0
) -> Figure:
    """The parts of a sum as bars on end, in panels side by side with one scale; a dot marks the sum.

    Parts above 0 go to the right and parts below it to the left.

    Args:
        panels: parts by their names, by the name of the row, by the title of the panel; all have the same rows.
        xlabel: of every panel.
        width: of the figure, in inches.
    """
    rows = list(next(iter(panels.values())))
    parts = list(dict.fromkeys(part for panel in panels.values() for row in panel.values() for part in row))
    with style():
        colours = dict(zip(parts, cycle((RISES, FALLS, STAYS)), strict=False))
        figure = new_figure(figsize=(width, 1.2 + 0.3 * len(rows)))
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            ends = {sign: dict.fromkeys(rows, 0.0) for sign in (True, False)}
            for part in parts:
                for y, row in enumerate(rows):
                    value = panel[row][part]
                    end = ends[value >= 0]
                    label = part if not y else None
                    ax.barh(y, value, left=end[row], color=colours[part], height=0.7, label=label)
                    end[row] += value
            sums = [sum(panel[row].values()) for row in rows]
            ax.plot(sums, range(len(rows)), "o", color="#333333", markersize=5)
            ax.axvline(0, color="#333333", linewidth=0.8)
            ax.set(title=title, xlabel=xlabel)
            ax.grid(axis="y", visible=False)
        axes[0].set_yticks(range(len(rows)), rows)
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
