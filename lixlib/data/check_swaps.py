"""Find folders that have changed their places: photographs and X, or labels and X."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lixlib.data.check_report import Counts, Report
from lixlib.data.image_files import Item

SWAPPED = "are rgb and x swapped?"
NO_CLASS = "label files with values that are no class"
MOST = 0.9  # share of a split's label files
LOOK = 32  # different values that are looked at
COLOURED = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")  # modes of Pillow


def count(counts: Counts, item: Item) -> None:
    """Add the channels of the files of a photograph and of its X to the counts of their split."""
    counts.of_one_channel += _has_one_channel(item.rgb)
    if item.x is not None and item.x.is_file():
        counts.x_files += 1
        counts.x_of_one_channel += _has_one_channel(item.x)


def is_like_x(raw: np.ndarray, read_label: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether most of the different values of a label file are no class."""
    if raw.ndim != 2:
        return False
    values = np.unique(raw)
    drawn = values[np.unique(np.linspace(0, len(values) - 1, LOOK).round().astype(int))]
    return sum(not _is_class(value, read_label) for value in drawn) > len(drawn) / 2


def judge(report: Report) -> None:
    """Report wrong labels, those that look like X once for a split, and photographs that look like X."""
    for split, counts in report.splits.items():
        wrong, labels = len(counts.not_classes), counts.with_label + len(counts.not_classes)
        if wrong > 1 and counts.like_x > MOST * labels:
            advice = "is this X? If not, say in classes.json which value is which class"
            report.fail(NO_CLASS, f"{wrong} of {labels} in {split}, e.g. {counts.not_classes[0]}: {advice}")
        else:
            report.fail(NO_CLASS, *counts.not_classes)
        if counts.images and counts.of_one_channel == counts.images:
            told = f"every photograph of {split} has one channel"
            if counts.x_files and not counts.x_of_one_channel:
                report.fail(SWAPPED, f"{told}, and no X file has")
            else:
                report.warn("photographs without colours: are they X?", told)


def _has_one_channel(path: Path) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return image.mode not in COLOURED
    except Exception:  # a broken file is reported where it is read
        return False


def _is_class(value: np.generic, read_label: Callable[[np.ndarray], np.ndarray]) -> bool:
    try:
        read_label(np.array([[value]]))
    except ValueError:
        return False
    return True
