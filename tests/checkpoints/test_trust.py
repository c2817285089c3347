"""Weights that name a network as module.path:factory run no code unless somebody has said so."""

import re
import sys

import pytest

from lixlib import checkpoints, nets
from lixlib.cli import which_weights
from lixlib.data.classes import CAMVID
from lixlib.lab import finished
from lixlib.nets import registry

NAME = "evil_nets:mfnet"
CODE = """
import pathlib
from lixlib.nets import MFNet
pathlib.Path("ran").touch()
def mfnet(num_classes, x_channels):
    return MFNet(num_classes, x_channels)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with weights that name a module beside them, which no code has named yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(registry, "NAMED", set())
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    monkeypatch.delitem(sys.modules, "evil_nets", raising=False)
    (tmp_path / "evil_nets.py").write_text(CODE, encoding="utf-8")
    recipe = {"network": NAME, "num_classes": len(CAMVID), "x_channels": None, "options": {}}
    recipe |= {"classes": CAMVID.names, "size": (32, 48)}
    net = nets.build("mfnet", num_classes=len(CAMVID))
    for file in ("net.safetensors", "runs/kd-1/weights.safetensors"):
        checkpoints.save(net, tmp_path / file, recipe)
    return tmp_path


def test_refused_before_anything_is_imported(here):
    with pytest.raises(ValueError, match=rf"net.safetensors names the network {re.escape(NAME)}.*trust=True"):
        checkpoints.load("net.safetensors")
    assert checkpoints.describe("net.safetensors")["network"] == NAME
    assert not (here / "ran").exists() and "evil_nets" not in sys.modules


def test_a_module_that_is_imported_already_may_still_hold_functions_that_nobody_named(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "evil_nets", sys.modules[__name__])
    with pytest.raises(ValueError, match="trust=True"):
        checkpoints.load("net.safetensors")


@pytest.mark.parametrize("allow", ["trust", "named", "registered"])
def test_allowed(here, allow, monkeypatch):
    options = {}
    if allow == "trust":
        options = {"trust": True}
    elif allow == "named":
        nets.build(NAME, num_classes=3)
    else:
        monkeypatch.setitem(nets.NETWORKS, "own", nets.MFNet)
        recipe = {**checkpoints.describe("net.safetensors"), "network": "own"}
        checkpoints.save(nets.build("own", num_classes=len(CAMVID)), here / "net.safetensors", recipe)
    assert isinstance(checkpoints.load("net.safetensors", **options)[0], nets.MFNet)
    assert (here / "ran").exists() == (allow != "registered")


@pytest.mark.parametrize("folder", ["runs/kd-1", "runs/../runs/kd-1/weights.safetensors"])
def test_the_commands_trust_runs_of_ones_own(here, folder):
    assert isinstance(which_weights.load(folder, trust=False)[0], nets.MFNet)


def test_the_commands_trust_nothing_outside_the_runs_folder(here):
    for source in ("net.safetensors", "runs/../net.safetensors"):
        with pytest.raises(ValueError, match="--trust"):
            which_weights.load(source, trust=False)


def test_a_run_finds_its_own_weights_in_a_process_that_has_named_no_network(here, monkeypatch):
    monkeypatch.setattr(finished, "_read_result", lambda path: {"epochs": 0})
    monkeypatch.setattr(finished, "_read_log", lambda path: [])
    found, problems = finished._read_files(here / "runs/kd-1")
    assert problems == {} and isinstance(found[finished.WEIGHTS], nets.MFNet)
