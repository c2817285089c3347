"""The readers of Virtual KITTI 2, KITTI, nuImages and Cityscapes, on miniature trees in the official layouts."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from PIL import Image

from lixlib import data
from lixlib.data import classes, image_files, splits
from lixlib.data.labels import from_colours, from_ids
from lixlib.data.readers.kitti import COUNTS as KITTI_COUNTS
from lixlib.data.readers.kitti import frames as kitti_frames
from lixlib.data.readers.vkitti2 import COUNTS as VKITTI2_COUNTS
from lixlib.data.readers.vkitti2 import frames as vkitti2_frames
from lixlib.data.toydrive.dataset import camera
from lixlib.data.x.depth_encoding import UNITS, encode_depth

METRIC = ("vkitti2", "kitti", "cityscapes")
LISTS = {
    "vkitti2": {"train": [f"Scene01/clone/{i:05d}" for i in range(4)], "val": ["Scene20/15-deg-left/00001"]},
    "kitti": {"train": ["000000", "000001", "000002"], "val": ["000003"]},
}


@pytest.fixture(scope="session")
def roots(tmp_path_factory) -> dict[str, Path]:
    """One tree of each data set, with a list of its splits."""
    folder = tmp_path_factory.mktemp("trees")
    found = {name: folder / name for name in ("vkitti2", "kitti", "cityscapes", "nuimages")}
    trees.vkitti2(found["vkitti2"])
    trees.kitti(found["kitti"])
    trees.cityscapes(found["cityscapes"])
    labels = trees.nuimages(found["nuimages"])
    lists = LISTS | {"nuimages": splits.draw(labels, {"train": 3, "val": 2})}
    for name, of in lists.items():
        splits.write_list(found[name] / splits.LIST, of)
    return found


@pytest.fixture
def copied(roots, tmp_path):
    """A function: the copy of a tree that a test may break."""
    return lambda name: Path(shutil.copytree(roots[name], tmp_path / name))


def load(name, roots, split="train", **options):
    return data.load(name, split, root=roots[name], **{"size": None, **options})


# Class tables and label files


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


# What is read


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
    samples = load(name, roots, x=x)
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
    samples = load(name, roots)
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
    names = {name: [sample.name for sample in load(name, roots)] for name in ("vkitti2", "kitti", "cityscapes")}
    assert names["vkitti2"] == LISTS["vkitti2"]["train"] and names["kitti"] == LISTS["kitti"]["train"]
    assert names["cityscapes"] == [f"aachen/aachen_{i:06d}_000019" for i in range(3)] + ["ulm/ulm_000000_000019"]
    assert len(load("cityscapes", roots, "val")) == 2
    assert [len(load("nuimages", roots, split)) for split in ("train", "val")] == [3, 2]


@pytest.mark.parametrize("x", UNITS)
def test_both_ways_to_unpack_virtual_kitti(tmp_path, roots, x):
    apart = trees.vkitti2(tmp_path / "apart", apart=True)
    assert not (apart / "Scene01").exists()
    shutil.copy(roots["vkitti2"] / splits.LIST, apart)
    for one, other in zip(load("vkitti2", roots, x=x), load("vkitti2", {"vkitti2": apart}, x=x), strict=True):
        assert torch.equal(one.rgb, other.rgb) and torch.equal(one.x, other.x) and torch.equal(one.label, other.label)


def test_undefined_may_be_ignored(roots):
    whole, rest = load("vkitti2", roots), load("vkitti2", roots, ignore_undefined=True)
    assert len(rest.classes) == 14 and "Undefined" not in rest.classes.names
    for one, other in zip(whole, rest, strict=True):
        other.check(14)
        assert torch.equal(other.label == 255, one.label == 0)
        assert torch.equal(other.label[one.label > 0], one.label[one.label > 0] - 1)
    assert any((one.label == 0).any() for one in whole)


@pytest.mark.parametrize("name", METRIC)
def test_normals_are_resized_as_the_labels_are(roots, name):
    whole, small = (load(name, roots, x="normals", size=size)[0] for size in (None, (8, 16)))
    rows, columns = torch.arange(8) * 3 + 1, torch.arange(16) * 5 + 2
    assert torch.equal(small.label, whole.label[rows][:, columns])
    assert torch.equal(small.x, whole.x[:, rows][:, :, columns])
    assert torch.equal(small.valid, whole.valid[:, rows][:, :, columns])
    assert (small.x.norm(dim=0)[small.valid[0]] - 1).abs().max() < 2e-3


@pytest.mark.parametrize("name", ["nuimages", "cityscapes"])
def test_x_of_a_network_is_relative(roots, name):
    options = {"source": "depth-anything"} if name == "cityscapes" else {}
    one = load(name, roots, **options)[0]
    assert one.unit == "relative inverse depth" and one.x.min() == 0 and one.x.max() == 1
    with pytest.raises(ValueError, match="needs depth in metres, and the X of .* is relative inverse depth"):
        load(name, roots, x="normals", **options)


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
    samples = load("kitti", roots, size=(8, 16))
    kept = sum(getattr(samples._read(samples.items[0]), field).nbytes for field in ("rgb", "x", "valid", "label"))
    assert kept == 8 * 16 * (3 + 2 + 1 + 1)
    monkeypatch.setattr(image_files, "MEMORY", 2 * kept)
    samples = load("kitti", roots, size=(8, 16))
    first = [samples[i].label for i in range(3)]
    assert sorted(samples._cache) == [0, 1]
    assert all(torch.equal(samples[i].label, label) for i, label in enumerate(first))


# What is broken

FILES = {
    "vkitti2": (
        "Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg",
        "Scene01/clone/frames/depth/Camera_0/depth_00000.png",
        "Scene01/clone/frames/classSegmentation/Camera_0/classgt_00000.png",
    ),
    "kitti": tuple(f"training/{kind}/000000_10.png" for kind in ("image_2", "disparity_sgbm", "semantic")),
    "cityscapes": (
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "disparity/train/aachen/aachen_000000_000019_disparity.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
    ),
    "nuimages": ("samples/{}.jpg", "lix/disparity/{}.png", "lix/masks/{}.png"),
}
RGB, X, LABEL = range(3)


def file_of(name, root, which) -> Path:
    first = load(name, {name: root}).items[0].name
    return root / FILES[name][which].format(first)


@pytest.mark.parametrize("which", [RGB, X, LABEL])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=re.escape(f"{path} is no readable image")):
        load(name, {name: root})[0]


@pytest.mark.parametrize("which", [RGB, X, LABEL])
@pytest.mark.parametrize("name", ["vkitti2", "kitti", "nuimages"])
def test_a_missing_file_is_named(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no image {path}: fetch it")):
        load(name, {name: root})[0]


@pytest.mark.parametrize("which", [X, LABEL])
@pytest.mark.parametrize("name", FILES)
def test_height_and_width_swapped(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    image = np.asarray(Image.open(path))
    Image.fromarray(np.ascontiguousarray(image.swapaxes(0, 1))).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} is (80, 24) (H, W), but ")):
        load(name, {name: root}, size=(8, 16))[0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vkitti2", (250, 100, 254), "colour [250, 100, 254]"),
        ("kitti", 34, "id 34"),
        ("cityscapes", 200, "id 200"),
        ("nuimages", 25, "id 25"),
    ],
)
def test_a_wrong_label_is_named_with_file_pixel_and_value(copied, name, value, message):
    root = copied(name)
    path = file_of(name, root, LABEL)
    label = np.array(Image.open(path))
    label[3, 7] = value
    Image.fromarray(label).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message} at row 3, column 7")):
        load(name, {name: root}, size=(8, 16))[0]


@pytest.mark.parametrize("name", METRIC)
def test_depth_of_eight_bits_is_no_depth(copied, name):
    root = copied(name)
    path = file_of(name, root, X)
    Image.open(path).point(lambda value: value / 256).convert("L").save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} holds numbers of type uint8, expected 16 bits")):
        load(name, {name: root})[0]


@pytest.mark.parametrize("name", FILES)
def test_a_photograph_is_turned_upright(copied, name):
    root = copied(name)
    path, upright = file_of(name, root, RGB), load(name, {name: root})[0]
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.open(path)
    image.transpose(Image.Transpose.ROTATE_270).save(
        path, exif=exif, **{"quality": 100} if path.suffix == ".jpg" else {}
    )
    one = load(name, {name: root})[0]
    assert (one.rgb - upright.rgb).abs().mean() < 0.01 and torch.equal(one.label, upright.label)


@pytest.mark.parametrize("name", FILES)
def test_suffixes_in_capitals_and_hidden_files(copied, name):
    root = copied(name)
    before = list(load(name, {name: root}))
    for path in [path for path in root.rglob("*") if path.suffix in (".png", ".jpg")]:
        path.rename(path.with_suffix(path.suffix.upper()))
        path.with_name(f"._{path.name}").write_bytes(b"of macOS")
    after = list(load(name, {name: root}))
    assert [sample.name for sample in after] == [sample.name for sample in before]
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.rgb, other.rgb) and torch.equal(one.x, other.x) and torch.equal(one.label, other.label)


@pytest.mark.parametrize("name", FILES)
def test_two_photographs_of_one_name_are_named(copied, name):
    root = copied(name)
    path = file_of(name, root, RGB)
    twin = path.with_suffix(".jpeg")
    shutil.copy(path, twin)
    with pytest.raises(ValueError, match="have one name") as error:
        load(name, {name: root})
    assert str(path) in str(error.value) and str(twin) in str(error.value)


def test_images_of_cityscapes_that_are_left_out_are_named(copied):
    root = copied("cityscapes")
    (root / "leftImg8bit/train/aachen/aachen_000009_000019.png").touch()
    with pytest.warns(UserWarning, match="aachen: left out 1 .*_leftImg8bit.png: aachen_000009_000019.png"):
        assert len(load("cityscapes", {"cityscapes": root})) == 4


@pytest.mark.parametrize("name", METRIC)
def test_text_files_as_windows_saves_them(copied, name):
    root = copied(name)
    before = list(load(name, {name: root}, x="normals"))
    for path in (path for path in root.rglob("*") if path.suffix in (".txt", ".json")):
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_bytes(("\ufeff" + "\r\n".join([*lines, "", ""])).encode())
    for one, other in zip(before, load(name, {name: root}, x="normals"), strict=True):
        assert one.name == other.name and torch.equal(one.x, other.x) and torch.equal(one.rgb, other.rgb)


@pytest.mark.parametrize("name", METRIC)
def test_text_files_in_another_encoding_are_named(copied, name):
    root = copied(name)
    for path in [path for path in root.rglob("*") if path.suffix in (".txt", ".json") and path.name != splits.LIST]:
        path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    with pytest.raises(ValueError, match=rf"{root}\S+ is no text in UTF-8"):
        load(name, {name: root}, x="normals")[0]
    if name != "cityscapes":
        (root / splits.LIST).write_bytes("train a".encode("utf-16"))
        with pytest.raises(ValueError, match="lix_split.txt is no text in UTF-8"):
            load(name, {name: root})


def kitti_projections(path: Path, **changed: float) -> None:
    """Write the two projections of a calibration file, with other numbers."""
    k = {"fx": 60.0, "fy": 60.0, "u0": 40.0, "v0": 12.0, "left": 3.0, "right": -29.0, **changed}
    lines = [
        f"P_rect_{number}: {k['fx']} 0 {k['u0']} {k[side]} 0 {k['fy']} {k['v0']} 0 0 0 1 0"
        for number, side in (("02", "left"), ("03", "right"))
    ]
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"left": -29.0, "right": 3.0}, "baseline is -0.533333, expected a number above 0; are left and right swapped"),
        ({"right": 3.0}, "baseline is 0"),
        ({"right": np.nan}, "baseline is nan"),
        ({"fx": 0.0}, "fx is 0, expected a number above 0"),
        ({"fx": -60.0}, "fx is -60"),
        ({"fy": np.inf}, "fy is inf"),
        ({"u0": np.nan}, "u0 is nan, expected a number"),
    ],
)
def test_cameras_that_cannot_be_are_named(copied, changed, problem):
    root = copied("kitti")
    path = root / "training" / "calib_cam_to_cam" / "000000.txt"
    kitti_projections(path)
    load("kitti", {"kitti": root})[0]
    kitti_projections(path, **changed)
    with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {problem}")):
        load("kitti", {"kitti": root})[0]


@pytest.mark.parametrize(("name", "value"), [("fx", 0.0), ("fy", np.nan), ("v0", np.inf), ("baseline", -0.2)])
def test_cameras_of_the_others_that_cannot_be_are_named(copied, name, value):
    root = copied("cityscapes")
    path = root / "camera/train/aachen/aachen_000000_000019_camera.json"
    stored = json.loads(path.read_text())
    stored["extrinsic" if name == "baseline" else "intrinsic"][name] = value
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {name} is {value:g}")):
        load("cityscapes", {"cityscapes": root})[0]
    if name != "baseline":
        root = copied("vkitti2")
        path = root / "Scene01" / "clone" / "intrinsic.txt"
        numbers = {"fx": 60.0, "fy": 60.0, "u0": 40.0, "v0": 12.0, name: value}
        path.write_text("frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n0 0 " + " ".join(map(str, numbers.values())))
        with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {name} is {value:g}")):
            load("vkitti2", {"vkitti2": root}, x="normals")[0]
        path.write_text("")
        with pytest.raises(ValueError, match=re.escape(f"{path} has no line for frame 0")):
            load("vkitti2", {"vkitti2": root}, x="normals")[0]


@pytest.mark.parametrize("name", METRIC)
def test_depth_that_is_no_number_is_named(copied, name):
    root = copied(name)
    path = file_of(name, root, X)
    Image.fromarray(np.full(trees.SIZE, np.nan, np.float32)).save(path, format="TIFF")
    with pytest.raises(ValueError, match=re.escape(f"{path} holds ")):
        load(name, {name: root})[0]


def test_cameras_that_are_missing_or_incomplete(copied):
    root = copied("kitti")
    path = root / "training" / "calib_cam_to_cam" / "000000.txt"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("P_rect_03")))
    with pytest.raises(ValueError, match=re.escape(f"{path} has no twelve numbers P_rect_02 and P_rect_03")):
        load("kitti", {"kitti": root})[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no calibration {path}: unpack data_scene_flow_calib.zip")):
        load("kitti", {"kitti": root})[0]

    root = copied("cityscapes")
    path = root / "camera/train/aachen/aachen_000000_000019_camera.json"
    path.write_text(json.dumps({"intrinsic": {"fx": 1.0}, "extrinsic": {}}))
    with pytest.raises(ValueError, match=re.escape(f"{path} lacks intrinsic fx, fy, u0, v0 or extrinsic baseline")):
        load("cityscapes", {"cityscapes": root})[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no camera {path}: unpack camera_trainvaltest.zip")):
        load("cityscapes", {"cityscapes": root})[0]

    root = copied("vkitti2")
    path = root / "Scene01" / "clone" / "intrinsic.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "1 0 725 725"]))
    with pytest.raises(
        ValueError, match=re.escape(f"{path}, line 4 is '1 0 725 725', expected 'frame cameraID K[0,0]")
    ):
        load("vkitti2", {"vkitti2": root}, x="normals")[0]
    path.write_text("\n".join(lines[:3]))
    with pytest.raises(ValueError, match=re.escape(f"{path} has no line for frame 1 of camera 0")):
        load("vkitti2", {"vkitti2": root}, x="normals")[1]
    path.unlink()
    load("vkitti2", {"vkitti2": root}, x="depth")[0]  # which needs none


def test_what_no_reader_has(roots, tmp_path):
    with pytest.raises(ValueError, match="unknown split of cityscapes with labels 'test': choose one of train, val"):
        load("cityscapes", roots, "test")
    with pytest.raises(ValueError, match="kitti.: source must be 'sgbm' or 'crestereo', found 'lidar'"):
        load("kitti", roots, source="lidar")
    with pytest.raises(FileNotFoundError, match="no folder .*disparity_crestereo"):
        load("kitti", roots, source="crestereo")
    with pytest.raises(ValueError, match="x must be 'disparity', 'depth' or 'normals', found 'hha'"):
        load("kitti", roots, x="hha")
    for name in roots:
        with pytest.raises(FileNotFoundError, match="expected layout: ROOT/"):
            data.load(name, "train", root=tmp_path, size=None)
