"""The page docs/data_of_your_own.md: its commands and its code run as they stand there, on a small folder."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import InProcess
from own_folder import own_folder, say
from PIL import Image

import lixlib.lab.grid
from lixlib import data
from lixlib.data.readers.folder import read_classes, read_x_json

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data_of_your_own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# A small network and two updates, which is enough to see that a command works
SMALL = ["--epochs", "1", "--size", "32", "48", "--batch", "4", "--net", '{"width": 0.25}']


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    monkeypatch.setattr(data, "DATASETS", dict(data.DATASETS))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return own_folder(tmp_path / "mine", {"train": 8, "val": 2, "test": 2, "unlabelled": 20})


def commands() -> dict[str, list[list[str]]]:
    """The commands of the page, by their first word."""
    found: dict[str, list[list[str]]] = {}
    for line in re.findall(r"^    lix (.+)$", PAGE, re.MULTILINE):
        name, *words = shlex.split(line)
        found.setdefault(name, []).append(words)
    return found


def test_every_command_runs(lix, root, tmp_path, monkeypatch):
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", InProcess)
    told = commands()
    assert list(told) == ["check", "compare", "train", "eval", "predict"]

    def run(name: str, weights: str = "") -> str:
        (words,) = told[name]
        places = {"WEIGHTS": weights, "DIR": str(root), "PHOTO": str(root / "test" / "rgb" / "test0.jpg")}
        words = [re.sub("WEIGHTS|DIR|PHOTO", lambda found: places[found[0]], word) for word in words]
        small = SMALL if name in ("compare", "train") else []
        code, out, err = lix(name, *words, *small)
        assert code == 0, err
        return out

    assert "can be trained on" in run("check") and (tmp_path / "check_mine.png").is_file()
    assert "4 of 4 runs" in run("compare")
    (weights,) = re.findall("^weights: (.+)$", run("train"), re.MULTILINE)
    assert "folder test, 2 images of 32 x 48" in run("eval", weights)
    run("predict", weights)
    with Image.open(tmp_path / "coloured" / "test0_labels.png") as picture:
        assert picture.width == 32


def test_its_code_runs(root, capsys):
    code, _ = BLOCKS
    names: dict = {}
    exec(code.replace('"DIR"', repr(str(root))), names)
    assert len(names["train"]) == 8 and "2 m / depth" in capsys.readouterr().out


def test_its_json_files_are_read(root):
    files = re.findall(r"^    (\{.+?\})\n\n", PAGE, re.MULTILINE | re.DOTALL)
    classes, x = map(json.loads, files)
    say(root, "classes.json", **classes)
    say(root, "x.json", **x)
    assert read_classes(root / "classes.json")[0].names == ("floor", "wall", "chair")
    assert read_x_json(root / "x.json")["camera"]["fx"] == 518.9


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """The page's my_data.py as a plugin of the working directory, and a folder that it reads."""
    (tmp_path / "my_data.py").write_text(BLOCKS[1], encoding="utf-8")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / "rooms" / split).mkdir(parents=True)
        for number in range(4):
            label = rng.integers(0, 3, (24, 32)).astype(np.uint8)
            rgb = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
            np.savez(tmp_path / "rooms" / split / f"{number}.npz", rgb=rgb, depth=2.0 * label, label=label)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIX_PLUGINS", "my_data")
    monkeypatch.delitem(sys.modules, "my_data", raising=False)
    return tmp_path / "rooms"


def test_its_reader_trains_and_predicts(lix, rooms, tmp_path):
    words = ["--dataset", "rooms", "--root", rooms, "--dataset-options", '{"farthest": 8.0}', *SMALL]
    code, out, err = lix("train", *words, "--method", "kd", "--teacher", '{"epochs": 1}')
    assert code == 0 and "rooms" in out, err
    sample = data.load("rooms", "test", root=rooms, size=(12, 16))[0].check(3)
    assert sample.x.shape == (1, 12, 16) and sample.x.max() == 0.4 and (sample.valid == (sample.label > 0)).all()
    own = data.load("rooms", "train", root=rooms, size=None, with_x=False)[3]
    assert own.rgb.shape == (3, 24, 32) and not own.valid.any()
    (weights,) = re.findall("^weights: (.+)$", out, re.MULTILINE)
    photo = own_folder(tmp_path / "mine", {"test": 1}) / "test" / "rgb" / "test0.jpg"
    assert lix("predict", photo, "--weights", weights)[0] == 0, "classes without colours get those of the palette"
    code, _, err = lix("check", rooms, "--dataset", "rooms")
    assert code == 2 and "Traceback" not in err and "'rooms' is no data set of image files" in err


class Bare(torch.utils.data.Dataset):
    classes, name = ("floor", "wall"), "bare"

    def __init__(self, root, split, *, size, with_x=True):
        pass

    def __getitem__(self, index):
        raise IndexError(index)


def test_what_a_reader_forgets_is_named(tmp_path):
    data.register("bare", data.Entry(Bare, (12, 16), 1, ("train", None, "test")))
    for given, message in (
        ({}, "has no __len__, x_channels, split"),
        ({"__len__": lambda self: 0, "x_channels": 2, "split": "train"}, r"has the classes \('floor', 'wall'\): make"),
        ({"classes": data.Classes(("floor", "wall"))}, "has the x_channels 2"),
    ):
        for name, value in given.items():
            setattr(Bare, name, value)
        with pytest.raises(ValueError, match=rf"data set 'bare': what its reader returns, .* {message}"):
            data.load("bare", "train", root=tmp_path, size=None)


def test_a_name_that_no_module_has_registered_mentions_plugins(lix):
    for flag in ("--dataset", "--network"):
        code, _, err = lix("train", flag, "my_rooms")
        assert code == 2 and "or one that a module in LIX_PLUGINS registers" in err
    assert "a module in LIX_PLUGINS registers" in lix("check", ".", "--dataset", "my_rooms")[2]
