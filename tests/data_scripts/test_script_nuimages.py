"""The nuImages script: masks, and the draw of the paper's 800 photographs."""

import shutil

import nuimages
import numpy as np
import trees
from PIL import Image
from scripts import run

from lixlib import data


def test_masks_are_painted_by_the_devkits_rules(tmp_path, monkeypatch):
    labels = trees.nuimages(tmp_path, version="v1.0-train", made=False)
    trees.nuimages(tmp_path / "val", 2, version="v1.0-val", made=False)
    shutil.move(tmp_path / "val" / "v1.0-val", tmp_path / "v1.0-val")
    shutil.rmtree(tmp_path / "val")
    assert run(nuimages, "--root", tmp_path) == 0, "unpacked by hand"
    assert len(labels) == 5 and all(len(np.unique(label)) > 3 for label in labels.values())
    for name, label in labels.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "lix" / "masks" / f"{name}.png")), label), name
    splits = {split: data.load("nuimages", split, root=tmp_path, size=None, with_x=False) for split in ("train", "val")}
    assert [len(split) for split in splits.values()] == [3, 2]


def test_of_many_photographs_the_papers_800_are_drawn():
    drawn = nuimages.draw([f"CAM_FRONT/{i}" for i in range(1000)])
    assert [len(names) for names in drawn.values()] == [560, 240]
    assert not set(drawn["train"]) & set(drawn["val"])
