"""The nuImages script: masks, and the draw of the paper's 800 photographs."""

import json
import shutil
import tarfile

import nuimages
import numpy as np
import pytest
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


def having(rows, **fields):
    return [row | fields for row in rows]


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("sample_data", lambda rows: None, "sample_data.json has a row without a usable token"),
        ("sample_data", lambda rows: [1, 2], "sample_data.json has a row without a usable token"),
        ("sample_data", lambda rows: having(rows, width="5"), "without a usable width"),
        ("category", lambda rows: [], "category None, which nuImages does not have"),
        ("category", lambda rows: having(rows, name="cow"), "category cow, which nuImages does not have"),
        ("object_ann", lambda rows: having(rows, mask=5), "object_ann.json has a row without a usable mask"),
        ("object_ann", lambda rows: having(rows, mask={"counts": "AAAA"}), "a mask that cannot be read"),
        ("object_ann", lambda rows: having(rows, mask={"size": [1, 1], "counts": "!!"}), "a mask that cannot be read"),
    ],
)
def test_tables_with_junk_are_told(tmp_path, capsys, table, change, message):
    trees.nuimages(tmp_path, made=False)
    path = tmp_path / "v1.0-mini" / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert run(nuimages, "--root", tmp_path, "--mini") == 1
    assert message in "".join(capsys.readouterr())


def test_an_archive_without_tables(tmp_path, capsys):
    (tmp_path / "downloads").mkdir()
    tarfile.open(tmp_path / "downloads" / nuimages.MINI.name, "w:gz").close()
    assert run(nuimages, "--root", tmp_path / "root", "--archives", tmp_path / "downloads", "--mini") == 1
    assert "sample_data.json: the archive does not hold it" in capsys.readouterr().err
