"""Cityscapes (Cordts et al., CVPR 2016): streets of 50 cities, 19 classes, depth by stereo or by a network."""

import json
from pathlib import Path
from typing import Literal

from torch import Tensor

from lixlib.core.checks import check_choice
from lixlib.core.options import Size, checked
from lixlib.data.classes import CITYSCAPES
from lixlib.data.image_files import Item, Triplets, require_folder
from lixlib.data.images import MAPS, finder, images_in, open_map
from lixlib.data.readers.kitti import depth_of, read_label
from lixlib.data.text import check_camera, read_text
from lixlib.data.x.depth_encoding import Encoding, check_relative
from lixlib.data.x.normals import Intrinsics

LAYOUT = (
    "ROOT/{leftImg8bit,gtFine,disparity,camera}/{split}/CITY/CITY_NNNNNN_NNNNNN_{leftImg8bit.png,gtFine_labelIds.png,"
    "disparity.png,camera.json}"
)
SOURCE = "www.cityscapes-dataset.com (leftImg8bit, gtFine, disparity and camera _trainvaltest.zip, with a login)"
DISPARITY = "lix/disparity"  # below ROOT: {split}/CITY/NAME.png from a network; larger is nearer, 0 is unknown
PHOTO = "_leftImg8bit"  # the end of the names of photographs
Source = Literal["stereo", "depth-anything"]


@checked
def read_cityscapes(
    root: Path | str,
    split: str,
    *,
    size: Size | None = None,
    with_x: bool = True,
    x: Encoding = "disparity",
    source: Source = "stereo",
) -> Triplets:
    """Read an official split: train has 2975 images, val has 500.

    The loss ignores pixels that are labelled as ego vehicle, border or out of region. The disparity there is kept, but
    it is unreliable, as it is in the leftmost columns, which the right camera does not see.

    Args:
        root: the folder that holds leftImg8bit/, gtFine/, disparity/ and camera/.
        split: "train" or "val"; the labels of the test split are not published.
        size: (H, W) to resize to; None keeps 1024 x 2048.
        with_x: False leaves X out, so that disparity and cameras need not exist (an RGB student needs no X).
        x: the encoding of depth: "disparity", "depth" or "normals" (`lixlib.data.x.depth_encoding`).
        source: the source of the disparity: "stereo" is the official one; "depth-anything" is relative, so that x must
            be "disparity".

    Raises:
        ValueError: an unknown split, x or source; when a sample is read, an unknown label id, files whose sizes differ,
            or a camera file without focal length or baseline.
        FileNotFoundError: a folder or a file is missing; the message names it.
    """
    check_choice("split of cityscapes with labels", split, ("train", "val"))
    is_stereo = source == "stereo"
    if not is_stereo:
        check_relative("cityscapes by Depth Anything", x)
    root = Path(root)
    rgb, label = (require_folder(root / kind / split, LAYOUT, SOURCE) for kind in ("leftImg8bit", "gtFine"))
    made = "python data_scripts/cityscapes.py --root ROOT makes it"
    if with_x and is_stereo:
        require_folder(root / "disparity" / split, LAYOUT, SOURCE)
    elif with_x:
        require_folder(root / DISPARITY / split, f"ROOT/{DISPARITY}/{{split}}/CITY/NAME.png", made)
    photos = photographs(rgb)
    if not photos:
        raise FileNotFoundError(f"no CITY/..._leftImg8bit.png in {rgb}\n  expected layout: {LAYOUT}")

    def disparity(name: str) -> Path:
        return root / (f"disparity/{split}/{name}_disparity.png" if is_stereo else f"{DISPARITY}/{split}/{name}.png")

    def read_depth(item: Item) -> tuple[Tensor, Intrinsics]:
        camera, baseline = read_camera(item.camera)
        stored = open_map(item.x, bits=16)
        return depth_of(((stored - 1) / 256).clamp(min=0), camera.fx, baseline), camera

    find = finder()
    items = [
        Item(
            name,
            photo,
            find(disparity(name), MAPS) if with_x else None,
            find(label / f"{name}_gtFine_labelIds.png", MAPS),
            root / "camera" / split / f"{name}_camera.json" if with_x and is_stereo else None,
        )
        for name, photo in photos.items()
    ]
    return Triplets(
        "cityscapes",
        split,
        CITYSCAPES,
        items,
        size=size,
        read_label=read_label,
        read_depth=read_depth if is_stereo else None,
        x=x,
    )


def photographs(folder: Path) -> dict[str, Path]:
    """Return the photographs of a split's folder by their names, such as aachen/aachen_000000_000019, sorted."""
    cities = sorted(folder.glob("[!.]*"))
    photos = [photo for city in cities for photo in images_in(city, ending=PHOTO, warn=True)]
    return {f"{photo.parent.name}/{photo.stem.removesuffix(PHOTO)}": photo for photo in photos}


def read_camera(path: Path) -> tuple[Intrinsics, float]:
    """Read the left camera and its distance in metres to the right one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file lacks a number, or does not describe a pair of cameras.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no camera {path}: unpack camera_trainvaltest.zip there")
    text = read_text(path)
    try:
        stored = json.loads(text)
        camera = Intrinsics(*(float(stored["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0")))
        baseline = float(stored["extrinsic"]["baseline"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        missing = "intrinsic fx, fy, u0, v0 or extrinsic baseline"
        raise ValueError(f"{path} lacks {missing} ({error!r}): unpack it again") from error
    check_camera(path, camera, baseline)
    return camera, baseline
