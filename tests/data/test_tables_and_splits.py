"""Class tables, label files, and the splits of the four large data sets."""

import re

import numpy as np
import pytest
import torch
import trees

from lixlib.data import classes, splits
from lixlib.data.labels import from_colours, from_ids
from lixlib.data.readers.kitti import COUNTS as KITTI_COUNTS
from lixlib.data.readers.kitti import frames as kitti_frames
from lixlib.data.readers.vkitti2 import COUNTS as VKITTI2_COUNTS
from lixlib.data.readers.vkitti2 import frames as vkitti2_frames


def test_the_tables_are_those_of_the_files():
    assert dict(zip(classes.VKITTI2.names, classes.VKITTI2.colours.tolist(), strict=True)) == {
        name: list(colour) for name, colour in trees.VKITTI2_COLOURS.items()
    }
    assert classes.VKITTI2_DEFINED.names == classes.VKITTI2.names[1:]
    for name, number in trees.NUIMAGES_IDS.items():
        assert classes.NUIMAGES.names[classes.NUIMAGES_IDS[number]] == name
    assert len(classes.NUIMAGES) == 26 and classes.NUIMAGES_IDS[0] == 0
    assert len(classes.CITYSCAPES) == 19
    trained = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13}
    trained |= {27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    assert classes.CITYSCAPES_IDS == {i: trained.get(i, 255) for i in (*range(34), 255)}
    assert [classes.CITYSCAPES.names[i] for i in (0, 5, 16, 18)] == ["road", "pole", "train", "bicycle"]
    for table in classes.TABLES:
        assert len(set(map(tuple, table.colours.tolist()))) == len(table) == len(set(table.names))


def test_colours_become_classes():
    truth = torch.randint(15, (31, 17)).numpy()
    found = from_colours(classes.VKITTI2.colours[truth], classes.VKITTI2.colours)
    assert np.array_equal(found, truth)


@pytest.mark.parametrize("colour", [[250, 100, 254], [255, 100, 255], [255, 255, 255], [0, 0, 1]])
def test_a_colour_that_is_no_class_is_named_with_its_place(colour):
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[2, 5] = colour
    with pytest.raises(ValueError, match=re.escape(f"colour {colour} at row 2, column 5 is in no class")):
        from_colours(image, classes.VKITTI2.colours)


@pytest.mark.parametrize(("number", "dtype"), [(34, np.uint8), (254, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_an_id_that_is_no_class_is_named_with_its_place(number, dtype):
    image = np.full((4, 6), 255, dtype=dtype)
    image[3, 0] = number
    with pytest.raises(ValueError, match=f"id {number} at row 3, column 0 is in no class"):
        from_ids(image, classes.CITYSCAPES_IDS)
    image[3, 0] = 33
    assert (from_ids(image, classes.CITYSCAPES_IDS)[3] == [18, 255, 255, 255, 255, 255]).all()


@pytest.mark.parametrize("number", [-1, -300, 2**31 + 1, 2**32])
def test_an_id_of_any_size_is_named(number):
    with pytest.raises(ValueError, match=f"id {number} at row 0, column 1 is in no class"):
        from_ids(np.array([[0, number]]), {0: 0, 255: 255})


@pytest.mark.parametrize("colour", [[0, 258, 3], [0, 0, 66051], [-1, 2, 3], [2**32 + 1, 2, 3]])
def test_a_colour_beyond_a_byte_is_named(colour):
    with pytest.raises(ValueError, match=re.escape(f"colour {colour} at row 0, column 0")):
        from_colours(np.array([[colour]]), np.array([[0, 0, 0], [1, 2, 3]], dtype=np.uint8))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_ids_of_any_integer_type(dtype):
    assert from_ids(np.array([[0, 1]]).astype(dtype), {0: 5, 1: 6, 255: 255}).tolist() == [[5, 6]]


def test_labels_of_the_wrong_kind():
    for read in (from_ids, from_colours):
        with pytest.raises(ValueError, match="labels must be of an integer type, found float32"):
            read(np.zeros((4, 6), dtype=np.float32), classes.VKITTI2.colours)
    with pytest.raises(ValueError, match="this is a colour image, and ids are needed"):
        from_ids(np.zeros((4, 6, 3), dtype=np.uint8), classes.CITYSCAPES_IDS)
    with pytest.raises(ValueError, match=r"this image is \(4, 6\), and class colours are needed"):
        from_colours(np.zeros((4, 6), dtype=np.uint8), classes.VKITTI2.colours)


# Splits


def test_a_draw_is_disjoint_and_depends_on_names_and_seed_alone():
    names = [f"{i:03d}" for i in range(50)]
    drawn = splits.draw(names, {"train": 20, "val": 10})
    assert [len(drawn[split]) for split in drawn] == [20, 10] and not {*drawn["train"]} & {*drawn["val"]}
    assert splits.draw(reversed(names), {"train": 20, "val": 10}) == drawn
    assert splits.draw(names, {"train": 20, "val": 10}, seed=1) != drawn
    assert all(part == sorted(part) for part in drawn.values())
    with pytest.raises(ValueError, match=r"50 images cannot be divided into 40 train \+ 11 val"):
        splits.draw(names, {"train": 40, "val": 11})


@pytest.mark.parametrize(
    ("name", "frames", "counts", "total"),
    [("vkitti2", vkitti2_frames(), VKITTI2_COUNTS, 21260), ("kitti", kitti_frames(), KITTI_COUNTS, 200)],
)
def test_the_lists_that_ship_are_the_draw(tmp_path, name, frames, counts, total):
    assert len(set(frames)) == total
    drawn = splits.draw(frames, counts)
    assert sum(map(len, drawn.values())) == {"vkitti2": 700, "kitti": 200}[name]
    for split, names in drawn.items():
        assert splits.read_list(name, tmp_path, split) == names


def test_a_list_in_the_folder_comes_first_and_is_checked(tmp_path):
    path = tmp_path / splits.LIST
    splits.write_list(path, {"train": ["a b", "c"], "val": ["d"]})
    assert path.read_text() == "train a b\ntrain c\nval d\n"
    assert splits.read_list("kitti", tmp_path, "train") == ["a b", "c"]
    with pytest.raises(ValueError, match="unknown split of kitti 'test': choose one of train, val"):
        splits.read_list("kitti", tmp_path, "test")
    path.write_text("train a\nb\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2 is 'b'")):
        splits.read_list("kitti", tmp_path, "train")
    path.write_bytes(b"\xef\xbb\xbftrain a b\r\n\r\ntrain\tc \r\n  \r\n")
    assert splits.read_list("kitti", tmp_path, "train") == ["a b", "c"], "as Windows saves it"
    path.write_text("train a\nval a\ntrain b\ntrain a\n")
    assert splits.read_list("kitti", tmp_path, "val") == ["a"]
    with pytest.raises(ValueError, match=re.escape(f"{path} lists a twice in the split train")):
        splits.read_list("kitti", tmp_path, "train")
    path.write_text("\n\n")
    with pytest.raises(ValueError, match=re.escape(f"{path} lists no image")):
        splits.read_list("kitti", tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="python data_scripts/nuimages.py"):
        splits.read_list("nuimages", tmp_path / "empty", "train")
