"""RGB + X + label image files as a data set: read once, resized once, kept in memory as bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lixlib.data.classes import Classes
from lixlib.data.sample import Sample, check_label
from lixlib.data.x import RELATIVE


@dataclass(frozen=True)
class Item:
    """The name and the files of one sample; x is None where the data set is read for an RGB-only network."""

    name: str
    rgb: Path
    x: Path | None
    label: Path


class Triplets(Dataset):
    """Samples from image files.

    Args:
        items: the files, in the order of the split.
        size: (H, W) to resize to; None keeps each file's own.
        read_label: array of the label file -> class indices, 255 = ignored.

    X is relative: in every image its valid 1st percentile becomes 0 and its 99th becomes 1, because none of these files
    carries metres. X = 0 in the file is invalid. RGB is resized with antialiasing, X by the mean of its valid
    pixels, the label by nearest neighbour.
    """

    x_channels = 1

    def __init__(
        self,
        name: str,
        split: str,
        classes: Classes,
        items: Sequence[Item],
        *,
        size: tuple[int, int] | None = None,
        read_label: Callable[[np.ndarray], np.ndarray],
    ):
        self.name, self.split, self.classes, self.size = name, split, classes, size
        self.items, self.read_label = list(items), read_label
        self._cache: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._cache:
            self._cache[index] = self._read(self.items[index])
        stored = self._cache[index]
        return replace(stored, rgb=stored.rgb.float() / 255, x=stored.x.float(), label=stored.label.long())

    def _read(self, item: Item) -> Sample:
        rgb, label = open_image(item.rgb).convert("RGB"), open_image(item.label)
        if rgb.size != label.size:
            raise ValueError(f"{item.label} is {label.size} (W, H), but {item.rgb} is {rgb.size}: they must agree")
        height, width = self.size or (rgb.height, rgb.width)
        label = torch.from_numpy(self.read_label(np.asarray(label)).astype(np.int64))
        if label.ndim != 2:
            raise ValueError(f"{item.label} is a colour image, and class numbers are needed: one channel")
        check_label(label, len(self.classes), item.label)  # at full size: resizing drops pixels
        label = F.interpolate(label.byte()[None, None], size=(height, width), mode="nearest-exact")[0, 0]
        # bytes and halves: a quarter of the memory of what __getitem__ returns
        rgb = torch.from_numpy(np.array(rgb.resize((width, height), Image.Resampling.BILINEAR))).permute(2, 0, 1)
        x, valid = self._read_x(item.x, (height, width))
        return Sample(rgb, x.half(), valid, label, item.name, RELATIVE)

    @staticmethod
    def _read_x(path: Path | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if path is None:
            return torch.zeros(1, *size), torch.zeros(1, *size, dtype=torch.bool)
        x = torch.from_numpy(np.asarray(open_image(path)).astype(np.float32))
        if x.ndim != 2:
            raise ValueError(f"{path} is a colour image, and X is one number a pixel: one channel")
        return relative(x[None], size)


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


def open_image(path: Path) -> Image.Image:
    """Open and decode an image.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no readable image (truncated, or of another kind).
    """
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no image {path}: fetch it, or correct the path") from error
    except (OSError, SyntaxError) as error:  # Pillow raises both for broken PNG files
        raise ValueError(f"{path} is no readable image ({error}): fetch it again") from error
    return image


def list_items(rgb: Path, label: Path, x: Path | None, *, layout: str, prefix: str = "") -> list[Item]:
    """The samples of three folders (x: None leaves X out), sorted by name; `prefix` makes their names unique.

    Raises:
        FileNotFoundError: the folder holds no image.
    """
    images = sorted(path for path in rgb.iterdir() if path.suffix in (".jpg", ".png"))
    if not images:
        raise FileNotFoundError(f"no .jpg or .png image in {rgb}\n  expected layout: {layout}")
    return [
        Item(f"{prefix}{image.stem}", image, x and x / f"{image.stem}.png", label / f"{image.stem}.png")
        for image in images
    ]


def require_folder(path: Path, layout: str, source: str) -> Path:
    """Return the folder, or say what was expected there.

    Raises:
        FileNotFoundError: names the path, the expected layout and the public source.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path}\n  expected layout: {layout}\n  public source: {source}")
    return path
