"""A stranger adds a method, a network and a data set from outside, and finds them in the help and in the results."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lixlib.cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "method_of_your_own.md"
OTHERS = """
import torch
from lixlib.data import Classes, Entry, Sample, register as register_data
from lixlib.nets import Output, register as register_network


class Dots(torch.utils.data.Dataset):
    x_channels, classes, name = 1, Classes(("dark", "bright"), None), "dots"

    def __init__(self, root, split, *, size, with_x=True):
        self.split, self.size = split, size

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index + 100 * len(self.split))
        rgb = torch.rand(3, *self.size, generator=generator)
        label = (rgb.mean(0) > 0.5).long()
        return Sample(rgb, label[None].float(), torch.ones(1, *self.size, dtype=torch.bool), label, f"dot{index}")


class Flat(torch.nn.Module):
    def __init__(self, num_classes, x_channels=None, *, width: int = 4):
        super().__init__()
        self.x_channels = x_channels
        self.body = torch.nn.Conv2d(3 + (x_channels or 0), width, 3, padding=1)
        self.head = torch.nn.Conv2d(width, num_classes, 1)

    def forward(self, rgb, *x):
        features = self.body(torch.cat([rgb, *x], 1))
        return Output(self.head(features.relu()), {"only": features})


register_data("dots", Entry(Dots, (16, 24), 2, ("train", None, "test")))
register_network("flat", Flat)
"""


@pytest.fixture
def lix(tmp_path):
    """Run a command in a folder that holds the page's my_methods.py and a my_world.py, as plugins."""
    (tmp_path / "my_methods.py").write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    (tmp_path / "my_world.py").write_text(OTHERS)
    environment = {**os.environ, "LIX_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    environment |= {"LIX_PLUGINS": "my_methods, my_world"}

    def run(*words):
        program = "import sys; sys.path.remove(''); from lixlib.cli import main; main()"
        command = [sys.executable, "-c", program, *words]
        options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 240}
        return subprocess.run(command, check=False, **options)

    return run


def here(monkeypatch, capsys, *words, plugins=""):
    """Run a command in this process; its exit code, stdout and stderr."""
    monkeypatch.setenv("LIX_PLUGINS", plugins)
    monkeypatch.setattr(sys, "argv", ["lix", *words])
    with pytest.raises(SystemExit) as stopped:
        lixlib.cli.main()
    return stopped.value.code or 0, *capsys.readouterr()


def test_they_are_in_the_help(lix, monkeypatch, capsys):
    for command in ("train", "compare"):
        said = " ".join(lix(command, "--help").stdout.replace("│", " ").split())
        assert re.search(r"Methods: teacher, student, mean-teacher, kd, .*, lix-ours, brightness\.", said), command
        assert re.search(r"Networks: mfnet, .*, flat;", said) and re.search(r"Data sets: toydrive, .*, dots\.", said)
    _, plain, _ = here(monkeypatch, capsys, "train", "--help")
    assert "brightness" not in plain and "Methods: teacher, student, mean-teacher, kd" in plain


def test_a_plugin_that_is_not_there_is_one_line(monkeypatch, capsys):
    code, _, errors = here(monkeypatch, capsys, "train", plugins="my_metods")
    assert code == 2 and len(errors.splitlines()) == 1
    assert "LIX_PLUGINS=my_metods: there is no module my_metods" in errors


@pytest.mark.slow
def test_they_are_trained_compared_and_written(lix, tmp_path):
    words = ["--datasets", "dots", "--root", "dots=.", "--networks", "flat", "--epochs", "2", "--batch-size", "2"]
    words += ["--methods", "teacher", "student", "brightness", "--device", "cpu", "--results", "results"]
    done = lix("compare", *words)  # each run in a process of its own
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "results" / "dots" / "flat.jsonl").read_text().splitlines()]
    assert sorted(line["method"] for line in lines) == ["brightness", "student", "teacher"]
    (own,) = (line for line in lines if line["method"] == "brightness")
    assert own["hyper"] == {"weight": 0.5} and own["epochs"] == 2
    log = next((tmp_path / "runs" / "dots" / "flat").glob("brightness-*/log.jsonl")).read_text().splitlines()
    assert len(log) == 2 and "brightness" in json.loads(log[0])
    edited = (tmp_path / "my_methods.py").read_text().replace("square()", "abs()")
    (tmp_path / "my_methods.py").write_text(edited)
    done = lix("compare", *words)
    assert "3 of 3 runs are in results; 1 trained now" in done.stdout, "an edited method is another run"
    assert "dots flat brightness, seed 0" in done.stdout
