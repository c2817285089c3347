"""The README's code runs as it stands there, and its picture is that of the shipped networks."""

import re
from pathlib import Path

import pytest
import torch

from lixlib.data import Sample, load
from lixlib.distillers import Distiller
from lixlib.training import Schedule, evaluate, fit

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def names() -> dict:
    """What the README's lines define."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names


def test_the_ten_lines_distil_a_network_of_ones_own(names):
    x = names["x"]
    assert set(names["terms"]) == {"ce", "dwld", "arfd"}
    again = names["distiller"](Sample(names["rgb"], x, x > 0, names["label"], ("a", "b")))
    assert again["ce"] < names["terms"]["ce"], "the step went down"
    assert all(torch.isfinite(p).all() for p in names["distiller"].parameters())


def test_a_network_of_ones_own_is_trained_validated_and_scored(names, tmp_path):
    train, validation = (load("toydrive", split, size=(32, 64), count=4, eval_count=4) for split in ("train", "val"))
    schedule = Schedule(epochs=1, batch=2, patience=1)
    (row,) = fit(names["distiller"], train, schedule, folder=tmp_path, validation=validation, progress=False)
    assert row["mIoU"] == evaluate(names["distiller"].student, validation)["mIoU"] > 0


def test_the_page_on_networks_distils_both_of_its_networks():
    page = README.parent / "docs" / "network_of_your_own.md"
    wrapped, _, plain = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(wrapped, names)
    exec(plain, names)
    rgb, x = names["rgb"], names["x"]
    sample = Sample(rgb, x, x > 0, names["label"], ("a", "b"))
    assert set(names["distiller"](sample)) == {"ce", "dwld", "arfd"}
    student, teacher = names["unet"](13, None), names["unet"](13, 1)
    assert set(Distiller(student, teacher, "at", taps=["conv2"], example=(rgb, x))(sample)) == {"ce", "at"}
