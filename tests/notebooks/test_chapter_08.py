"""Chapter 08 reads files, makes normals and mirrors samples by hand: as the library does, on random input."""

import base64
from dataclasses import replace

import numpy as np
import pytest
import torch
import trees
from notebook_code import definitions
from pycocotools.mask import decode

from lixlib import data
from lixlib.course.exercises import EXERCISES
from lixlib.data import splits
from lixlib.data.classes import CITYSCAPES_IDS, TABLES
from lixlib.data.image_files import open_map
from lixlib.data.labels import from_colours, from_ids
from lixlib.data.readers.cityscapes import read_camera
from lixlib.data.toydrive.scene import WEATHERS, make_scene, weather
from lixlib.data.x.depth_encoding import UNITS
from lixlib.data.x.normals import Intrinsics, surface_normals

CHAPTER = definitions("08_data")
CAMERA = Intrinsics(90.0, 80.0, 21.5, 14.0)


@pytest.mark.parametrize("tilt", [(0.0, 1.0, 0.6), (-0.3, 0.9, 0.7), (0.8, -0.1, 1.0)])
def test_planes_are_straight_in_disparity_and_have_the_librarys_normals(tilt):
    normal = torch.tensor(tilt, dtype=torch.float64)
    depth = CHAPTER["plane_depth"](normal, 4.0, CAMERA, (30, 40))
    assert depth.min() > 0
    found, valid = surface_normals(depth[None], CAMERA)
    assert valid.all()
    assert CHAPTER["degrees_between"](found, (normal / normal.norm())[:, None, None].expand_as(found)).max() < 1e-4
    assert CHAPTER["bend"](1 / depth).abs().max() < 1e-12


def test_centimetres_are_read_as_the_reader_does(tmp_path):
    root = trees.vkitti2(tmp_path, {"Scene01/clone": 1})
    splits.write_list(root / splits.LIST, {"train": ["Scene01/clone/00000"]})
    sample = data.load("vkitti2", "train", root=root, size=None, x="depth")[0]
    (file,) = root.glob("**/Camera_0/depth_00000.png")
    metres = torch.from_numpy(CHAPTER["Centimetres"]().read(open_map(file).numpy()))
    torch.testing.assert_close(metres.isfinite(), sample.valid)
    near = sample.valid & (metres < 80)
    torch.testing.assert_close(80 * sample.x[near].double(), metres[near].double(), atol=0, rtol=1e-3)  # stored as half


def test_cityscapes_disparity_is_read_as_the_reader_does(tmp_path):
    root = trees.cityscapes(tmp_path)
    dataset = data.load("cityscapes", "train", root=root, size=None, x="depth")
    sample, name = dataset[0], dataset.items[0].name
    camera, baseline = read_camera(root / "camera" / "train" / f"{name}_camera.json")
    p = open_map(dataset.items[0].x)
    file = CHAPTER["Disparities"](camera.fx * baseline, offset=1)
    for metres in (
        torch.from_numpy(file.read(p.numpy())).nan_to_num(posinf=0),
        EXERCISES["08.1"].expected(p.int(), camera.fx, baseline),
    ):
        torch.testing.assert_close(metres > 0, sample.valid)
        near = sample.valid & (metres < 80)
        torch.testing.assert_close(80 * sample.x[near].double(), metres[near], atol=0, rtol=1e-3)  # stored as half


@pytest.mark.parametrize(
    ("options", "depths"),
    [((384.4,), (1.6, 150.0)), ((473.6, 256, 1), (2.0, 150.0)), ((2.0, 255, 0, 255), (2.0, 40.0))],
)
def test_the_error_of_a_disparity_file_is_within_the_bound(options, depths):
    file = CHAPTER["Disparities"](*options)
    Z = np.random.default_rng(1).uniform(*depths, 2000)
    back = file.read(file.write(Z))
    assert np.all(np.abs(back - Z) <= Z * back / file.fB / (2 * file.steps) * (1 + 1e-9))


@pytest.mark.parametrize("classes", TABLES, ids=lambda classes: classes.names[0])
def test_colours_become_the_librarys_classes(classes):
    label = np.random.default_rng(0).integers(len(classes), size=(9, 14))
    picture = classes.colours[label]
    ours = CHAPTER["ids_of_colours"](picture, classes.colours)
    assert (ours == label).all() and (ours == from_colours(picture, classes.colours)).all()
    picture[3, 5] = (1, 2, 3)
    for read in (CHAPTER["ids_of_colours"], from_colours):
        with pytest.raises(ValueError, match=r"colour \[1, 2, 3\] at row 3, column 5"):
            read(picture, classes.colours)


