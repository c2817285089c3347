"""A photograph of one's own: what two students without X make of it."""

import math
import tempfile
import textwrap
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lixlib import checkpoints, nets, plots
from lixlib.data.classes import TABLES, Classes
from lixlib.data.images import open_photo
from lixlib.functional import confidence, decouple

EXAMPLE = Path(__file__).with_name("example.jpg")  # by danielbuechele, CC BY 2.0: example.txt
STUDENTS = {"student alone": "camvid-mfnet-student", "LIX student": "camvid-mfnet-lix-ours"}  # they know photographs
MEGAPIXELS = 50  # the most that a photograph may have
WIDTH, HEIGHT = 720, 390  # of the picture, in pixels
BOX = (230, 150)  # of each of its six parts
NARROWEST = 4  # times as long as wide, at most
ADVICE = "Take a photograph as JPEG, PNG or WebP, of at most 10 megabytes, and upload it again."


def upload() -> ipywidgets.FileUpload:
    """The control of `explore` that takes a photograph: `explore(look_at, files=upload())`."""
    return ipywidgets.FileUpload(
        accept="image/*", description="Your photograph", layout=ipywidgets.Layout(width="auto", max_width="200px")
    )


def look_at(files: Any = ()) -> Figure:
    """What the two students answer, how sure the first is, and what the second would teach it.

    The weight is the closed form of chapter 02, W = 1 + 9 (1 - c), with the confidence c of the student alone. Without
    files, it looks at an example. A file that is no photograph gives a figure of the same size which says so.

    Args:
        files: the value of `upload()`: the first file counts.
    """
    try:
        return _drawn(photograph(files))
    except (ValueError, OSError) as error:
        with plots.style():
            figure, ax = _canvas()
            words = textwrap.fill(f"{error}\n", 85) + "\n\n" + textwrap.fill(ADVICE, 85)
            middle = {"ha": "center", "va": "center", "parse_math": False}  # a name may have $
            ax.text(WIDTH / 2, 0.45 * HEIGHT, words, fontsize=12, **middle)
        return figure


def photograph(files: Any = ()) -> Image.Image:
    """The first of the files as an upright RGB image; the example if there is none.

    Raises:
        ValueError: the file is no image, damaged, too large or too long.
        OSError: it cannot be read.
    """
    if not files:
        return open_photo(EXAMPLE)
    name = Path(str(files[0]["name"]).replace("\\", "/")).name.encode(errors="replace").decode() or "photograph"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photograph")  # the name itself may be none that a file can have
        path.write_bytes(bytes(files[0]["content"]))
        try:
            width, height = _size(path)
            if width * height > MEGAPIXELS * 1e6:
                raise ValueError(
                    f"{name} has {width} x {height} pixels, expected at most {MEGAPIXELS} million: make it smaller"
                )
            if max(width, height) > NARROWEST * min(width, height):
                raise ValueError(
                    f"{name} has {width} x {height} pixels, expected sides that differ by at most {NARROWEST} times: "
                    "cut a piece out"
                )
            return open_photo(path)
        except (ValueError, OSError) as error:
            raise type(error)(str(error).replace(str(path), name)) from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the file's first bytes, before it is decoded; (1, 1) for what only `open_photo` can judge."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return image.size
    except Exception:
        return 1, 1


@cache
def _student(name: str) -> tuple[torch.nn.Module, tuple[int, int], Classes]:
    """A network that comes with the library, the size of its training images, and its classes."""
    net, recipe = checkpoints.load(name)
    table = next(table for table in TABLES if table.names == tuple(recipe["classes"]))
    return net, tuple(recipe["size"]), table


@torch.no_grad()
def _logits(name: str, photo: Image.Image) -> torch.Tensor:
    """At as many pixels as in training, in the photograph's own shape. **Shapes**: -> (1, C, h, w)."""
    net, trained, _ = _student(name)
    scale = math.sqrt(math.prod(trained) / (photo.width * photo.height))
    size = max(1, round(scale * photo.width)), max(1, round(scale * photo.height))
    small = np.array(photo.resize(size, Image.Resampling.BILINEAR))
    return nets.call(net, torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255).logits


def maps_of(pupil: torch.Tensor, other: torch.Tensor) -> dict[str, np.ndarray]:
    """Confidence, weight and lesson, as `look_at` shows them. **Shapes**: logits (1, C, h, w) -> three times (h, w)."""
    sure = confidence(pupil)[0].numpy()
    weight = 1 + 9 * (1 - sure)
    return {"c": sure, "W": weight, "lesson": weight * decouple(pupil, other, other.argmax(1))[1][0].numpy()}


def _drawn(photo: Image.Image) -> Figure:
    """All in one axes, because six take the better part of a step."""
    pictures = {"photograph": np.array(photo.resize(_inside(BOX, photo.size)))}
    classes = _student(STUDENTS["student alone"])[2]
    logits = {name: _logits(weights, photo) for name, weights in STUDENTS.items()}
    pictures |= {name: _under(answer, photo, classes) for name, answer in logits.items()}
    found = maps_of(*logits.values())
    pictures["confidence c: dark 0, bright 1"] = _painted(found["c"], 0, 1, "cividis")
    pictures["weight W = 1 + 9 (1 - c): dark 1, bright 10"] = _painted(found["W"], 1, 10, "magma")
    pictures["W x NCLD against LIX: dark 0, bright 5"] = _painted(found["lesson"], 0, 5, "magma")
    with plots.style():
        figure, ax = _canvas()
        paper = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
        for place, (title, picture) in enumerate(pictures.items()):
            row, column = divmod(place, 3)
            left, top = 5 + 240 * column, 26 + 182 * row
            image = Image.fromarray(picture)
            width, height = _inside(BOX, image.size)
            x, y = left + (BOX[0] - width) // 2, top + (BOX[1] - height) // 2
            paper[y : y + height, x : x + width] = image.resize((width, height), Image.Resampling.NEAREST)
            ax.text(left + BOX[0] / 2, top - 6, title, ha="center", va="bottom")
        room = [len(name) + 4 for name in classes.names]  # in the legend
        starts = np.cumsum([0, *room[:-1]]) * (WIDTH - 10) / sum(room) + 5
        for x, colour, name in zip(starts.round().astype(int), classes.colours, classes.names, strict=True):
            paper[-15:-5, x : x + 10] = colour
            ax.text(x + 13, HEIGHT - 10, name, va="center_baseline", fontsize=9)
        ax.imshow(paper, aspect="auto", interpolation="nearest")
    return figure


def _canvas() -> tuple[Figure, Axes]:
    """A figure of one size, and axes over all of it in pixels; without axes JupyterLab shows no picture."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, layout="none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(-0.5, WIDTH - 0.5), ylim=(HEIGHT - 0.5, -0.5))
    ax.set_axis_off()
    return figure, ax


def _inside(box: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest width and height of these proportions that fit into a box."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _painted(values: np.ndarray, low: float, high: float, colours: str) -> np.ndarray:
    """A map as colours on a fixed scale. **Shapes**: (h, w) -> (h, w, 3) uint8."""
    return matplotlib.colormaps[colours](((values - low) / (high - low)).clip(0, 1), bytes=True)[..., :3]


def _under(logits: torch.Tensor, photo: Image.Image, classes: Classes) -> np.ndarray:
    """The photograph under the colours of the answers, at the size of the logits."""
    colours = plots.colour_labels(logits.argmax(1)[0], classes)
    small = np.array(photo.resize(logits.shape[:1:-1], Image.Resampling.BILINEAR))
    return plots.overlay(np.moveaxis(small, -1, 0) / 255, colours)
