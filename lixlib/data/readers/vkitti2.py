"""Virtual KITTI 2.0.3 (Cabon et al., 2020): rendered streets with dense metric depth, 15 classes."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from lixlib.core.options import Size, checked
from lixlib.core.sample import IGNORE
from lixlib.data.classes import VKITTI2, VKITTI2_DEFINED
from lixlib.data.image_files import Item, Triplets, require_folder
from lixlib.data.images import MAPS, PHOTOS, finder, open_map
from lixlib.data.labels import from_colours
from lixlib.data.splits import read_list
from lixlib.data.text import check_camera, read_text
from lixlib.data.x.depth_encoding import Encoding
from lixlib.data.x.normals import Intrinsics

LAYOUT = (
    "ROOT/SceneXX/VARIATION/frames/{rgb,depth,classSegmentation}/Camera_0/..., or the same below "
    "ROOT/vkitti_2.0.3_rgb/, ROOT/vkitti_2.0.3_depth/ and so on"
)
SOURCE = "download.europe.naverlabs.com/virtual_kitti_2.0.3; python data_scripts/vkitti2.py --root ROOT fetches it"
SCENES = {"Scene01": 447, "Scene02": 233, "Scene06": 270, "Scene18": 339, "Scene20": 837}  # number of frames
VARIATIONS = (
    *("clone", "fog", "morning", "overcast", "rain", "sunset"),
    *("15-deg-left", "15-deg-right", "30-deg-left", "30-deg-right"),
)
COUNTS = {"train": 500, "val": 200}  # as in the paper, which does not say which frames it used
CAMERA = 0  # the left camera
FAR = 65535  # the far plane, i.e. sky, whose distance is not known


@checked
def read_vkitti2(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "disparity",
    ignore_undefined: bool = False,
) -> Triplets:
    """Read a split of 700 frames, drawn from all scenes and variations: train has 500, val has 200.

    Frames of one scene show the same street in other weather or a moment later. Validation therefore says little about
    other streets; the paper divides the frames in this way.

    Args:
        root: the folder that holds SceneXX/, or vkitti_2.0.3_rgb/ and its sisters.
        split: "train" or "val" of lixlib/data/splits/vkitti2.txt, or of ROOT/lix_split.txt where that exists.
        size: (H, W) to resize to; None keeps 375 x 1242.
        with_x: False leaves X out, so that depth need not exist (an RGB student needs no X).
        x: the encoding of depth: "disparity", "depth" or "normals" (`lixlib.data.x.depth_encoding`). The sky is not
            valid.
        ignore_undefined: ignore the class Undefined, so that 14 classes remain; the paper trains on it.

    Raises:
        ValueError: an unknown split or x; when a sample is read, a colour of no class, or files whose sizes differ.
        FileNotFoundError: a folder or a file is missing; the message names it.
    """
    root = Path(root)
    names = read_list("vkitti2", root, split)
    find, read_cameras = finder(), functools.cache(_read_cameras)
    items = [_item(root, name, with_x, find, with_camera=with_x and x == "normals") for name in names]
    require_folder(items[0].rgb.parent, LAYOUT, SOURCE)
    if with_x:
        require_folder(items[0].x.parent, LAYOUT, SOURCE)

    def read_label(label: np.ndarray) -> np.ndarray:
        indices = from_colours(label, VKITTI2.colours)
        # Undefined is class 0: it becomes 255, and the other indices decrease by one
        return np.where(indices == 0, IGNORE, indices - 1) if ignore_undefined else indices

    def read_depth(item: Item) -> tuple[Tensor, Intrinsics | None]:
        depth = open_map(item.x, bits=16)
        return depth.where(depth < FAR, 0) / 100, _camera(item, read_cameras) if x == "normals" else None

    classes = VKITTI2_DEFINED if ignore_undefined else VKITTI2
    return Triplets("vkitti2", split, classes, items, size=size, read_label=read_label, read_depth=read_depth, x=x)


def frames() -> list[str]:
    """Return the names of all 21,260 frames of a camera, e.g. Scene01/clone/00012."""
    return [f"{scene}/{way}/{i:05d}" for scene, count in SCENES.items() for way in VARIATIONS for i in range(count)]


def part(root: Path, kind: str) -> Path:
    """Return where an archive (rgb, depth, classSegmentation or textgt) was unpacked: its own folder, or the root."""
    own = root / f"vkitti_2.0.3_{kind}"
    return own if own.is_dir() else root


def _item(root: Path, name: str, with_x: bool, find: Callable[[Path, Sequence[str]], Path], with_camera: bool) -> Item:
    where, _, number = name.rpartition("/")
    rgb, depth, label = (
        find(part(root, kind) / where / "frames" / kind / f"Camera_{CAMERA}" / f"{stem}_{number}{suffix}", suffixes)
        for kind, stem, suffix, suffixes in (
            ("rgb", "rgb", ".jpg", PHOTOS),
            ("depth", "depth", ".png", MAPS),
            ("classSegmentation", "classgt", ".png", MAPS),
        )
    )
    camera = part(root, "textgt") / where / "intrinsic.txt" if with_camera else None
    return Item(name, rgb, depth if with_x else None, label, camera)


def _camera(item: Item, read: Callable[[Path], dict[int, Intrinsics]]) -> Intrinsics:
    number = item.name.rpartition("/")[2]
    cameras = read(item.camera)
    if int(number) not in cameras:
        raise ValueError(f"{item.camera} has no line for frame {int(number)} of camera {CAMERA}: unpack it again")
    return cameras[int(number)]


def _read_cameras(path: Path) -> dict[int, Intrinsics]:
    """Read the camera of every frame of a scene.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not have the fields of the header, or does not describe a camera.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}, which normals need: unpack vkitti_2.0.3_textgt.tar.gz there")
    cameras = {}
    header, *lines = read_text(path).splitlines() or [""]
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            frame, side, *numbers = line.split()
            camera = Intrinsics(*map(float, numbers))
            if int(side) == CAMERA:
                cameras[int(frame)] = camera
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number} is {line!r}, expected {header!r}: unpack it again") from error
        check_camera(path, camera)
    return cameras
