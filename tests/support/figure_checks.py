"""Every figure of a notebook as a reader sees it: nothing is cut off, and a demo does not jump or rescale.

`watch` runs in the notebook's kernel. A figure must show every line, point, bar and label that it holds. A demo is
drawn at its defaults, with all controls at their first and at their last ends, and at a few random positions; its axes,
limits, colours and size must be the same in all of them, else the eye compares two things that the scale has made
alike. `explore` itself visits every end of every control, unless another run does so.
"""

import importlib
import inspect
import itertools
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython import get_ipython
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import AxLine
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from matplotlib_inline import backend_inline

module = importlib.import_module("lixlib.course.explore")

PIXEL = 2  # what rounding to whole pixels may do, at most
RANDOM_STEPS = 4  # beside the defaults, and the two where every control is at its first or last end

# Demos in which a choice changes what an axis means: only steps with the same choice are compared.
OTHER_SCALE: dict[tuple[str, str], tuple[str, ...]] = {
    ("11", "look"): ("experiment", "score"),  # other variants, and another score
    ("13", "where"): ("coordinate",),  # classes, distances or kinds of weather: other rows
}


# What a kernel shows


def startup(report: Path, chapter: str, *, ends: bool) -> str:
    """Code for a kernel to begin with: it checks what every cell shows, and adds one line a cell to `report`.

    Args:
        ends: `explore` visits every end of every control, too.
    """
    here, about = str(Path(__file__).parent), (str(report), chapter, ends)
    return f"import sys\nsys.path.append({here!r})\n__import__('figure_checks').watch(*{about!r})\n"


def read(report: Path) -> tuple[list[str], int, int]:
    """What is wrong, and how many figures and demos were looked at."""
    cells = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    found = [f"{cell['code']}: {sentence}" for cell in cells for sentence in cell["complaints"]]
    return found, sum(cell["figures"] for cell in cells), sum(cell["demos"] for cell in cells)


def watch(report: str, chapter: str, ends: bool) -> None:
    """Check, after every cell of this kernel, the figures and the demos that it showed; no picture is drawn."""
    shell = get_ipython()
    figures: list[Figure] = []
    demos: list[tuple[Callable, dict]] = []
    explore = module.explore

    def noted(fn: Callable, **controls: Any) -> None:
        if ends:
            explore(fn, **controls)
        demos.append((fn, controls))

    def check(result: Any) -> None:
        figures.extend(map(plt.figure, plt.get_fignums()))
        seen = list(dict.fromkeys(figures))
        if result.success and (seen or demos):
            with capture_output(), torch.random.fork_rng():
                found = list(complaints(chapter, seen, demos))
            code = result.info.raw_cell.strip().splitlines()[-1]
            line = {"code": code, "figures": len(seen), "demos": len(demos), "complaints": found}
            with open(report, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        plt.close("all")
        figures.clear()
        demos.clear()

    def leave_open(*_: Any, **__: Any) -> None: ...

    leave_open._draw_called, leave_open._to_draw = False, []
    backend_inline.show = leave_open  # at the end of a cell, it would draw the open figures and close them
    shell.display_formatter.ipython_display_formatter.for_type(Figure, figures.append)
    module.explore = noted
    shell.events.register("post_run_cell", check)


def complaints(chapter: str, figures: list[Figure], demos: list[tuple[Callable, dict]]) -> Iterator[str]:
    """What is wrong with the figures and the demos of a cell, one sentence each."""
    try:
        for figure in figures:
            yield from cut_off(figure)
        for fn, controls in demos:
            yield from (f"{fn.__name__}: {sentence}" for sentence in changes(chapter, fn, controls))
    except Exception:  # IPython would print it, and the cell would count as fine
        yield traceback.format_exc()


# What one figure hides


def cut_off(figure: Figure) -> Iterator[str]:
    """What lies outside of the axes or the picture it belongs to."""
    draw(figure)
    for ax in axes_of(figure):
        inside = ax.get_window_extent().padded(PIXEL)
        for what in dict.fromkeys(what for what, points in drawn_points(ax) if not within(inside, points)):
            yield f"{name_of(ax)}: {what} leaves the axes"
        for text in ax.texts:
            if is_clipped(text) and text.get_text() and not within(inside, extent(text).get_points()):
                yield f"{name_of(ax)}: the words {text.get_text()!r} are cut by the axes"
    titles = [text for ax in axes_of(figure) for text in (ax.title, ax._left_title, ax._right_title)]
    titles = [text for text in titles if text.get_text().strip() and text.get_visible()]
    for one, other in itertools.combinations(titles, 2):
        if Bbox.intersection(extent(one), extent(other)) is not None:
            yield f"the titles {one.get_text()!r} and {other.get_text()!r} overlap"


def draw(figure: Figure) -> None:
    """Lay it out; nobody looks at its pixels, which would take most of the time."""
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    figure.draw_without_rendering()


def axes_of(figure: Figure) -> list:
    """All visible axes, insets too."""
    found = list(figure.axes)
    for ax in found:
        found.extend(ax.child_axes)
    return [ax for ax in found if ax.get_visible()]


def drawn_points(ax) -> Iterator[tuple[str, np.ndarray]]:
    """Everything that data were drawn with, as points in pixels."""
    for line in ax.lines:
        if is_clipped(line) and not isinstance(line, AxLine):
            yield f"the line {line.get_label()!r}", line.get_transform().transform(filled(line.get_xydata()))
    for collection in filter(is_clipped, ax.collections):
        if isinstance(collection, PathCollection):
            yield "a point", collection.get_offset_transform().transform(filled(collection.get_offsets()))
        elif isinstance(collection, LineCollection) and collection.get_segments():
            yield "a bar of an error", collection.get_transform().transform(np.vstack(collection.get_segments()))
    logarithmic = [axis.get_scale() == "log" for axis in (ax.xaxis, ax.yaxis)]
    for patch in filter(is_clipped, ax.patches):
        if patch.get_data_transform() != ax.transData:
            continue  # a span across the axes
        points = patch.get_path().vertices
        if isinstance(patch, Rectangle):  # of a bar only its tip; on a logarithmic axis a bar of 0 has none
            points = patch.get_patch_transform().transform(points[2:3])
            points[:, logarithmic] = np.where(points[:, logarithmic] > 0, points[:, logarithmic], np.nan)
            yield "a bar", patch.get_data_transform().transform(points)
        else:
            yield "a patch", patch.get_transform().transform(points)


def is_clipped(artist) -> bool:
    """Whether what leaves the axes is lost; a figure says by a gid where it means to cut."""
    return artist.get_visible() and artist.get_clip_on() and artist.get_gid() != "clipped"


def filled(points) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(points, dtype=float), np.nan)


