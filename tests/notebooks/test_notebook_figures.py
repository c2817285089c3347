"""Every figure of every notebook as a reader sees it: nothing is cut off, and a demo does not jump or rescale.

The cells run here, in this process, with `quick=True`. A figure must show every line, point, bar and label that it
holds. A demo is drawn at its defaults, with all controls at their first and at their last ends, and at a few random
positions; its axes, limits, colours and size must be the same in all of them, else the eye compares two things that the
scale has made alike. (`explore` itself visits every end of every control when `tests/test_notebooks_run.py` runs it.)

One chapter alone: `pytest tests/test_notebook_figures.py -k 06`.
"""

import ast
import importlib
import inspect
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import AxLine
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from tools.dev.execute_notebooks import FOLDER, notebook_files

module = importlib.import_module("lixlib.course.explore")

PIXEL = 2  # what rounding to whole pixels may do, at most
RANDOM_STEPS = 4  # beside the defaults, and the two where every control is at its first or last end

# Demos in which a choice changes what an axis means: only steps with the same choice are compared.
OTHER_SCALE: dict[tuple[str, str], tuple[str, ...]] = {
    ("10", "cost_against_gain"): ("baseline",),  # costs are divided by those of another network
    ("10", "against_paper"): ("theirs", "ours"),  # each column of the paper is an axis of its own
    ("11", "look"): ("experiment", "score"),  # other variants, and another score
    ("11", "ranking"): ("experiment",),  # other variants
    ("13", "where"): ("coordinate",),  # classes, distances or kinds of weather: other rows
    ("14", "simpler"): ("rival", "metric"),  # a rival is no row of its own, and another score
}


@pytest.mark.notebook
@pytest.mark.parametrize("chapter", [path.stem for path in notebook_files()])
def test_figures_show_everything_and_demos_keep_their_scales(chapter, tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_HEADLESS", "1")
    monkeypatch.setenv("LIX_RUNS", os.environ.get("LIX_RUNS", str(tmp_path)))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    dtype = torch.get_default_dtype()
    try:
        with redirect_stdout(None):
            found = list(complaints(chapter, monkeypatch))
    finally:
        torch.set_default_dtype(dtype)  # what a chapter sets for its own kernel
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def complaints(chapter: str, monkeypatch) -> Iterator[str]:
    """What is wrong with the figures of a chapter, one sentence each."""
    plt.switch_backend("agg")
    demos: list[tuple[Callable, dict]] = []
    monkeypatch.setattr(module, "explore", lambda fn, **controls: demos.append((fn, controls)))
    figures: list[Figure] = []
    monkeypatch.setattr("IPython.display.display", lambda *shown, **_: figures.extend(shown))
    namespace = {"__name__": "__main__", "display": lambda *shown: figures.extend(shown)}
    with chdir(FOLDER):
        for index, cell in enumerate(nbformat.read(f"{chapter}.ipynb", as_version=4).cells):
            if cell.cell_type != "code":
                continue
            figures.append(execute(cell.source, namespace))
            if "parameters" in cell.metadata.get("tags", []):
                namespace["quick"] = True
            figures.extend(map(plt.figure, plt.get_fignums()))
            for figure in dict.fromkeys(figure for figure in figures if isinstance(figure, Figure)):
                for sentence in cut_off(figure):
                    yield f"[{index}] {sentence}"
            for fn, controls in demos:
                for sentence in changes(chapter, fn, controls):
                    yield f"[{index}] {fn.__name__}: {sentence}"
            plt.close("all")
            demos.clear()
            figures.clear()


def execute(source: str, namespace: dict):
    """Run a cell, and return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    return last and eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)


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
                if (array := mapped.get_array()) is not None and np.ndim(array) < 3:
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


# The checks themselves, on figures that are wrong on purpose


def figure_with(fault: str) -> Figure:
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], gid="clipped" if fault == "cut on purpose" else None)
    if fault in ("a line", "cut on purpose"):
        left.set_ylim(0, 0.5)
    elif fault == "half a line by its mask":
        left.plot([0.2, 0.5], np.ma.masked_greater([0.1, 9], 5))
        left.set_ylim(-0.1, 1.1)
    elif fault == "a point":
        left.scatter([0.5, 9], [0.5, 0.5])
        left.set_xlim(0, 1)
    elif fault == "a bar":
        right.bar(["a", "b"], [1, 5])
        right.set_ylim(0, 2)
    elif fault == "a bar of 0, logarithmic":
        right.bar(["a", "b"], [0, 5], log=True)
    elif fault == "words":
        left.text(0.9, 0.5, "far too long for these axes", clip_on=True)
    elif fault == "titles":
        left.set_title("a title that is much too long")
        right.set_title("a title that is much too long")
    return figure


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nothing", None),
        ("cut on purpose", None),
        ("half a line by its mask", None),
        ("a bar of 0, logarithmic", None),
        ("a line", "the line .* leaves the axes"),
        ("a point", "a point leaves the axes"),
        ("a bar", "a bar leaves the axes"),
        ("words", "the words 'far too long for these axes' are cut"),
        ("titles", "the titles .* overlap"),
    ],
)
def test_what_a_figure_hides_is_noticed(fault, sentence):
    found = list(cut_off(figure_with(fault)))
    assert found == [] if sentence is None else len(found) == 1 and re.search(sentence, found[0])


def demo(fault: str) -> Callable:
    def draw(top=1, colour="red"):
        figure = Figure(figsize=(3, 2 + (fault == "size") * top))
        ax = figure.add_subplot()
        if fault == "axes" and colour == "blue":
            figure.add_axes((0.8, 0.8, 0.1, 0.1))
        ax.plot([0, 1], [0, top / 9], color=colour)
        ax.set(xlim=(0, 1), ylim=(0, top / 9 if fault == "limits" else 1))
        if fault == "colours":
            ax.imshow([[0, top]], extent=(0.2, 0.4, 0.2, 0.4), aspect="auto")
        return figure if fault != "figures" or top < 5 else None

    return draw


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("nothing", ()),
        ("limits", ("the y range of axes 0",)),
        ("colours", ("the colour range of map 0 of axes 0",)),
        ("size", ("the size in pixels of figure 0", "the place in pixels of axes 0")),
        ("axes", ("the number of axes of figure 0",)),
        ("figures", ("the number of figures",)),
    ],
)
def test_a_demo_that_jumps_is_noticed(fault, what):
    found = list(changes("99", demo(fault), {"top": (1, 9), "colour": ["red", "blue"]}))
    assert bool(found) == bool(what)
    assert all(any(sentence.startswith(expected) for sentence in found) for expected in what)


def test_steps_with_an_excused_choice_are_compared_among_themselves(monkeypatch):
    monkeypatch.setitem(OTHER_SCALE, ("99", "draw"), ("top",))
    assert list(changes("99", demo("limits"), {"top": (1, 9), "colour": ["red", "blue"]})) == []
