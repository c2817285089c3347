"""ToyDrive: procedural driving scenes with dense metric depth and 13 classes, rendered once and cached."""

import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from lixlib.core.digests import digest
from lixlib.core.files import at_home, remove_leftovers, write_atomically
from lixlib.core.options import Frames, Seed, Share, Size, checked
from lixlib.core.sample import Sample
from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive.render import FOCAL, RENDERER_VERSION, Frame, paint_mask, render
from lixlib.data.x import thermal
from lixlib.data.x.depth_encoding import UNITS, Encoding, channels, encode_depth
from lixlib.data.x.faults import Fault, corrupt
from lixlib.data.x.normals import Intrinsics

__all__ = ["FIRST_FRAME", "Frame", "ToyDrive", "camera", "encode_depth", "paint_mask", "render"]

FIRST_FRAME = {"train": 0, "unlabelled": 500_000, "val": 1_000_000, "test": 2_000_000}
BYTES_A_PIXEL = 3 + 4 + 1  # RGB, depth, label
DEFAULT_COUNT = {"train": 240, "unlabelled": 240, "val": 100, "test": 300}


class ToyDrive(Dataset):
    """A split of ToyDrive: frames of one seed from a range of indices that no other split shares.

    The frames are rendered on first use and kept in `cache` (default: $LIX_CACHE, else ~/.cache/lix).

    **Shapes**: each item is a `Sample` with rgb (3, H, W), x (1, H, W), valid (1, H, W), label (H, W); with
    x = "normals" x is (3, H, W). How depth becomes x: `lixlib.data.x.depth_encoding`; or x = "thermal"
    (`lixlib.data.x.thermal`).

    Args:
        fault: a fault of the depth that x is computed from (`lixlib.data.x.faults`); None for none.

    Raises:
        ValueError: an unknown split, x or fault, or a size, count, seed or difficulty out of range.
    """

    name = "toydrive"
    classes = TOYDRIVE

    @checked
    def __init__(
        self,
        split: str,
        *,
        size: Size = (96, 320),
        count: Frames | None = None,
        seed: Seed = 0,
        difficulty: Share = 0.5,
        x: Encoding | Literal["thermal"] = "disparity",
        fault: Fault | None = None,
        cache: Path | str | None = None,
    ):
        if split not in FIRST_FRAME:
            raise ValueError(f"unknown split {split!r}: choose one of {', '.join(FIRST_FRAME)}")
        self.x_channels = 1 if x == "thermal" else channels(x)
        if fault is not None:
            if x == "thermal":
                raise ValueError("a fault is one of depth, and thermal X has none: leave it out")
        self.fault = fault
        self._x: dict[int, tuple[Tensor, Tensor]] = {}  # x and valid, kept where they take long to compute
        count = DEFAULT_COUNT[split] if count is None else count
        first = FIRST_FRAME[split]
        self.split, self.size, self.seed, self.difficulty, self.x = split, tuple(size), seed, difficulty, x
        self.indices = range(first, first + count)
        _check_memory(count, self.size)
        request = (RENDERER_VERSION, split, count, *map(int, size), int(seed), float(difficulty), x, fault)
        self.digest = digest(request)  # identifies these samples, which depend on nothing else
        self._rgb, self._depth, self._label = self._load(_cache_folder(cache))

    def _load(self, folder: Path) -> list[np.ndarray]:
        height, width = self.size
        path = folder / (
            f"v{RENDERER_VERSION}-seed{self.seed}-{self.split}-{height}x{width}-n{len(self.indices)}"
            f"-difficulty{str(self.difficulty).removesuffix('.0')}.npz"
        )
        remove_leftovers(folder)
        if path.exists():
            try:
                return self._read(path)
            except Exception as error:  # numpy and zipfile raise many kinds, and frames can be rendered again
                warnings.warn(f"cannot use the cache file {path} ({error}): rendering it again", stacklevel=3)
        arrays = self._render()

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:  # because numpy appends .npz to the name of a file
                np.savez(file, rgb=arrays[0], depth=arrays[1], label=arrays[2])

        write_atomically(path, save)
        return arrays

    def _read(self, path: Path) -> list[np.ndarray]:
        shape = (len(self.indices), *self.size)
        expected = {"rgb": ((*shape, 3), np.uint8), "depth": (shape, np.float32), "label": (shape, np.uint8)}
        with np.load(path) as file:
            arrays = {name: file[name] for name in expected}
        found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if found != expected:
            raise ValueError("it holds frames of another shape or kind")
        if arrays["label"].max() >= len(self.classes) or np.isnan(arrays["depth"]).any():
            raise ValueError("it holds labels that are no class, or a depth that is no number")
        return list(arrays.values())

    def _render(self) -> list[np.ndarray]:
        shape = (len(self.indices), *self.size)
        rgb = np.empty((*shape, 3), dtype=np.uint8)
        depth, label = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.uint8)
        for i, index in enumerate(tqdm(self.indices, desc=f"rendering ToyDrive {self.split}", unit="frame")):
            frame = render(self.seed, index, self.size, self.difficulty)
            rgb[i], depth[i], label[i] = frame.rgb, frame.depth, frame.label
        return [rgb, depth, label]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Sample:
        rgb = torch.from_numpy(self._rgb[i]).permute(2, 0, 1).float() / 255
        label = torch.from_numpy(self._label[i]).long()
        unit = thermal.UNIT if self.x == "thermal" else UNITS[self.x]
        return Sample(rgb, *self._read_x(i), label, f"toydrive-{self.seed}-{self.indices[i]}", unit)

    def _read_x(self, i: int) -> tuple[Tensor, Tensor]:
        if self.x != "thermal" and self.fault is None:
            return encode_depth(torch.from_numpy(self._depth[i])[None], self.x, camera(self.size))
        if i not in self._x:
            rng = np.random.default_rng([self.seed, self.indices[i]])
            if self.x == "thermal":
                warmth = thermal.thermal(self._label[i], self._depth[i], self.classes.names, rng)
                x = torch.from_numpy(warmth)[None]
                self._x[i] = x, torch.ones_like(x, dtype=torch.bool)
            else:
                depth = torch.from_numpy(corrupt(self._depth[i], self.fault, rng))[None]
                self._x[i] = encode_depth(depth, self.x, camera(self.size))
        return self._x[i]


def _check_memory(count: int, size: tuple[int, int]) -> None:
    """Raise a ValueError if the frames, which are kept in memory, would take more than half of this machine's."""
    if not hasattr(os, "sysconf"):  # Windows
        return
    needed = count * size[0] * size[1] * BYTES_A_PIXEL
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory / 2:
        raise ValueError(
            f"{count} frames of {size[0]} x {size[1]} need {needed / 2**30:.1f} GiB, and this machine has "
            f"{memory / 2**30:.1f} GiB of memory: choose a smaller size, or fewer frames (count, eval_count)"
        )


def camera(size: tuple[int, int]) -> Intrinsics:
    """The camera of frames of this size (H, W)."""
    height, width = size
    return Intrinsics(FOCAL * width, FOCAL * width, (width - 1) / 2, (height - 1) / 2)


def _cache_folder(cache: Path | str | None) -> Path:
    root = cache or os.environ.get("LIX_CACHE") or Path.home() / ".cache" / "lix"
    return at_home(root) / "toydrive"
