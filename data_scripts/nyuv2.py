"""NYUv2 (Silberman et al., ECCV 2012): fetched from its authors without a login, converted to images, verified.

    python data_scripts/nyuv2.py --root data/nyuv2

nyu_depth_v2_labeled.mat holds the 1449 labelled images. They become ROOT/nyu_images/I.png, ROOT/nyu_depths/I.png
(8 bits, 255 is 10 m) and ROOT/nyu_labels40/I.png (NYU40's number less one), with I from 0. That is the layout of the
public copy, which has its photographs as JPEG. The 894 names of labels become 40 classes by the table of Gupta et al.
(CVPR 2013). The data set is for research; cite the paper.

Tried: the conversion, on small files of the same structure. Not tried yet: the downloads, and the official file itself.
"""

from collections.abc import Callable
from pathlib import Path

import common
import numpy as np
from scipy.io import loadmat

from lixlib.data.classes import NYUV2_40
from lixlib.data.images import MAPS, PHOTOS, images_in
from lixlib.data.readers.nyuv2 import METRES
from lixlib.data.splits import SHIPPED, read_list

COUNTS = {"train": 795, "test": 654}
OTHERPROP = 40  # also stands for pixels without a label, as in the public copy
BASE = "http://horatio.cs.nyu.edu/mit/silberman"
ARCHIVES = [
    common.Archive(
        "nyu_depth_v2_labeled.mat",
        size="2.8 GB",
        url=f"{BASE}/nyu_depth_v2/nyu_depth_v2_labeled.mat",
        md5="520609c519fba3ba5ac58c8fefcc3530",
    ),
    common.Archive("splits.mat", size="3 kB", url=f"{BASE}/indoor_seg_sup/splits.mat"),
    common.Archive(
        "classMapping40.mat",
        size="6 kB",
        url="https://github.com/ankurhanda/nyuv2-meta-data/raw/master/classMapping40.mat",
    ),
]


def main(options: common.Arguments) -> int:
    """Fetch NYUv2, convert the images that do not exist yet, and read every file."""
    root = options.root
    expected = {split: options.at_most(count) for split, count in COUNTS.items()}
    numbers = [int(name) for split, count in expected.items() for name in read_list("nyuv2", root, split)[:count]]
    left = {kind: missing(root / kind, numbers) for kind in ("nyu_images", "nyu_depths", "nyu_labels40")}
    if not any(left.values()):
        print(f"{root}: nothing to fetch")
    elif options.dry_run:
        common.plan(ARCHIVES, options)
    else:
        images, division, mapping = common.fetch(ARCHIVES, options)
        check_division(division)
        if convert(images, mapping, left):
            return 1
    return 0 if options.dry_run else common.verify("nyuv2", root, expected)


def missing(folder: Path, numbers: list[int]) -> dict[Path, int]:
    """Map every file that does not exist in a folder yet to the number of its image."""
    there = {path.stem for path in images_in(folder, sorted({*PHOTOS, *MAPS}))}
    return {folder / f"{number}.png": number for number in numbers if str(number) not in there}


def check_division(path: Path) -> None:
    """Raise a ValueError unless the official splits.mat has the same splits as the library."""
    official = read_table(path, *(f"{split}Ndxs" for split in COUNTS))
    for split, indices in zip(COUNTS, official, strict=True):
        numbers = set((indices - 1).tolist())
        ours = {int(name) for name in read_list("nyuv2", SHIPPED, split)}
        if numbers != ours:
            differ = len(numbers ^ ours)
            raise ValueError(
                f"{path} and the library differ in {differ} images of {split}: delete it and fetch it again"
            )


