"""Weights that name a network as module.path:factory run no code unless somebody has said so."""

import re
import sys

import pytest

from lixlib import checkpoints, nets
from lixlib.data.classes import CAMVID
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
    for folder in ("", "runs/camvid/evil_nets-mfnet/kd-1"):
        checkpoints.save(net, tmp_path / folder / "net.safetensors", recipe)
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


@pytest.mark.parametrize("allow", ["trust", "named", "registered", "a run of one's own"])
def test_allowed(here, allow, monkeypatch):
    file, options = "net.safetensors", {}
    if allow == "trust":
        options = {"trust": True}
    elif allow == "named":
        nets.build(NAME, num_classes=3)
    elif allow == "registered":
        monkeypatch.setitem(nets.NETWORKS, "own", nets.MFNet)
        recipe = {**checkpoints.describe(file), "network": "own"}
        checkpoints.save(nets.build("own", num_classes=len(CAMVID)), here / file, recipe)
    else:
        file = "runs/camvid/evil_nets-mfnet/kd-1/net.safetensors"
    assert isinstance(checkpoints.load(file, **options)[0], nets.MFNet)
    assert (here / "ran").exists() == (allow != "registered")
