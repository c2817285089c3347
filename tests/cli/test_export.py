"""`lix export`: the file of ONNX computes what the network computes, at any size."""

import json

import pytest

from lixlib import checkpoints, nets
from lixlib.cli import export
from lixlib.data.classes import CAMVID

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def save(path, network, x_channels, options):
    net = nets.build(network, num_classes=len(CAMVID), x_channels=x_channels, **options)
    recipe = {"network": network, "num_classes": len(CAMVID), "x_channels": x_channels, "options": options}
    recipe |= {"classes": CAMVID.names, "size": (32, 48), "recipe": {"dataset": "camvid"}}
    checkpoints.save(net, path, recipe)
    return path


@pytest.mark.parametrize("x_channels", [None, 1])
@pytest.mark.parametrize(
    ("network", "options"), [("mfnet", {}), ("sne-roadseg", {"encoder": "resnet18"}), ("off-net", {})]
)
def test_every_network_leaves_as_onnx_with_free_sizes(lix, tmp_path, network, options, x_channels):
    file = save(tmp_path / "net.safetensors", network, x_channels, options)
    code, text, errors = lix("export", file, "--onnx", tmp_path / "net.onnx")
    assert (code, errors) == (0, "")
    assert text.count("of the largest logit") == len(export.SIZES)
    model = onnx.load(tmp_path / "net.onnx")
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about["network"] == network and about["dataset"] == "camvid" and about["size"] == [32, 48]
    assert about["classes"] == list(CAMVID.names) and about.get("x_channels") == x_channels
    assert [each.name for each in model.graph.input] == ["rgb", "x"][: 1 if x_channels is None else 2]


def test_a_file_that_computes_something_else_is_not_written(lix, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1)
    file = save(tmp_path / "net.safetensors", "mfnet", None, {})
    code, _, errors = lix("export", file, "--onnx", tmp_path / "net.onnx")
    assert code == 2 and "onnxruntime differs by" in errors and len(errors.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors"]
