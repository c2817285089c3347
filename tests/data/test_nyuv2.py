"""NYUv2: its splits, its three tables of classes, and depth in metres from its files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lixlib import data
from lixlib.data.readers.nyuv2 import to_classes
from lixlib.data.splits import read_list
from lixlib.data.x.depth_encoding import decode_depth


def load(root, split="train", **options):
    return data.load("nyuv2", split, root=root, size=None, **options)


@pytest.fixture
def root(tmp_path):
    """The first image of train, in the public layout: a floor from 2 to 4 m away, half of it unlabelled."""
    depth = np.tile(np.linspace(51, 102, 32).round().astype(np.uint8), (24, 1))
    label = np.full((24, 32), 1, np.uint8)
    label[:12] = 39
    for folder, suffix, image in (
        ("nyu_images", "jpg", np.full((24, 32, 3), 90, np.uint8)),
        ("nyu_depths", "png", depth),
        ("nyu_labels40", "png", label),
    ):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / f"2.{suffix}")
    return tmp_path


def test_the_official_splits():
    splits = {name: set(read_list("nyuv2", Path(), name)) for name in ("train", "test", "fit", "val")}
    assert {name: len(found) for name, found in splits.items()} == {"train": 795, "test": 654, "fit": 381, "val": 414}
    assert splits["fit"] | splits["val"] == splits["train"] and not splits["train"] & splits["test"]


@pytest.mark.parametrize("classes", [13, 39, 40])
def test_labels(root, classes):
    train = load(root, classes=classes)
    label = train[0].label
    assert len(train.classes) == classes and train.classes.names[int(label[23, 0])] == "floor"
    assert (label[:12] == (39 if classes == 40 else 255)).all()
    every = to_classes(np.arange(40, dtype=np.uint8), classes)
    assert set(every.tolist()) - {255} == set(range(classes))


def test_a_label_of_no_class():
    with pytest.raises(ValueError, match="label 40 is no class of NYU40"):
        to_classes(np.array([40]), 13)


@pytest.mark.parametrize("x", ["depth", "disparity"])
def test_depth_in_metres(root, x):
    sample = load(root, x=x)[0]
    depth = decode_depth(sample.x, sample.unit)
    assert depth[0, 0, 0].item() == pytest.approx(2, rel=0.01) and depth[0, 0, -1].item() == pytest.approx(4, rel=0.01)


def test_normals_by_the_kinects_camera(root):
    normals = load(root, x="normals")[0]
    assert normals.x.shape == (3, 24, 32) and normals.valid.any()


def test_the_real_set(shared):
    root = shared / "data" / "nyuv2"
    sample = load(root, "test")[0]
    assert sample.rgb.shape == (3, 240, 320) and len(load(root, "test")) == 654
    assert 0.5 < decode_depth(sample.x, sample.unit)[sample.valid].median() < 10
    assert torch.isin(sample.label, torch.tensor([*range(13), 255])).all()
