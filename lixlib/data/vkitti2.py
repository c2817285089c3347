"""Virtual KITTI 2.0.3 (Cabon et al., 2020): rendered streets with dense metric depth, 15 classes."""

import functools
from pathlib import Path

import numpy as np
from torch import Tensor

from lixlib.data.classes import VKITTI2, VKITTI2_DEFINED
from lixlib.data.labels import from_colours
from lixlib.data.normals import Intrinsics
from lixlib.data.sample import IGNORE
from lixlib.data.splits import read_list
from lixlib.data.triplets import Item, Triplets, open_map, require_folder
from lixlib.data.x import Encoding
from lixlib.options import Size, checked

LAYOUT = (
    "ROOT/SceneXX/VARIATION/frames/{rgb,depth,classSegmentation}/Camera_0/..., or the same below "
    "ROOT/vkitti_2.0.3_rgb/, ROOT/vkitti_2.0.3_depth/ and so on"
)
SOURCE = "download.europe.naverlabs.com/virtual_kitti_2.0.3; python data_scripts/vkitti2.py --root ROOT fetches it"
SCENES = {"Scene01": 447, "Scene02": 233, "Scene06": 270, "Scene18": 339, "Scene20": 837}  # frames
VARIATIONS = (
    *("clone", "fog", "morning", "overcast", "rain", "sunset"),
    *("15-deg-left", "15-deg-right", "30-deg-left", "30-deg-right"),
)
COUNTS = {"train": 500, "val": 200}  # the paper's; which frames it took is not known
CAMERA = 0  # the left one
FAR = 65535  # the far plane: sky, of which no distance is known


@checked
def vkitti2(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "disparity",
    ignore_undefined: bool = False,
) -> Triplets:
    """Read a split of 700 frames, drawn from all scenes and variations: 500 to train, 200 to validate.

    Frames of one scene show the same street in other weather or a moment later, so that validation measures little of
    what carries over to another street; that is how the paper divides them.

    Args:
        root: the folder that holds SceneXX/, or vkitti_2.0.3_rgb/ and its sisters.
        split: "train" or "val" of lixlib/data/splits/vkitti2.txt, or of ROOT/lix_split.txt where that exists.
        size: (H, W) to resize to; None keeps 375 x 1242.
        with_x: False leaves X out (an RGB student needs none), so that depth need not exist.
        x: what a teacher sees of the depth: "disparity", "depth" or "normals" (`lixlib.data.x`); the sky is masked.
        ignore_undefined: leave the class Undefined out (14 classes remain) instead of learning it as the paper does.

    Raises:
        ValueError: another split or x; when a sample is read, a colour that is no class, files whose sizes differ.
        FileNotFoundError: a folder or a file is missing; the message names it.
    """
    root = Path(root)
    names = read_list("vkitti2", root, split)
    items = [_item(root, name, with_x) for name in names]
    require_folder(items[0].rgb.parent, LAYOUT, SOURCE)
    if with_x:
        require_folder(items[0].x.parent, LAYOUT, SOURCE)

    def read_label(label: np.ndarray) -> np.ndarray:
        indices = from_colours(label, VKITTI2.colours)
        # Undefined is class 0: the others move down, and it becomes 255
        return np.where(indices == 0, IGNORE, indices - 1) if ignore_undefined else indices

    def read_depth(item: Item) -> tuple[Tensor, Intrinsics | None]:
        depth = open_map(item.x, bits=16)
        return depth.where(depth < FAR, 0) / 100, _camera(root, item.name) if x == "normals" else None

    classes = VKITTI2_DEFINED if ignore_undefined else VKITTI2
    return Triplets("vkitti2", split, classes, items, size=size, read_label=read_label, read_depth=read_depth, x=x)


def frames() -> list[str]:
    """The names of all 21,260 frames of a camera, e.g. Scene01/clone/00012."""
    return [f"{scene}/{way}/{i:05d}" for scene, count in SCENES.items() for way in VARIATIONS for i in range(count)]


def part(root: Path, kind: str) -> Path:
    """Where an archive (rgb, depth, classSegmentation, textgt) was unpacked: in a folder of its own, or in the root."""
    own = root / f"vkitti_2.0.3_{kind}"
    return own if own.is_dir() else root


def _item(root: Path, name: str, with_x: bool) -> Item:
    where, _, number = name.rpartition("/")
    rgb, depth, label = (
        part(root, kind) / where / "frames" / kind / f"Camera_{CAMERA}" / f"{stem}_{number}{suffix}"
        for kind, stem, suffix in (
            ("rgb", "rgb", ".jpg"),
            ("depth", "depth", ".png"),
            ("classSegmentation", "classgt", ".png"),
        )
    )
    return Item(name, rgb, depth if with_x else None, label)


def _camera(root: Path, name: str) -> Intrinsics:
    where, _, number = name.rpartition("/")
    path = part(root, "textgt") / where / "intrinsic.txt"
    cameras = _read_intrinsics(path)
    if int(number) not in cameras:
        raise ValueError(f"{path} has no line for frame {int(number)} of camera {CAMERA}: unpack it again")
    return cameras[int(number)]


@functools.lru_cache
def _read_intrinsics(path: Path) -> dict[int, Intrinsics]:
    """The cameras of a scene by frame.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is not as in the header.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}, which normals need: unpack vkitti_2.0.3_textgt.tar.gz there")
    cameras = {}
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=2):
        try:
            frame, side, fx, fy, u0, v0 = map(float, line.split())
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is {line!r}, expected {header!r}: unpack it again") from error
        if side == CAMERA:
            cameras[int(frame)] = Intrinsics(fx, fy, u0, v0)
    return cameras
