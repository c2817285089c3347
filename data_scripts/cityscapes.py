"""Cityscapes (Cordts et al., CVPR 2016): unpacked from archives that need a login, verified.

    python data_scripts/cityscapes.py --root data/cityscapes --archives downloads
    python data_scripts/cityscapes.py --root data/cityscapes --depth-anything depth-anything/Depth-Anything-V2-Base-hf

X is the official disparity with its cameras. With a model, X is a relative disparity instead; train on it with
--dataset-options '{"source": "depth-anything"}'. The first command says what to fetch and where to put it. Licence:
non-commercial, by registration.
"""

import re
from collections import Counter
from pathlib import Path

import common
import depth_anything

from lixlib.data.readers.cityscapes import DISPARITY, photographs

SPLITS = {"train": 2975, "val": 500}
PAGE = "www.cityscapes-dataset.com/downloads"
# The checksums are those of that page. Where it gives none, the checksums within the zip archive remain.
ARCHIVES = {
    kind: common.Archive(f"{kind}_trainvaltest.zip", size=size, source=PAGE, md5=md5)
    for kind, size, md5 in (
        ("leftImg8bit", "11 GB", "0a6e97e94b616a514066c9e2adb0c97f"),
        ("gtFine", "241 MB", "4237c19de34c8a376e9ba46b495d6f66"),
        ("disparity", "3.5 GB", None),
        ("camera", "2 MB", None),
    )
}
SUFFIXES = {
    "leftImg8bit": "_leftImg8bit.png",
    "gtFine": "_gtFine_labelIds.png",
    "disparity": "_disparity.png",
    "camera": "_camera.json",
}
MEMBER = re.compile(r"(?P<kind>\w+)/(?P<frame>(?P<split>train|val)/\w+/\w+_\d+_\d+)(?P<suffix>_.+)")


def main(options: common.Arguments, model: depth_anything.Option = None) -> int:
    """Unpack Cityscapes, make X if a model is given, and read every file."""
    root = options.root
    kinds = ("leftImg8bit", "gtFine") if model else tuple(ARCHIVES)
    expected = {split: options.at_most(count) for split, count in SPLITS.items()}
    frames = {split: there(root, split)[:count] for split, count in expected.items()}
    complete = all(
        len(frames[split]) == count
        and all(path(root, kind, frame).is_file() for frame in frames[split] for kind in kinds)
        for split, count in expected.items()
    )
    extracted = Counter()

    def place(name: str) -> str | None:
        match = MEMBER.fullmatch(name)
        if not match or SUFFIXES.get(match["kind"]) != match["suffix"]:
            return None
        if match["kind"] != "leftImg8bit":  # the photographs, which come first, determine the frames
            return name if path(root, "leftImg8bit", match["frame"]).is_file() else None
        extracted[match["split"]] += 1
        return name if extracted[match["split"]] <= expected[match["split"]] else None

    common.prepare(options, [ARCHIVES[kind] for kind in kinds], place, complete)
    if model:
        chosen = [frame for split, count in expected.items() for frame in there(root, split)[:count]]
        photos = {root / DISPARITY / f"{frame}.png": path(root, "leftImg8bit", frame) for frame in chosen}
        depth_anything.make(photos, model, options.dry_run)
    if options.dry_run:
        return 0
    return common.verify("cityscapes", root, expected, source="depth-anything" if model else "stereo")


def there(root: Path, split: str) -> list[str]:
    """Return the names of a split's photographs that exist, such as train/aachen/aachen_000000_000019."""
    return [f"{split}/{name}" for name in photographs(root / "leftImg8bit" / split)]


def path(root: Path, kind: str, frame: str) -> Path:
    """Return the path of a frame's file from one of the archives."""
    return root / kind / f"{frame}{SUFFIXES[kind]}"


if __name__ == "__main__":
    common.cli(main, __doc__)
