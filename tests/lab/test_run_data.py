"""A run is its data, too: other images, labels or X make another run."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image
from small_runs import SMALL

from lixlib.data import splits
from lixlib.data.toydrive.render import RENDERER_VERSION
from lixlib.lab import inputs
from lixlib.lab.inputs import Inputs
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe
from lixlib.lab.record import result_header
from lixlib.lab.run import run

pytestmark = pytest.mark.usefixtures("runs")


def repaint(path: Path, value: int = 1) -> None:
    """Change one pixel of an image, and neither its size in bytes nor its time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    picture = np.array(Image.open(path))
    picture[0, 0] = (picture[0, 0] + value) % 11
    Image.fromarray(picture).save(path)
    if path.stat().st_size == len(content):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def copy(camvid_root, tmp_path) -> Path:
    return shutil.copytree(camvid_root, tmp_path / "copy")


def test_other_data_are_trained_anew_and_the_same_under_another_root_are_loaded(recipe, copy):
    recipe = replace(recipe, method="kd", epochs=1)
    first = run(recipe, device="cpu", progress=False)
    assert first.trained and first.teacher.trained
    moved = run(replace(recipe, root=str(copy)), device="cpu", progress=False)
    assert not moved.trained and moved.line == first.line and moved.folder == first.folder
    repaint(copy / "trainannot" / "0001TP_00000.png")
    other = run(replace(recipe, root=str(copy)), device="cpu", progress=False)
    assert other.trained and other.teacher.trained, "the teacher has learnt from these labels, too"
    assert other.folder != first.folder and other.line["data_digest"] != first.line["data_digest"]
    assert not run(recipe, device="cpu", progress=False).trained


def folders(recipe: Recipe) -> dict[str, Path]:
    recipes = {method: replace(recipe, method=method) for method in ("teacher", "student", "kd")}
    found = {method: folder_of(each) for method, each in recipes.items()}
    found["stage"] = folder_of(replace(recipe, method="ft"), "stage")
    return found | {"pretraining": folder_of(replace(recipe, method="kd", pretrain=1), "pretraining")}


def add(root):
    for part in ("train", "trainannot", "traindisp"):
        shutil.copy(root / part / "0001TP_00000.png", root / part / "0002XX_00000.png")


def rename(root):
    for part in ("train", "trainannot", "traindisp"):
        (root / part / "0001TP_00000.png").rename(root / part / "0000AA_00000.png")


ALL = {"teacher", "student", "kd", "stage", "pretraining"}


@pytest.mark.parametrize(
    ("change", "others"),
    [
        (lambda root: repaint(root / "train" / "0001TP_00003.png"), ALL),
        (lambda root: repaint(root / "trainannot" / "0001TP_00003.png"), ALL),
        (lambda root: repaint(root / "traindisp" / "0001TP_00003.png", 3), ALL - {"student"}),
        (lambda root: repaint(root / "valannot" / "0016E5_07000.png"), ALL - {"pretraining"}),
        (lambda root: repaint(root / "valdisp" / "0016E5_07000.png", 3), {"teacher", "kd", "stage"}),
        (lambda root: repaint(root / "test" / "Seq05VD_f000.png"), set()),
        (add, ALL),
        (rename, ALL),
        (lambda root: [shutil.copy(root / "val" / "0016E5_07000.png", root / "thumb.png")], set()),
    ],
)
def test_whose_folder_changes_with_the_data(change, others, recipe, copy):
    """Splits are train, val, val: nobody reads the test split, and a student reads no X."""
    recipe = replace(recipe, root=str(copy))
    before = folders(recipe)
    change(copy)
    after = folders(recipe)
    assert {name for name in before if before[name] != after[name]} == others


def test_a_list_of_splits_and_a_calibration_are_data(tmp_path):
    root = trees.kitti(tmp_path / "kitti", count=4)
    names = [path.stem.removesuffix("_10") for path in sorted((root / "training" / "image_2").iterdir())]
    splits.write_list(root / splits.LIST, {"train": names[:2], "val": names[2:]})
    recipe = Recipe("kitti", root=str(root), size=(24, 80), method="kd")
    student = replace(recipe, method="student")
    before = Inputs(recipe).digest, Inputs(student).digest
    calibration = root / "training" / "calib_cam_to_cam" / f"{names[0]}.txt"
    calibration.write_text(calibration.read_text() + "\n")
    assert Inputs(recipe).digest != before[0] and Inputs(student).digest == before[1], "only who reads X"
    before = Inputs(recipe).digest, Inputs(student).digest
    splits.write_list(root / splits.LIST, {"train": names[1:3], "val": [names[0], names[3]]})
    assert Inputs(recipe).digest != before[0] and Inputs(student).digest != before[1]
    splits.write_list(root / splits.LIST, {"train": names[1::-1], "val": names[2:]})
    assert Inputs(student).digest != before[1], "the order decides the batches"


