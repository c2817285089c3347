"""Data sets of RGB + X + label, all through one type, `Sample`."""

import inspect
from pathlib import Path

from torch.utils.data import Dataset

from lixlib.data.augment import Augment
from lixlib.data.camvid import read_camvid
from lixlib.data.cityscapes import read_cityscapes
from lixlib.data.classes import Classes
from lixlib.data.kitti import read_kitti
from lixlib.data.nuimages import read_nuimages
from lixlib.data.potholes import read_potholes
from lixlib.data.sample import IGNORE, Sample, collate
from lixlib.data.toydrive import ToyDrive
from lixlib.data.vkitti2 import read_vkitti2
from lixlib.functional.checks import check_choice

READERS = {
    "potholes": read_potholes,
    "camvid": read_camvid,
    "vkitti2": read_vkitti2,
    "kitti": read_kitti,
    "nuimages": read_nuimages,
    "cityscapes": read_cityscapes,
}
DATASETS = ("toydrive", *READERS)


def load(name: str, split: str, *, root: Path | str | None = None, size: tuple[int, int] | None, **options) -> Dataset:
    """A split of a data set by name; ToyDrive renders itself, the others are read from `root`.

    ToyDrive takes two counts: `count` frames in the split "train", `eval_count` in every other.

    Raises:
        ValueError: an unknown name or option, or no root for a data set that is read from files.
    """
    check_choice("data set", name, ("toydrive", *READERS))
    reader = READERS.get(name, ToyDrive)
    if name == "toydrive":
        count, eval_count = options.pop("count", None), options.pop("eval_count", None)
        options["count"] = count if split == "train" else eval_count
        options.pop("with_x", None)  # rendered anyway
    for option in options:
        check_choice(f"option of {name}", option, inspect.signature(reader).parameters)
    if name == "toydrive":
        return ToyDrive(split, size=size, **options)
    if root is None:
        raise ValueError(f"data set {name!r} is read from files: give its folder as root (--root DIR)")
    return reader(Path(root).expanduser(), split, size=size, **options)


__all__ = ["DATASETS", "IGNORE", "READERS", "Augment", "Classes", "Sample", "ToyDrive", "collate", "load"]
__all__ += [reader.__name__ for reader in READERS.values()]
