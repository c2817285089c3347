"""`lix predict`: at which size it computes, what it writes, and which weights it takes."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from commands import fails_with_one_line, photo, problems, save
from PIL import Image

import lixlib.cli.photographs
from lixlib import checkpoints, nets
from lixlib.cli import which_weights
from lixlib.cli.photographs import confidence, draw_labels, largest, logits_of, multiple_of
from lixlib.data.classes import CAMVID, Classes
from lixlib.data.images import open_label


def test_predict_colours_photographs_of_any_size(lix, tmp_path, student):
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.jpg", (301, 77))]
    Image.open(photos[0]).convert("L").save(tmp_path / "grey.png")
    code, text, _ = lix("predict", *photos, tmp_path / "grey.png", "--weights", student, "--out", tmp_path / "out")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}_labels.png" for n in ("a", "b", "grey")]
    picture = Image.open(tmp_path / "out" / "b_labels.png")
    assert picture.width == 301 and picture.height > 77, "a legend below the photograph"
    assert str(tmp_path / "out" / "b_labels.png") in text
    lix("predict", photos[0], "--weights", student, "--no-legend")
    assert Image.open(tmp_path / "a_labels.png").size == (50, 40), "beside the photograph"


@pytest.mark.parametrize("network, options", [("sne-roadseg", {"encoder": "resnet18"}), ("off-net", {})])
def test_predict_takes_a_folder_of_the_hub_and_every_network(lix, tmp_path, network, options):
    net = nets.build(network, num_classes=len(CAMVID.names), **options)
    recipe = {"network": network, "num_classes": len(CAMVID.names), "x_channels": None, "options": options}
    config = checkpoints.hub_config({**recipe, "classes": CAMVID.names, "size": (32, 48)})
    net.save_pretrained(tmp_path / "net", config=config)
    code, _, errors = lix("predict", photo(tmp_path / "a.png"), "--weights", tmp_path / "net")
    assert code == 0, errors
    assert Image.open(tmp_path / "a_labels.png").width == 50


def test_predict_turns_photographs_upright(lix, tmp_path, student):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.open(photo(tmp_path / "a.png", (80, 40))).save(tmp_path / "b.jpg", exif=exif)
    lix("predict", tmp_path / "b.jpg", "--weights", student)
    assert Image.open(tmp_path / "b_labels.png").width == 40


@pytest.mark.parametrize("strip", [1, 100, 2**15])
@pytest.mark.parametrize("of", [(24, 80), (1, 1), (5, 7)])
@pytest.mark.parametrize("size", [(37, 50), (24, 80), (3, 5), (1, 1), (101, 301)])
def test_labels_in_strips_are_those_of_the_whole_image(monkeypatch, strip, of, size):
    monkeypatch.setattr(lixlib.cli.photographs, "STRIP", strip)
    logits = torch.randn(2, 1, 13, *of).unbind()
    for each in (logits[0], logits[1].contiguous(memory_format=torch.channels_last), torch.zeros(1, 13, *of)):
        expected = F.interpolate(each, size=size, mode="bilinear")[0].argmax(0)
        assert torch.equal(largest(each, size).long(), expected)


def test_a_picture_drawn_in_strips_is_the_same(tmp_path, monkeypatch):
    picture, labels = Image.open(photo(tmp_path / "a.png")), torch.randint(11, (40, 50), dtype=torch.uint8)
    whole = draw_labels(picture, labels, CAMVID)
    for strip in (1, 7 * 50, 13 * 50 + 1):
        monkeypatch.setattr(lixlib.cli.photographs, "STRIP", strip)
        assert draw_labels(picture, labels, CAMVID).tobytes() == whole.tobytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_predict_takes_little_memory(tmp_path):
    """24 megapixels in a process of its own; all logits at that size would take 1.2 GB."""
    Image.new("RGB", (6000, 4000), "gray").save(tmp_path / "a.png", compress_level=1)
    code = (
        "import re, sys; from lixlib import cli\n"
        "sys.argv = ['lix', 'predict', 'a.png', '--device', 'cpu']; cli.main()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # getrusage counts the parent's
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) / 1e6 < 0.85, "GB"


def test_predicted_colours_are_the_classes(tmp_path):
    net, _ = checkpoints.load(save(tmp_path / "net.safetensors", CAMVID, None))
    picture = Image.open(photo(tmp_path / "a.png", (48, 32)))
    labels = largest(logits_of(net, picture, trained=(32, 48)), (32, 48))
    assert labels.shape == (32, 48)
    coloured = np.asarray(draw_labels(picture, labels, CAMVID)).astype(float)
    expected = 0.4 * np.asarray(picture) + 0.6 * CAMVID.colours[labels.numpy()]
    assert np.abs(coloured[:32] - expected).max() <= 1


def test_wrong_input_of_predict_is_one_line(lix, tmp_path, student, monkeypatch):
    image = photo(tmp_path / "a.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "other").mkdir()
    teacher = save(tmp_path / "teacher.safetensors", CAMVID, 1)
    fails_with_one_line(lix("predict", image, "--weights", teacher), "is a teacher and needs X")
    fails_with_one_line(lix("predict", tmp_path / "text.png", "--weights", student), "is no readable image")
    fails_with_one_line(lix("predict", tmp_path / "none.png", "--weights", student), "none.png")
    fails_with_one_line(lix("predict", "--weights", student), "no photograph given")
    fails_with_one_line(lix("predict", image, "--weights", ""), "the name of the weights is empty")
    twin = photo(tmp_path / "other" / "a.png")
    fails_with_one_line(lix("predict", image, twin, "--weights", student, "--out", tmp_path), "the same name")
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", tmp_path)
    fails_with_one_line(
        lix("predict", image), "no weights 'camvid-mfnet-lix-ours' come with lixlib: it has student, teacher"
    )


class Seen(torch.nn.Module):
    """A student that notes the sizes that it is called at."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, rgb):
        self.sizes.append(tuple(rgb.shape[-2:]))
        return nets.Output(rgb, {})