def test_data_that_are_not_there_have_no_digest_and_a_folder_of_nobody(recipe, copy):
    (copy / "trainannot" / "0001TP_00003.png").unlink()
    lost = replace(recipe, root=str(copy))
    assert folder_of(lost) != folder_of(recipe)
    with pytest.raises(FileNotFoundError, match=r"no file .*0001TP_00003.png: fetch it, or correct the path"):
        run(lost, device="cpu")
    with pytest.raises(ValueError, match="give its folder as root"):
        run(replace(recipe, root=None), device="cpu")


def test_toydrives_data_are_its_request_and_the_version_of_its_renderer(monkeypatch):
    recipe = Recipe(method="kd", **SMALL)
    assert Inputs(recipe).digest == result_header(Inputs(recipe))["data_digest"] == f"renderer {RENDERER_VERSION}"
    before = folder_of(recipe), folder_of(recipe, "pretraining")
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "RENDERER_VERSION", 99)
        assert folder_of(recipe) != before[0] and folder_of(recipe, "pretraining") != before[1]
    digests = [inputs.load(recipe, "train", with_x=True).digest, inputs.load(recipe, "val", with_x=True).digest]
    for change in ({"difficulty": 0.3}, {"seed": 1}, {"x": "depth"}, {"fault": "noise"}, {"count": 3}):
        digests.append(
            inputs.load(
                replace(recipe, dataset_options={**recipe.dataset_options, **change}), "train", with_x=True
            ).digest
        )
    assert len(set(digests)) == len(digests)


def test_a_stage_depends_on_the_images_of_the_student():
    recipe = Recipe(method="ft", dataset_options={"count": 4}, teacher={"dataset_options": {"count": 8}})
    assert folder_of(recipe, "stage") != folder_of(replace(recipe, dataset_options={"count": 5}), "stage")


def test_no_cache_and_no_folder_of_this_machine_is_in_a_line(tmp_path, monkeypatch, camvid_root):
    cache = {"cache": str(tmp_path / "frames"), **SMALL["dataset_options"]}
    recipe = Recipe(method="kd", **SMALL | {"dataset_options": cache, "teacher": {"dataset_options": cache}})
    plain = Recipe(method="kd", **SMALL | {"teacher": {"dataset_options": SMALL["dataset_options"]}})
    assert folder_of(recipe) == folder_of(plain) and result_header(Inputs(recipe)) == result_header(Inputs(plain))
    finished = run(recipe, device="cpu", progress=False)
    assert str(tmp_path) not in json.dumps(finished.line) and "cache" not in json.dumps(finished.line["recipe"])
    assert list((tmp_path / "frames" / "toydrive").glob("*.npz"))
    weights_file = tmp_path / "first.pth"
    weights_file.write_bytes(b"1")
    net = {"encoder": "resnet18", "pretrained": str(weights_file)}
    told = Recipe(
        "camvid", root=str(camvid_root), network="sne-roadseg", network_options=net, teacher={"network_options": net}
    )
    assert str(tmp_path) not in json.dumps(result_header(Inputs(told)))
    before = folder_of(told)
    weights_file.rename(tmp_path / "second.pth")
    moved = {**net, "pretrained": str(tmp_path / "second.pth")}
    assert folder_of(replace(told, network_options=moved, teacher={"network_options": moved})) == before, (
        "contents, not names"
    )
    (tmp_path / "second.pth").write_bytes(b"2")
    assert folder_of(replace(told, network_options=moved, teacher={"network_options": moved})) != before


def test_a_pipe_among_the_images_stops_nothing_for_ever(recipe, copy):
    photo = min((copy / "train").iterdir())
    photo.unlink()
    os.mkfifo(photo)
    with pytest.raises(ValueError, match=f"{photo.name} is a folder, a device or a pipe, and a file is needed"):
        run(replace(recipe, root=str(copy)), device="cpu", progress=False)
