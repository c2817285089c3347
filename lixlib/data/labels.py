"""Convert the ids or colours of label files to class indices."""

import numpy as np

from lixlib.core.sample import IGNORE


def from_ids(label: np.ndarray, indices: dict[int, int]) -> np.ndarray:
    """Convert an image of ids to class indices.

    **Shapes**: (H, W) of any integer type or bool -> (H, W) uint8.

    Args:
        indices: the class index of every id that may occur; 255 means ignored.

    Raises:
        ValueError: an id that may not occur (the message names it and the pixel), or no integer type.
    """
    _check_type(label, "biu")
    if label.ndim != 2:
        raise ValueError("this is a colour image, and ids are needed: one channel")
    known = np.zeros(max(indices, default=-1) + 2, dtype=bool)  # the last entry stands for all unknown ids
    table = np.full(known.size, IGNORE, dtype=np.uint8)
    known[list(indices)], table[list(indices)] = True, list(indices.values())
    places = label.astype(np.int64)
    places[(places < 0) | (places >= known.size)] = known.size - 1
    _check(known[places], label, "id")
    return table[places]


def from_colours(label: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Convert a colour-coded image to class indices.

    **Shapes**: label (H, W, 3) of any integer type, colours (C, 3) uint8 -> (H, W) uint8.

    Raises:
        ValueError: a colour of no class (the message names it and the pixel), or no integer type.
    """
    _check_type(label, "iu")
    if label.ndim != 3 or label.shape[2] != 3:
        raise ValueError(f"this image is {label.shape}, and class colours are needed: three channels")
    codes = _code(colours)
    order = np.argsort(codes)
    found = _code(label)
    places = order[np.searchsorted(codes, found, sorter=order).clip(max=len(codes) - 1)]
    _check((codes[places] == found) & ((label >= 0) & (label <= 255)).all(2), label, "colour")
    return places.astype(np.uint8)


def _code(colours: np.ndarray) -> np.ndarray:
    """Encode every colour as one number."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _check_type(label: np.ndarray, kinds: str) -> None:
    if label.dtype.kind not in kinds:
        raise ValueError(f"labels must be of an integer type, found {label.dtype}")


def _check(known: np.ndarray, label: np.ndarray, what: str) -> None:
    if not known.all():
        row, column = np.argwhere(~known)[0].tolist()
        value = label[row, column].tolist()
        raise ValueError(f"{what} {value} at row {row}, column {column} is in no class of this data set")
