"""What a check of a data set finds: everything that is wrong or unwise in it, and not its first mistake alone."""

import shutil

import numpy as np
import pytest
import trees
from own_folder import NAMES, own_folder, say, write
from PIL import Image, ImageEnhance

from lixlib.data import contact_sheet, load
from lixlib.data.checking import check, difference_hash, near_duplicates
from lixlib.data.splits import LIST, write_list


@pytest.fixture
def root(tmp_path):
    return own_folder(
        tmp_path, {"train": 20, "val": 10, "test": 10, "unlabelled": 3}, x={"kind": "depth", "metres_per_unit": 0.01}
    )


def look(root, **options):
    return check(root, progress=False, **options)


def only(groups: dict[str, list[str]], words: str) -> list[str]:
    """The lines of the group whose heading begins so; there is no other group."""
    assert [heading for heading in groups if not heading.startswith(words)] == []
    return groups[next(iter(groups))]


def group(groups: dict[str, list[str]], words: str) -> list[str]:
    """The lines of the one group whose heading begins so."""
    (lines,) = (lines for heading, lines in groups.items() if heading.startswith(words))
    return lines


def test_a_good_folder_has_nothing_to_report(root):
    report = look(root)
    assert not report.problems and not report.warnings
    assert list(report.splits) == ["train", "val", "test", "unlabelled"]
    train = report.splits["train"]
    assert (train.images, train.with_x, train.with_label) == (20, 20, 20)
    label = np.stack([load("folder", "train", root=root, size=None)[i].label for i in range(20)])
    assert train.pixels[:3].tolist() == [int((label == index).sum()) for index in range(3)]
    assert train.pixels[255] == 20 * 32 and train.images_with[:4].tolist() == [20, 20, 20, 0]
    assert len(report.rows) == 4 + 4 + 4 + 3
    sheet = contact_sheet.draw(report.rows, report.classes)
    assert sheet.width > 6 * contact_sheet.CELL and sheet.height > 8 * 192


def test_every_broken_file_is_reported(root):
    for name in ("train1", "train3"):
        (root / "train" / "rgb" / f"{name}.jpg").write_bytes(b"no image")
    (root / "train" / "label" / "train4.png").write_bytes(b"")
    (root / "test" / "x" / "test0.png").write_bytes(b"")
    (root / "val" / "label" / "val1.png").unlink()
    (root / "val" / "x" / "val2.png").unlink()
    write(root / "train" / "label" / "train5.png", np.zeros((24, 30), np.uint8))
    write(root / "train" / "x" / "train6.png", np.ones((20, 32), np.uint16))
    for number in range(7):
        write(root / "test" / "label" / f"test{number}.png", np.full((24, 32), 9 + number, np.uint8))
    found = look(root).problems
    lines = group(found, "photographs that cannot be read")
    assert len(lines) == 2 and "train1.jpg" in lines[0] and "train3.jpg" in lines[1]
    assert "train4.png" in group(found, "label files that cannot be read")[0]
    assert "test0.png" in group(found, "X files that cannot be read")[0]
    assert "val1.png" in group(found, "photographs without a label")[0]
    assert "val2.png" in group(found, "photographs without X")[0]
    sizes = group(found, "files whose size differs")
    assert len(sizes) == 2 and "train5.png is (24, 30)" in sizes[0] and "train6.png is (20, 32)" in sizes[1]
    values = group(found, "label files with values that are no class")
    assert len(values) == 7 and "test3.png: id 12 at row 0, column 0" in values[3]
    assert len(found) == 7


def test_what_is_wrong_with_json_files_does_not_stop_the_check(root):
    say(root, "classes.json", names=["a", "a"])
    say(root, "x.json", kind="depth")
    (root / "test" / "rgb" / "test0.jpg").write_bytes(b"")
    report = look(root)
    assert list(report.problems) == ["classes.json", "x.json", "photographs that cannot be read"]
    assert report.classes is None and contact_sheet.draw(report.rows, report.classes).height > 0


