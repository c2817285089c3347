"""Read every file of a data set and say what is there, what is missing and what is broken.

    python data_scripts/verify.py --dataset camvid --root DIR

Exit code 0: every split can be used, by a student at least.
"""

import sys
from pathlib import Path
from typing import Literal

import torch
import tyro
from tqdm import tqdm

from lixlib import data

SPLITS = {"camvid": ("train", "val", "test"), "potholes": ("train", "test")}
OPTIONAL = {("camvid", "test")}


def verify(dataset: Literal["camvid", "potholes"], root: Path) -> int:
    """Check a data set that was fetched from its public source.

    Args:
        dataset: which one.
        root: its folder; the layout is printed where something is missing.
    """
    broken = 0
    for split in SPLITS[dataset]:
        try:
            samples, with_x = _open(dataset, split, root)
        except FileNotFoundError as error:
            optional = (dataset, split) in OPTIONAL
            print(f"{split}: {'not there (optional)' if optional else error}")
            broken += not optional
            continue
        pixels, failures = torch.zeros(256), []
        for i in tqdm(range(len(samples)), desc=split, unit="image", leave=False):
            try:
                pixels += torch.bincount(samples[i].label.flatten(), minlength=256)
            except (ValueError, OSError) as error:
                failures.append(str(error))
        share = pixels / pixels.sum().clamp(min=1)
        classes = ", ".join(f"{name} {share[c]:.1%}" for c, name in enumerate(samples.classes.names))
        kind = "RGB + X" if with_x else "RGB alone (no X: students only)"
        print(f"{split}: {len(samples)} images, {kind}; {classes}")
        print("".join(f"  broken: {failure}\n" for failure in failures), end="")
        broken += len(failures)
    return int(broken > 0)


def _open(dataset: str, split: str, root: Path):
    try:
        return data.load(dataset, split, root=root, size=None, with_x=True), True
    except FileNotFoundError:
        return data.load(dataset, split, root=root, size=None, with_x=False), False


if __name__ == "__main__":
    sys.exit(tyro.cli(verify))
