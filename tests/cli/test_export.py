"""`lix export`: the file of ONNX computes what the network computes, at any size."""

import json
import os

import pytest
from commands import fails_with_one_line, save

from lixlib import checkpoints
from lixlib.cli import export
from lixlib.data.classes import CAMVID
from lixlib.nets import mit

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SHALLOW = (1, 1, 1, 1)  # blocks in the stages of OFF-Net's encoder: each once, where their number does not matter


@pytest.mark.parametrize("x_channels", [None, 1])
@pytest.mark.parametrize(
    ("network", "options"), [("mfnet", {}), ("sne-roadseg", {"encoder": "resnet18"}), ("off-net", {})]
)
def test_every_network_leaves_as_onnx_with_free_sizes(lix, tmp_path, monkeypatch, network, options, x_channels):
    if network == "off-net" and x_channels is None:  # the teacher has all of the student's blocks, as many as published
        monkeypatch.setattr(mit, "DEPTHS", SHALLOW)
    trained = {"dataset": "camvid"}
    file = save(tmp_path / "net.safetensors", CAMVID, x_channels, trained, network=network, options=options)
    code, text, errors = lix("export", file, "--onnx", tmp_path / "net.onnx")
    assert (code, errors) == (0, "")
    assert text.count("of the largest logit") == len(export.SIZES)
    model = onnx.load(tmp_path / "net.onnx")
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about["network"] == network and about["dataset"] == "camvid" and about["size"] == [32, 48]
    assert about["classes"] == list(CAMVID.names) and about.get("x_channels") == x_channels
    assert about["recipe"] == {**checkpoints.describe(file), "colours": CAMVID.colours.tolist()}
    assert [each.name for each in model.graph.input] == ["rgb", "x"][: 1 if x_channels is None else 2]


def test_a_file_that_computes_something_else_is_not_written(lix, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1)
    file = save(tmp_path / "net.safetensors", CAMVID)
    code, _, errors = lix("export", file, "--onnx", tmp_path / "net.onnx")
    assert code == 2 and "onnxruntime differs by" in errors and len(errors.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors"]


@pytest.mark.parametrize("x_channels", [None, 1])
def test_the_scores_of_the_file_are_those_of_the_network(lix, tmp_path, camvid_root, x_channels):
    file = save(tmp_path / "net.safetensors", CAMVID, x_channels, {"dataset": "camvid"})
    assert lix("export", file, "--onnx", tmp_path / "net.onnx")[0] == 0
    found = []
    for weights in (file, tmp_path / "net.onnx"):
        words = ["--weights", weights, "--dataset", "camvid", "--root", camvid_root, "--split", "val", "--json"]
        code, text, errors = lix("eval", *words)
        assert code == 0, errors
        found.append(json.loads(text)["metrics"])
    assert found[0] == pytest.approx(found[1], abs=1e-3)


@pytest.mark.parametrize("opset", [-1, 10, 21, 1000])
def test_opsets_that_are_not_written(lix, tmp_path, student, opset):
    outcome = lix("export", student, "--onnx", tmp_path / "net.onnx", "--opset", opset)
    fails_with_one_line(outcome, f"--opset must be from 11 to 20, found {opset}")


def test_an_operator_that_an_opset_lacks_is_one_line(lix, tmp_path, monkeypatch):
    """OFF-Net's attention needs one that came with opset 13; torch would print its whole graph, past sys.stdout."""
    monkeypatch.setattr(mit, "DEPTHS", SHALLOW)
    file, said, before = save(tmp_path / "net.safetensors", CAMVID, network="off-net"), tmp_path / "said", os.dup(1)
    with said.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        try:
            outcome = lix("export", file, "--onnx", tmp_path / "net.onnx", "--opset", 11)
        finally:
            os.dup2(before, 1)
            os.close(before)
    fails_with_one_line(outcome, "cannot write this network with opset 11", "version 13")
    assert said.read_text() == "" and not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("name", ["photo.jpg", "net.safetensors", "folder.onnx"])
def test_nothing_but_an_earlier_export_is_replaced(lix, tmp_path, student, name):
    target = tmp_path / name
    target.mkdir() if name.startswith("folder") else target.write_text("mine")
    code, _, errors = lix("export", student, "--onnx", target)
    assert code == 2 and "must be a file whose name ends in .onnx" in errors and target.exists()
