"""Figures and tables of the project: data in, a matplotlib Figure (or Markdown) out; nothing is shown or saved here.

The figures are not known to pyplot: a notebook shows one where it is the last value of a cell, once.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np
from IPython import get_ipython
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lixlib.data.classes import Classes
from lixlib.data.sample import IGNORE
from lixlib.results import METRICS, gap_closed

STYLE = Path(__file__).with_name("lix.mplstyle")
# who_is_right: a pixel where both, the first alone, the second alone, or neither is right
BOTH, FIRST, SECOND, NEITHER = (236, 236, 236), (0, 114, 178), (213, 94, 0), (60, 60, 60)


@contextmanager
def style() -> Iterator[None]:
    """The style of the project's figures, for figures of one's own: `with style(): plt.subplots()`."""
    if get_ipython() is not None:
        _start_backend()
    with plt.style.context(STYLE):
        yield


def colour_labels(label: ArrayLike, classes: Classes) -> np.ndarray:
    """Draw a label map in the colours of its classes; ignored pixels (255) are black.

    **Shapes**: (H, W) integers -> (H, W, 3) uint8.

    Raises:
        ValueError: a label that is neither a class nor 255.
    """
    label = np.asarray(label).astype(np.int64)
    wrong = label[(label != IGNORE) & ((label < 0) | (label >= len(classes)))]
    if wrong.size:
        raise ValueError(f"label {wrong[0]} is neither one of the {len(classes)} classes nor {IGNORE} (ignored)")
    table = np.zeros((IGNORE + 1, 3), dtype=np.uint8)
    table[: len(classes)] = classes.colours
    return table[label]


def overlay(rgb: ArrayLike, colours: ArrayLike, alpha: float = 0.6) -> np.ndarray:
    """Lay label colours over a photo. **Shapes**: (3, H, W) in [0, 1], (H, W, 3) uint8 -> (H, W, 3) uint8."""
    photo = 255 * np.moveaxis(np.asarray(rgb, dtype=np.float64), 0, -1)
    return np.rint((1 - alpha) * photo + alpha * np.asarray(colours)).astype(np.uint8)


def who_is_right(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Compare two predictions: light grey where both are right, blue the first alone, orange the second, dark neither.

    Ignored pixels are white. **Shapes**: three times (H, W) integers -> (H, W, 3) uint8.
    """
    truth, first, second = (np.asarray(labels) for labels in (truth, first, second))
    picture = np.full((*truth.shape, 3), 255, dtype=np.uint8)
    known, a, b = truth != IGNORE, first == truth, second == truth
    for mask, colour in ((a & b, BOTH), (a & ~b, FIRST), (~a & b, SECOND), (~a & ~b, NEITHER)):
        picture[known & mask] = colour
    return picture


def gallery(rows: Mapping[str, Sequence[ArrayLike]], titles: Sequence[str] = (), *, width: float = 11.0) -> Figure:
    """A table of pictures: each entry of `rows` is a row of the figure, its pictures side by side, one column an image.

    A picture with one channel is a map, drawn in viridis from its own smallest to its own largest value; the colour
    scale follows the square root, so that far (small) disparities stay apart.

    **Shapes**: pictures (H, W, 3) uint8 or in [0, 1], (3, H, W) in [0, 1], or maps (H, W) or (1, H, W).

    Args:
        titles: one above each column.
        width: of the figure, in inches.

    Raises:
        ValueError: rows of different lengths, or another number of titles.
    """
    lengths = {len(pictures) for pictures in rows.values()} | ({len(titles)} if titles else set())
    if len(lengths) != 1:
        raise ValueError(f"every row and the titles need one entry a column, found {sorted(lengths)} entries")
    columns = lengths.pop()
    pictures = [[_picture(picture) for picture in row] for row in rows.values()]
    height, across = pictures[0][0].shape[:2]
    # laid out by hand: every picture keeps its shape, and the names their room
    left, top, gap = 0.25 + 0.072 * max(len(name) for name in rows), 0.3 * bool(titles), 0.05
    cell = (width - left) / columns - gap
    cell_height = cell * height / across
    total = top + len(rows) * (cell_height + gap)
    with style():
        figure = _figure(figsize=(width, total), layout="none")
        for row, (name, line) in enumerate(zip(rows, pictures, strict=True)):
            bottom = (total - top - (row + 1) * (cell_height + gap) + gap) / total
            for column, picture in enumerate(line):
                start = (left + column * (cell + gap)) / width
                ax = figure.add_axes((start, bottom, cell / width, cell_height / total))
                _draw(ax, picture)
                if column == 0:
                    ax.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)
                if row == 0 and titles:
                    ax.set_title(titles[column], pad=5)
    return figure


