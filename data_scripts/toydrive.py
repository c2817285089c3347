"""ToyDrive on disk in the layout of Virtual KITTI 2, so that other projects can read it; nothing is fetched.

    python data_scripts/toydrive.py --root data/toydrive --limit 20

The splits become scenes: Scene01 is train, Scene02 is val, Scene06 is test. Each has the variation clone and Camera_0
with rgb (JPEG), depth (16-bit PNG in centimetres, 65535 = sky) and classSegmentation (PNG). The colours are those of
ToyDrive and are listed in colors.txt; the camera is in intrinsic.txt. At the default size each of the 640 frames takes
two seconds. The library itself does not need these files, because it renders in memory.
"""

from functools import partial
from pathlib import Path

import common
import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from lixlib.core.files import write_atomically
from lixlib.core.options import check_pixels
from lixlib.data.classes import TOYDRIVE
from lixlib.data.images import open_image
from lixlib.data.labels import from_colours
from lixlib.data.text import read_text
from lixlib.data.toydrive.dataset import DEFAULT_COUNT, FIRST_FRAME, camera
from lixlib.data.toydrive.render import RENDERER_VERSION, Frame, check_request, render

SCENES = {"train": "Scene01", "val": "Scene02", "test": "Scene06"}
FAR = 65535


def main(
    root: common.Folder,
    limit: common.Limit = None,
    size: tuple[int, int] = (375, 1242),
    seed: int = 0,
    difficulty: float = 0.5,
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Render the splits to files, and read every file.

    Args:
        root: Folder of the files.
        limit: Take only the first N frames of every split; by default, all frames that the library uses.
        size: Height and width of the pictures.
        seed: Seed of the scenes.
        difficulty: How ambiguous RGB is, from 0 to 1.
        dry_run: Only say what would be done.
    """
    check_request(seed, 0, size, difficulty)
    check_pixels(size)
    made_by = f"renderer {RENDERER_VERSION}, seed {seed}, size {size}, difficulty {difficulty}\n"
    note = root / "toydrive.txt"
    if note.is_file() and (other := read_text(note)) != made_by:
        raise ValueError(f"{root} holds other frames ({other.strip()}): choose another folder")
    if not dry_run:
        write_atomically(note, lambda temporary: temporary.write_text(made_by, encoding="utf-8"))
    problems = 0
    for split, scene in SCENES.items():
        folder, count = root / scene / "clone", min(limit or DEFAULT_COUNT[split], DEFAULT_COUNT[split])
        left = [i for i in range(count) if not all(path.is_file() for path in files(folder, i))]
        print(f"{split}: {len(left)} of {count} frames {'would be rendered' if dry_run else 'to render'} in {folder}")
        if dry_run:
            continue
        for i in tqdm(left, desc=split, unit="frame", leave=False):
            write(folder, i, render(seed, FIRST_FRAME[split] + i, size, difficulty))
        write_tables(folder, count, size)
        failures = [failure for i in range(count) if (failure := check(folder, i, size))]
        print("".join(f"  broken: {failure}\n" for failure in failures), end="")
        problems += len(failures)
    return int(problems > 0)


def files(folder: Path, i: int) -> tuple[Path, Path, Path]:
    """Return the paths of the picture, the depth and the label of a frame."""
    frames = folder / "frames"
    return (
        frames / "rgb" / "Camera_0" / f"rgb_{i:05d}.jpg",
        frames / "depth" / "Camera_0" / f"depth_{i:05d}.png",
        frames / "classSegmentation" / "Camera_0" / f"classgt_{i:05d}.png",
    )


def write(folder: Path, i: int, frame: Frame) -> None:
    """Write the three files of a frame."""
    centimetres = np.minimum(frame.depth * 100, FAR).round().astype(np.uint16)
    rgb, depth, label = files(folder, i)
    write_atomically(rgb, partial(Image.fromarray(frame.rgb).save, format="JPEG", quality=95))
    write_atomically(depth, partial(Image.fromarray(centimetres).save, format="PNG"))
    write_atomically(label, partial(Image.fromarray(TOYDRIVE.colours[frame.label]).save, format="PNG"))


def write_tables(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write colors.txt and intrinsic.txt of a scene."""
    colours = [
        f"{name.replace(' ', '_')} {r} {g} {b}"
        for name, (r, g, b) in zip(TOYDRIVE.names, TOYDRIVE.colours, strict=True)
    ]
    k = camera(size)
    cameras = [f"{i} 0 {k.fx:.10g} {k.fy:.10g} {k.u0:.10g} {k.v0:.10g}" for i in range(count)]
    for name, lines in (
        ("colors.txt", ["Category r g b", *colours]),
        ("intrinsic.txt", ["frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]", *cameras]),
    ):
        text = "\n".join(lines) + "\n"
        write_atomically(folder / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))


def check(folder: Path, i: int, size: tuple[int, int]) -> str | None:
    """Return what is wrong with the files of a frame, or None."""
    for path in files(folder, i):
        try:
            pixels = np.asarray(open_image(path))
            if pixels.shape[:2] != tuple(size):
                return f"{path} is {pixels.shape[:2]}, not {tuple(size)}: delete it and run this command again"
            if path.name.startswith("classgt"):
                from_colours(pixels, TOYDRIVE.colours)
        except ValueError as error:
            return f"{path}: {error}: delete it and run this command again"
    return None


if __name__ == "__main__":
    common.cli(main, __doc__)
