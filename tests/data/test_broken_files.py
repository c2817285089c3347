"""What is broken in the files of the four large data sets is named with its file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from PIL import Image
from reader_trees import METRIC, load_split

from lixlib import data
from lixlib.data import splits

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
    first = load_split(name, {name: root}).items[0].name
    return root / FILES[name][which].format(first)


@pytest.mark.parametrize("which", [RGB, X, LABEL])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=re.escape(f"{path} is no readable image")):
        load_split(name, {name: root})[0]


@pytest.mark.parametrize("which", [RGB, X, LABEL])
@pytest.mark.parametrize("name", ["vkitti2", "kitti", "nuimages"])
def test_a_missing_file_is_named(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no image {path}: fetch it")):
        load_split(name, {name: root})[0]


@pytest.mark.parametrize("which", [X, LABEL])
@pytest.mark.parametrize("name", FILES)
def test_height_and_width_swapped(copied, name, which):
    root = copied(name)
    path = file_of(name, root, which)
    image = np.asarray(Image.open(path))
    Image.fromarray(np.ascontiguousarray(image.swapaxes(0, 1))).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} is (80, 24) (H, W), but ")):
        load_split(name, {name: root}, size=(8, 16))[0]


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
        load_split(name, {name: root}, size=(8, 16))[0]


@pytest.mark.parametrize("name", METRIC)
def test_depth_of_eight_bits_is_no_depth(copied, name):
    root = copied(name)
    path = file_of(name, root, X)
    Image.open(path).point(lambda value: value / 256).convert("L").save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} holds numbers of type uint8, expected 16 bits")):
        load_split(name, {name: root})[0]


@pytest.mark.parametrize("name", FILES)
def test_a_photograph_is_turned_upright(copied, name):
    root = copied(name)
    path, upright = file_of(name, root, RGB), load_split(name, {name: root})[0]
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.open(path)
    image.transpose(Image.Transpose.ROTATE_270).save(
        path, exif=exif, **{"quality": 100} if path.suffix == ".jpg" else {}
    )
    one = load_split(name, {name: root})[0]
    assert (one.rgb - upright.rgb).abs().mean() < 0.01 and torch.equal(one.label, upright.label)


@pytest.mark.parametrize("name", FILES)
def test_suffixes_in_capitals_and_hidden_files(copied, name):
    root = copied(name)
    before = list(load_split(name, {name: root}))
    for path in [path for path in root.rglob("*") if path.suffix in (".png", ".jpg")]:
        path.rename(path.with_suffix(path.suffix.upper()))
        path.with_name(f"._{path.name}").write_bytes(b"of macOS")
    after = list(load_split(name, {name: root}))
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
        load_split(name, {name: root})
    assert str(path) in str(error.value) and str(twin) in str(error.value)


def test_images_of_cityscapes_that_are_left_out_are_named(copied):
    root = copied("cityscapes")
    (root / "leftImg8bit/train/aachen/aachen_000009_000019.png").touch()
    with pytest.warns(UserWarning, match="aachen: left out 1 .*_leftImg8bit.png: aachen_000009_000019.png"):
        assert len(load_split("cityscapes", {"cityscapes": root})) == 4


@pytest.mark.parametrize("name", METRIC)
def test_text_files_as_windows_saves_them(copied, name):
    root = copied(name)
    before = list(load_split(name, {name: root}, x="normals"))
    for path in (path for path in root.rglob("*") if path.suffix in (".txt", ".json")):
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_bytes(("\ufeff" + "\r\n".join([*lines, "", ""])).encode())
    for one, other in zip(before, load_split(name, {name: root}, x="normals"), strict=True):
        assert one.name == other.name and torch.equal(one.x, other.x) and torch.equal(one.rgb, other.rgb)


@pytest.mark.parametrize("name", METRIC)
def test_text_files_in_another_encoding_are_named(copied, name):
    root = copied(name)
    for path in [path for path in root.rglob("*") if path.suffix in (".txt", ".json") and path.name != splits.LIST]:
        path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    with pytest.raises(ValueError, match=rf"{root}\S+ is no text in UTF-8"):
        load_split(name, {name: root}, x="normals")[0]
    if name != "cityscapes":
        (root / splits.LIST).write_bytes("train a".encode("utf-16"))
        with pytest.raises(ValueError, match="lix_split.txt is no text in UTF-8"):
            load_split(name, {name: root})


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
    load_split("kitti", {"kitti": root})[0]
    kitti_projections(path, **changed)
    with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {problem}")):
        load_split("kitti", {"kitti": root})[0]


@pytest.mark.parametrize(("name", "value"), [("fx", 0.0), ("fy", np.nan), ("v0", np.inf), ("baseline", -0.2)])
def test_cameras_of_the_others_that_cannot_be_are_named(copied, name, value):
    root = copied("cityscapes")
    path = root / "camera/train/aachen/aachen_000000_000019_camera.json"
    stored = json.loads(path.read_text())
    stored["extrinsic" if name == "baseline" else "intrinsic"][name] = value
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {name} is {value:g}")):
        load_split("cityscapes", {"cityscapes": root})[0]
    if name != "baseline":
        root = copied("vkitti2")
        path = root / "Scene01" / "clone" / "intrinsic.txt"
        numbers = {"fx": 60.0, "fy": 60.0, "u0": 40.0, "v0": 12.0, name: value}
        path.write_text("frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n0 0 " + " ".join(map(str, numbers.values())))
        with pytest.raises(ValueError, match=re.escape(f"{path} has a camera whose {name} is {value:g}")):
            load_split("vkitti2", {"vkitti2": root}, x="normals")[0]
        path.write_text("")
        with pytest.raises(ValueError, match=re.escape(f"{path} has no line for frame 0")):
            load_split("vkitti2", {"vkitti2": root}, x="normals")[0]


@pytest.mark.parametrize("name", METRIC)
def test_depth_that_is_no_number_is_named(copied, name):
    root = copied(name)
    path = file_of(name, root, X)
    Image.fromarray(np.full(trees.SIZE, np.nan, np.float32)).save(path, format="TIFF")
    with pytest.raises(ValueError, match=re.escape(f"{path} holds ")):
        load_split(name, {name: root})[0]


def test_cameras_that_are_missing_or_incomplete(copied):
    root = copied("kitti")
    path = root / "training" / "calib_cam_to_cam" / "000000.txt"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("P_rect_03")))
    with pytest.raises(ValueError, match=re.escape(f"{path} has no twelve numbers P_rect_02 and P_rect_03")):
        load_split("kitti", {"kitti": root})[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no calibration {path}: unpack data_scene_flow_calib.zip")):
        load_split("kitti", {"kitti": root})[0]

    root = copied("cityscapes")
    path = root / "camera/train/aachen/aachen_000000_000019_camera.json"
    path.write_text(json.dumps({"intrinsic": {"fx": 1.0}, "extrinsic": {}}))
    with pytest.raises(ValueError, match=re.escape(f"{path} lacks intrinsic fx, fy, u0, v0 or extrinsic baseline")):
        load_split("cityscapes", {"cityscapes": root})[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no camera {path}: unpack camera_trainvaltest.zip")):
        load_split("cityscapes", {"cityscapes": root})[0]

    root = copied("vkitti2")
    path = root / "Scene01" / "clone" / "intrinsic.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "1 0 725 725"]))
    with pytest.raises(
        ValueError, match=re.escape(f"{path}, line 4 is '1 0 725 725', expected 'frame cameraID K[0,0]")
    ):
        load_split("vkitti2", {"vkitti2": root}, x="normals")[0]
    path.write_text("\n".join(lines[:3]))
    with pytest.raises(ValueError, match=re.escape(f"{path} has no line for frame 1 of camera 0")):
        load_split("vkitti2", {"vkitti2": root}, x="normals")[1]
    path.unlink()
    load_split("vkitti2", {"vkitti2": root}, x="depth")[0]  # which needs none


def test_what_no_reader_has(roots, tmp_path):
    with pytest.raises(ValueError, match="unknown split of cityscapes with labels 'test': choose one of train, val"):
        load_split("cityscapes", roots, "test")
    with pytest.raises(ValueError, match="kitti.: source must be 'sgbm' or 'crestereo', found 'lidar'"):
        load_split("kitti", roots, source="lidar")
    with pytest.raises(FileNotFoundError, match="no folder .*disparity_crestereo"):
        load_split("kitti", roots, source="crestereo")
    with pytest.raises(ValueError, match="x must be 'disparity', 'depth' or 'normals', found 'hha'"):
        load_split("kitti", roots, x="hha")
    for name in roots:
        with pytest.raises(FileNotFoundError, match="expected layout: ROOT/"):
            data.load(name, "train", root=tmp_path, size=None)
