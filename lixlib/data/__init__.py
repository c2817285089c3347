"""Data sets of RGB + X + label, all through one type, `Sample`."""

import inspect
from pathlib import Path

from torch.utils.data import Dataset

from lixlib.data.augment import Augment
from lixlib.data.camvid import camvid
from lixlib.data.cityscapes import cityscapes
from lixlib.data.classes import Classes
from lixlib.data.kitti import kitti
from lixlib.data.nuimages import nuimages
from lixlib.data.potholes import potholes
from lixlib.data.sample import IGNORE, Sample, collate
from lixlib.data.toydrive import ToyDrive
from lixlib.data.vkitti2 import vkitti2
from lixlib.functional.checks import check_choice

READERS = {
    "potholes": potholes,
    "camvid": camvid,
    "vkitti2": vkitti2,
    "kitti": kitti,
    "nuimages": nuimages,
    "cityscapes": cityscapes,
}
DATASETS = ("toydrive", *READERS)


def load(name: str, split: str, *, root: Path | str | None = None, size: tuple[int, int] | None, **options) -> Dataset:
    """A split of a data set by name; ToyDrive renders itself, the others are read from `root`.

    ToyDrive takes two counts: `count` frames in the split "train", `eval_count` in every other.

    Raises:
        ValueError: an unknown name or option, or no root for a data set that is read from files.
    """
    check_choice("data set", name, DATASETS)
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


__all__ = ["DATASETS", "IGNORE", "Augment", "Classes", "Sample", "ToyDrive", "collate", "load", *READERS]