def test_the_exercises_train_ids_are_the_readers():
    trials = EXERCISES["08.2"].inputs(torch.Generator().manual_seed(3))
    (ids, known, train_ids), (unknown, *_) = trials["ids of Cityscapes"], trials["an unknown id"]
    translate = EXERCISES["08.2"].expected
    in_bytes = ids.numpy().astype(np.uint8)  # -1, license plate, is 255
    assert (translate(ids, known, train_ids).numpy() == from_ids(in_bytes, CITYSCAPES_IDS)).all()
    assert ((translate(unknown, known, train_ids) == -1) == (unknown == 77)).all()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools with numpy 2
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("size", [(7, 12), (70, 90)])
def test_run_lengths_are_those_of_the_official_decoder(size, share):
    mask = np.random.default_rng(0).random(size) < share
    stored = trees.encode_mask(mask.astype(np.uint8))
    text = base64.b64decode(stored["counts"])
    runs = CHAPTER["runs_of"](text.decode())
    ours = EXERCISES["08.3"].expected(torch.tensor(runs), *size)
    assert (ours.numpy() == mask).all()
    assert (ours.numpy() == decode({"size": list(size), "counts": text})).all()


@pytest.mark.parametrize("x", UNITS)
def test_a_mirrored_sample_is_the_augmentations(x):
    sample = data.load("toydrive", "train", size=(24, 40), count=1, x=x)[0]
    augment = data.Augment((24, 40), flip=1.0, scale=(1.0, 1.0), stretch=(1.0, 1.0), jitter=0.0)
    theirs = augment(data.collate([sample]))
    ours = CHAPTER["mirror"](sample)
    for field in ("rgb", "x", "valid", "label"):
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field)[0])


def test_the_probe_finds_what_its_features_tell():
    sensor = torch.rand(4, 2, 20, 30)
    f = CHAPTER["features"](sensor, 12, 0)
    assert f.shape == (4, 20, 30, 12)
    label = (f[..., :3] / f[..., :3].std((0, 1, 2))).argmax(-1)
    some = torch.randperm(label[:3].numel(), generator=torch.Generator().manual_seed(0))[:1500]
    of_some = CHAPTER["features"](sensor, 12, 0, some)  # the same numbers, without those of all other pixels
    torch.testing.assert_close(of_some, f.flatten(0, 2)[some])
    answer = CHAPTER["probe"](of_some, label.flatten()[some], f[3:], 40)
    assert (answer == label[3:]).float().mean() > 0.95


def test_places_of_the_shipped_split():
    train, val = CHAPTER["places"]("train"), CHAPTER["places"]("val")
    assert (len(train), len(val)) == (500, 200)
    assert set((train // 10_000).tolist()) == {1, 2, 6, 18, 20} and (train % 10_000).max() < 837


@pytest.mark.parametrize("difficulty", [0.0, 0.8])
def test_weather_is_the_librarys(difficulty):
    scenes = [make_scene(0, index, difficulty) for index in range(40)]
    kinds = [CHAPTER["weather"](scene) for scene in scenes]
    assert kinds == [weather(scene) for scene in scenes] and set(kinds) == set(WEATHERS)


def test_untranslated_ids_stop_a_loss_of_19_outputs_and_not_one_of_34():
    ids = torch.tensor([7, 8, 11, 26])
    with pytest.raises(IndexError, match="Target 26"):
        torch.nn.functional.cross_entropy(torch.zeros(4, 19), ids)
    assert torch.nn.functional.cross_entropy(torch.zeros(4, 34), ids).isfinite()
    sample = data.load("toydrive", "train", size=(24, 40), count=1)[0]
    with pytest.raises(ValueError, match="26"):
        replace(sample, label=torch.full_like(sample.label, 26)).check(19)


def test_half_a_pixel_is_256_times_the_largest_rounding():
    file = CHAPTER["Disparities"](384.4)
    Z = np.random.default_rng(2).uniform(20, 60, 20_000)
    off_by = np.abs(file.fB / file.read(file.write(Z)) - file.fB / Z).max()  # in pixels
    assert 0.5 / off_by == pytest.approx(256, rel=0.01)
