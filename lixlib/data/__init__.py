"""Data sets of RGB + X + label, all through one type, `Sample`."""

from pathlib import Path

from torch.utils.data import Dataset

from lixlib.core.checks import check_choice
from lixlib.core.files import at_home
from lixlib.core.options import Size, check, of
from lixlib.core.sample import IGNORE, Sample, collate
from lixlib.data.augment import Augment
from lixlib.data.classes import Classes
from lixlib.data.readers.camvid import read_camvid
from lixlib.data.readers.cityscapes import read_cityscapes
from lixlib.data.readers.kitti import read_kitti
from lixlib.data.readers.nuimages import read_nuimages
from lixlib.data.readers.potholes import read_potholes
from lixlib.data.readers.vkitti2 import read_vkitti2
from lixlib.data.toydrive import ToyDrive

READERS = {
    "potholes": read_potholes,
    "camvid": read_camvid,
    "vkitti2": read_vkitti2,
    "kitti": read_kitti,
    "nuimages": read_nuimages,
    "cityscapes": read_cityscapes,
}
DATASETS = ("toydrive", *READERS)


# What `load` is given apart from a data set's options, and where a recipe says it
ELSEWHERE = {
    "split": "splits (--splits TRAIN VALIDATION TEST)",
    "root": "root (--root DIR)",
    "size": "size (--size H W)",
    "with_x": "method: a student is read without X, all others with it",
}


def check_options(name: str, options: dict) -> None:
    """Raise a ValueError if there is no such data set, or one of these is no option of it, or of another type or range.

    ToyDrive takes two counts: see `load`.
    """
    check_choice("data set", name, ("toydrive", *READERS))  # what it has now: one may add to it
    for option, place in ELSEWHERE.items():
        if option in options:
            raise ValueError(f"data set {name!r}: {option} is no option of its own, it is chosen by {place}")
    known = of(READERS.get(name, ToyDrive), *ELSEWHERE)
    if name == "toydrive":
        known["eval_count"] = known["count"]
    check(f"data set {name!r}", known, options)


def load(name: str, split: str, *, root: Path | str | None = None, size: Size | None, **options) -> Dataset:
    """A split of a data set by name; ToyDrive renders itself, the others are read from `root`.

    ToyDrive takes two counts: `count` frames in the split "train", `eval_count` in every other.

    Raises:
        ValueError: an unknown name or option, or no root for a data set that is read from files.
    """
    with_x = options.pop("with_x", True)
    check_options(name, options)
    general = {"split": str, "root": Path | str | None, "size": Size | None, "with_x": bool}
    check(f"data set {name!r}", general, {"split": split, "root": root, "size": size, "with_x": with_x})
    if name == "toydrive":  # X is rendered anyway
        count, eval_count = options.pop("count", None), options.pop("eval_count", None)
        return ToyDrive(split, size=size, count=count if split == "train" else eval_count, **options)
    if root is None:
        raise ValueError(f"data set {name!r} is read from files: give its folder as root (--root DIR)")
    return READERS[name](at_home(root), split, size=size, with_x=with_x, **options)


__all__ = ["DATASETS", "IGNORE", "READERS", "Augment", "Classes", "Sample", "ToyDrive", "check_options", "collate"]
__all__ += ["load"]
__all__ += [reader.__name__ for reader in READERS.values()]
