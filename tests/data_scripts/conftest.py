"""What the tests of the data scripts share."""

import importlib
import shutil
import sys
from dataclasses import replace

import camvid
import cityscapes
import kitti
import potholes
import pytest
import toydrive
import trees
import vkitti2
from scripts import FETCHED, zip_of_github


@pytest.fixture(params=[*FETCHED, "toydrive"])
def case(request, tmp_path, monkeypatch):
    """A script, a root, the arguments for it, and whether its data set has X without a network."""
    folder, root, made = tmp_path / "downloads", tmp_path / "root", tmp_path / "official"
    name = request.param
    monkeypatch.setattr(sys, "argv", [])
    arguments = ["--root", root, "--archives", folder]
    if name in ("camvid", "potholes"):
        shutil.copytree(request.getfixturevalue(f"{name}_root"), made)
        zip_of_github(made, folder, name)
    elif name != "toydrive":
        getattr(trees, name)(made, **{} if name == "vkitti2" else {"made": False})
        trees.pack(name, made, folder)
    if name == "camvid":
        monkeypatch.setattr(camvid, "SPLITS", {"train": 16, "val": 4, "test": 4})
    elif name == "potholes":
        monkeypatch.setattr(potholes, "COUNTS", {"dataset1": 3, "dataset2": 9, "dataset3": 2})
    elif name == "vkitti2":
        monkeypatch.setattr(vkitti2, "ARCHIVES", [replace(archive, md5=None) for archive in vkitti2.ARCHIVES])
        monkeypatch.setattr(vkitti2, "frames", lambda: [f"Scene01/clone/{i:05d}" for i in range(4)])
        monkeypatch.setattr(vkitti2, "COUNTS", {"train": 3, "val": 1})
    elif name == "kitti":
        monkeypatch.setattr(kitti, "frames", lambda: [f"{i:06d}" for i in range(4)])
        monkeypatch.setattr(kitti, "COUNTS", {"train": 2, "val": 2})
    elif name == "nuimages":
        arguments += ["--mini"]
    elif name == "cityscapes":
        unchecked = {kind: replace(archive, md5=None) for kind, archive in cityscapes.ARCHIVES.items()}
        monkeypatch.setattr(cityscapes, "ARCHIVES", unchecked)
        monkeypatch.setattr(cityscapes, "SPLITS", {"train": 4, "val": 2})
    else:
        monkeypatch.setattr(toydrive, "DEFAULT_COUNT", {"train": 3, "val": 1, "test": 1})
        arguments = ["--root", root, "--size", 24, 80]
    return importlib.import_module(name), root, arguments, name not in ("camvid", "nuimages")