def panels(pictures: Mapping[str, ArrayLike], *, columns: int = 2, width: float = 11.0) -> Figure:
    """Pictures with their names above them, row by row; drawn as in `gallery`.

    Args:
        columns: pictures in a row.
        width: of the figure, in inches.
    """
    images = {name: _picture(picture) for name, picture in pictures.items()}
    rows = -(-len(images) // columns)
    height, across = next(iter(images.values())).shape[:2]
    title, gap = 0.3, 0.08
    cell = (width - gap) / columns - gap
    cell_height = cell * height / across
    total = rows * (cell_height + title) + gap
    with style():
        figure = _figure(figsize=(width, total), layout="none")
        for number, (name, picture) in enumerate(images.items()):
            row, column = divmod(number, columns)
            left, bottom = gap + column * (cell + gap), total - (row + 1) * (cell_height + title)
            ax = figure.add_axes((left / width, bottom / total, cell / width, cell_height / total))
            _draw(ax, picture)
            ax.set_title(name, pad=4)
    return figure


def class_shares(shares: Sequence[float], classes: Classes) -> Figure:
    """The legend of a data set, and how many of the labelled pixels belong to each class: bars on a log scale.

    Args:
        shares: one share in [0, 1] per class, in label order; 0 for a class that does not occur.
    """
    shares = 100 * np.asarray(shares, dtype=np.float64)
    order = np.argsort(shares, kind="stable")
    smallest = min(0.1, 0.5 * shares[shares > 0].min(initial=0.1))
    with style():
        figure = _figure(figsize=(7.5, 0.6 + 0.27 * len(classes)))
        ax = figure.subplots()
        names = [classes.names[i] for i in order]
        ax.barh(names, shares[order], color=classes.colours[order] / 255, edgecolor="#555555", linewidth=0.5)
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
    """Entries of training logs by epoch: one panel a key, one line a run; mIoU in %.

    Args:
        logs: rows of `lixlib.train.fit` by the name of the run; a run without a key has no line in its panel.

    Raises:
        ValueError: no run has one of the keys.
    """
    missing = [key for key in keys if not any(key in row for log in logs.values() for row in log)]
    if missing:
        raise ValueError(f"no log has an entry {missing[0]!r}: choose keys of its rows")
    with style():
        colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]  # "C0" would be looked up after this style is left
        figure = _figure(figsize=(max(6.0, 3.6 * len(keys)), 3.2))
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
        figure = _figure(figsize=(7.5, 0.7 + 0.27 * len(gains)))
        ax = figure.subplots()
        values, names = zip(*gains, strict=True)
        ax.barh(names, values, color=["#0072B2" if value >= 0 else "#D55E00" for value in values])
        for y, value in enumerate(values):
            offset, side = (0.01 * reach, "left") if value >= 0 else (-0.01 * reach, "right")
            ax.text(value + offset, y, _signed(value), va="center", ha=side, fontsize=9, color="#333333")
        ax.axvline(0, color="#333333", linewidth=0.8)
        ax.set_xlim(-reach, reach)
        ax.set_xlabel("gain in IoU, in points (distilled minus student)")
        ax.grid(axis="y", visible=False)
    return figure


