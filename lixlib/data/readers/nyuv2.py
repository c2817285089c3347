"""NYUv2 (Silberman et al., ECCV 2012): 1449 images of rooms with depth from a Kinect, 40 classes."""

from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lixlib.core.options import Size, checked
from lixlib.core.sample import IGNORE
from lixlib.data.classes import NYUV2_13, NYUV2_13_OF_40, NYUV2_39, NYUV2_40
from lixlib.data.image_files import Item, Triplets, require_folder
from lixlib.data.images import MAPS, PHOTOS, finder, open_map
from lixlib.data.splits import read_list
from lixlib.data.x.depth_encoding import Encoding
from lixlib.data.x.normals import Intrinsics

LAYOUT = "ROOT/nyu_images/I.jpg, ROOT/nyu_depths/I.png (for a teacher), ROOT/nyu_labels40/I.png, I from 0 to 1448"
SOURCE = (
    "github.com/markshih91/refinenet_pytorch, folder data; or python data_scripts/nyuv2.py --root ROOT fetches the "
    "official file and converts it"
)
METRES = 10 / 255  # a depth of 255 is 10 m
NEAREST, FARTHEST = 0.5, 10.0  # metres at which a disparity and a depth are 1; rooms are smaller than streets
KINECT = Intrinsics(518.8579, 519.4696, 325.5824, 253.7362)  # the RGB camera at 640 x 480, to which depth was projected
FULL = (480, 640)
TABLES = {13: NYUV2_13, 39: NYUV2_39, 40: NYUV2_40}


@checked
def read_nyuv2(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "depth",
    classes: Literal[13, 39, 40] = 13,
) -> Triplets:
    """Read a split: train (795) and test (654) are the official ones; fit (381) and val (414) divide train.

    To choose hyper-parameters, train on fit and score on val. The split that comes with the public copy is not used,
    because half of its test images have a near-duplicate in its training images.

    Args:
        root: the folder that holds nyu_images/, nyu_depths/ and nyu_labels40/, of 640 x 480 or 320 x 240 pixels.
        size: (H, W) to resize to; None keeps the size of each file.
        with_x: False leaves X out, so that nyu_depths/ need not exist (an RGB student needs no X).
        x: "depth" (depth / 10 m), "disparity" (0.5 m / depth) or "normals", computed with the camera of the Kinect.
        classes: 13 (Couprie et al., ICLR 2013), 39 or 40. The 40th is "otherprop", which in these files also stands for
            unlabelled pixels and for the white border; with 13 and 39 classes it is ignored.

    Raises:
        ValueError: an unknown split; when a sample is read, an unknown label, or files whose sizes differ.
        FileNotFoundError: a folder or a file is missing; the message names it, the layout and the source.
    """
    root = Path(root)
    images, labels = (require_folder(root / part, LAYOUT, SOURCE) for part in ("nyu_images", "nyu_labels40"))
    depths = require_folder(root / "nyu_depths", LAYOUT, SOURCE) if with_x else None
    find = finder()
    items = [
        Item(
            name,
            find(images / f"{name}.jpg", PHOTOS),
            depths and find(depths / f"{name}.png", MAPS),
            find(labels / f"{name}.png", MAPS),
        )
        for name in read_list("nyuv2", root, split)
    ]

    def read_label(label: np.ndarray) -> np.ndarray:
        return to_classes(label, classes)

    return Triplets(
        "nyuv2",
        split,
        TABLES[classes],
        items,
        size=size,
        read_label=read_label,
        read_depth=read_depth,
        x=x,
        nearest=NEAREST,
        farthest=FARTHEST,
    )


def read_depth(item: Item) -> tuple[Tensor, Intrinsics]:
    """Read depth in metres, and return it with the camera of the Kinect, scaled to the size of the file."""
    depth = METRES * open_map(item.x, bits=8)
    return depth, KINECT.scaled(FULL, tuple(depth.shape[-2:]))


def to_classes(label: np.ndarray, classes: int) -> np.ndarray:
    """Convert a label file, which holds the numbers of NYU40 minus one, to class indices.

    Raises:
        ValueError: the file holds a number above 39.
    """
    if label.max() > 39:
        raise ValueError(f"label {label.max()} is no class of NYU40: the files hold 0 (wall) to 39 (otherprop)")
    if classes == 40:
        return label
    table = np.arange(40) if classes == 39 else np.array(NYUV2_13_OF_40) - 1
    table[39] = IGNORE
    return table[label]
