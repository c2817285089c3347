"""The KITTI script: disparity by semi-global matching or by CREStereo, and pairs that do not fit."""

import re
import sys
from pathlib import Path

import kitti
import numpy as np
import onnx
import pytest
import trees
from onnx import TensorProto, helper
from PIL import Image
from scripts import run

from lixlib import data
from lixlib.data.splits import write_list
from lixlib.data.toydrive.dataset import camera
from lixlib.data.toydrive.render import render


@pytest.fixture(scope="module")
def pair():
    """A ToyDrive frame, what a camera 0.53 m to the right sees of it, and the disparity (0 in the sky)."""
    size = (96, 320)
    frame = render(0, 3, size)
    disparity = (camera(size).fx * 0.5327 / frame.depth).astype(np.float32)
    return frame.rgb, trees.right_view(frame.rgb, disparity), disparity


def test_semi_global_matching_finds_the_disparity(pair):
    left, right, truth = pair
    found = kitti.sgbm(left, right)
    assert found.shape == truth.shape and found.dtype == np.float32 and (found > 0).all()
    near = truth > 2
    error = np.abs(found - truth)[near]
    assert near.mean() > 0.3 and np.median(error) < 1 and (error > 3).mean() < 0.15
    mirrored = np.abs(kitti.sgbm(right, left) - truth)[near]
    assert (mirrored > 3).mean() > 2 * (error > 3).mean(), "left and right are not the same to it"


def test_what_nothing_matches_is_an_error():
    with pytest.raises(ValueError, match="no pixel of the two images matches"):
        kitti.fill(np.zeros((4, 6), np.float32))


def test_holes_are_filled_from_the_background():
    o = -1
    holes = np.array([[o, o, o, o, o], [o, 5, o, o, 2], [7, o, o, 9, o], [o, o, o, o, o], [o, o, o, o, o]], np.float32)
    assert kitti.fill(holes).tolist() == [
        [5, 5, 2, 2, 2],
        [5, 5, 2, 2, 2],
        [7, 7, 7, 9, 9],
        [7, 7, 7, 9, 9],
        [7, 7, 7, 9, 9],
    ]


def stereo_network(path: Path, inputs: dict[str, tuple[int, int]]) -> Path:
    """A network of CREStereo's form whose disparity is red of the left image minus red of the right one."""
    left, right = list(inputs)[-2:]
    picks = [helper.make_node("Gather", [name, "first"], [f"{name}_red"], axis=1) for name in (left, right)]
    nodes = [*picks, helper.make_node("Sub", [f"{left}_red", f"{right}_red"], ["disparity"])]
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *size]) for name, size in inputs.items()]
    output = helper.make_tensor_value_info("disparity", TensorProto.FLOAT, [1, 1, *inputs[left]])
    first = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    graph = helper.make_graph(nodes, "stereo", entries, [output], [first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


FOUR = {"init_left": (6, 10), "init_right": (6, 10), "next_left": (12, 20), "next_right": (12, 20)}


@pytest.mark.parametrize("inputs", [{"left": (12, 20), "right": (12, 20)}, FOUR])
def test_crestereo_takes_both_forms_of_the_public_exports(tmp_path, inputs):
    left, right = np.full((24, 80, 3), (50, 9, 9), np.uint8), np.full((24, 80, 3), (20, 0, 0), np.uint8)
    found = kitti.crestereo(stereo_network(tmp_path / "net.onnx", inputs))(left, right)
    assert found.shape == (24, 80)
    assert np.allclose(found, 30 * 80 / 20), "RGB from 0 to 255, and the network's pixels are four of the image's"


def test_crestereo_of_another_form_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no ONNX file .*net.onnx"):
        kitti.crestereo(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_text("no network")
    with pytest.raises(ValueError, match="net.onnx is no ONNX file that onnxruntime can read"):
        kitti.crestereo(tmp_path / "net.onnx")
    path = stereo_network(tmp_path / "net.onnx", {"left": ("height", "width"), "right": ("height", "width")})
    with pytest.raises(ValueError, match="net.onnx takes .*left and right of a fixed size"):
        kitti.crestereo(path)


def test_a_pair_that_does_not_fit_is_listed_with_the_rest(tmp_path, capsys):
    trees.kitti(tmp_path, 3, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001", "000002"], "val": ["000000"]})
    right = tmp_path / "training" / "image_3"
    Image.new("RGB", (80, 30)).save(right / "000000_10.png")
    (right / "000001_10.png").write_bytes(b"half")
    assert run(kitti, "--root", tmp_path) == 1
    output = capsys.readouterr().out
    assert re.search(r"not made: .*image_3/000000_10.png is \(30, 80, 3\), but .*image_2.* is \(24, 80, 3\)", output)
    assert re.search(r"not made: .*image_3/000001_10.png is no readable image", output)
    assert output.count("  broken: ") == 2 and (tmp_path / "training" / "disparity_sgbm" / "000002_10.png").is_file()


def test_kitti_with_crestereo_is_read_as_such(tmp_path):
    trees.kitti(tmp_path, 2, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001"], "val": ["000000"]})
    network = stereo_network(tmp_path / "net.onnx", FOUR)
    assert run(kitti, "--root", tmp_path, "--onnx", network) == 0
    made = [path.name for path in sorted((tmp_path / "training" / "disparity_crestereo").iterdir())]
    assert made == ["000000_10.png", "000001_10.png"]
    assert np.asarray(Image.open(tmp_path / "training" / "disparity_crestereo" / made[0])).min() >= 1
    assert data.load("kitti", "val", root=tmp_path, size=None, source="crestereo")[0].valid.all()


def test_a_missing_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setitem(sys.modules, "cv2", None)
    trees.kitti(tmp_path, 2, made=False)
    write_list(tmp_path / "lix_split.txt", {"train": ["000001"], "val": ["000000"]})
    assert run(kitti, "--root", tmp_path) == 1
    assert "no module cv2: install it with pip install -e '.[data,depth]'" in capsys.readouterr().err
