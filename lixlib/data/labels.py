"""Class indices from what label files hold: numbers (ids) or colours."""

import numpy as np

from lixlib.core.sample import IGNORE


def from_ids(label: np.ndarray, indices: dict[int, int]) -> np.ndarray:
    """Class indices of an image of ids.

    **Shapes**: (H, W) of any integer type, or bool -> (H, W) uint8.

    Args:
        indices: the class index of every id that may occur; 255 = ignored.

    Raises:
        ValueError: another id, then the message names the pixel and the id; or a type that is not integer.
    """
    _check_type(label, "biu")
    if label.ndim != 2:
        raise ValueError("this is a colour image, and ids are needed: one channel")
    known = np.zeros(max(indices) + 2, dtype=bool)  # the last entry stands for all ids beyond
    table = np.full(known.size, IGNORE, dtype=np.uint8)
    known[list(indices)], table[list(indices)] = True, list(indices.values())
    places = label.astype(np.int64)
    places[(places < 0) | (places >= known.size)] = known.size - 1
    _check(known[places], label, "id")
    return table[places]


def from_colours(label: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Class indices of a colour-coded image.

    **Shapes**: label (H, W, 3) of any integer type, colours (C, 3) uint8 -> (H, W) uint8.

    Raises:
        ValueError: another colour, then the message names the pixel and the colour; or a type that is not integer.
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
    """One number a colour."""
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
