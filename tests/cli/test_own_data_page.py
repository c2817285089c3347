"""The page docs/data_of_your_own.md: its commands and its code run as they stand there, on a small folder."""

import json
import re
import shlex
from pathlib import Path

import pytest
from in_process import InProcess
from own_folder import own_folder, say
from PIL import Image

import lixlib.lab.grid
from lixlib.data.readers.folder import read_classes, read_x_json

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data_of_your_own.md").read_text(encoding="utf-8")
# A small network and two updates, which is enough to see that a command works
SMALL = ["--epochs", "1", "--size", "32", "48", "--batch", "4", "--net", '{"width": 0.25}']


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
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
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
