"""docs/common_errors.md: every message that it shows is made here, by the command or the line above it."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lixlib.cli
from lixlib import checkpoints
from lixlib.data import load
from lixlib.distillers import Distiller
from lixlib.nets import build, tapped

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "common_errors.md").read_text(encoding="utf-8")
CASES = re.findall(r"```text\n(.*)\n(.*)\n```", PAGE)
NAMES = {"load": load, "Distiller": Distiller, "build": build, "tapped": tapped, "torch": torch}
NAMES |= {"rgb": torch.zeros(2, 3, 32, 64), "x": torch.zeros(2, 1, 32, 64)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page's commands read: good and bad data sets, weights, photographs."""
    folder = tmp_path_factory.mktemp("errors")
    random = np.random.default_rng(0)
    for name in ("streets", "bad_label", "odd_size", "no_x", "no_classes"):
        for number in range(2):
            label = random.integers(3, size=(32, 48), dtype=np.uint8)
            if number and name == "bad_label":
                label[3, 7] = 9
            images = {"rgb": random.integers(255, size=(32, 48, 3), dtype=np.uint8), "x": label + 1, "label": label}
            for kind, image in images.items():
                file = folder / name / "train" / kind / f"{number}.{'jpg' if kind == 'rgb' else 'png'}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[:16] if kind == "label" and name == "odd_size" and number else image).save(file)
        shutil.copytree(folder / name / "train", folder / name / "test")
        (folder / name / "classes.json").write_text(json.dumps({"names": ["floor", "wall", "chair"]}))
        (folder / name / "x.json").write_text(json.dumps({"kind": "relative"}))
    shutil.rmtree(folder / "no_x" / "train" / "x")
    (folder / "no_classes" / "classes.json").unlink()
    shutil.copy(folder / "streets" / "train" / "rgb" / "0.jpg", folder / "photo.jpg")
    (folder / "notes.txt").write_text("hello")
    (folder / "broken.safetensors").write_bytes(b"1234567890123")
    shutil.copy(checkpoints.shipped("toydrive-mfnet-teacher"), folder / "teacher")
    shutil.copy(checkpoints.shipped("toydrive-mfnet-student"), folder / "shipped")
    return folder


def test_the_page_has_its_cases():
    assert len(CASES) == PAGE.count("```text") > 15


@pytest.mark.parametrize(("given", "message"), CASES, ids=[given for given, _ in CASES])
def test_the_message_is_the_real_one(given, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LIX_RUNS", str(folder / "runs"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("tyro._fmtlib._FORCE_UTF8_BOXES", True)  # as in a terminal
    if given.startswith(">>> "):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            eval(given[4:], dict(NAMES))
        found = f"{caught.type.__name__}: " + "; ".join(line.strip() for line in str(caught.value).splitlines())
    else:
        monkeypatch.setattr(sys, "argv", shlex.split(given.removeprefix("$ ")))
        with pytest.raises(SystemExit) as stopped:
            lixlib.cli.main()
        assert stopped.value.code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        found = "\n".join(line for line in lines if not line.startswith("lix: weights: "))
    pattern = ".*".join(map(re.escape, message.split("...")))
    assert re.fullmatch(pattern, found, re.DOTALL), found