@pytest.mark.parametrize(
    ("photograph", "options", "seen", "result"),
    [
        ((192, 256), {}, (96, 128), (96, 128)),  # of the training's aspect: the training's size
        ((128, 96), {}, (128, 96), (128, 96)),  # upright: as many pixels
        ((100, 400), {}, (55, 222), (55, 222)),
        ((20, 20), {}, (111, 111), (111, 111)),
        ((100, 400), {"multiple": 32}, (64, 224), (55, 222)),
        ((100, 400), {"size": (30, 50), "multiple": 32}, (30, 50), (30, 50)),
        ((100, 400), {"scale": 0.5}, (50, 200), (50, 200)),
        ((100, 400), {"scale": 1e-9}, (1, 1), (1, 1)),
    ],
)
def test_the_size_of_the_computation(photograph, options, seen, result):
    net, picture = Seen(), Image.new("RGB", photograph[::-1])
    assert logits_of(net, picture, trained=(96, 128), **options).shape == (1, 3, *result)
    assert net.sizes == [seen]


def test_more_pixels_than_are_trained_on_are_refused(lix, tmp_path, student):
    wide = photo(tmp_path / "a.png", (400, 10))
    fails_with_one_line(lix("predict", wide, "--weights", student, "--scale", 1000), "size 10000 x 400000 is more than")


def test_multiples_that_a_network_of_others_is_known_to_take():
    of = [multiple_of({"network": "my:unet", "size": size}) for size in ((96, 128), (48, 160), (256, 512), (33, 64))]
    assert of == [32, 16, 32, 1]
    assert multiple_of({"network": "mfnet", "size": (96, 128)}) == 1


