"""Segment photographs in little memory, and write the results; only results of earlier calls are replaced."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn
from tqdm import tqdm

from lixlib.core.files import at_home, told, write_atomically
from lixlib.core.options import check_pixels
from lixlib.core.text import escaped, one_line
from lixlib.data.classes import TABLES, Classes
from lixlib.data.images import PHOTOS, choose_images, open_photo
from lixlib.functional import confidence as confidence_of
from lixlib.nets import OURS, call, inputs

OPACITY = 0.6  # of the colours over the photograph
STRIP = 2**15  # pixels that are processed at once, so that their data stay in the processor's cache
FEW = 4  # up to so many photographs have no progress bar
SUFFIXES = (*PHOTOS, ".bmp", ".tif", ".tiff", ".webp")  # of the photographs in a folder
SOFTWARE = "lix predict"  # entry in the metadata of results, by which later calls recognise them

Plan = list[tuple[Path, dict[str, Path]]]  # photographs, and for each the paths of its results by kind


def colour(plan: Plan, compute: Callable[[Image.Image], Tensor], classes: Classes, *, legend: bool = True) -> int:
    """Colour photographs by class, and print the name of every result; one that fails does not stop the others.

    A terminal shows a progress bar for more than a few photographs.

    Args:
        plan: the photographs and the paths of their results, from `pair`.
        compute: returns the logits of a photograph, e.g. `logits_of` with a network.
        legend: list the classes that occur below the photograph.

    Returns:
        The number of photographs that failed; the reasons are printed to stderr.
    """
    failures, written = 0, set()
    silent = len(plan) <= FEW or sys.stderr is None or not sys.stderr.isatty()
    for image, targets in tqdm(plan, unit="photograph", disable=silent):
        try:
            photo = open_photo(image)
            logits = compute(photo)
            labels = largest(logits, (photo.height, photo.width)).cpu()
            for kind, target in targets.items():
                picture = _picture(kind, photo, logits, labels, classes, legend)
                if _marks(target) & written:  # on a file system that takes two names for one
                    raise ValueError(f"{target} holds the result of another photograph: rename {image}")
                _write(picture, target)
                written |= _marks(target)
                with tqdm.external_write_mode():
                    say(escaped(target), sys.stdout)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:  # torch lacks memory with a RuntimeError
            failures += 1
            name = escaped(image)
            reason = one_line((str(error) or "too little memory").replace(str(image), name))
            with tqdm.external_write_mode():
                say(f"lix: {reason}" if name in reason else f"lix: {name}: {reason}", sys.stderr)
    return failures


def expand(images: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Replace folders by the photographs in them, sorted by name and without earlier results; list what is wrong."""
    photos, problems = [], []
    for image in images:
        if not image.is_dir():
            photos.append(image)
            continue
        try:
            found = [file for file in choose_images(sorted(image.iterdir()), SUFFIXES)[0] if not is_result(file)]
        except OSError as error:
            problems.append(told(error))
            continue
        photos += found
        if not found:
            problems.append(f"no photograph in {escaped(image)}: expected files that end in {', '.join(SUFFIXES)}")
    return photos, problems


def pair(
    images: Sequence[Path], out: Path | None, kinds: Sequence[str] = ("labels",)
) -> tuple[Plan, list[Path], list[Path]]:
    """Pair photographs with the paths of their results, NAME_KIND.png in `out` or beside the photograph.

    Results of earlier calls are not photographs: they are returned apart. They may be replaced, and no other file.
    Paths to a photograph that is there already, and has the same results, are returned as the third.

    Raises:
        ValueError: two results would be one file, or would replace a photograph or a file that is no result.
        OSError: the folder cannot be made.
    """
    out = out and at_home(out)
    results = [image for image in images if is_result(image)]
    photos = [image for image in images if image not in results]
    given = {mark: photo for photo in photos for mark in _marks(photo)}
    plan, taken, again = [], {}, []
    for photo in photos:
        targets = {kind: (out or photo.parent) / f"{photo.stem}_{kind}.png" for kind in kinds}
        marks = [mark for target in targets.values() for mark in _marks(target)]
        twin = next((taken[mark] for mark in marks if mark in taken), None)
        if twin is not None and _marks(twin) & _marks(photo):
            again.append(photo)
            continue
        if twin is not None:
            raise ValueError(
                f"{escaped(twin)} and {escaped(photo)} have the same name, and one result would replace the other: "
                "rename one"
            )
        replaced = next((given[mark] for mark in marks if mark in given), None)
        if replaced is not None:
            raise ValueError(
                f"the result of {escaped(photo)} would replace the photograph {escaped(replaced)}: give --out a folder"
            )
        for target in targets.values():
            if os.path.lexists(target) and not is_result(target):
                raise ValueError(
                    f"{escaped(target)} is there and no result of `lix predict`: move it away, or give --out a folder"
                )
        taken |= dict.fromkeys(marks, photo)
        plan.append((photo, targets))
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ValueError(f"--out {escaped(out)} is a file: give a folder")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cannot make the folder {escaped(out)}: {error.strerror}") from error
    return plan, results, again