def test_files_that_no_photograph_belongs_to(root):
    (root / "train" / "rgb" / "train0.jpg").unlink()
    (root / "train" / "label" / "notes.txt").touch()
    write(root / "train" / "label" / "other.jpg", np.zeros((24, 32), np.uint8))
    shutil.copy(root / "train" / "rgb" / "train1.jpg", root / "train" / "rgb" / "train1.jpeg")
    report = look(root)
    assert len(only(report.problems, "two files of one name")) == 1
    assert [line[-10:] for line in group(report.warnings, "X or label files without")] == ["train0.png"] * 2
    assert len(group(report.warnings, "files that are not read: in label folders")) == 2
    assert group(report.warnings, "very few images") == ["train has 19: 20 or more are better"]


@pytest.mark.parametrize(
    ("gone", "heading"),
    [
        (["train"], "no split to train on"),
        (["val", "test"], "no split to score"),
        (["test/label"], "splits without labels"),
    ],
)
def test_missing_splits(root, gone, heading):
    for part in gone:
        shutil.rmtree(root / part)
    assert only(look(root).problems, heading)


def test_a_folder_for_students_needs_no_x(root):
    for part in root.glob("*/x"):
        shutil.rmtree(part)
    (root / "x.json").unlink()
    report = look(root)
    assert not report.problems and len(only(report.warnings, "splits without X")) == 4


def test_classes_that_cannot_be_learnt_or_scored(root):
    say(root, "classes.json", names=[*NAMES, "lamp", "door", "sofa"])
    mark(root / "test" / "label" / "test3.png", 4)
    mark(root / "train" / "label" / "train3.png", 5)
    found = look(root).warnings
    assert group(found, "classes that occur in no image") == ["lamp"]
    assert group(found, "classes that occur in no training image") == ["door, but in test"]
    assert group(found, "classes that occur in training images alone") == ["sofa"]
    for path in (root / "val" / "label").iterdir():
        label = np.array(Image.open(path))
        write(path, np.where(label == 2, 0, label).astype(np.uint8))
    assert group(look(root).warnings, "classes that a split does not show") == ["chair, in no image of val"]


def mark(path, value: int) -> None:
    label = np.array(Image.open(path))
    label[5:8, 5:8] = value
    write(path, label)


def test_photographs_and_x_in_each_others_place(root):
    for split in ("train", "val", "test"):
        swap(root / split, "rgb", "x")
    found = look(root).problems["are rgb and x swapped?"]
    assert len(found) == 3 and found[0].startswith("none of the 20 files of") and "train/x can be X" in found[0]
    for path in list(root.glob("*/x/*.jpg")):  # photographs may be PNG files, too
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    found = look(root).problems["are rgb and x swapped?"]
    assert found[0] == "every photograph of train has one channel, and no X file has"


def swap(place, one: str, other: str) -> None:
    (place / one).rename(place / "third")
    (place / other).rename(place / one)
    (place / "third").rename(place / other)


def test_a_grey_camera_is_no_problem(root):
    for path in root.glob("*/rgb/*.jpg"):
        Image.open(path).convert("L").save(path)
    report = look(root)
    assert not report.problems and len(only(report.warnings, "photographs without colours: are they X?")) == 4


def test_x_in_the_place_of_labels_is_told_once(root):
    for split in ("train", "val", "test"):
        swap(root / split, "label", "x")
    lines = group(look(root).problems, "label files with values that are no class")
    assert len(lines) == 3 and lines[0].startswith("20 of 20 in train, e.g. ") and "is this X?" in lines[0]


@pytest.mark.parametrize(("part", "other"), [("label", "labels"), ("label", "masks"), ("x", "depth")])
def test_a_folder_of_another_name(root, part, other):
    (root / "train" / part).rename(root / "train" / other)
    advice = f"train has a folder {other} that nothing reads: rename it to {part}"
    report = look(root)
    assert any(advice in line for lines in (report.problems | report.warnings).values() for line in lines)
    with pytest.raises(FileNotFoundError, match=f"no folder .*train/{part}: {advice}"):
        load("folder", "train", root=root, size=None)


def test_labels_that_say_little(root):
    for number in range(6):
        write(root / "val" / "label" / f"val{number}.png", np.full((24, 32), 1, np.uint8))
    write(root / "val" / "label" / "val7.png", np.full((24, 32), 255, np.uint8))
    found = look(root).warnings
    assert group(found, "splits in which most labels hold one class") == ["val: 6 of 10 labels"]
    assert "val7.png" in group(found, "labels that ignore every pixel")[0]
    for path in (root / "test" / "label").iterdir():
        write(path, np.full((24, 32), 255, np.uint8))
    assert only(look(root).problems, "splits in which every pixel is ignored") == ["test"]


