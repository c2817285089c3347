"""Weights files: what is saved comes back, and a file that is no weights file says so."""

import pytest
import torch
from safetensors.torch import save_file

from lixlib import nets, weights

RECIPE = {
    "network": "mfnet",
    "num_classes": 3,
    "x_channels": None,
    "options": {},
    "classes": ["a", "b", "c"],
    "size": [32, 48],
    "note": "anything else is kept",
}


@pytest.mark.parametrize(("x_channels", "options"), [(None, {}), (1, {}), (3, {"activated_head": False})])
def test_round_trip_is_exact(tmp_path, x_channels, options):
    net = nets.build("mfnet", num_classes=3, x_channels=x_channels, **options).to(memory_format=torch.channels_last)
    recipe = {**RECIPE, "x_channels": x_channels, "options": options}
    weights.save(net, tmp_path / "net.safetensors", recipe)
    loaded, found = weights.load(tmp_path / "net.safetensors")
    assert found == recipe
    assert not loaded.training and loaded.x_channels == x_channels
    state = net.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_half_precision_halves_the_file_and_rounds(tmp_path):
    net = nets.build("mfnet", num_classes=3)
    weights.save(net, tmp_path / "full.safetensors", RECIPE)
    weights.save(net, tmp_path / "half.safetensors", RECIPE, half=True)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    loaded, _ = weights.load(tmp_path / "half.safetensors")
    for name, tensor in net.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor.half().float() if tensor.is_floating_point() else tensor)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights file .*nothing.safetensors"):
        weights.load(tmp_path / "nothing.safetensors")


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "net.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="net.safetensors is no safetensors file"):
        weights.load(path)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save(nets.build("mfnet", num_classes=3), path, RECIPE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="net.safetensors is no safetensors file"):
        weights.load(path)


def test_a_file_without_a_recipe(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="no complete recipe in its metadata .missing: network, num_classes"):
        weights.load(tmp_path / "net.safetensors")


def test_a_recipe_must_be_complete_to_be_saved(tmp_path):
    recipe = {name: value for name, value in RECIPE.items() if name != "classes"}
    with pytest.raises(ValueError, match="lacks classes"):
        weights.save(nets.build("mfnet", num_classes=3), tmp_path / "net.safetensors", recipe)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network(tmp_path):
    weights.save(nets.build("mfnet", num_classes=4), tmp_path / "net.safetensors", RECIPE)
    with pytest.raises(ValueError, match="does not fit the mfnet that it names"):
        weights.load(tmp_path / "net.safetensors")


def test_what_comes_with_the_library_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "CHECKPOINTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="it has none"):
        weights.shipped("a")
    (tmp_path / "b.safetensors").touch()
    with pytest.raises(FileNotFoundError, match="no weights 'a' come with lixlib: it has b"):
        weights.shipped("a")
    assert weights.shipped("b") == tmp_path / "b.safetensors"


@pytest.mark.parametrize("path", sorted(weights.CHECKPOINTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_weights_load(path):
    net, recipe = weights.load(path)
    dataset, network, method = path.stem.split("-")
    assert recipe["network"] == network
    assert (net.x_channels is not None) == (method == "teacher")
    assert len(recipe["classes"]) == recipe["num_classes"]
