"""A data set of your own: folders of images, and two small JSON files that describe them."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import MinLen
from PIL import Image
from torch import Tensor

from lixlib.core.digests import digest_of_file
from lixlib.core.options import Positive, Size, check, checked
from lixlib.core.sample import IGNORE
from lixlib.core.text import repeated
from lixlib.data.classes import Classes, palette
from lixlib.data.image_files import Item, Measured, Triplets, open_measured, require_folder
from lixlib.data.images import MAPS, finder, images_in, open_image, open_map
from lixlib.data.labels import from_colours, from_ids
from lixlib.data.text import read_text
from lixlib.data.x.depth_encoding import FARTHEST, Encoding, check_relative
from lixlib.data.x.normals import Intrinsics

LAYOUT = "ROOT/{train,val,test}/{rgb,x,label}/NAME.*, ROOT/unlabelled/{rgb,x}/NAME.*, ROOT/classes.json, ROOT/x.json"
SOURCE = "your own; docs/data_of_your_own.md describes it"
CLASSES = {
    "names": Annotated[tuple[str, ...], MinLen(1)],
    "colours": tuple[list[int], ...],
    "values": dict[str, int],
    "ignore": tuple[int | list[int], ...],
}
PARTS = ("rgb", "x", "label")
LARGEST = 999_999  # number in a label file: a table holds the class of each
CAMERA = ("fx", "fy", "cx", "cy")
X = {
    "kind": Literal["depth", "disparity", "relative", "other"],
    "metres_per_unit": Positive,
    "camera": dict[str, float],
    "scale": Positive,
}


@checked
def read_folder(
    root: Path | str, split: str, *, size: Size | None = None, with_x: bool = True, x: Encoding = "disparity"
) -> Triplets:
    """Read a split of a data set of your own; files belong together if their names differ only in the suffix.

    ROOT/classes.json: {"names": [...], "colours": [[r, g, b], ...], "values": {"7": 0, ...}, "ignore": [255]}. Only the
    names are required: without the rest, label files hold class numbers, and 255 is ignored. Label files in colours
    need "colours".

    ROOT/x.json: {"kind": ..., "metres_per_unit": ..., "camera": {"fx", "fy", "cx", "cy"}, "scale": ...}. The kinds are:

    - "depth": metres_per_unit times the number in the file is the depth in metres; `scale` is the depth in metres that
      the encoding "depth" maps to 1.
    - "disparity": scale / number is the depth in metres; without a scale the disparity is relative.
    - "relative": the number is larger where a surface is nearer.
    - "other": thermal, near infrared, height and so on, with one channel or three. It is divided by `scale`, or scaled
      to [0, 1] by the 1st and 99th percentile of the training images.

    In all kinds but "other", 0 means unknown.

    Args:
        root: the folder that holds train/, test/ and so on.
        split: one of these folders; images of the folder `unlabelled` need no label.
        size: (H, W) to resize to; None keeps the size of each file.
        with_x: False leaves X out, so that the x folders need not exist (an RGB student needs no X).
        x: the encoding of depth: "disparity", "depth" or "normals", which need a camera.

    Raises:
        ValueError: a JSON file is wrong, or these files cannot give this x.
        FileNotFoundError: a folder or a file is missing; the message names it and the layout.
    """
    root = Path(root)
    require_folder(root, LAYOUT, SOURCE)
    classes, read_label = read_classes(root / "classes.json")
    items = list_split(root, split, with_x=with_x)
    about = read_x_json(root / "x.json") if with_x else {"kind": "relative"}
    kind, scale = about["kind"], about.get("scale")
    described_by = [root / name for name in ("classes.json", *(["x.json"] if with_x else []))]
    options = {"size": size, "read_label": read_label, "x": x, "described_by": described_by}
    if kind == "other":
        check_relative("folder", x)
        return Triplets("folder", split, classes, items, **options, measured=_measured(root, scale))
    if kind == "relative" or (kind == "disparity" and scale is None):
        if with_x:
            check_relative("folder", x)
        return Triplets("folder", split, classes, items, **options)
    camera = about.get("camera")
    if x == "normals" and camera is None:
        raise ValueError(f'{root / "x.json"} names no camera, and normals need one: add "camera" with fx, fy, cx, cy')
    intrinsics = Intrinsics(*(camera[name] for name in CAMERA)) if camera else None

    def read_depth(item: Item) -> tuple[Tensor, Intrinsics | None]:
        numbers = open_map(item.x)
        depth = about["metres_per_unit"] * numbers if kind == "depth" else scale / numbers
        return depth.where(numbers > 0, 0), intrinsics

    farthest = scale if kind == "depth" and scale else FARTHEST
    return Triplets("folder", split, classes, items, **options, read_depth=read_depth, farthest=farthest)


def splits_in(root: Path) -> tuple[str, str | None, str] | None:
    """Return the training, validation and test split of a folder; without a test split, val takes its place.

    The result is None if the folder lacks train, or both val and test; reading it then fails with a clear message.
    """
    train, val, test = ((root / split / "rgb").is_dir() for split in ("train", "val", "test"))
    if not train or not (val or test):
        return None
    return ("train", "val" if val else None, "test") if test else ("train", None, "val")


def list_split(root: Path, split: str, *, with_x: bool) -> list[Item]:
    """List the files of a split, sorted by name.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it; the message names the splits that exist.
    """
    folder = root / split
    if not (folder / "rgb").is_dir():
        there = ", ".join(sorted(path.parent.name for path in root.glob("*/rgb"))) or "none"
        raise FileNotFoundError(f"no folder {folder / 'rgb'}: {root} has the splits {there}\n  layout: {LAYOUT}")
    photos, find = images_in(folder / "rgb", photo_suffixes(), warn=True), finder()
    if not photos:
        raise FileNotFoundError(f"no image in {folder / 'rgb'}\n  layout: {LAYOUT}")
    for part in ("x",) * with_x + ("label",) * (split != "unlabelled"):
        if told := unread(folder, part):
            raise FileNotFoundError(f"no folder {folder / part}: {told}\n  layout: {LAYOUT}")
        require_folder(folder / part, LAYOUT, SOURCE)

    def beside(photo: Path, part: str) -> Path:
        return find(folder / part / f"{photo.stem}.png", MAPS)

    return [
        Item(p.stem, p, beside(p, "x") if with_x else None, None if split == "unlabelled" else beside(p, "label"))
        for p in photos
    ]


def unread(folder: Path, part: str) -> str:
    """Say which folder of a split may be meant, where x or label is missing; "" where nothing is to be said."""
    if (folder / part).is_dir():
        return ""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in PARTS)
    like = [name for name in names if part == "label" and part in name.lower()] or names
    return f"{folder.name} has a folder {like[0]} that nothing reads: rename it to {part}" if len(like) == 1 else ""


def read_classes(path: Path) -> tuple[Classes, Callable[[np.ndarray], np.ndarray]]:
    """Read classes.json; return the classes and a function that converts a label file to class indices.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is wrong; the message names it and what was expected.
    """
    about = _read(path, CLASSES, "names")
    names, ignore = about["names"], about.get("ignore", (IGNORE,))
    if len(set(names)) < len(names) or len(names) > IGNORE:
        raise ValueError(
            f"{path}: names must be up to {IGNORE} different ones, found {len(set(names))} in a list of {len(names)}"
        )
    odd = [name for name in names if not name.strip() or not name.isprintable()]
    if odd:
        raise ValueError(f"{path}: names has {odd[0]!r}: a name has letters, and no line break")
    colours = about.get("colours")
    if colours is not None and len({tuple(colour) for colour in colours}) < len(colours):
        raise ValueError(f"{path}: two classes have the same colour: give each its own")
    if colours is not None and (len(colours) != len(names) or not all(_is_colour(each) for each in colours)):
        raise ValueError(f"{path}: colours must be {len(names)} lists of red, green and blue, 0 to 255")
    values = about.get("values", {str(index): index for index in range(len(names))})
    wrong = [value for value in values if not value.isdecimal()]
    if wrong:
        raise ValueError(f"{path}: values has {wrong[0]!r}, which is no number of a label file")
    values = {int(value): index for value, index in values.items()}
    beyond = [index for index in values.values() if not 0 <= index < len(names)]
    if beyond:
        raise ValueError(f"{path}: values lead to class {beyond[0]}, but there are the classes 0 to {len(names) - 1}")
    odd = [each for each in ignore if not (isinstance(each, int) or _is_colour(each))]
    if odd:
        raise ValueError(f"{path}: ignore has {odd[0]}, which is neither a number nor red, green and blue, 0 to 255")
    ids = values | {value: IGNORE for value in ignore if isinstance(value, int)}
    beyond = [value for value in ids if not 0 <= value <= LARGEST]
    if beyond:
        raise ValueError(f"{path}: values and ignore are numbers from 0 to {LARGEST}, found {beyond[0]}")
    known = np.array([*(colours or ()), *(each for each in ignore if _is_colour(each))], np.uint8).reshape(-1, 3)

    def read_label(label: np.ndarray) -> np.ndarray:
        if label.ndim == 2:
            return from_ids(label, ids)
        if colours is None:
            raise ValueError(f"this is a colour image: say in {path} which class has which, as colours")
        found = from_colours(label, known)
        return np.where(found < len(names), found, IGNORE)

    return Classes(tuple(names), np.array(colours, np.uint8) if colours else palette(len(names))), read_label


def read_x_json(path: Path) -> dict:
    """Read x.json.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is wrong; the message names it and what was expected.
    """
    about = _read(path, X, "kind")
    if about["kind"] == "depth" and "metres_per_unit" not in about:
        raise ValueError(f"{path} calls X depth: add metres_per_unit, e.g. 0.001 for millimetres")
    missing = [name for name in CAMERA if name not in about.get("camera", CAMERA)]
    if missing:
        raise ValueError(f"{path}: camera has no {missing[0]}: give {', '.join(CAMERA)} in pixels of the X files")
    return about


def _measured(root: Path, scale: float | None) -> Measured:
    """Return how X is scaled to [0, 1]. Percentiles come from the training images and are used for all splits."""
    paths = tuple(item.x for item in list_split(root, "train", with_x=True))
    channels = 3 if open_image(paths[0]).mode == "RGB" else 1
    if scale is not None:
        return Measured(0.0, scale, channels, f"x / {scale:g}")
    low, high = _percentiles(paths, tuple(map(digest_of_file, paths)), channels)
    if not high > low:
        raise ValueError(f"{root}: X is {low:g} almost everywhere in the training images, and says nothing")
    return Measured(low, high, channels, f"from {low:g} to {high:g}")


@lru_cache(maxsize=8)
def _percentiles(paths: tuple[Path, ...], digests: tuple[str, ...], channels: int) -> tuple[float, float]:
    """Return the 1st and 99th percentile of X files; about a thousand numbers of each image are enough.

    A run loads its data set several times. With the digests of the files as part of the key, the percentiles are
    computed again only if a file has changed.
    """
    drawn = [x.flatten()[:: max(1, x.numel() // 1000)] for x in (open_measured(path, channels) for path in paths)]
    low, high = np.percentile(torch.cat(drawn).numpy(), (1, 99)).tolist()
    return low, high


def _read(path: Path, known: dict, needed: str) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}\n  layout: {LAYOUT}")
    try:
        about = json.loads(read_text(path), object_pairs_hook=_once)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): correct it") from error
    if not isinstance(about, dict) or needed not in about:
        raise ValueError(f"{path} must be an object that names {needed!r}: docs/data_of_your_own.md shows one")
    return check(str(path), known, about)


def _once(pairs: list[tuple[str, object]]) -> dict:
    if (twice := repeated([name for name, _ in pairs])) is not None:
        raise ValueError(f"{twice!r} is there twice")
    return dict(pairs)


def _is_colour(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in value)


def photo_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all image formats that Pillow knows."""
    return tuple(sorted(Image.registered_extensions()))