def test_a_folder_gives_its_photographs_by_name(lix, tmp_path, student, monkeypatch):
    (tmp_path / "video" / "deeper").mkdir(parents=True)
    for name in ("f2.png", "f1.jpg", "f3.PNG", ".hidden.png"):
        photo(tmp_path / "video" / name)
    (tmp_path / "video" / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second time the results are there, and are no frames
        code, text, errors = lix("predict", "video", "--weights", student)
        assert code == 0 and problems(errors) == []
        assert text.split() == [f"video/f{i}_labels.png" for i in (1, 2, 3)]
    code, text, errors = lix("predict", "video/deeper", "video/f1.jpg", "--weights", student)
    assert (code, text) == (2, "video/f1_labels.png\n")
    assert problems(errors)[0].startswith("lix: no photograph in video/deeper: expected files that end in .jpg")


def test_more_than_a_few_photographs_have_a_progress_bar(lix, tmp_path, student, monkeypatch):
    photos = [photo(tmp_path / f"{i}.png", (8, 8)) for i in range(5)]
    assert "%|" not in lix("predict", *photos, "--weights", student)[2], "no terminal"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "5/5" in lix("predict", *photos, "--weights", student)[2]
    assert "%|" not in lix("predict", *photos[:4], "--weights", student)[2]


def test_class_numbers_and_confidence(lix, tmp_path, student):
    image = photo(tmp_path / "a.png", (96, 64))
    code, text, _ = lix("predict", image, "--weights", student, "--labels", "--confidence", "--size", 64, 96)
    assert code == 0
    assert [line.rpartition("_")[2] for line in text.split()] == ["labels.png", "classes.png", "confidence.png"]
    with torch.no_grad():
        rgb = torch.from_numpy(np.array(Image.open(image))).permute(2, 0, 1)[None] / 255
        sure, classes = checkpoints.load(student)[0](rgb).logits.softmax(1)[0].max(0)
    found = {kind: Image.open(tmp_path / f"a_{kind}.png") for kind in ("classes", "confidence")}
    assert {kind: picture.mode for kind, picture in found.items()} == {"classes": "P", "confidence": "L"}
    coloured = np.asarray(found["classes"].convert("RGB"))
    assert (coloured == CAMVID.colours[np.asarray(found["classes"])]).all(), "what viewers show"
    assert (np.asarray(found["classes"]) == classes.numpy()).mean() > 0.999
    assert np.abs(np.asarray(found["confidence"]) - 255 * sure.numpy()).max() <= 1
    assert open_label(tmp_path / "a_classes.png").tolist() == np.asarray(found["classes"]).tolist(), "a label file"
    (tmp_path / "a_classes.png").write_text("of mine")
    fails_with_one_line(lix("predict", image, "--weights", student, "--labels"), "a_classes.png is there and no result")
    assert lix("predict", image, "--weights", student)[0] == 0, "it is not to be written"


def test_confidence_in_strips_is_that_of_the_whole_image(monkeypatch):
    monkeypatch.setattr(lixlib.cli.photographs, "STRIP", 100)
    logits = 3 * torch.randn(1, 13, 5, 7)
    whole = F.interpolate(logits, size=(37, 50), mode="bilinear")[0].softmax(0).amax(0)
    assert (confidence(logits, (37, 50)) - 255 * whole).abs().max() <= 0.51


def told(lix, *words):
    return [line.removeprefix("lix: weights: ") for line in lix(*words)[2].splitlines() if "lix: weights: " in line]


def test_which_weights_are_taken_is_told(lix, tmp_path):
    image = photo(tmp_path / "a.png", (16, 16))
    (line,) = told(lix, "predict", image)
    assert line == "camvid-mfnet-lix-ours: mfnet, trained by lix-ours on camvid at 192 x 256, 11 classes"
    first, second = told(lix, "predict", image, "--weights", "toydrive-mfnet-lix")
    assert first == "toydrive-mfnet-lix: mfnet, trained by lix on toydrive at 48 x 160, 13 classes"
    assert second.startswith("they were trained on rendered streets and have never seen a photograph")
    assert second.endswith("take --weights camvid-mfnet-lix-ours")
    assert len(told(lix, "predict", image, "--dataset", "toydrive")) == 1, "where the images are rendered"
    (line,) = told(lix, "predict", image, "--weights", "camvid-mfnet-student")
    assert line.startswith("camvid-mfnet-student: mfnet, trained without a teacher on camvid at 192 x 256")
    file = save(tmp_path / "own.safetensors", CAMVID)
    (line,) = told(lix, "predict", image, "--weights", file)
    assert "trained on a data set that is not named" in line


def test_weights_that_suit_a_data_set(lix, tmp_path):
    image, trained = photo(tmp_path / "a.png", (16, 16)), {"dataset": "camvid", "method": "kd"}
    assert told(lix, "predict", image, "--dataset", "camvid")[0].startswith("camvid-mfnet-lix-ours: ")
    line = told(lix, "predict", image, "--dataset", "camvid", "--weights", "toydrive-mfnet-student")[1]
    assert line == "the photographs are from camvid, and these weights are not: take --weights camvid-mfnet-lix-ours"
    outcome = lix("predict", image, "--dataset", "potholes")
    fails_with_one_line(outcome, "no weights of a student of potholes", "lix train --dataset potholes")
    fails_with_one_line(lix("predict", image, "--dataset", "ade20k"), "unknown data set")
    for dataset, method, channels in (("potholes", "teacher-1", 1), ("potholes", "kd-1", None), ("camvid", "kd", None)):
        folder = tmp_path / "runs" / dataset / "mfnet" / method
        folder.mkdir(parents=True)
        save(folder / "weights.safetensors", CAMVID, channels, {**trained, "dataset": dataset})
        (folder / "result.jsonl").write_text('{"metrics": {"mIoU": 0.5}, "split": "val"}\n')
    line = told(lix, "predict", image, "--dataset", "potholes")[0]
    assert line.startswith(f"{tmp_path}/runs/potholes/mfnet/kd-1/weights.safetensors: mfnet, trained by kd on potholes")
    assert told(lix, "predict", image, "--dataset", "camvid")[1] == (
        f"there is also {tmp_path}/runs/camvid/mfnet/kd/weights.safetensors (mIoU 50.0 % on val)"
    )


def test_folders_of_different_classes_are_different_data_sets(lix, tmp_path):
    image, files = photo(tmp_path / "a.png", (16, 16)), {}
    for run, names in (("kd-1", "abc"), ("kd-2", "abc"), ("student-1", "xyz")):
        files[run] = tmp_path / "runs" / "folder" / "mfnet" / run / "weights.safetensors"
        files[run].parent.mkdir(parents=True)
        save(files[run], Classes(tuple(names)), trained={"dataset": "folder", "method": "kd"})
        os.utime(files[run], (len(files), len(files)))
    newest = f"{files['student-1']} (x, y, z)", f"{files['kd-2']} (a, b, c)"
    outcome = lix("predict", image, "--dataset", "folder")
    fails_with_one_line(outcome, "runs on folder have different classes", "--weights", *newest)
    assert str(files["kd-1"]) not in outcome[2]
    files["student-1"].unlink()
    assert which_weights.choose("folder") == (files["kd-2"], [f"there is also {files['kd-1']}"])


def test_an_onnx_file_gives_the_labels_and_the_confidence_of_its_network(lix, tmp_path):
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    file, image = save(tmp_path / "net.safetensors", CAMVID), photo(tmp_path / "a.png", (77, 131))
    assert lix("export", file, "--onnx", tmp_path / "net.onnx")[0] == 0
    for options in ([], ["--size", 40, 64], ["--scale", 0.7]):
        found = []
        for weights in (file, tmp_path / "net.onnx"):
            code, _, errors = lix("predict", image, "--weights", weights, "--labels", "--confidence", *options)
            assert code == 0, errors
            found.append([np.asarray(Image.open(tmp_path / f"a_{kind}.png")) for kind in ("classes", "confidence")])
        (labels, sure), (of_onnx, sure_of_onnx) = found
        assert len(np.unique(labels)) > 1 and (labels == of_onnx).mean() >= 0.999
        assert len(np.unique(sure)) > 1 and np.abs(sure.astype(int) - sure_of_onnx).max() <= 1


def test_wrong_onnx_files(lix, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    image, file = photo(tmp_path / "a.png"), tmp_path / "net.onnx"

    def fails(*parts):
        fails_with_one_line(lix("predict", image, "--weights", file), "net.onnx", *parts)

    fails("no weights file")
    file.write_text("no network")
    fails("is no ONNX file")
    lix("export", save(tmp_path / "net.safetensors", CAMVID), "--onnx", file)
    fails_with_one_line(lix("export", file, "--onnx", tmp_path / "again.onnx"), "is an ONNX file already")
    model = onnx.load(file)
    fixed = onnx.load(file)
    for axis, side in ((2, 32), (3, 48)):
        fixed.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    onnx.save(fixed, file)
    fails("cannot be computed at")
    model.graph.input[0].name = "image"
    onnx.helper.set_model_props(model, {"note": "of others"})
    onnx.save(model, file)
    fails("is no")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    fails("needs the package onnxruntime: pip install")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", 0, 5], "--size must be two numbers above 0, found 0 5"),
        (["--scale", "nan"], "--scale must be a number above 0 and up to 10000, found nan"),
        (["--scale", -1], "found -1"),
        (["--scale", 1e308], "found 1e+308"),
        (["--size", 5, 5, "--scale", 1], "give one of them"),
        (["--size", 10000, 10000], "is more than"),
    ],
)
def test_wrong_sizes(lix, tmp_path, student, options, message):
    fails_with_one_line(lix("predict", photo(tmp_path / "a.png"), "--weights", student, *options), message)


@pytest.mark.parametrize("command", ["predict", "eval", "export"])
def test_code_of_others_needs_trust(lix, tmp_path, command):
    file = tmp_path / "net.safetensors"
    recipe = {"network": "no_nets:unet", "num_classes": 11, "x_channels": None, "options": {}, "size": (32, 48)}
    checkpoints.save(nets.build("mfnet", num_classes=11), file, {**recipe, "classes": CAMVID.names})
    words = {
        "predict": ["predict", photo(tmp_path / "a.png"), "--weights", file],
        "eval": ["eval", "--weights", file, "--dataset", "toydrive", "--split", "val"],
        "export": ["export", file, "--onnx", tmp_path / "net.onnx"],
    }[command]
    fails_with_one_line(lix(*words), "names the network no_nets:unet", "allow it by --trust")
    fails_with_one_line(lix(*words, "--trust"), "there is no module no_nets")