def maps(rgb: ArrayLike, confidence: ArrayLike, weight: ArrayLike, *, beta: tuple[float, float] = (1, 10)) -> Figure:
    """An image, the confidence of its pixels (LIX Eq. (6)) and their NCLD weights (Eq. (7)), with colour bars.

    **Shapes**: rgb (3, H, W) in [0, 1]; confidence (H, W) in [0, 1]; weight (H, W) in [beta_min, beta_max].

    Args:
        beta: lower and upper end of the weights' colours.
    """
    panels = (("confidence c", confidence, "cividis", (0, 1)), ("NCLD weight W", weight, "magma", beta))
    height, across = np.asarray(confidence).shape
    wide = across > 2 * height  # then one below the other
    size = (8.0, 0.5 + 3 * (7.0 * height / across + 0.35)) if wide else (12.0, 0.6 + 3.7 * height / across)
    with style():
        figure = _figure(figsize=size)
        axes = figure.subplots(*((3, 1) if wide else (1, 3)))
        _draw(axes[0], _picture(rgb))
        axes[0].set_title("RGB")
        for ax, (title, values, cmap, (low, high)) in zip(axes[1:], panels, strict=True):
            image = ax.imshow(np.asarray(values), cmap=cmap, vmin=low, vmax=high)
            figure.colorbar(image, cax=ax.inset_axes((1.02, 0, 0.035, 1)))  # as high as the map
            ax.set(title=title, xticks=[], yticks=[])
    return figure


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
    width: float = 10.0,
) -> Figure:
    """Triangles side by side: every point is a distribution over three classes, a corner is certainty.

    Args:
        corners: names of the classes: left, right, top.
        label: of the colour bar, which all fields share.
        limits: lowest and highest colour; None: of the fields' own values but for the highest 3 %, near the edges.
        width: of the figure at most, in inches.
    """
    grid = _triangle_grid(40)
    fields = {name: np.asarray(panel.field(grid), dtype=float) for name, panel in panels.items() if panel.field}
    low, high = limits or _limits([np.sort(values)[: int(0.97 * len(values))] for values in fields.values()])
    with style():
        colours = ["#D55E00", "#0072B2", "#CC79A7", "#009E73"]
        legend = any(panel.paths for panel in panels.values())
        cell = min((width - bool(fields)) / len(panels), 4.6)
        figure = _figure(figsize=(cell * len(panels) + bool(fields), 0.86 * cell + 0.55 + 0.3 * legend))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        lines, drawn = {}, None
        names = list(dict.fromkeys(name for panel in panels.values() for name in panel.paths))
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
                colour = colours[names.index(name) % len(colours)]
                x, y = _flat(path)
                lines[name] = ax.plot(x, y, color=colour)[0]
                ax.plot(x[0], y[0], "o", markerfacecolor="white", markeredgecolor=colour, markersize=7)
                ax.plot(x[-1], y[-1], "o", color=colour, markeredgecolor="white", markersize=8)
            for name, point in panel.points.items():
                x, y = _flat(point)
                ax.plot(x, y, "D", color="black", markeredgecolor="white", markersize=7)
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
        numbers: how to write each value into its cell, e.g. "{:.2f}"; None: not at all.
        limits: lowest and highest colour; None: of the values.
        width: of the figure at most, in inches.
    """
    matrices = {name: np.asarray(matrix, dtype=float) for name, matrix in matrices.items()}
    low, high = limits or _limits(matrices.values())
    left = 0.08 * max(map(len, rows)) if rows else 0
    shape = next(iter(matrices.values())).shape
    cell = min((width - 1 - left) / len(matrices), 5.0)
    under = 0.075 * max(map(len, columns)) if columns else 0
    with style():
        figure = _figure(figsize=(cell * len(matrices) + 1 + left, cell * shape[0] / shape[1] + 0.55 + under))
        axes = figure.subplots(1, len(matrices), squeeze=False)[0]
        for place, (ax, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
            image = ax.imshow(matrix, vmin=low, vmax=high, cmap=cmap)
            ax.set_title(title)
            ax.grid(visible=False)
            ax.spines[:].set_visible(False)
            ax.set_xticks(range(len(columns)) if columns else [], columns or [], rotation=40, ha="right")
            ax.set_yticks(range(len(rows)) if rows and not place else [], rows if rows and not place else [])
            for (i, j), value in np.ndenumerate(matrix) if numbers else ():
                dark = np.mean(image.cmap(image.norm(value))[:3]) < 0.55
                colour = "white" if dark else "black"
                ax.text(j, i, numbers.format(value), ha="center", va="center", fontsize=9, color=colour)
        figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.02, label=label)
    return figure


def bars(panels: Mapping[str, Mapping[str, Mapping[str, float]]], *, ylabel: str = "", width: float = 10.0) -> Figure:
    """Grouped bars, panels side by side: the value of every name, one colour a series.

    Args:
        panels: values by name, by series, by the title of the panel.
        ylabel: of the first panel.
        width: of the figure, in inches.
    """
    with style():
        colour_of = _colours_of(panels)
        figure = _figure(figsize=(width, 3.1 + 0.25 * (len(colour_of) > 1)))
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
    width: float = 10.0,
) -> Figure:
    """Curves, panels side by side, one colour a name in all of them.

    Args:
        panels: (x, y), or (x, y, spread) with a band of y +- spread, by name, by the title of the panel.
        xlabel, ylabel: of every panel, of the first panel.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        width: of the figure, in inches.
    """
    with style():
        colour_of = _colours_of(panels)
        figure = _figure(figsize=(width, 3.4 + 0.25 * (len(colour_of) > 1)))
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


def metric_table(teacher: Mapping, student: Mapping, distilled: Mapping, name: str = "distilled student") -> str:
    """The four metrics of three runs as a Markdown table: in %, the gain in points, the share of the gap closed.

    Args:
        teacher, student, distilled: `metrics` of a result line, in [0, 1].
        name: of the distilled run.
    """
    shares = [gap_closed(teacher[key], student[key], distilled[key]) for key in METRICS]
    rows = {
        "teacher (RGB + X)": [f"{100 * teacher[key]:.1f}" for key in METRICS],
        "student (RGB)": [f"{100 * student[key]:.1f}" for key in METRICS],
        f"**{name} (RGB)**": [f"**{100 * distilled[key]:.1f}**" for key in METRICS],
        "gain over the student, points": [_signed(100 * (distilled[key] - student[key])) for key in METRICS],
        "share of the gap closed": ["no gap" if share is None else f"{round(100 * share)} %" for share in shares],
    }
    lines = [f"| | {' | '.join(METRICS)} |", "|---|" + "---:|" * len(METRICS)]
    return "\n".join([*lines, *(f"| {title} | {' | '.join(values)} |" for title, values in rows.items())])


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: never "-0.0"


@cache
def _start_backend() -> None:
    """Start a notebook's backend outside of any style: it turns on what the end of a style would turn off again."""
    plt.close(plt.figure())


