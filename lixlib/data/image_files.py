"""RGB + X + label image files as a data set: resized once, and kept in memory as bytes as long as there is room."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lixlib.core.digests import digest, digest_of_file
from lixlib.core.sample import IGNORE, TENSORS, Sample, check_label
from lixlib.data.classes import Classes
from lixlib.data.images import MAPS, finder, images_in, open_image, open_label, open_map, open_photo
from lixlib.data.x.depth_encoding import FARTHEST, NEAREST, RELATIVE, channels, encode_depth, unit_of
from lixlib.data.x.normals import Intrinsics

MEMORY = 4 * 2**30  # bytes of resized images that a data set keeps; what comes later is read from disk every time


@dataclass(frozen=True)
class Item:
    """The name and the files of one sample; x is None where the data set is read for an RGB-only network.

    label is None where an image has none: all its pixels are then ignored.

    `camera` is the calibration file that decides X, too, where there is one.
    """

    name: str
    rgb: Path
    x: Path | None
    label: Path | None
    camera: Path | None = None


@dataclass(frozen=True)
class Measured:
    """X that is neither depth nor disparity, e.g. a thermal image or a height: (x - low) / (high - low), in [0, 1]."""

    low: float
    high: float
    channels: int
    unit: str


class Triplets(Dataset):
    """Samples from image files.

    Args:
        items: the files, in the order of the split.
        size: (H, W) to resize to; None keeps each file's own.
        read_label: array of the label file -> class indices, 255 = ignored.
        read_depth: an item -> its depth (1, H, W) in metres, 0 where it is unknown, and its camera; None where the X
            files carry no metres.
        x: what depth becomes (`lixlib.data.x.depth_encoding`).
        nearest, farthest: metres at which a disparity and a depth are 1.
        measured: what the numbers of the X files are, where they are neither depth nor relative.

    RGB is resized with antialiasing, the label by nearest neighbour. X from depth is computed at the files' own size
    and then resized by nearest neighbour. X without metres is relative: 0 in the file is invalid; after resizing by the
    mean of its valid pixels, in every image its 1st percentile becomes 0 and its 99th becomes 1.
    """

    def __init__(
        self,
        name: str,
        split: str,
        classes: Classes,
        items: Sequence[Item],
        *,
        size: tuple[int, int] | None = None,
        read_label: Callable[[np.ndarray], np.ndarray],
        read_depth: Callable[[Item], tuple[Tensor, Intrinsics | None]] | None = None,
        x: str = "disparity",
        nearest: float = NEAREST,
        farthest: float = FARTHEST,
        measured: Measured | None = None,
    ):
        self.name, self.split, self.classes, self.size = name, split, classes, size
        self.items, self.read_label, self.read_depth, self.x = list(items), read_label, read_depth, x
        self.x_channels = measured.channels if measured else channels(x)
        self.range, self.measured = {"nearest": nearest, "farthest": farthest}, measured
        self._cache: dict[int, Sample] = {}
        self._room = MEMORY

    @property
    def digest(self) -> str:
        """What tells these samples from others: names and contents of all files that are read, in their order."""
        parts = ((item.rgb, item.label, item.x, item.camera) for item in self.items)
        contents = [[file and digest_of_file(file) for file in files] for files in parts]
        return digest([[item.name for item in self.items], contents])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        stored = self._cache.get(index) or self._read(self.items[index])
        if index not in self._cache and self._room > 0:
            self._cache[index] = stored
            self._room -= sum(getattr(stored, field).nbytes for field in TENSORS)
        return replace(stored, rgb=stored.rgb.float() / 255, x=stored.x.float(), label=stored.label.long())

    def _read(self, item: Item) -> Sample:
        rgb = open_photo(item.rgb)
        own = rgb.height, rgb.width
        height, width = self.size or own
        label = self._read_label(item, own, (height, width))
        # bytes and halves: a quarter of the memory of what __getitem__ returns
        rgb = torch.from_numpy(np.array(rgb.resize((width, height), Image.Resampling.BILINEAR))).permute(2, 0, 1)
        x, valid = self._read_x(item, own, (height, width))
        unit = unit_of(self.x, **self.range) if self.read_depth else RELATIVE
        return Sample(rgb, x.half(), valid, label, item.name, self.measured.unit if self.measured else unit)

    def _read_label(self, item: Item, own: tuple[int, int], size: tuple[int, int]) -> Tensor:
        if item.label is None:
            return torch.full(size, IGNORE, dtype=torch.uint8)
        label = open_label(item.label)
        check_size(item.label, label.shape[:2], item.rgb, own)
        try:
            label = torch.from_numpy(self.read_label(label).astype(np.int64))
        except ValueError as error:
            raise ValueError(f"{item.label}: {error}") from error
        if label.ndim != 2:
            raise ValueError(f"{item.label} is a colour image, and class numbers are needed: one channel")
        check_label(label, len(self.classes), item.label)  # at full size: resizing drops pixels
        return F.interpolate(label.byte()[None, None], size=size, mode="nearest-exact")[0, 0]

    def _read_x(self, item: Item, own: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if item.x is None:
            return torch.zeros(self.x_channels, *size), torch.zeros(1, *size, dtype=torch.bool)
        if self.measured:
            x = open_measured(item.x, self.measured.channels)
            check_size(item.x, tuple(x.shape[-2:]), item.rgb, own)
            x = (x - self.measured.low) / (self.measured.high - self.measured.low)
            return F.interpolate(x[None], size=size, mode="area")[0].clamp(0, 1), torch.ones(1, *size, dtype=torch.bool)
        x, camera = self.read_depth(item) if self.read_depth else (open_map(item.x), None)
        check_size(item.x, tuple(x.shape[-2:]), item.rgb, own)
        if self.read_depth is None:
            return relative(x, size)
        x, valid = encode_depth(x, self.x, camera, **self.range)
        x, valid = (F.interpolate(t[None].float(), size=size, mode="nearest-exact")[0] for t in (x, valid))
        return x, valid > 0


def open_measured(path: Path, channels: int) -> Tensor:
    """Open X of one number or of three numbers a pixel: (channels, H, W) float.

    Raises:
        ValueError: the file has another number of channels; or as `open_map`.
    """
    if channels == 1:
        return open_map(path)
    image = open_image(path)
    if image.mode != "RGB":
        raise ValueError(f"{path} is of mode {image.mode}, but other X files have three channels: make them alike")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def relative(x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize X and bring it to [0, 1] by its own 1st and 99th percentile.

    **Shapes**: x (1, H, W), 0 = invalid -> x (1, *size) in [0, 1], 0 where invalid, and its mask (1, *size) bool.
    """
    known = F.interpolate((x > 0).float()[None], size=size, mode="area")[0]
    x = F.interpolate(x[None], size=size, mode="area")[0] / known.clamp(min=1e-6)
    valid = known > 0.5
    if valid.any():
        low, high = np.percentile(x[valid].numpy(), (1, 99))
        x = ((x - low) / max(high - low, 1e-6)).clamp(0, 1)
    return x * valid, valid


