"""What the readers of Virtual KITTI 2, KITTI, nuImages and Cityscapes make of miniature trees."""

import shutil

import numpy as np
import pytest
import torch
import trees
from reader_trees import LISTS, METRIC, load_split

from lixlib import data
from lixlib.data import image_files, splits
from lixlib.data.toydrive.dataset import camera
from lixlib.data.x.depth_encoding import UNITS, encode_depth


def true_depth(index, *, baseline=None, step=None):
    """Metres of frame `index` as rounded in its file, 0 in the sky; a disparity has a baseline and a step."""
    depth, k = torch.from_numpy(trees.frame(index).depth)[None].double(), camera(trees.SIZE)
    depth[torch.isinf(depth)] = 0
    if step is None:
        return (depth * 100).round() / 100
    disparity = (k.fx * baseline / depth * step).round() / step
    return (k.fx * baseline / disparity).where(depth > 0, 0)


@pytest.mark.parametrize("x", UNITS)
@pytest.mark.parametrize("name", METRIC)
def test_what_depth_becomes(roots, name, x):
    samples = load_split(name, roots, x=x)
    one = samples[1].check(len(samples.classes))
    stereo = {
        "vkitti2": {},
        "kitti": {"baseline": 0.5327, "step": 256},
        "cityscapes": {"baseline": 0.209313, "step": 256},
    }
    depth = true_depth(1, **stereo[name])
    if name == "cityscapes":
        depth[:, -1] = 0
    expected, valid = encode_depth(depth.float(), x, camera(trees.SIZE))
    assert (samples.x_channels, one.unit) == (one.x.shape[0], UNITS[x])
    assert torch.equal(one.valid, valid) and not one.valid.all(), "the sky is masked"
    assert (one.x[:, ~one.valid[0]] == 0).all()
    # what 16 bits and half precision, and six digits of the calibration, leave over
    assert (one.x - expected).abs().max() < (0.02 if x == "normals" else 1e-3)


@pytest.mark.parametrize("name", [*METRIC, "nuimages"])
def test_photographs_and_labels(roots, tmp_path, name):
    samples = load_split(name, roots)
    one = samples[0].check(len(samples.classes))
    shot = trees.frame(int(one.name[-1]) if name == "nuimages" else 0)  # whose list is drawn
    assert (samples.name, samples.split) == (name, "train")
    rgb = torch.from_numpy(shot.rgb).permute(2, 0, 1) / 255
    assert (one.rgb - rgb).abs().mean() < (0.05 if name in ("vkitti2", "nuimages") else 1e-6), "JPEG, PNG"
    if name == "vkitti2":
        assert [samples.classes.names[i] for i in one.label.flatten()] == [
            trees.VKITTI2_NAMES[i] for i in shot.label.flat
        ]
        return
    truth = torch.from_numpy(trees.TRAIN_IDS[shot.label])
    if name == "kitti":
        assert torch.equal(one.label, truth)
    elif name == "cityscapes":
        assert torch.equal(one.label[:-1], truth[:-1]) and (one.label[-1] == 255).all(), "the own bonnet is ignored"
    else:
        ids = trees.nuimages(tmp_path)[one.name]
        assert torch.equal(one.label, torch.from_numpy(np.where(ids == 31, 25, ids)).long()) and (ids == 31).any()


def test_names_and_counts(roots):
    names = {name: [sample.name for sample in load_split(name, roots)] for name in ("vkitti2", "kitti", "cityscapes")}
    assert names["vkitti2"] == LISTS["vkitti2"]["train"] and names["kitti"] == LISTS["kitti"]["train"]
    assert names["cityscapes"] == [f"aachen/aachen_{i:06d}_000019" for i in range(3)] + ["ulm/ulm_000000_000019"]
    assert len(load_split("cityscapes", roots, "val")) == 2
    assert [len(load_split("nuimages", roots, split)) for split in ("train", "val")] == [3, 2]


@pytest.mark.parametrize("x", UNITS)
def test_both_ways_to_unpack_virtual_kitti(tmp_path, roots, x):
    apart = trees.vkitti2(tmp_path / "apart", apart=True)
    assert not (apart / "Scene01").exists()
    shutil.copy(roots["vkitti2"] / splits.LIST, apart)
    for one, other in zip(
        load_split("vkitti2", roots, x=x), load_split("vkitti2", {"vkitti2": apart}, x=x), strict=True
    ):
        assert torch.equal(one.rgb, other.rgb) and torch.equal(one.x, other.x) and torch.equal(one.label, other.label)


def test_undefined_may_be_ignored(roots):
    whole, rest = load_split("vkitti2", roots), load_split("vkitti2", roots, ignore_undefined=True)
    assert len(rest.classes) == 14 and "Undefined" not in rest.classes.names
    for one, other in zip(whole, rest, strict=True):
        other.check(14)
        assert torch.equal(other.label == 255, one.label == 0)
        assert torch.equal(other.label[one.label > 0], one.label[one.label > 0] - 1)
    assert any((one.label == 0).any() for one in whole)


@pytest.mark.parametrize("name", METRIC)
def test_normals_are_resized_as_the_labels_are(roots, name):
    whole, small = (load_split(name, roots, x="normals", size=size)[0] for size in (None, (8, 16)))
    rows, columns = torch.arange(8) * 3 + 1, torch.arange(16) * 5 + 2
    assert torch.equal(small.label, whole.label[rows][:, columns])
    assert torch.equal(small.x, whole.x[:, rows][:, :, columns])
    assert torch.equal(small.valid, whole.valid[:, rows][:, :, columns])
    assert (small.x.norm(dim=0)[small.valid[0]] - 1).abs().max() < 2e-3


@pytest.mark.parametrize("name", ["nuimages", "cityscapes"])
def test_x_of_a_network_is_relative(roots, name):
    options = {"source": "depth-anything"} if name == "cityscapes" else {}
    one = load_split(name, roots, **options)[0]
    assert one.unit == "relative inverse depth" and one.x.min() == 0 and one.x.max() == 1
    with pytest.raises(ValueError, match="needs depth in metres, and the X of .* is relative inverse depth"):
        load_split(name, roots, x="normals", **options)


def test_students_need_no_x(copied):
    for name, gone in (
        ("vkitti2", "Scene01/clone/frames/depth"),
        ("kitti", "training/disparity_sgbm"),
        ("cityscapes", "disparity"),
        ("nuimages", "lix/disparity"),
    ):
        root = copied(name)
        shutil.rmtree(root / gone)
        one = data.load(name, "train", root=root, size=None, with_x=False)[0]
        assert not one.valid.any() and not one.x.any()
        with pytest.raises(FileNotFoundError, match=f"no folder .*{gone.split('/')[-1]}"):
            data.load(name, "train", root=root, size=None)


def test_memory_is_limited(roots, monkeypatch):
    samples = load_split("kitti", roots, size=(8, 16))
    kept = sum(getattr(samples._read(samples.items[0]), field).nbytes for field in ("rgb", "x", "valid", "label"))
    assert kept == 8 * 16 * (3 + 2 + 1 + 1)
    monkeypatch.setattr(image_files, "MEMORY", 2 * kept)
    samples = load_split("kitti", roots, size=(8, 16))
    first = [samples[i].label for i in range(3)]
    assert sorted(samples._cache) == [0, 1]
    assert all(torch.equal(samples[i].label, label) for i, label in enumerate(first))