def is_result(path: Path, software: str = SOFTWARE) -> bool:
    """Whether `colour`, or the command that `software` names, wrote this file."""
    with suppress(OSError, ValueError):
        if path.is_file():  # a pipe would wait for ever
            with path.open("rb") as file:
                head = file.read(1024)
            return head.startswith(b"\x89PNG") and b"tEXtSoftware\0" + software.encode() in head
    return False


def class_table(recipe: dict) -> Classes:
    """The classes in a recipe, with its colours, or else those of the library's data set that has the same classes.

    Raises:
        ValueError: the recipe has no colours, and no data set has these classes.
    """
    names, colours = tuple(recipe["classes"]), recipe.get("colours")
    if colours is not None:
        return Classes(names, np.array(colours, dtype=np.uint8))
    for table in TABLES:
        if table.names == names:
            return table
    raise ValueError(f"no colours are known for the classes {', '.join(names)}")


@torch.no_grad()
def logits_of(
    net: nn.Module,
    photo: Image.Image,
    *,
    trained: tuple[int, int],
    multiple: int = 1,
    size: tuple[int, int] | None = None,
    scale: float | None = None,
) -> Tensor:
    """Compute the logits of a photograph at `size`, at `scale` times its own size, or at the training resolution.

    Args:
        trained: (H, W) of the training images. By default a photograph is resized to the same area in its own aspect,
            so that one of the training aspect is computed at exactly this size.
        multiple: both sides are padded to multiples of it by repeating the last row and column, and the logits are
            cropped again; not if `size` is given.

    **Shapes**: -> (1, C, h, w).

    Raises:
        ValueError: the size has more pixels than images may have in training.
    """
    if size is None:
        scale = scale or math.sqrt(trained[0] * trained[1] / (photo.height * photo.width))
        height, width = (max(1, round(scale * side)) for side in (photo.height, photo.width))
    else:
        (height, width), multiple = size, 1
    check_pixels((height, width))
    device = next(net.parameters(), torch.empty(0)).device
    small = np.array(photo.resize((width, height), Image.Resampling.BILINEAR))
    rgb = torch.from_numpy(small).permute(2, 0, 1)[None].to(device).float() / 255
    return inputs.crop(call(net, inputs.pad(rgb, multiple)).logits, (height, width))


def multiple_of(recipe: dict) -> int:
    """The number that both sides of an image are padded to a multiple of; 1 for the library's networks, which pad.

    For any other network it is the largest power of 2 that divides both sides of its training images: those sizes it
    accepts. More than 32, the stride of most encoders, is not needed.
    """
    return 1 if recipe["network"] in OURS else math.gcd(*recipe["size"], 32)


