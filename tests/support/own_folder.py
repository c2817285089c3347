"""A small data set of one's own in the layout of docs/data_of_your_own.md."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ["floor", "wall", "chair"]
COUNTS = {"train": 6, "val": 2, "test": 2, "unlabelled": 4}


def own_folder(root: Path, counts: dict[str, int] | None = None, *, x: dict | None = None, size=(24, 32)) -> Path:
    """Images of noise, with three classes in every label, and with a depth in millimetres that tells the classes apart.

    counts: the images of every split; x: the contents of x.json.
    """
    rng = np.random.default_rng(0)
    for split, count in (counts or COUNTS).items():
        for name in (f"{split}{i}" for i in range(count)):
            label = rng.integers(0, 3, size).astype(np.uint8)
            label[0] = 255
            write(root / split / "rgb" / f"{name}.jpg", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
            write(root / split / "x" / f"{name}.png", (1000 + 500 * label.astype(int).clip(0, 3)).astype(np.uint16))
            if split != "unlabelled":
                write(root / split / "label" / f"{name}.png", label)
    say(root, "classes.json", names=NAMES)
    say(root, "x.json", **(x or {"kind": "depth", "metres_per_unit": 0.001, "scale": 10}))
    return root


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def say(root: Path, name: str, **what) -> None:
    (root / name).write_text(json.dumps(what), encoding="utf-8")
