"""Miniature trees of Virtual KITTI 2, KITTI, nuImages and Cityscapes in the official layouts."""

import shutil
from pathlib import Path

import pytest
import trees
from reader_trees import LISTS

from lixlib.data import splits


@pytest.fixture(scope="session")
def roots(tmp_path_factory) -> dict[str, Path]:
    """One tree of each data set, with a list of its splits."""
    folder = tmp_path_factory.mktemp("trees")
    found = {name: folder / name for name in ("vkitti2", "kitti", "cityscapes", "nuimages")}
    trees.vkitti2(found["vkitti2"])
    trees.kitti(found["kitti"])
    trees.cityscapes(found["cityscapes"])
    labels = trees.nuimages(found["nuimages"])
    lists = LISTS | {"nuimages": splits.draw(labels, {"train": 3, "val": 2})}
    for name, of in lists.items():
        splits.write_list(found[name] / splits.LIST, of)
    return found


@pytest.fixture
def copied(roots, tmp_path):
    """A function: the copy of a tree that a test may break."""
    return lambda name: Path(shutil.copytree(roots[name], tmp_path / name))