def within(box: Bbox, points: np.ndarray) -> bool:
    points = points[np.isfinite(points).all(1)]
    return bool(((points >= box.min) & (points <= box.max)).all())


def extent(text) -> Bbox:
    return text.get_window_extent()


def name_of(ax) -> str:
    words = [ax.get_title(), ax.get_xlabel(), ax.get_ylabel()]
    return repr(next((word for word in words if word), "an axes without words"))


# What changes between the steps of a demo


@dataclass
class Step:
    """One position of all controls, and what it draws."""

    values: dict
    looks: dict[str, object]


def changes(chapter: str, fn: Callable, controls: dict) -> Iterator[str]:
    """What is not the same at all steps of a demo, and what a step cuts off."""
    signature = inspect.signature(fn)
    signature.bind(**controls)
    widgets = {name: module._widget(name, control, signature) for name, control in controls.items()}
    apart = OTHER_SCALE.get((chapter[:2], fn.__name__), ())
    first: dict[tuple, Step] = {}
    seen = set()
    for values in steps(widgets):
        figures = module._drawn(fn, values)
        for figure in figures:
            if isinstance(figure, Figure):
                for sentence in cut_off(figure):
                    if sentence not in seen:
                        seen.add(sentence)
                        yield f"{sentence}, {values}"
        step = Step(values, looks(figures))
        before = first.setdefault(tuple(str(values[name]) for name in apart), step)
        for what in before.looks.keys() | step.looks.keys():
            one, other = before.looks.get(what), step.looks.get(what)
            if not alike(one, other) and what not in seen:
                seen.add(what)
                moved = {name: value for name, value in values.items() if str(value) != str(before.values[name])}
                yield f"{what} is {one}, but {other} with {moved}"


def steps(widgets: dict) -> Iterator[dict]:
    generator = np.random.default_rng(0)
    yield {name: widget.value for name, widget in widgets.items()}
    for end in (0, -1):
        ends = {name: module._ends(widget) for name, widget in widgets.items()}
        yield {name: ends[name][end] if ends[name] else widget.value for name, widget in widgets.items()}
    for _ in range(RANDOM_STEPS):
        yield {name: somewhere(widget, generator) for name, widget in widgets.items()}


def somewhere(widget, generator: np.random.Generator):
    """A value that a reader may choose."""
    if hasattr(widget, "min") and not isinstance(widget.value, tuple):
        steps = round((widget.max - widget.min) / widget.step)
        value = widget.min + int(generator.integers(steps + 1)) * widget.step
        return widget.base**value if hasattr(widget, "base") else value
    ends = module._ends(widget)
    return ends[generator.integers(len(ends))] if ends else widget.value


def looks(shown: list) -> dict[str, object]:
    """What a reader expects to stay: size, axes, limits, colours, and how many lines of words there are."""
    figures = [figure for figure in shown if isinstance(figure, Figure)]
    found: dict[str, object] = {"the number of figures": len(figures)}
    found["the lines of words"] = sum(str(other).count("\n") + 1 for other in shown if not isinstance(other, Figure))
    for number, figure in enumerate(figures):
        picture = figure.get_tightbbox(figure.canvas.get_renderer())  # what a notebook shows, in inches
        of = f"of figure {number}"
        found[f"the size in pixels {of}"] = np.array(picture.size) * figure.dpi
        axes = axes_of(figure)
        found[f"the number of axes {of}"] = len(axes)
        for place, ax in enumerate(axes):
            of = f"of axes {place}"
            found[f"the place in pixels {of}"] = np.array(ax.get_window_extent().extents)
            if ax.axison and len(ax.get_xticks()) and ax.xaxis.get_visible():
                found[f"the x range {of}"] = Range(ax.get_xlim())
            if ax.axison and len(ax.get_yticks()) and ax.yaxis.get_visible():
                found[f"the y range {of}"] = Range(ax.get_ylim())
            for index, mapped in enumerate([*ax.images, *ax.collections]):
                array, (low, high) = mapped.get_array(), mapped.get_clim()
                if array is not None and np.ndim(array) < 3 and low != high:  # a contour of one level has no scale
                    found[f"the colour range of map {index} {of}"] = Range(mapped.get_clim())
    return found


class Range(tuple):
    """Limits: equal up to what rounding does to them."""

    def __str__(self):
        return " to ".join(f"{float(end):.4g}" for end in self)


def alike(one, other) -> bool:
    if isinstance(one, Range) and isinstance(other, Range):
        return np.allclose(one, other, rtol=1e-6, atol=1e-6 * abs(one[1] - one[0]))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.abs(one - other).max() <= PIXEL)
    return type(one) is type(other) and one == other
