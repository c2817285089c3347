"""nuImages (nuScenes, Motional): photographs from six cameras, 26 classes, X from a monocular depth network."""

from pathlib import Path

import numpy as np

from lixlib.core.options import Size, checked
from lixlib.data.classes import NUIMAGES, NUIMAGES_IDS
from lixlib.data.image_files import Item, Triplets, require_folder
from lixlib.data.images import MAPS, PHOTOS, finder
from lixlib.data.labels import from_ids
from lixlib.data.splits import read_list
from lixlib.data.x.depth_encoding import Encoding, check_relative

MASKS = "lix/masks"  # below ROOT: CAM_.../NAME.png with the ids of nuScenes' devkit, drawn from the tables
DISPARITY = "lix/disparity"  # below ROOT: CAM_.../NAME.png from Depth Anything; larger is nearer, 0 is unknown
LAYOUT = f"ROOT/samples/CAM_.../NAME.jpg, ROOT/{MASKS}/CAM_.../NAME.png, ROOT/{DISPARITY}/CAM_.../NAME.png"
SOURCE = (
    "www.nuscenes.org/nuimages, with a login; python data_scripts/nuimages.py --root ROOT makes masks, disparity and "
    "the list of images from it"
)
COUNTS = {"train": 560, "val": 240}  # as in the paper, which does not say which images it used


@checked
def read_nuimages(
    root: Path | str, split: str, *, size: Size | None = None, with_x: bool = True, x: Encoding = "disparity"
) -> Triplets:
    """Read a split of 800 annotated images: train has 560, val has 240.

    Pixels of neither an object nor a drivable surface are class 0, background.

    Args:
        root: the folder that holds samples/ and lix/.
        split: "train" or "val" of ROOT/lix_split.txt.
        size: (H, W) to resize to; None keeps 900 x 1600.
        with_x: False leaves X out, so that disparity need not exist (an RGB student needs no X).
        x: "disparity", which is relative here, so that depth and normals cannot be computed.

    Raises:
        ValueError: an unknown split or x; when a sample is read, an unknown id, or files whose sizes differ.
        FileNotFoundError: a folder or a file is missing; the message names it.
    """
    check_relative("nuimages", x)
    root = Path(root)
    samples = require_folder(root / "samples", LAYOUT, SOURCE)
    masks = require_folder(root / MASKS, LAYOUT, SOURCE)
    disparity = require_folder(root / DISPARITY, LAYOUT, SOURCE) if with_x else None
    find = finder()
    items = [
        Item(
            name,
            find(samples / f"{name}.jpg", PHOTOS),
            disparity and find(disparity / f"{name}.png", MAPS),
            find(masks / f"{name}.png", MAPS),
        )
        for name in read_list("nuimages", root, split)
    ]
    return Triplets("nuimages", split, NUIMAGES, items, size=size, read_label=read_label)


def read_label(label: np.ndarray) -> np.ndarray:
    """Convert an image of the devkit's ids to class indices."""
    return from_ids(label, NUIMAGES_IDS)
