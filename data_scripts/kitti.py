"""KITTI Semantics (Alhaija et al., IJCV 2018): fetched without a login, verified; dense disparity made by stereo.

    python data_scripts/kitti.py --root data/kitti
    python data_scripts/kitti.py --root data/kitti --onnx crestereo_combined_iter10_720x1280.onnx

KITTI's own disparity comes from a laser scanner and is sparse. By default, OpenCV's semi-global matching computes a
dense one from the two cameras. The paper used CREStereo. With --onnx, an exported CREStereo is used, such as those of
github.com/nburrus/stereodemo (release v0.1-crestereo); then train with --dataset-options '{"source": "crestereo"}'.
Licence: CC BY-NC-SA 3.0.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import common
import numpy as np
import tyro

from lixlib.data import splits
from lixlib.data.images import open_photo
from lixlib.data.readers.kitti import COUNTS, DISPARITY, frames

ARCHIVES = [
    common.Archive(name, size=size, url=f"https://s3.eu-central-1.amazonaws.com/avg-kitti/{name}")
    for name, size in (
        ("data_semantics.zip", "about 300 MB"),
        ("data_scene_flow.zip", "about 2 GB"),
        ("data_scene_flow_calib.zip", "2 MB"),
    )
]
Match = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main(
    options: common.Arguments,
    onnx: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
) -> int:
    """Fetch KITTI Semantics and the second camera, make dense disparity and read every file.

    Args:
        onnx: ONNX file of CREStereo, to be used instead of semi-global matching.
    """
    root, source = options.root, "crestereo" if onnx else "sgbm"
    wanted = common.choose_frames("kitti", options, splits.draw(frames(), COUNTS))
    numbers = [number for names in wanted.values() for number in names]
    targets = {f"training/{kind}/{n}_10.png" for n in numbers for kind in ("image_2", "image_3", "semantic")}
    targets |= {f"training/calib_cam_to_cam/{n}.txt" for n in numbers}

    def place(name: str) -> str | None:
        return name if name in targets else None

    common.prepare(options, ARCHIVES, place, complete=all((root / target).is_file() for target in targets))
    training = root / "training"
    pairs = {
        training / DISPARITY.format(source=source) / f"{n}_10.png": (
            training / "image_2" / f"{n}_10.png",
            training / "image_3" / f"{n}_10.png",
        )
        for n in numbers
    }
    load = partial(crestereo, onnx) if onnx else lambda: sgbm
    common.make_images("disparity", pairs, lambda: partial(encode, load()), options.dry_run)
    if options.dry_run:
        return 0
    return common.verify("kitti", root, {split: len(names) for split, names in wanted.items()}, source=source)


def encode(match: Match, pair: tuple[Path, Path]) -> np.ndarray:
    """Compute the disparity of two image files in KITTI's format: 256 times the disparity, in 16 bits.

    The value 0, which means unknown, does not occur.

    **Shapes**: -> (H, W) uint16.

    Raises:
        ValueError: an image cannot be read, or the two differ in size.
    """
    left, right = (np.asarray(open_photo(path)) for path in pair)
    if left.shape != right.shape:
        raise ValueError(f"{pair[1]} is {right.shape}, but {pair[0]} is {left.shape}: fetch both again")
    return (match(left, right) * 256).round().clip(1, 65535).astype(np.uint16)


def sgbm(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Dense disparity by semi-global matching (Hirschmueller, TPAMI 2008; OpenCV's StereoSGBM) with filled holes.

    **Shapes**: left, right (H, W, 3) uint8 RGB, rectified -> (H, W) float32, pixels.

    Raises:
        ValueError: no pixel of the two images matches.
    """
    import cv2  # imported here because it is an optional dependency

    reach = 16 * round(0.155 * left.shape[1] / 16) or 16  # largest disparity: 192 of KITTI's 1242 columns, i.e. 2 m
    window = 5
    matcher = cv2.StereoSGBM_create(
        minDisparity=0,
        numDisparities=reach,
        blockSize=window,
        P1=8 * 3 * window**2,  # penalty of a change by one pixel, as OpenCV suggests for three channels
        P2=32 * 3 * window**2,  # penalty of a larger change
        disp12MaxDiff=1,  # left and right must agree
        preFilterCap=63,
        uniquenessRatio=10,  # per cent by which the best match must beat the second
        speckleWindowSize=100,  # smaller regions count as noise
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_HH,  # all eight directions
    )
    # OpenCV skips the columns that might match outside the right image; padding on the left keeps all of them
    left, right = (cv2.copyMakeBorder(image, 0, 0, reach, 0, cv2.BORDER_REPLICATE) for image in (left, right))
    disparity = matcher.compute(left, right)[:, reach:].astype(np.float32) / 16
    return fill(disparity)


def fill(disparity: np.ndarray) -> np.ndarray:
    """Fill holes (0 or less) like KITTI's development kit, with the farther of the two neighbours in the row.

    A hole is mostly a surface that only one camera sees, and this belongs to the background. A row without any value is
    filled with the nearest row that has one.

    **Shapes**: (H, W) -> the same.

    Raises:
        ValueError: the disparity has no value at all.
    """
    known, columns = disparity > 0, np.arange(disparity.shape[1])
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, len(columns))[:, ::-1], axis=1)[:, ::-1]
    farther = np.full_like(disparity, np.inf)
    for neighbour, is_there in ((before, before >= 0), (after, after < len(columns))):
        value = np.take_along_axis(disparity, neighbour.clip(0, len(columns) - 1), axis=1)
        farther = np.where(is_there, np.minimum(farther, value), farther)
    rows = np.flatnonzero(known.any(axis=1))
    if not len(rows):
        raise ValueError("no pixel of the two images matches: are they a rectified left and right one?")
    nearest = rows[np.abs(np.arange(len(disparity))[:, None] - rows).argmin(axis=1)]
    return farther[nearest]


def crestereo(path: Path) -> Match:
    """Load CREStereo (Li et al., CVPR 2022) from an ONNX file in the form of the public exports.

    Such a network has a fixed size and takes RGB from 0 to 255: a left and a right image, which may be preceded by both
    at half the size (init_left, init_right, next_left, next_right). Channel 0 of its first output is the disparity in
    pixels of the network's size.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no ONNX file, or the network has other inputs.
    """
    import cv2  # imported here because these are optional dependencies
    import onnxruntime

    if not path.is_file():
        raise FileNotFoundError(f"no ONNX file {path}: fetch one, e.g. from github.com/nburrus/stereodemo")
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no other common base class
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} is no ONNX file that onnxruntime can read: {reason}") from error
    inputs = {entry.name: entry.shape for entry in session.get_inputs()}
    sizes = [tuple(shape[2:]) for shape in inputs.values()]
    if len(sizes) not in (2, 4) or not all(isinstance(n, int) for size in sizes for n in size):
        raise ValueError(f"{path} takes {inputs}: left and right of a fixed size are needed, or these at two sizes")

    def match(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        images = (left, right) * (len(sizes) // 2)
        feed = {
            name: cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)[None]
            for name, image, (height, width) in zip(inputs, images, sizes, strict=True)
        }
        output = session.run(None, {name: image.astype(np.float32) for name, image in feed.items()})[0][0, 0]
        height, width = left.shape[:2]
        disparity = cv2.resize(output, (width, height), interpolation=cv2.INTER_LINEAR)
        return disparity * (width / output.shape[1])

    return match


if __name__ == "__main__":
    common.cli(main, __doc__)
