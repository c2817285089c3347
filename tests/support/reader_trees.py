"""Trees of the four large data sets for the tests of their readers."""

from lixlib import data

METRIC = ("vkitti2", "kitti", "cityscapes")
LISTS = {
    "vkitti2": {"train": [f"Scene01/clone/{i:05d}" for i in range(4)], "val": ["Scene20/15-deg-left/00001"]},
    "kitti": {"train": ["000000", "000001", "000002"], "val": ["000003"]},
}


def load_split(name, roots, split="train", **options):
    return data.load(name, split, root=roots[name], **{"size": None, **options})
