"""LIX in one picture: who sees what, and which term of Eq. (18) compares what."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import ArrayLike

from lixlib.plots.base import new_figure, style

TEACHER, STUDENT, TRUTH = "#CFE3F2", "#F6D9C6", "#E4E4E4"
DWLD, ARFD, LABELS = "#D55E00", "#0072B2", "#333333"


def lix_scheme(rgb: ArrayLike, x: ArrayLike, *, width: float = 9.5) -> Figure:
    """The teacher, who sees RGB and X, above the student, who sees RGB; between them the terms of the loss.

    What stands in the dashed frame is there while the student learns, and not when it drives.

    **Shapes**: rgb (H, W, 3), x (H, W): small pictures of what the two see.

    Args:
        width: of the figure, in inches.
    """
    with style():
        figure = new_figure(figsize=(width, 0.4 * width))
        ax = figure.add_subplot()
        ax.set(xlim=(0, 10), ylim=(0, 4))
        ax.axis("off")
        frame = {"boxstyle": "round,pad=0.05", "fc": "none", "ec": "#999999", "ls": "--"}
        ax.add_patch(FancyBboxPatch((0.1, 1.3), 9.75, 2.55, **frame))
        ax.text(0.2, 1.4, "only while the student learns", color="#777777", fontsize=9)
        _picture(ax, rgb, "RGB", 2.85)
        _picture(ax, x, "X", 1.85, cmap="viridis")
        _picture(ax, rgb, "RGB", 0.25)
        names = ("teacher's features", "teacher's logits"), ("student's features", "student's logits")
        for y, colour, (features, logits) in zip((2.9, 0.65), (TEACHER, STUDENT), names, strict=True):
            _box(ax, 3.9, y, features, colour)
            _box(ax, 6.6, y, logits, colour)
            _arrow(ax, (4.75, y), (5.85, y))
        _arrow(ax, (2.15, 3.2), (3.0, 3.0))
        _arrow(ax, (2.15, 2.25), (3.0, 2.75))
        _arrow(ax, (2.15, 0.65), (3.0, 0.65))
        _box(ax, 9.05, 2.9, "labels", TRUTH, 0.45)
        _term(ax, (3.9, 2.6), (3.9, 0.95), (4.0, 1.8), "ARFD: are the same\nplaces alike?", ARFD)
        _term(ax, (6.6, 2.6), (6.6, 0.95), (6.7, 1.95), "DWLD:\nhow likely is\neach class?", DWLD)
        _term(ax, (8.85, 2.6), (7.2, 0.97), (8.4, 1.8), "CE: is it right?", LABELS)
        _box(ax, 9.05, 0.65, "answer", STUDENT, 0.45)
        _arrow(ax, (7.4, 0.65), (8.55, 0.65))
    return figure


def _picture(ax: Axes, picture: ArrayLike, name: str, bottom: float, **look: str) -> None:
    ax.imshow(picture, extent=(0.65, 2.1, bottom, bottom + 0.8), aspect="auto", zorder=2, **look)
    ax.text(0.55, bottom + 0.4, name, ha="right", va="center")


def _box(ax: Axes, x: float, y: float, words: str, colour: str, half: float = 0.75) -> None:
    look = {"boxstyle": "round,pad=0.08", "fc": colour, "ec": "#777777", "lw": 0.8}
    ax.add_patch(FancyBboxPatch((x - half, y - 0.22), 2 * half, 0.44, **look))
    ax.text(x, y, words, ha="center", va="center")


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#777777", "shrinkA": 0, "shrinkB": 0})


def _term(ax: Axes, start, end, at: tuple[float, float], words: str, colour: str) -> None:
    """A term of the loss: a double arrow between the two things that it compares."""
    look = {"arrowstyle": "<|-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=look)
    ax.text(*at, words, color=colour, va="center", weight="bold")
