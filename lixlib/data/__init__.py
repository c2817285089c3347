"""Data sets of RGB + X + label, all through one type, `Sample`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import Dataset

from lixlib.core import names
from lixlib.core.checks import check_choice
from lixlib.core.files import at_home
from lixlib.core.options import Size, check, of, shown
from lixlib.core.plugins import REGISTERED
from lixlib.core.sample import IGNORE, Sample, collate
from lixlib.core.text import escaped
from lixlib.data.augment import Augment
from lixlib.data.classes import Classes
from lixlib.data.readers.camvid import read_camvid
from lixlib.data.readers.cityscapes import read_cityscapes
from lixlib.data.readers.folder import read_folder, splits_in
from lixlib.data.readers.kitti import read_kitti
from lixlib.data.readers.nuimages import read_nuimages
from lixlib.data.readers.nyuv2 import read_nyuv2
from lixlib.data.readers.potholes import read_potholes
from lixlib.data.readers.vkitti2 import read_vkitti2
from lixlib.data.toydrive import ToyDrive


@dataclass(frozen=True)
class Entry:
    """What the library knows about a data set.

    Args:
        read: its reader, `read(root, split, *, size, with_x, **options)`. A data set that renders its own images has a
            class instead, `make(split, *, size, count, **options)`.
        size: default height and width of a recipe.
        epochs: default number of passes over the training images.
        splits: default training, validation (None: no validation) and test split.
        unlabelled: default number of images without labels that a distilled student sees.
        options: defaults of the data set's own options.
        full_size: the size in the paper, or of the files; a run at a smaller size is marked `reduced`.
        splits_in: a function that finds the splits in the data set's folder, where the folder decides them.
    """

    read: Callable[..., Dataset]
    size: tuple[int, int]
    epochs: int
    splits: tuple[str, str | None, str]
    unlabelled: int = 0
    options: dict = field(default_factory=dict)
    full_size: tuple[int, int] | None = None
    splits_in: Callable[[Path], tuple[str, str | None, str] | None] | None = None


VALIDATED, TESTED = ("train", None, "val"), ("train", None, "test")
PAPER_EPOCHS = 500
# To add a data set, write one file in readers/ and one line here, or call `register` from outside the library.
# The paper's data sets have its schedule, which is meant for a GPU. The paper does not give its image sizes: KITTI has
# the size of SNE-RoadSeg, images of 16:9 and 2:1 have sizes that the same group uses elsewhere, and the other data sets
# have the size of their files.
DATASETS: dict[str, Entry] = {
    "toydrive": Entry(
        *(ToyDrive, (48, 160), 100, ("train", "val", "test"), 240),
        options={"count": 64, "difficulty": 0.2},
        full_size=(96, 320),
    ),
    "potholes": Entry(read_potholes, (96, 160), 60, TESTED, full_size=(1030, 1720)),
    "camvid": Entry(read_camvid, (96, 128), 15, VALIDATED, full_size=(360, 480)),
    "nyuv2": Entry(read_nyuv2, (96, 128), 16, TESTED, full_size=(480, 640)),
    "folder": Entry(read_folder, (96, 128), 60, TESTED, splits_in=splits_in),
    "vkitti2": Entry(read_vkitti2, (384, 1248), PAPER_EPOCHS, VALIDATED, full_size=(384, 1248)),
    "kitti": Entry(read_kitti, (384, 1248), PAPER_EPOCHS, VALIDATED, full_size=(384, 1248)),
    "nuimages": Entry(read_nuimages, (352, 640), PAPER_EPOCHS, VALIDATED, full_size=(352, 640)),
    "cityscapes": Entry(read_cityscapes, (512, 1024), PAPER_EPOCHS, VALIDATED, full_size=(512, 1024)),
}
OURS = tuple(DATASETS)


def from_files() -> list[str]:
    """Return the names of the data sets that are read from a folder."""
    return [name for name in DATASETS if name != "toydrive"]


def register(name: str, entry: Entry) -> None:
    """Give a data set of your own a name, for `load`, recipes and the command line of this process.

    By a name that is your own already the data set takes the place of the earlier one.

    Raises:
        ValueError: a name that no folder can have, or one of the library's data sets; or no `Entry`.
    """
    names.check("data set", name, taken=OURS)
    if not isinstance(entry, Entry) or not callable(entry.read):
        raise ValueError(f"data set {name!r}: a lixlib.data.Entry with a reader is needed, found {shown(entry)}")
    DATASETS[name] = entry


def check_name(name: str) -> None:
    """Raise a ValueError that lists the data sets unless one of them has this name."""
    check_choice("data set", name, DATASETS, REGISTERED)


def splits_of(name: str, root: Path | str | None = None) -> tuple[str, str | None, str]:
    """Return the default training, validation (None: no validation) and test split of a data set.

    For a data set of your own they depend on the splits in its folder: with val and test, a network is validated on val
    and scored on test; with val alone, it is scored on val.

    Raises:
        ValueError: there is no data set of this name, or it is rendered and takes no root.
    """
    check_name(name)
    _check_root(name, root)
    entry = DATASETS[name]
    there = entry.splits_in(at_home(root)) if entry.splits_in and root is not None else None
    return there or entry.splits


ATTRIBUTES = ("classes", "x_channels", "name", "split")  # of what a reader returns
# Arguments of `load` that are not options of a data set, and where a recipe sets them
ELSEWHERE = {
    "split": "splits (--splits TRAIN VALIDATION TEST)",
    "root": "root (--root DIR)",
    "size": "size (--size H W)",
    "with_x": "method: a student is read without X, all others with it",
}


def check_options(name: str, options: dict) -> None:
    """Check the name and the options of a data set; ToyDrive takes two counts, see `load`.

    Raises:
        ValueError: there is no such data set, or an option is unknown or has a wrong type or range.
    """
    check_name(name)
    for option, place in ELSEWHERE.items():
        if option in options:
            raise ValueError(f"data set {name!r}: {option} is no option of its own, it is chosen by {place}")
    known = of(DATASETS[name].read, *ELSEWHERE)
    if name == "toydrive":
        known["eval_count"] = known["count"]
    check(f"data set {name!r}", known, options)


def load(name: str, split: str, *, root: Path | str | None = None, size: Size | None, **options) -> Dataset:
    """Load a split of a data set by name: ToyDrive is rendered, the others are read from `root`.

    ToyDrive takes two counts: `count` frames in the split "train", `eval_count` in every other.

    Raises:
        ValueError: the name or an option is unknown, a data set that is read from files has no root, one that is
            rendered has a root, or the reader of a registered data set returns something else than its contract says.
    """
    with_x = options.pop("with_x", True)
    check_options(name, options)
    general = {"split": str, "root": Path | str | None, "size": Size | None, "with_x": bool}
    check(f"data set {name!r}", general, {"split": split, "root": root, "size": size, "with_x": with_x})
    _check_root(name, root)
    if name == "toydrive":  # X is rendered anyway
        count, eval_count = options.pop("count", None), options.pop("eval_count", None)
        return ToyDrive(split, size=size, count=count if split == "train" else eval_count, **options)
    if root is None:
        raise ValueError(f"data set {name!r} is read from files: give its folder as root (--root DIR)")
    samples = DATASETS[name].read(at_home(root), split, size=size, with_x=with_x, **options)
    if name not in OURS:
        _check_read(name, samples)
    return samples


def _check_read(name: str, samples: object) -> None:
    """Raise a ValueError that names what the reader of a registered data set has not given."""
    what = f"data set {name!r}: what its reader returns, {shown(samples)},"
    missing = [each for each in ("__len__", "__getitem__", *ATTRIBUTES) if not hasattr(samples, each)]
    if missing:
        raise ValueError(f"{what} has no {', '.join(missing)}: docs/data_of_your_own.md says what it needs")
    if not isinstance(samples.classes, Classes):
        raise ValueError(f"{what} has the classes {shown(samples.classes)}: make them lixlib.data.Classes((NAME, ...))")
    if samples.x_channels not in (1, 3):
        raise ValueError(f"{what} has the x_channels {shown(samples.x_channels)}: X has 1 channel or 3")


def _check_root(name: str, root: Path | str | None) -> None:
    if name == "toydrive" and root is not None:
        raise ValueError(
            f"data set 'toydrive' is rendered and has no files, found the root {escaped(root)}: leave root (--root) "
            f"out, or name the data set of these files, one of {', '.join(from_files())}"
        )


__all__ = ["DATASETS", "IGNORE", "Augment", "Classes", "Entry", "Sample", "ToyDrive", "check_name", "check_options"]
__all__ += ["collate", "from_files", "load", "register", "splits_of"]
__all__ += [DATASETS[name].read.__name__ for name in from_files()]
