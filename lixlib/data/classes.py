"""Class tables: names and colours of each data set's classes, and the ids that its label files use for them."""

from dataclasses import dataclass

import numpy as np

from lixlib.core.constants import IGNORE


@dataclass(frozen=True, eq=False)
class Classes:
    """Names and colours of the classes of a data set, in label order.

    Args:
        names: one name per class.
        colours: (C, 3) uint8 array of RGB; by default those of `palette`.
    """

    names: tuple[str, ...]
    colours: np.ndarray = None  # type: ignore[assignment]  # never None once it is made

    def __post_init__(self):
        if self.colours is None:
            object.__setattr__(self, "colours", palette(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)


def palette(count: int) -> np.ndarray:
    """Return distinct colours for classes without colours of their own: the palette of PASCAL VOC without black.

    **Shapes**: -> (count, 3) uint8.
    """
    colours = np.zeros((count, 3), dtype=np.uint8)
    for index in range(count):
        number = index + 1
        for bit in range(7, -1, -1):
            colours[index] |= np.array([(number >> channel & 1) << bit for channel in range(3)], dtype=np.uint8)
            number >>= 3
    return colours


def _table(*rows: tuple[str, tuple[int, int, int]]) -> Classes:
    return Classes(tuple(name for name, _ in rows), np.array([colour for _, colour in rows], dtype=np.uint8))


# The colours of Cityscapes. It has no lane marks, so they have the colour of its rail tracks.
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

# Cityscapes has no potholes. Their colour is our choice: light against the purple of the road.
POTHOLES = _table(("road", (128, 64, 128)), ("pothole", (255, 200, 60)))

# Virtual KITTI 2 in the colours of its files. Version 1.3.1 had another GuardRail, and one colour for each car.
VKITTI2 = _table(
    ("Undefined", (0, 0, 0)),
    ("Terrain", (210, 0, 200)),
    ("Sky", (90, 200, 255)),
    ("Tree", (0, 199, 0)),
    ("Vegetation", (90, 240, 0)),
    ("Building", (140, 140, 140)),
    ("Road", (100, 60, 100)),
    ("GuardRail", (250, 100, 255)),
    ("TrafficSign", (255, 255, 0)),
    ("TrafficLight", (200, 200, 0)),
    ("Pole", (255, 130, 0)),
    ("Misc", (80, 80, 80)),
    ("Truck", (160, 60, 60)),
    ("Car", (255, 127, 80)),
    ("Van", (0, 139, 139)),
)
VKITTI2_DEFINED = Classes(VKITTI2.names[1:], VKITTI2.colours[1:])  # for runs that ignore Undefined

# The labels of Cityscapes and KITTI in the order of their ids: name, colour, whether it is a class for training
_CITYSCAPES = (
    ("unlabeled", (0, 0, 0), False),
    ("ego vehicle", (0, 0, 0), False),
    ("rectification border", (0, 0, 0), False),
    ("out of roi", (0, 0, 0), False),
    ("static", (0, 0, 0), False),
    ("dynamic", (111, 74, 0), False),
    ("ground", (81, 0, 81), False),
    ("road", (128, 64, 128), True),
    ("sidewalk", (244, 35, 232), True),
    ("parking", (250, 170, 160), False),
    ("rail track", (230, 150, 140), False),
    ("building", (70, 70, 70), True),
    ("wall", (102, 102, 156), True),
    ("fence", (190, 153, 153), True),
    ("guard rail", (180, 165, 180), False),
    ("bridge", (150, 100, 100), False),
    ("tunnel", (150, 120, 90), False),
    ("pole", (153, 153, 153), True),
    ("polegroup", (153, 153, 153), False),
    ("traffic light", (250, 170, 30), True),
    ("traffic sign", (220, 220, 0), True),
    ("vegetation", (107, 142, 35), True),
    ("terrain", (152, 251, 152), True),
    ("sky", (70, 130, 180), True),
    ("person", (220, 20, 60), True),
    ("rider", (255, 0, 0), True),
    ("car", (0, 0, 142), True),
    ("truck", (0, 0, 70), True),
    ("bus", (0, 60, 100), True),
    ("caravan", (0, 0, 90), False),
    ("trailer", (0, 0, 110), False),
    ("train", (0, 80, 100), True),
    ("motorcycle", (0, 0, 230), True),
    ("bicycle", (119, 11, 32), True),
)
CITYSCAPES = _table(*((name, colour) for name, colour, trained in _CITYSCAPES if trained))
# The trainId of every labelId. License plates have the labelId -1, which is 255 in eight bits.
CITYSCAPES_IDS = {
    **{i: CITYSCAPES.names.index(name) if trained else IGNORE for i, (name, _, trained) in enumerate(_CITYSCAPES)},
    255: IGNORE,
}

# nuImages in the order of the ids 0 to 24 of nuScenes' devkit, followed by its id 31, the car that carries the cameras.
NUIMAGES = _table(
    ("background", (0, 0, 0)),
    ("animal", (70, 130, 180)),
    ("human.pedestrian.adult", (0, 0, 230)),
    ("human.pedestrian.child", (135, 206, 235)),
    ("human.pedestrian.construction_worker", (100, 149, 237)),
    ("human.pedestrian.personal_mobility", (219, 112, 147)),
    ("human.pedestrian.police_officer", (0, 0, 128)),
    ("human.pedestrian.stroller", (240, 128, 128)),
    ("human.pedestrian.wheelchair", (138, 43, 226)),
    ("movable_object.barrier", (112, 128, 144)),
    ("movable_object.debris", (210, 105, 30)),
    ("movable_object.pushable_pullable", (105, 105, 105)),
    ("movable_object.trafficcone", (47, 79, 79)),
    ("static_object.bicycle_rack", (188, 143, 143)),
    ("vehicle.bicycle", (220, 20, 60)),
    ("vehicle.bus.bendy", (255, 127, 80)),
    ("vehicle.bus.rigid", (255, 69, 0)),
    ("vehicle.car", (255, 158, 0)),
    ("vehicle.construction", (233, 150, 70)),
    ("vehicle.emergency.ambulance", (255, 83, 0)),
    ("vehicle.emergency.police", (255, 215, 0)),
    ("vehicle.motorcycle", (255, 61, 99)),
    ("vehicle.trailer", (255, 140, 0)),
    ("vehicle.truck", (255, 99, 71)),
    ("flat.driveable_surface", (0, 207, 191)),
    ("vehicle.ego", (255, 240, 245)),
)
NUIMAGES_IDS = {**{i: i for i in range(25)}, 31: 25}

# NYUv2 in the 40 classes of Gupta et al. (CVPR 2013); the index is their number minus one. The last is "otherprop".
_NYUV2 = (
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter"),
    *(
        "blinds",
        "desk",
        "shelves",
        "curtain",
        "dresser",
        "pillow",
        "mirror",
        "floor mat",
        "clothes",
        "ceiling",
        "books",
    ),
    *("refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand"),
    *("toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop"),
)
NYUV2_40 = Classes(_NYUV2, palette(40))
NYUV2_39 = Classes(_NYUV2[:39], palette(39))
NYUV2_13 = Classes(
    (
        *("bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv"),
        *("wall", "window"),
    ),
    palette(13),
)
# For each of the 40 classes the number (from 1) of its class among the 13 of Couprie et al. (ICLR 2013)
NYUV2_13_OF_40 = (
    *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
    *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
)

TABLES = (TOYDRIVE, CAMVID, POTHOLES, VKITTI2, VKITTI2_DEFINED, CITYSCAPES, NUIMAGES, NYUV2_13, NYUV2_39, NYUV2_40)
