"""Potholes (Fan et al., IEEE T-IP 2019): stereo images of roads with a transformed disparity as X, two classes."""

from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from lixlib.core.options import Size, checked
from lixlib.data.classes import POTHOLES
from lixlib.data.image_files import Item, Triplets, list_items, require_folder
from lixlib.data.x.depth_encoding import Encoding, check_relative

LAYOUT = "ROOT/dataset{1,2,3}/{rgb,disp_tg,label}/NN.jpg|png"
SOURCE = "github.com/ruirangerfan/stereo_pothole_datasets; python data_scripts/potholes.py --root ROOT fetches it"
DATASETS = (1, 2, 3)
# The authors leave these frames of dataset2 out of their evaluations.
NOT_EVALUATED = {2: ("06", "07", "08", "13", "14", "15", "21", "22", "23", "37", "38", "39")}


@checked
def read_potholes(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "disparity",
    test_dataset: Annotated[int, Interval(ge=1, le=3)] = 1,
) -> Triplets:
    """Read the pothole images: two of the three datasets are for training, the third is for testing.

    Frames of one dataset show the same few potholes. For this reason a dataset is never divided between the splits.

    Args:
        root: the folder that holds dataset1/, dataset2/, dataset3/.
        split: "train" or "test".
        size: (H, W) to resize to; None keeps the size of each file.
        with_x: False leaves X out (an RGB student needs no X).
        x: "disparity", which is transformed and relative, so that depth and normals cannot be computed.
        test_dataset: the number of the test dataset. It is 1 by default, because dataset2 has most of the different
            potholes, and dataset3 has five frames.

    Raises:
        ValueError: an unknown split, dataset or x.
        FileNotFoundError: a folder or a file is missing; the message names it, the layout and the source.
    """
    check_relative("potholes", x)
    if split not in ("train", "test"):
        raise ValueError(f"potholes has the splits 'train' and 'test' (whole datasets), not {split!r}")
    chosen = [number for number in DATASETS if (number == test_dataset) == (split == "test")]
    items = [item for number in chosen for item in _items(Path(root), number, with_x)]
    if split == "test":
        left_out = NOT_EVALUATED.get(test_dataset, ())
        items = [item for item in items if item.rgb.stem not in left_out]
    return Triplets("potholes", split, POTHOLES, items, size=size, read_label=read_label)


def _items(root: Path, number: int, with_x: bool) -> list[Item]:
    folder = root / f"dataset{number}"
    rgb_dir, label_dir = (require_folder(folder / part, LAYOUT, SOURCE) for part in ("rgb", "label"))
    x_dir = require_folder(folder / "disp_tg", LAYOUT, SOURCE) if with_x else None
    return list_items(rgb_dir, label_dir, x_dir, layout=LAYOUT, prefix=f"dataset{number}/")


def read_label(label: np.ndarray) -> np.ndarray:
    """Return 1 where any channel is not 0: the original labels are RGB with 153, those of a resized copy have 255."""
    return (label.reshape(*label.shape[:2], -1) > 0).any(axis=-1)