def _figure(**options) -> Figure:
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def _picture(picture: ArrayLike) -> np.ndarray:
    """**Shapes**: (H, W, 3), (3, H, W), (1, H, W) or (H, W) -> (H, W, 3) or (H, W)."""
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[-1] != 3 and picture.shape[0] in (1, 3):
        picture = np.moveaxis(picture, 0, -1)
    return picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture


def _draw(ax, picture: np.ndarray) -> None:
    if picture.ndim == 3:
        ax.imshow(picture)
    else:
        low, high = float(picture.min()), float(picture.max())
        ax.imshow(picture, norm=PowerNorm(0.5, low, max(high, low + 1e-6)))
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)


def _colours_of(panels: Mapping[str, Mapping]) -> dict[str, str]:
    """The colour of every series, the same in all panels; to be called in the style."""
    names = dict.fromkeys(name for panel in panels.values() for name in panel)
    return dict(zip(names, cycle(plt.rcParams["axes.prop_cycle"].by_key()["color"]), strict=False))


def _legend_below(figure: Figure) -> None:
    """One legend for all panels, where there is more than one series."""
    pairs = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in figure.axes]
    handles = {label: handle for pair in pairs for handle, label in pair}
    if len(handles) > 1:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 6))


def _limits(arrays) -> tuple[float, float]:
    """Smallest and largest finite value of all, never equal."""
    values = np.concatenate([np.ravel(array)[np.isfinite(np.ravel(array))] for array in arrays] or [np.zeros(1)])
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1e-6


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
