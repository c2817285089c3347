"""Bars, curves, matrices: numbers by name."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike

from lixlib.core.text import signed
from lixlib.data.classes import Classes
from lixlib.plots.base import limits_of, new_figure, style


def class_shares(shares: Sequence[float], classes: Classes) -> Figure:
    """The legend of a data set, and how many of the labelled pixels belong to each class: bars on a log scale.

    Args:
        shares: one share in [0, 1] per class, in label order; 0 for a class that does not occur.
    """
    shares = 100 * np.asarray(shares, dtype=np.float64)
    order = np.argsort(shares, kind="stable")
    smallest = min(0.1, 0.5 * shares[shares > 0].min(initial=0.1))
    with style():
        figure = new_figure(figsize=(7.5, 0.6 + 0.27 * len(classes)))
        ax = figure.subplots()
        names = [classes.names[i] for i in order]
        colours = {"color": classes.colours[order] / 255, "edgecolor": "#555555", "linewidth": 0.5}
        ax.barh(names, (shares[order] - smallest).clip(0), left=smallest, **colours)  # 0 has no place on a log scale
        for y, share in enumerate(shares[order]):
            ax.text(max(share, smallest) * 1.08, y, f"{share:.2g} %", va="center", fontsize=9, color="#333333")
        ax.set_xscale("log")
        ax.set_xlim(smallest, 300)
        ax.set_xticks([t for t in (0.01, 0.1, 1, 10, 100) if t >= smallest])
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.minorticks_off()
        ax.set_xlabel("share of the labelled pixels in % (log scale)")
        ax.grid(axis="y", visible=False)
    return figure


def curves(logs: Mapping[str, Sequence[Mapping]], keys: Sequence[str] = ("mIoU",)) -> Figure:
    """Entries of training logs by epoch: one panel for each key, one line for each run; mIoU in %.

    Args:
        logs: rows of `lixlib.training.fit` by the name of the run; a run without a key has no line in its panel.
        keys: those whose entries are no numbers, such as "watch" of `lixlib.course.watch`, have no panel.

    Raises:
        ValueError: no run has one of the keys.
    """
    missing = [key for key in keys if not any(key in row for log in logs.values() for row in log)]
    if missing:
        raise ValueError(f"no log has an entry {missing[0]!r}: choose keys of its rows")
    keys = [key for key in keys if not any(isinstance(row.get(key), Mapping) for log in logs.values() for row in log)]
    with style():
        colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]  # "C0" would be looked up after this style is left
        figure = new_figure(figsize=(max(6.0, 3.6 * len(keys)), 3.2))
        axes = figure.subplots(1, len(keys), squeeze=False)
        for ax, key in zip(axes[0], keys, strict=True):
            for (name, log), colour in zip(logs.items(), cycle(colours), strict=False):
                points = [(row["epoch"], row[key] * (100 if key == "mIoU" else 1)) for row in log if key in row]
                if points:
                    ax.plot(*zip(*points, strict=True), color=colour, marker=".", label=name)
            ax.set_title("validation mIoU in %" if key == "mIoU" else f"loss term {key!r}")
            ax.set_xlabel("epoch")
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.legend()
    return figure


def class_gains(student: Mapping[str, float | None], distilled: Mapping[str, float | None]) -> Figure:
    """What distillation changed, class by class: bars of the difference of two per-class scores, in points, sorted.

    Args:
        student, distilled: score in [0, 1] by class name; None or NaN where a class does not occur: it has no bar.

    Raises:
        ValueError: the two name different classes, or no class has both scores.
    """
    if set(student) != set(distilled):
        raise ValueError(f"different classes: {', '.join(sorted(set(student) ^ set(distilled)))}")
    pairs = {name: (student[name], distilled[name]) for name in student}
    known = {name: pair for name, pair in pairs.items() if None not in pair and not np.isnan(pair).any()}
    if not known:
        raise ValueError("no class occurs in both")
    gains = sorted((100 * (after - before), name) for name, (before, after) in known.items())
    reach = 1.25 * max(1.0, *(abs(gain) for gain, _ in gains))
    with style():
        figure = new_figure(figsize=(7.5, 0.7 + 0.27 * len(gains)))
        ax = figure.subplots()
        values, names = zip(*gains, strict=True)
        ax.barh(names, values, color=["#0072B2" if value >= 0 else "#D55E00" for value in values])
        for y, value in enumerate(values):
            offset, side = (0.01 * reach, "left") if value >= 0 else (-0.01 * reach, "right")
            ax.text(value + offset, y, signed(value), va="center", ha=side, fontsize=9, color="#333333")
        ax.axvline(0, color="#333333", linewidth=0.8)
        ax.set_xlim(-reach, reach)
        ax.set_xlabel("gain in IoU, in points (distilled minus student)")
        ax.grid(axis="y", visible=False)
    return figure


def heatmaps(
    matrices: Mapping[str, ArrayLike],
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    numbers: str | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str = "viridis",
    label: str = "",
    width: float = 10.0,
) -> Figure:
    """Matrices side by side, with one colour bar.

    **Shapes**: each (n, m); they may differ if neither rows nor columns are named.

    Args:
        rows, columns: names along the sides, of all matrices.
        numbers: how to write each finite value into its cell, e.g. "{:.2f}"; None: not at all.
        limits: lowest and highest colour; None: of the values.
        width: of the figure at most, in inches.
    """
    import seaborn as sns  # here, because it takes a second to load, and nothing else needs it
    from seaborn.utils import relative_luminance

    matrices = {name: np.asarray(matrix, dtype=float) for name, matrix in matrices.items()}
    low, high = limits or limits_of(matrices.values())
    left = 0.08 * max(map(len, rows)) if rows else 0
    shape = next(iter(matrices.values())).shape
    cell = min((width - 1 - left) / len(matrices), 5.0)
    under = 0.075 * max(map(len, columns)) if columns else 0
    with style():
        size = cell * len(matrices) + 1 + left, cell * shape[0] / shape[1] + 0.55 + under
        figure = new_figure(figsize=size, layout="compressed")
        axes = figure.subplots(1, len(matrices), squeeze=False)[0]
        for place, (ax, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
            written = np.vectorize(numbers.format)(matrix) if numbers else None
            names = {"xticklabels": columns or False, "yticklabels": False if place else rows or False}
            look = {"vmin": low, "vmax": high, "cmap": cmap, "square": True, "cbar": False}
            sns.heatmap(matrix, annot=written, fmt="", annot_kws={"size": 9}, ax=ax, **names, **look)
            (mesh,) = ax.collections
            for text, cell in zip(ax.texts, mesh.to_rgba(matrix[np.isfinite(matrix)]), strict=True) if numbers else ():
                # the one with more contrast; seaborn writes white on middling colours, too
                text.set_color("white" if relative_luminance(cell) < 0.18 else "black")
            ax.set_title(title)
            ax.grid(visible=False)
            ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right")
            ax.tick_params(axis="y", rotation=0)
        figure.colorbar(mesh, ax=list(axes), fraction=0.03, pad=0.02, label=label)
    return figure


def bars(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    ylabel: str = "",
    colours: Mapping[str, str] | None = None,
    width: float = 10.0,
) -> Figure:
    """Grouped bars in panels side by side: the value of every name, one colour for each series.

    Args:
        panels: values by name, by series, by the title of the panel.
        ylabel: of the first panel.
        colours: of series by name; those without one take the colours of the style in turn.
        width: of the figure, in inches.
    """
    with style():
        colour_of = _colours_of(panels, colours)
        figure = new_figure(figsize=(width, 3.1 + 0.25 * (len(colour_of) > 1)))
        ratios = [len(next(iter(panel.values()))) + 1 for panel in panels.values()]
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=ratios)[0]
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            for place, (series, values) in enumerate(panel.items()):
                x = np.arange(len(values)) + (place - (len(panel) - 1) / 2) * 0.8 / len(panel)
                ax.bar(x, values.values(), 0.8 / len(panel), color=colour_of[series], label=series)
            ax.set_xticks(range(len(values)), values)
            ax.axhline(0, color="#333333", linewidth=0.8)
            ax.grid(axis="x", visible=False)
            ax.set_title(title)
        axes[0].set_ylabel(ylabel)
        _legend_below(figure)
    return figure


def lines(
    panels: Mapping[str, Mapping[str, tuple]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    log: str = "",
    colours: Mapping[str, str] | None = None,
    width: float = 10.0,
) -> Figure:
    """Curves in panels side by side; a name has the same colour in all of them.

    Args:
        panels: (x, y), or (x, y, spread) with a band of y +- spread, by name, by the title of the panel.
        xlabel, ylabel: of every panel, of the first panel.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        colours: of curves by name; those without one take the colours of the style in turn.
        width: of the figure, in inches.
    """
    with style():
        colour_of = _colours_of(panels, colours)
        figure = new_figure(figsize=(width, 3.4 + 0.25 * (len(colour_of) > 1)))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            for name, (x, y, *spread) in panel.items():
                x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
                ax.plot(x, y, color=colour_of[name], label=name)
                if spread:
                    band = np.asarray(spread[0], dtype=float)
                    ax.fill_between(x, y - band, y + band, color=colour_of[name], alpha=0.2, linewidth=0)
            ax.set(title=title, xlabel=xlabel)
            ax.set_xscale("log" if "x" in log else "linear")
            ax.set_yscale("log" if "y" in log else "linear")
        axes[0].set_ylabel(ylabel)
        _legend_below(figure)
    return figure


def growth(panels: Mapping[str, Mapping[str, tuple]], *, width: float = 12.0) -> Figure:
    """What grows, over what it grows with, each as a multiple of its first value: log-log.

    Where nothing gets smaller, a dotted line has slope 1.

    Args:
        panels, width: as in `lines`; each curve begins at (1, 1).
    """
    figure = lines(panels, xlabel="what grows, over its smallest value", ylabel="over the first", log="xy", width=width)
    for ax, panel in zip(figure.axes, panels.values(), strict=True):
        for line in ax.lines:
            line.set_marker("o")
        lowest = min((min(y) for _, y, *_ in panel.values()), default=1)
        if lowest >= 0.95:  # but for what a measurement scatters
            end = max((max(x) for x, *_ in panel.values()), default=2)
            ax.plot((1, end), (1, end), color="#999999", linewidth=0.8, linestyle=":", zorder=0)
        else:
            ax.set_ylim(bottom=0.95 * 2 ** np.floor(np.log2(lowest)))  # where the next number stands
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(base=2))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
    return figure


def _colours_of(panels: Mapping[str, Mapping], chosen: Mapping[str, str] | None) -> dict[str, str]:
    """The colour of every series, the same in all panels; to be called within `style()`."""
    names = dict.fromkeys(name for panel in panels.values() for name in panel)
    in_turn = zip(names, cycle(plt.rcParams["axes.prop_cycle"].by_key()["color"]), strict=False)
    return {name: (chosen or {}).get(name, colour) for name, colour in in_turn}


def _legend_below(figure: Figure) -> None:
    """One legend for all panels, where there is more than one series."""
    pairs = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in figure.axes]
    handles = {label: handle for pair in pairs for handle, label in pair}
    if len(handles) > 1:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 6))
