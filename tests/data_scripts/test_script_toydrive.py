"""The ToyDrive script: what it writes is what the renderer draws."""

import numpy as np
import pytest
import toydrive
from PIL import Image
from scripts import run

from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive.render import render


def test_toydrive_on_disk_is_toydrive(tmp_path, capsys):
    assert run(toydrive, "--root", tmp_path, "--limit", 2, "--size", 24, 80) == 0
    scene = tmp_path / "Scene02" / "clone"
    frame, name = render(0, 1_000_001, (24, 80)), "Camera_0/{}_00001.{}"
    rgb = np.asarray(Image.open(scene / "frames" / "rgb" / name.format("rgb", "jpg")))
    assert np.abs(rgb.astype(int) - frame.rgb).mean() < 6, "JPEG"
    depth = np.asarray(Image.open(scene / "frames" / "depth" / name.format("depth", "png")))
    sky = np.isinf(frame.depth)
    assert depth.dtype == np.uint16 and (depth[sky] == 65535).all() and sky.any()
    assert np.abs(depth[~sky] / 100 - frame.depth[~sky]).max() < 0.0051
    rows = [line.split() for line in (scene / "colors.txt").read_text().splitlines()]
    assert rows[0] == ["Category", "r", "g", "b"] and len(rows) == 14
    colours = {tuple(map(int, row[1:])): i for i, row in enumerate(rows[1:])}
    label = np.asarray(Image.open(scene / "frames" / "classSegmentation" / name.format("classgt", "png")))
    assert [colours[tuple(colour)] for colour in label.reshape(-1, 3)] == frame.label.ravel().tolist()
    assert [row[0].replace("_", " ") for row in rows[1:]] == list(TOYDRIVE.names)
    assert (scene / "intrinsic.txt").read_text().splitlines()[2] == "1 0 46.4 46.4 39.5 11.5"
    assert run(toydrive, "--root", tmp_path, "--seed", 1) == 1
    assert "holds other frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--size", 0, 5], "size is"), (["--size", 10**6, 10**6], "is more than"), (["--difficulty", 5], "difficulty is")],
)
def test_what_cannot_be_rendered_is_told_before_anything_is_written(tmp_path, capsys, options, message):
    assert run(toydrive, "--root", tmp_path / "root", *options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not (tmp_path / "root").exists()