def read_table(path: Path, *names: str) -> list[np.ndarray]:
    """Read arrays of whole numbers from a small .mat file.

    **Shapes**: -> (N,) int for each name.

    Raises:
        ValueError: the file cannot be read, or lacks one of the arrays.
    """
    expected = f"expected a MATLAB file with whole numbers called {' and '.join(names)}: delete it and fetch it again"
    try:
        found = loadmat(path)
    except Exception as error:  # scipy raises exceptions of many types for broken files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} cannot be read ({reason}), {expected}") from error
    tables = []
    for name in names:
        if name not in found:
            there = ", ".join(other for other in found if not other.startswith("__")) or "nothing"
            raise ValueError(f"{path} holds {there}, {expected}")
        numbers = np.ravel(found[name])
        if numbers.dtype.kind not in "iuf" or not (np.isfinite(numbers) & (numbers == np.round(numbers))).all():
            raise ValueError(f"{path} holds a {name} of something else, {expected}")
        tables.append(numbers.astype(int))
    return tables


def convert(path: Path, mapping: Path, left: dict[str, dict[Path, int]]) -> int:
    """Convert images of the official file.

    Args:
        path: nyu_depth_v2_labeled.mat, an HDF5 file. An array (H, W, 3, N) of MATLAB is (N, 3, W, H) in h5py.
        mapping: classMapping40.mat.
        left: for each of the three folders the files to make, with the numbers of their images.

    Returns:
        The number of files that could not be made; the reasons are printed.

    Raises:
        ValueError: the .mat file cannot be read, or lacks an array.
    """
    import h5py  # imported here because it is an optional dependency

    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} is truncated or broken ({error}): delete it and fetch it again") from error
    with file:
        absent = [name for name in ("images", "depths", "labels", "names") if name not in file]
        if absent:
            raise ValueError(f"{path} holds no {absent[0]}: fetch nyu_depth_v2_labeled.mat")
        table = read_mapping(mapping, read_names(file))

        def photo(number: int) -> np.ndarray:
            return np.ascontiguousarray(file["images"][number].transpose(2, 1, 0))

        def depth(number: int) -> np.ndarray:
            metres = file["depths"][number].T
            if not np.isfinite(metres).all():
                raise ValueError(f"{path}: the depth of image {number} is not finite everywhere")
            return (metres / METRES).round().clip(0, 255).astype(np.uint8)

        def label(number: int) -> np.ndarray:
            return (table[file["labels"][number].T] - 1).astype(np.uint8)

        makers: dict[str, Callable[[int], np.ndarray]] = {
            "nyu_images": photo,
            "nyu_depths": depth,
            "nyu_labels40": label,
        }
        return sum(common.make_images(kind, left[kind], lambda kind=kind: makers[kind], False) for kind in makers)


def read_names(file) -> list[str]:
    """Read the names of the labels from nyu_depth_v2_labeled.mat, which holds a reference to the letters of each."""
    return ["".join(map(chr, np.ravel(file[reference]))) for reference in np.ravel(file["names"])]


def read_mapping(path: Path, names: list[str]) -> np.ndarray:
    """Read the class of every label, from 1 to 40; label 0, which stands for unlabelled pixels, becomes "otherprop".

    Labels with the name of one of the 40 classes must have this class, so that a wrong table is found.

    **Shapes**: -> (1 + number of labels,) int.

    Raises:
        ValueError: the table cannot be read, has another length or other numbers, or gives such a label another class.
    """
    (numbers,) = read_table(path, "mapClass")
    if len(numbers) != len(names) or not ((numbers >= 1) & (numbers <= len(NYUV2_40))).all():
        raise ValueError(f"{path} must hold {len(names)} numbers from 1 to 40, found {len(numbers)}: fetch it again")
    for name, number in zip(names, numbers.tolist(), strict=True):
        if name in NYUV2_40.names and number != NYUV2_40.names.index(name) + 1:
            raise ValueError(f"{path} makes {name!r} the class {NYUV2_40.names[number - 1]!r}: fetch it again")
    return np.array([OTHERPROP, *numbers])


if __name__ == "__main__":
    common.cli(main, __doc__)
