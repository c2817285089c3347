"""KITTI Semantics (Alhaija et al., IJCV 2018): 200 photographs of KITTI 2015, 19 classes, depth by stereo."""

from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lixlib.core.options import Size, checked
from lixlib.data.classes import CITYSCAPES, CITYSCAPES_IDS
from lixlib.data.image_files import Item, Triplets, require_folder
from lixlib.data.images import MAPS, PHOTOS, finder, open_map
from lixlib.data.labels import from_ids
from lixlib.data.splits import read_list
from lixlib.data.text import check_camera, read_text
from lixlib.data.x.depth_encoding import Encoding
from lixlib.data.x.normals import Intrinsics

LAYOUT = "ROOT/training/{image_2,semantic,disparity_SOURCE}/NNNNNN_10.png, ROOT/training/calib_cam_to_cam/NNNNNN.txt"
SOURCE = (
    "www.cvlibs.net/datasets/kitti (data_semantics.zip, data_scene_flow.zip, data_scene_flow_calib.zip); "
    "python data_scripts/kitti.py --root ROOT makes disparity_SOURCE from them"
)
COUNTS = {"train": 150, "val": 50}  # as in the paper, which does not say which images it used
DISPARITY = "disparity_{source}"  # below training/: 16-bit PNG files of disparity * 256, where 0 is unknown
Source = Literal["sgbm", "crestereo"]


@checked
def read_kitti(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "disparity",
    source: Source = "sgbm",
) -> Triplets:
    """Read a split of the 200 labelled images: train has 150, val has 50.

    Args:
        root: the folder that holds training/.
        split: "train" or "val" of lixlib/data/splits/kitti.txt, or of ROOT/lix_split.txt where that exists.
        size: (H, W) to resize to; None keeps the size of each image, from 370 x 1226 to 376 x 1242.
        with_x: False leaves X out, so that disparity and calibration need not exist (an RGB student needs no X).
        x: the encoding of depth: "disparity", "depth" or "normals" (`lixlib.data.x.depth_encoding`).
        source: the method that computed the dense disparity: "sgbm", or "crestereo" as in the paper.

    Raises:
        ValueError: an unknown split, x or source; when a sample is read, an unknown label id, files whose sizes differ,
            or a calibration file without the two cameras.
        FileNotFoundError: a folder or a file is missing; the message names it.
    """
    training = Path(root) / "training"
    names = read_list("kitti", Path(root), split)
    images, semantic = (require_folder(training / kind, LAYOUT, SOURCE) for kind in ("image_2", "semantic"))
    disparity = require_folder(training / DISPARITY.format(source=source), LAYOUT, SOURCE) if with_x else None
    find = finder()
    items = [
        Item(
            name,
            find(images / f"{name}_10.png", PHOTOS),
            disparity and find(disparity / f"{name}_10.png", MAPS),
            find(semantic / f"{name}_10.png", MAPS),
            training / "calib_cam_to_cam" / f"{name}.txt" if with_x else None,
        )
        for name in names
    ]

    def read_depth(item: Item) -> tuple[Tensor, Intrinsics]:
        camera, baseline = read_calibration(item.camera)
        return depth_of(open_map(item.x, bits=16) / 256, camera.fx, baseline), camera

    return Triplets("kitti", split, CITYSCAPES, items, size=size, read_label=read_label, read_depth=read_depth, x=x)


def frames() -> list[str]:
    """Return the names of the 200 labelled images."""
    return [f"{i:06d}" for i in range(200)]


def depth_of(disparity: Tensor, focal: float, baseline: float) -> Tensor:
    """Convert the disparity in pixels of a rectified pair to depth in metres; 0 (unknown) stays 0."""
    return (focal * baseline / disparity).where(disparity > 0, 0)


def read_label(label: np.ndarray) -> np.ndarray:
    """Convert an image of labelIds to trainIds."""
    return from_ids(label, CITYSCAPES_IDS)


def read_calibration(path: Path) -> tuple[Intrinsics, float]:
    """Read the left colour camera (2) and its distance in metres to the right one (3).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file lacks the projection of a camera, or camera 3 is not to the right of camera 2.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no calibration {path}: unpack data_scene_flow_calib.zip there")
    rows = dict(line.partition(":")[::2] for line in read_text(path).splitlines())
    try:
        left, right = (np.array(rows[f"P_rect_{side}"].split(), dtype=float).reshape(3, 4) for side in ("02", "03"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has no twelve numbers P_rect_02 and P_rect_03 ({error}): unpack it again") from error
    camera = Intrinsics(left[0, 0], left[1, 1], left[0, 2], left[1, 2])
    with np.errstate(divide="ignore", invalid="ignore"):
        baseline = float((left[0, 3] - right[0, 3]) / camera.fx)
    check_camera(path, camera, baseline)
    return camera, baseline
