"""A photograph of one's own: what two students without X make of it."""

import math
import tempfile
import textwrap
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from lixlib import checkpoints, nets, plots
from lixlib.data.classes import TABLES, Classes
from lixlib.data.images import open_photo
from lixlib.functional import confidence, decouple

EXAMPLE = Path(__file__).with_name("example.jpg")  # by danielbuechele, CC BY 2.0: example.txt
STUDENTS = {"student alone": "camvid-mfnet-student", "LIX student": "camvid-mfnet-lix"}  # they know photographs
MEGAPIXELS = 50  # the most that a photograph may have
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
            figure = Figure(figsize=(10, 5.4), dpi=72, layout="none")
            words = textwrap.fill(f"{error}\n", 85) + "\n\n" + textwrap.fill(ADVICE, 85)
            ax = figure.add_subplot()  # without axes JupyterLab shows no picture
            ax.set_axis_off()
            ax.text(0.5, 0.55, words, ha="center", va="center", fontsize=12, parse_math=False)  # a name may have $
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


def _drawn(photo: Image.Image) -> Figure:
    logits = {name: _logits(weights, photo) for name, weights in STUDENTS.items()}
    pupil, other = logits.values()
    classes = _student(STUDENTS["student alone"])[2]
    sure = confidence(pupil)[0].numpy()
    weight = 1 + 9 * (1 - sure)
    lesson = weight * decouple(pupil, other, other.argmax(1))[1][0].numpy()
    with plots.style():
        figure = Figure(figsize=(10, 5.4), dpi=72, layout="none")
        axes = [
            figure.add_axes((0.01 + 0.33 * column, bottom, 0.32, 0.38)) for bottom in (0.56, 0.1) for column in range(3)
        ]
        for ax in axes:
            ax.set_axis_off()
        axes[0].imshow(photo.resize((480, max(1, round(480 * photo.height / photo.width)))))
        axes[0].set_title("photograph")
        for ax, (name, answer) in zip(axes[1:], logits.items(), strict=False):
            ax.imshow(_under(answer, photo, classes))
            ax.set_title(name)
        maps = (
            ("confidence c: dark 0, bright 1", sure, "cividis", 0, 1),
            ("weight W = 1 + 9 (1 - c): dark 1, bright 10", weight, "magma", 1, 10),
            ("W x NCLD against LIX: dark 0, bright 5", lesson, "magma", 0, 5),
        )
        for ax, (title, values, colours, low, high) in zip(axes[3:], maps, strict=True):
            ax.imshow(values, cmap=colours, vmin=low, vmax=high)
            ax.set_title(title)
        squares = zip(classes.colours / 255, classes.names, strict=True)
        patches = [Patch(color=colour, label=name) for colour, name in squares]
        figure.legend(handles=patches, loc="lower center", ncols=len(patches), columnspacing=1, handlelength=1)
    return figure


def _under(logits: torch.Tensor, photo: Image.Image, classes: Classes) -> np.ndarray:
    """The photograph under the colours of the answers, at the size of the logits."""
    colours = plots.colour_labels(logits.argmax(1)[0], classes)
    small = np.array(photo.resize(logits.shape[:1:-1], Image.Resampling.BILINEAR))
    return plots.overlay(np.moveaxis(small, -1, 0) / 255, colours)