def check_size(path: Path, size: tuple[int, int], other: Path, expected: tuple[int, int]) -> None:
    """Raise a ValueError that names both files unless their sizes (H, W) agree."""
    if size != expected:
        raise ValueError(f"{path} is {size} (H, W), but {other} is {expected}: they must agree")


def list_items(rgb: Path, label: Path, x: Path | None, *, layout: str, prefix: str = "") -> list[Item]:
    """The samples of three folders (x: None leaves X out), sorted by name; `prefix` makes their names unique.

    Photographs are .jpg, .jpeg or .png, labels and X .png or .tif, in whatever case.

    Raises:
        FileNotFoundError: the folder holds no image.
        ValueError: two images of a folder differ in their suffix alone.
    """
    photos, find = images_in(rgb, warn=True), finder()
    if not photos:
        raise FileNotFoundError(f"no .jpg or .png image in {rgb}\n  expected layout: {layout}")
    return [
        Item(
            f"{prefix}{photo.stem}",
            photo,
            x and find(x / f"{photo.stem}.png", MAPS),
            find(label / f"{photo.stem}.png", MAPS),
        )
        for photo in photos
    ]


def require_folder(path: Path, layout: str, source: str) -> Path:
    """Return the folder, or say what was expected there.

    Raises:
        FileNotFoundError: names the path, the expected layout and the public source.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path}\n  expected layout: {layout}\n  public source: {source}")
    return path
