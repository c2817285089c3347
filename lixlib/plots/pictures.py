"""Images, label maps and maps of numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from lixlib.core.sample import IGNORE
from lixlib.data.classes import Classes
from lixlib.plots.base import new_figure, style

# who_is_right: a pixel where both, the first alone, the second alone, or neither is right
BOTH, FIRST, SECOND, NEITHER = (236, 236, 236), (0, 114, 178), (213, 94, 0), (60, 60, 60)


class Scale(NamedTuple):
    """The colours of a map that is compared with others: `norm` says which value has which colour, `label` the unit."""

    norm: Normalize
    label: str = ""
    cmap: str = "viridis"


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


def class_legend(figure: Figure, classes: Classes, *, columns: int = 7, loc: str = "outside lower center") -> None:
    """Write below a figure which class has which colour."""
    patches = [Patch(fc=colour / 255, label=name) for name, colour in zip(classes.names, classes.colours, strict=True)]
    figure.legend(handles=patches, loc=loc, ncols=columns, fontsize=8)


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


def legend_of_right(first: str, second: str) -> Classes:
    """What the colours of `who_is_right` mean, as a legend for `panels`, given the names of the two predictions."""
    names = ("both right", f"only {first} right", f"only {second} right", "both wrong")
    return Classes(names, np.array((BOTH, FIRST, SECOND, NEITHER), dtype=np.uint8))


def gallery(
    rows: Mapping[str, Sequence[ArrayLike]],
    titles: Sequence[str] = (),
    *,
    width: float = 11.0,
    legend: Classes | None = None,
) -> Figure:
    """A table of pictures: each entry of `rows` is a row of the figure, its pictures side by side, one column an image.

    A picture with one channel is a map, drawn in viridis from its own smallest to its own largest value; the colour
    scale follows the square root, so that far (small) disparities stay apart.

    **Shapes**: pictures (H, W, 3) uint8 or in [0, 1], (3, H, W) in [0, 1], or maps (H, W) or (1, H, W).

    Args:
        titles: one above each column.
        width: of the figure, in inches.
        legend: classes whose colours are told below the pictures.

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
    in_a_row, foot = _room_of(legend, width)
    total = top + len(rows) * (cell_height + gap) + foot
    with style():
        figure = new_figure(figsize=(width, total), layout="none")
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
        if legend:
            class_legend(figure, legend, columns=in_a_row, loc="lower center")
    return figure


def panels(
    pictures: Mapping[str, ArrayLike],
    *,
    columns: int = 2,
    width: float = 11.0,
    scales: Mapping[str, Scale] | None = None,
    legend: Classes | None = None,
) -> Figure:
    """Pictures with their names above them, row by row; drawn as in `gallery`.

    Args:
        columns: pictures in a row.
        width: of the figure, in inches.
        scales: by the name of a map: its colours, whatever its values are, and a colour bar beside it; NaN is white.
        legend: classes whose colours are told below the pictures.

    Raises:
        ValueError: a scale for something that is not one of the maps.
    """
    images, scales = {name: _picture(picture) for name, picture in pictures.items()}, scales or {}
    for name in scales:
        if name not in images or images[name].ndim == 3:
            known = ", ".join(repr(known) for known, image in images.items() if image.ndim == 2) or "none"
            raise ValueError(f"scale for {name!r}: expected one of the maps, {known}")
    rows = -(-len(images) // columns)
    height, across = next(iter(images.values())).shape[:2]
    title, gap, beside = 0.3, 0.08, 0.8  # inches
    barred = {place % columns for place, name in enumerate(images) if name in scales}
    cell = (width - gap - beside * len(barred)) / columns - gap
    cell_height = cell * height / across
    in_a_row, foot = _room_of(legend, width)
    total = rows * (cell_height + title) + gap + foot
    with style():
        figure = new_figure(figsize=(width, total), layout="none")
        ax = figure.add_axes((0, 0, 1, 1))  # one for all, in inches: twenty axes would take twenty times as long
        ax.set_axis_off()
        for number, (name, picture) in enumerate(images.items()):
            row, column = divmod(number, columns)
            left = gap + column * (cell + gap) + beside * sum(other < column for other in barred)
            bottom = total - (row + 1) * (cell_height + title)
            extent = (left, left + cell, bottom, bottom + cell_height)
            if name in scales:
                norm, label, cmap = scales[name]
                ax.imshow(picture, norm=norm, cmap=cmap, extent=extent, aspect="auto")
                place = ((left + cell + 0.06) / width, bottom / total, 0.1 / width, cell_height / total)
                figure.colorbar(ScalarMappable(norm, cmap), cax=figure.add_axes(place), label=label)
            else:
                _image(ax, picture, extent=extent, aspect="auto")
            ax.text(left + cell / 2, bottom + cell_height + 0.06, name, ha="center")
        ax.set(xlim=(0, width), ylim=(0, total))
        if legend:
            class_legend(figure, legend, columns=in_a_row, loc="lower center")
    return figure


def _room_of(legend: Classes | None, width: float) -> tuple[int, float]:
    """How many names of a legend stand in a row below a figure, and the inches that all of them need."""
    in_a_row = max(1, int(width / 1.4))
    return in_a_row, 0.15 + 0.2 * -(-len(legend) // in_a_row) if legend else 0.0


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
        figure = new_figure(figsize=size)
        axes = figure.subplots(*((3, 1) if wide else (1, 3)))
        _draw(axes[0], _picture(rgb))
        axes[0].set_title("RGB")
        for ax, (title, values, cmap, (low, high)) in zip(axes[1:], panels, strict=True):
            image = ax.imshow(np.asarray(values), cmap=cmap, vmin=low, vmax=high)
            figure.colorbar(image, cax=ax.inset_axes((1.02, 0, 0.035, 1)))  # as high as the map
            ax.set(title=title, xticks=[], yticks=[])
    return figure


def _picture(picture: ArrayLike) -> np.ndarray:
    """**Shapes**: (H, W, 3), (3, H, W), (1, H, W) or (H, W) -> (H, W, 3) or (H, W)."""
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[-1] != 3 and picture.shape[0] in (1, 3):
        picture = np.moveaxis(picture, 0, -1)
    return picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture


def _draw(ax, picture: np.ndarray) -> None:
    _image(ax, picture)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)


def _image(ax, picture: np.ndarray, **options) -> None:
    if picture.ndim == 3:
        ax.imshow(picture, **options)
    else:
        low, high = float(picture.min()), float(picture.max())
        ax.imshow(picture, norm=PowerNorm(0.5, low, max(high, low + 1e-6)), **options)