def largest(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest logit at every pixel, after bilinear resizing: `F.interpolate(...).argmax(1)[0]`.

    **Shapes**: logits (1, C, h, w), C <= 256 -> (*size) uint8.
    """
    return _by_strips(logits, size, lambda strip: strip.max(0).indices)


def confidence(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest probability at every pixel, after bilinear resizing of the logits; 255 stands for 1.

    It is `lixlib.functional.confidence` of the kind "max", whoever computed the logits, torch or onnxruntime.

    **Shapes**: logits (1, C, h, w) -> (*size) uint8.
    """
    return _by_strips(logits, size, lambda strip: (confidence_of(strip[None], kind="max")[0] * 255).round())


def _by_strips(logits: Tensor, size: tuple[int, int], reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Resize logits bilinearly (align_corners False) and reduce them over the classes, one strip of rows at a time.

    C floats for every pixel of a photograph would not fit into the memory. First the width is resized, then every new
    row is interpolated between the two rows above and below it, as torch does it.

    **Shapes**: logits (1, C, h, w), reduce (C, rows, W) -> (rows, W); -> (*size) uint8.
    """
    height, width = size
    across = F.interpolate(logits, size=(logits.shape[-2], width), mode="bilinear")[0]
    place = (torch.arange(height, device=logits.device) + 0.5) * (across.shape[1] / height) - 0.5
    place = place.clamp(min=0)
    above = place.long().clamp(max=across.shape[1] - 1)
    below = (above + 1).clamp(max=across.shape[1] - 1)
    share = (place - above).clamp(max=1)[:, None].to(logits.dtype)
    found = torch.empty(size, dtype=torch.uint8, device=logits.device)
    for rows in _strips(height, width):
        found[rows] = reduce(across[:, above[rows]] * (1 - share[rows]) + across[:, below[rows]] * share[rows])
    return found


def _picture(
    kind: str, photo: Image.Image, logits: Tensor, labels: Tensor, classes: Classes, legend: bool
) -> Image.Image:
    if kind == "labels":
        return draw_labels(photo, labels, classes, legend=legend)
    if kind == "confidence":
        return Image.fromarray(confidence(logits, (photo.height, photo.width)).cpu().numpy())
    numbers = Image.fromarray(labels.numpy())
    numbers.putpalette(classes.colours.tobytes())  # the numbers stay, and viewers show them in the classes' colours
    return numbers


def _write(picture: Image.Image, target: Path) -> None:
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    # more effort makes a photograph 15 % smaller, and takes five times as long
    write_atomically(target, lambda path: picture.save(path, format="PNG", pnginfo=info, compress_level=1, bits=8))


def draw_labels(photo: Image.Image, labels: Tensor, classes: Classes, *, legend: bool = True) -> Image.Image:
    """Blend a photograph with the colours of its labels, and add a legend of the classes that occur below it.

    **Shapes**: labels (height, width) uint8.
    """
    colours = Image.fromarray(labels.numpy())
    occurring = [i for i, count in enumerate(colours.histogram()) if count]
    colours.putpalette(classes.colours.tobytes())
    line = min(max(16, photo.width // 40), 400) if legend else 0
    font = ImageFont.load_default(max(1, 0.7 * line))
    entries = [(classes.names[i], tuple(map(int, classes.colours[i]))) for i in occurring if legend]
    places, x, y = [], 0, 0
    for name, _ in entries:
        width = int(1.5 * line + font.getlength(name))
        if x and x + width > photo.width:
            x, y = 0, y + line
        places.append((x, y))
        x += width
    picture = Image.new("RGB", (photo.width, photo.height + y + line), "white")
    for rows in _strips(photo.height, photo.width):
        box = (0, rows.start, photo.width, min(rows.stop, photo.height))
        picture.paste(Image.blend(photo.crop(box), colours.crop(box).convert("RGB"), OPACITY), box)
    draw = ImageDraw.Draw(picture)
    for (x, y), (name, colour) in zip(places, entries, strict=True):
        top = photo.height + y
        draw.rectangle((x + 0.2 * line, top + 0.2 * line, x + 0.8 * line, top + 0.8 * line), fill=colour)
        draw.text((x + line, top + line / 2), name, fill="black", font=font, anchor="lm")
    return picture


def say(text: str, stream: TextIO | None) -> None:
    """Print lines to any stream, and a broken pipe is no error.

    Control characters are escaped, and letters that the stream's encoding lacks.
    """
    if stream is None:
        return
    text = "\n".join(map(escaped, text.split("\n")))
    try:
        encoding = stream.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):  # a broken pipe, a full disk, or a closed stream
        with suppress(OSError, ValueError):  # else the buffered text would fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _strips(height: int, width: int) -> list[slice]:
    rows = max(1, STRIP // width)
    return [slice(top, top + rows) for top in range(0, height, rows)]


def _marks(path: Path) -> set:
    """Keys that two paths to one file share: the resolved path, and the device and inode of the file."""
    marks = {os.path.realpath(path)}
    with suppress(OSError, ValueError):
        found = path.stat()
        marks.add((found.st_dev, found.st_ino))
    return marks
