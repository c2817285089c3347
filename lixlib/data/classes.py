"""Class tables: the names of a data set's classes and the colours that its label maps are drawn in."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Classes:
    """Names and colours of the classes of a data set, in label order.

    names: one name per class; colours: (C, 3) uint8 array, RGB.
    """

    names: tuple[str, ...]
    colours: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def _table(*rows: tuple[str, tuple[int, int, int]]) -> Classes:
    return Classes(tuple(name for name, _ in rows), np.array([colour for _, colour in rows], dtype=np.uint8))


# Cityscapes colours; Cityscapes has no lane mark, which takes the colour of its rail tracks.
TOYDRIVE = _table(
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("terrain", (152, 251, 152)),
    ("lane mark", (230, 150, 140)),
    ("building", (70, 70, 70)),
    ("pole", (153, 153, 153)),
    ("traffic sign", (220, 220, 0)),
    ("traffic light", (250, 170, 30)),
    ("tree", (107, 142, 35)),
    ("sky", (70, 130, 180)),
    ("pedestrian", (220, 20, 60)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
)

CAMVID = _table(
    ("sky", (70, 130, 180)),
    ("building", (70, 70, 70)),
    ("pole", (153, 153, 153)),
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("tree", (107, 142, 35)),
    ("sign", (220, 220, 0)),
    ("fence", (190, 153, 153)),
    ("car", (0, 0, 142)),
    ("pedestrian", (220, 20, 60)),
    ("bicyclist", (255, 0, 0)),
)

# Cityscapes has no pothole: its colour is ours, light against the road's purple.
POTHOLES = _table(("road", (128, 64, 128)), ("pothole", (255, 200, 60)))