def test_x_that_says_little(root):
    write(root / "train" / "x" / "train0.png", np.full((24, 32), 700, np.uint16))
    sparse = np.zeros((24, 32), np.uint16)
    sparse[::4] = np.arange(1, 33)
    write(root / "train" / "x" / "train1.png", sparse)
    found = look(root).warnings
    assert "train0.png is 700 everywhere" in group(found, "X that is constant")[0]
    assert "train1.png: 75% of its pixels" in group(found, "X with most pixels missing")[0]


def test_other_x_may_be_zero_but_must_differ(root):
    say(root, "x.json", kind="other")
    write(root / "train" / "x" / "train1.png", np.zeros((24, 32), np.uint16))
    report = look(root)
    assert not report.problems and len(only(report.warnings, "X that is constant")) == 1
    for path in (root / "train" / "x").iterdir():
        write(path, np.full((24, 32), 7, np.uint16))
    assert "and says nothing" in only(look(root).problems, "the training images cannot be read together")[0]


def test_near_duplicates_across_splits(root):
    photo = Image.open(root / "train" / "rgb" / "train2.jpg")
    ImageEnhance.Brightness(photo).enhance(1.2).resize((64, 48)).resize((32, 24)).save(root / "test/rgb/test5.jpg")
    shutil.copy(root / "train" / "rgb" / "train3.jpg", root / "unlabelled" / "rgb" / "unlabelled0.jpg")
    (line,) = only(look(root).warnings, "near-duplicates in two splits")
    assert line.startswith("train/train2 and test/test5"), "unlabelled images may be those of train"


def test_hashes_of_images_without_structure_say_nothing():
    plain = {"plain": difference_hash(Image.new("RGB", (32, 24), "gray"))}
    assert not plain["plain"].any() and near_duplicates(plain, plain) == []


def test_photographs_of_different_proportions(root):
    for part, array in (("rgb", (32, 24, 3)), ("x", (32, 24)), ("label", (32, 24))):
        suffix, kind = ("jpg", np.uint8) if part == "rgb" else ("png", np.uint16 if part == "x" else np.uint8)
        image = np.random.default_rng(1).integers(0, 3, array).astype(kind)
        write(root / "train" / part / f"train9.{suffix}", image)
    lines = only(look(root).warnings, "photographs of different proportions")
    assert lines == ["24 x 32 (height x width): 42 images", "32 x 24 (height x width): 1 images"]


def test_other_data_sets(shared):
    report = look(shared / "data" / "potholes", dataset="potholes")
    assert not report.problems and {name: each.images for name, each in report.splits.items()} == {
        "train": 45,
        "test": 22,
    }


def test_another_data_set_without_x_and_with_a_broken_file(tmp_path):
    trees.kitti(tmp_path, made=False)
    write_list(tmp_path / LIST, {"train": ["000000", "000001"], "val": ["000002", "000003"]})
    (tmp_path / "training" / "image_2" / "000001_10.png").write_bytes(b"")
    report = look(tmp_path, dataset="kitti")
    assert "000001_10.png" in only(report.problems, "photographs that cannot be read")[0]
    assert len(group(report.warnings, "splits without X")) == 2
    assert [counts.with_label for counts in report.splits.values()] == [2, 2]


def test_what_is_not_read_from_files(root):
    with pytest.raises(ValueError, match="'toydrive' is not read from files: choose one of potholes"):
        look(root, dataset="toydrive")
    with pytest.raises(FileNotFoundError, match="no folder .*missing"):
        look(root / "missing")


def test_x_that_is_cut_off_is_told(tmp_path):
    near = own_folder(tmp_path / "near", x={"kind": "depth", "metres_per_unit": 0.0001, "scale": 1})  # 10 to 25 cm
    assert "--dataset-options" in str(check(near, progress=False).warnings["X that is cut off as a teacher sees it"])
    street = own_folder(tmp_path / "street", x={"kind": "depth", "metres_per_unit": 0.01, "scale": 80})
    assert "X that is cut off as a teacher sees it" not in check(street, progress=False).warnings
