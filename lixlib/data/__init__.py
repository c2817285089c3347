"""Data sets of RGB + X + label, all through one type, `Sample`."""

from pathlib import Path

from torch.utils.data import Dataset

from lixlib.data.augment import Augment
from lixlib.data.camvid import camvid
from lixlib.data.classes import Classes
from lixlib.data.potholes import potholes
from lixlib.data.sample import IGNORE, Sample, collate
from lixlib.data.toydrive import ToyDrive

READERS = {"potholes": potholes, "camvid": camvid}
DATASETS = ("toydrive", *READERS)


def load(name: str, split: str, *, root: Path | str | None = None, size: tuple[int, int], **options) -> Dataset:
    """A split of a data set by name; ToyDrive renders itself, the others are read from `root`.

    Raises:
        ValueError: an unknown name, or no root for a data set that is read from files.
    """
    if name == "toydrive":
        options.pop("x", None)
        return ToyDrive(split, size=size, **options)
    if name not in READERS:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}")
    if root is None:
        raise ValueError(f"data set {name!r} is read from files: give its folder as root (--root DIR)")
    return READERS[name](root, split, size=size, **options)


__all__ = ["DATASETS", "IGNORE", "Augment", "Classes", "Sample", "ToyDrive", "camvid", "collate", "load", "potholes"]
