"""The weights that ship with the library: the recorded hash, a size that a clone can bear, and what they predict."""

import hashlib
from pathlib import Path

import pytest
import torch

from lixlib import checkpoints
from lixlib.lab.results import METRICS
from lixlib.nets import call, x_channels
from tools.dev import weights_page

ROOT = Path(__file__).resolve().parents[2]
INDEX = checkpoints.index()


def test_the_index_names_exactly_what_ships():
    assert set(INDEX) == {file.stem for file in checkpoints.CHECKPOINTS.glob("*.safetensors")}
    assert {f"toydrive-mfnet-{role}" for role in ("teacher", "student", "lix")} <= set(INDEX)


@pytest.mark.parametrize("name", INDEX)
def test_a_shipped_network(name):
    path = checkpoints.shipped(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == INDEX[name]["sha256"]
    assert path.stat().st_size < 3e6
    net, recipe = checkpoints.load(path)
    rgb = torch.rand(1, 3, *recipe["size"])
    output = call(net, rgb, torch.rand(1, x_channels(net) or 1, *recipe["size"]))
    assert output.logits.shape == (1, recipe["num_classes"], *recipe["size"]) and output.logits.isfinite().all()
    line = INDEX[name]["result"]
    assert line["command"].split()[-1] and set(line["metrics"]) == set(METRICS)


def test_the_page_has_the_scores_of_what_ships():
    page = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    assert weights_page.update(page, ROOT / "results") == page, "run `python -m tools.dev.readme_tables`"
