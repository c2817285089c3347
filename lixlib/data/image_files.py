"""A data set of RGB, X and label image files, which are resized once and then kept in memory up to a limit."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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

MEMORY = 4 * 2**30  # bytes of resized images that a data set keeps; further images are read from disk every time


@dataclass(frozen=True)
class Item:
    """The name and the files of one sample.

    Args:
        x: None if the data set is read for a network that takes RGB alone.
        label: None if the image has no label; all its pixels are then ignored.
        camera: the calibration file from which X is computed, if there is one.
    """

    name: str
    rgb: Path
    x: Path | None
    label: Path | None
    camera: Path | None = None


@dataclass(frozen=True)
class Measured:
    """Scaling of X that is neither depth nor disparity, e.g. a thermal image, to [0, 1]: (x - low) / (high - low)."""

    low: float
    high: float
    channels: int
    unit: str


class Triplets(Dataset):
    """Samples from image files.

    Args:
        items: the files, in the order of the split.
        size: (H, W) to resize to; None keeps the size of each file.
        read_label: a function from the array of a label file to class indices, where 255 is ignored.
        read_depth: a function from an item to its depth (1, H, W) in metres, 0 where it is unknown, and its camera;
            None if the X files do not hold metres.
        x: the encoding of depth (`lixlib.data.x.depth_encoding`).
        nearest, farthest: metres at which a disparity and a depth are 1.
        measured: the scaling of X files that hold neither depth nor relative disparity.
        described_by: files that say how all others are read, and so are part of the digest.

    RGB is resized with antialiasing, the label by nearest neighbour. X from depth is computed at the size of the files
    and then resized by nearest neighbour. X without metres is relative: 0 in the file is invalid, the valid pixels are
    averaged when the image is resized, and the 1st and 99th percentile of every image become 0 and 1.
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
        described_by: Sequence[Path] = (),
    ):
        self.name, self.split, self.classes, self.size = name, split, classes, size
        self.items, self.read_label, self.read_depth, self.x = list(items), read_label, read_depth, x
        self.x_channels = measured.channels if measured else channels(x)
        self.range, self.measured = {"nearest": nearest, "farthest": farthest}, measured
        self.described_by = tuple(described_by)
        self._cache: dict[int, Sample] = {}
        self._room = MEMORY

    @property
    def digest(self) -> str:
        """A digest of the names and the contents of all files that are read, in their order."""
        parts = ((item.rgb, item.label, item.x, item.camera) for item in self.items)
        contents = [[file and digest_of_file(file) for file in files] for files in parts]
        described = [digest_of_file(file) for file in self.described_by]
        return digest([[item.name for item in self.items], contents, *([described] if described else [])])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        return self._decoded(index, self._cache.get(index) or self._read(self.items[index]))

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples of a batch, as a `DataLoader` asks for them.

        What is not in memory is read by as many threads as torch has: an image file is decoded outside Python's lock,
        and threads, unlike processes, share the memory and draw no random numbers.
        """
        missing = list(dict.fromkeys(index for index in indices if index not in self._cache))
        threads = min(len(missing), torch.get_num_threads())
        if threads < 2:
            return [self[index] for index in indices]
        # threads that open images restore each other's filters of warnings
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            read = pool.map(lambda index: self._read(self.items[index]), missing)
            new = dict(zip(missing, read, strict=True))
        return [self._decoded(index, self._cache.get(index) or new[index]) for index in indices]

    def _decoded(self, index: int, stored: Sample) -> Sample:
        """The sample in the types that it promises; its bytes stay in memory while there is room."""
        if index not in self._cache and self._room > 0:
            self._cache[index] = stored
            self._room -= sum(getattr(stored, field).nbytes for field in TENSORS)
        return replace(stored, rgb=stored.rgb.float() / 255, x=stored.x.float(), label=stored.label.long())

    def _read(self, item: Item) -> Sample:
        rgb = open_photo(item.rgb)
        own = rgb.height, rgb.width
        height, width = self.size or own
        label = self._read_label(item, own, (height, width))
        # bytes and half precision take a quarter of the memory of what __getitem__ returns
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
        check_label(label, len(self.classes), item.label)  # before resizing, which drops pixels
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
    """Open X files with one or three numbers per pixel.

    **Shapes**: -> (channels, H, W) float.

    Raises:
        ValueError: the file has another number of channels; further errors are those of `open_map`.
    """
    if channels == 1:
        return open_map(path)
    image = open_image(path)
    if image.mode != "RGB":
        raise ValueError(f"{path} is of mode {image.mode}, but other X files have three channels: make them alike")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def relative(x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize X and scale it to [0, 1] by its own 1st and 99th percentile.

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
    """List the samples of three folders, sorted by name.

    Photographs are .jpg, .jpeg or .png files; labels and X are .png or .tif files. The case of suffixes is ignored.

    Args:
        rgb, label, x: the three folders; None leaves X out.
        layout: the expected layout, for error messages.
        prefix: put before every name, to make names unique.

    Raises:
        FileNotFoundError: the folder holds no image.
        ValueError: two images of a folder differ only in their suffix.
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
    """Return the folder if it exists.

    Raises:
        FileNotFoundError: there is no such folder; the message names it, the expected layout and the public source.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path}\n  expected layout: {layout}\n  public source: {source}")
    return path
