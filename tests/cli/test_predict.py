"""`lix predict`: at which size it computes, what it writes, and which weights it takes."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from commands import fails_with_one_line, photo, save
from PIL import Image

import lixlib.cli.photographs
from lixlib import checkpoints, nets
from lixlib.cli.photographs import draw_labels, largest, logits_of
from lixlib.data.classes import CAMVID


def test_predict_colours_photographs_of_any_size(lix, tmp_path, student):
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.jpg", (301, 77))]
    Image.open(photos[0]).convert("L").save(tmp_path / "grey.png")
    code, text, _ = lix("predict", *photos, tmp_path / "grey.png", "--weights", student, "--out", tmp_path / "out")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}_labels.png" for n in ("a", "b", "grey")]
    picture = Image.open(tmp_path / "out" / "b_labels.png")
    assert picture.width == 301 and picture.height > 77, "a legend below the photograph"
    assert str(tmp_path / "out" / "b_labels.png") in text
    lix("predict", photos[0], "--weights", student)
    assert (tmp_path / "a_labels.png").exists(), "beside the photograph"


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
        lix("predict", image), "no weights 'toydrive-mfnet-lix' come with lixlib: it has student, teacher"
    )
