"""Weights files: what is saved comes back, and a file that is no weights file says so."""

import json
import logging
import math
import os
import shutil
import stat
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lixlib import checkpoints, nets

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
    checkpoints.save(net, tmp_path / "net.safetensors", recipe)
    loaded, found = checkpoints.load(tmp_path / "net.safetensors")
    assert found == recipe
    assert not loaded.training and loaded.x_channels == x_channels
    state = net.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_half_precision_halves_the_file_and_rounds(tmp_path):
    net = nets.build("mfnet", num_classes=3)
    checkpoints.save(net, tmp_path / "full.safetensors", RECIPE)
    checkpoints.save(net, tmp_path / "half.safetensors", RECIPE, half=True)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    loaded, _ = checkpoints.load(tmp_path / "half.safetensors")
    for name, tensor in net.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor.half().float() if tensor.is_floating_point() else tensor)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights file .*nothing.safetensors"):
        checkpoints.load(tmp_path / "nothing.safetensors")


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "net.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="net.safetensors is no safetensors file"):
        checkpoints.load(path)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "net.safetensors"
    checkpoints.save(nets.build("mfnet", num_classes=3), path, RECIPE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="net.safetensors is no safetensors file"):
        checkpoints.load(path)


def test_a_file_without_a_recipe(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="metadata of .* is not complete .missing: network, num_classes"):
        checkpoints.load(tmp_path / "net.safetensors")


def test_a_recipe_must_be_complete_to_be_saved(tmp_path):
    recipe = {name: value for name, value in RECIPE.items() if name != "classes"}
    with pytest.raises(ValueError, match="not complete .missing: classes"):
        checkpoints.save(nets.build("mfnet", num_classes=3), tmp_path / "net.safetensors", recipe)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network(tmp_path):
    checkpoints.save(nets.build("mfnet", num_classes=4), tmp_path / "net.safetensors", RECIPE)
    with pytest.raises(ValueError, match="does not fit the mfnet that it names"):
        checkpoints.load(tmp_path / "net.safetensors")


def damaged(path, text):
    """A weights file whose recipe is this text."""
    save_file({"weight": torch.zeros(3)}, path, {"recipe": text})
    return path


@pytest.mark.parametrize("text", ["", "{", "null", "3", "[1, 2]", '"mfnet"', "NaN", "[" * 100_000])
def test_a_recipe_that_is_no_object(tmp_path, text):
    with pytest.raises(ValueError, match="net.safetensors (is no JSON|is of type)") as caught:
        checkpoints.load(damaged(tmp_path / "net.safetensors", text))
    assert "\n" not in str(caught.value)


WRONG = [
    *(("network", value) for value in (None, 3, [], {}, "")),
    *(("num_classes", value) for value in (None, "3", 3.0, True, 0, -1, 10**9, 10**30, float("nan"))),
    *(("x_channels", value) for value in ("1", 0, 2, -1, [], 1.5)),
    *(("options", value) for value in (None, [], "width", 3, {"num_classes": 3}, {"width": "a"}, {"nothing": 1})),
    *(("classes", value) for value in (None, "abc", 3, [1, 2, 3], ["a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"])),
    *(("size", value) for value in (None, 3, "ab", [], [32], [32, 48, 64], [0, 48], [-5, 3], [32, "48"], [1e9, 1e9])),
    *(("recipe", value) for value in (None, [], "lix", 3)),
]


@pytest.mark.parametrize(("entry", "value"), WRONG)
def test_a_recipe_with_a_wrong_entry(tmp_path, entry, value):
    with pytest.raises(ValueError, match=f"net.safetensors .*{entry if entry != 'options' else ''}") as caught:
        checkpoints.load(damaged(tmp_path / "net.safetensors", json.dumps({**RECIPE, entry: value})))
    if (entry, value) != ("options", {"nothing": 1}):
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("entry", [{"data": 3}, {"net": []}, {"hyper": "x"}, {"teacher": None}])
def test_a_recipe_whose_parts_are_no_objects(tmp_path, entry):
    with pytest.raises(ValueError, match=f"net.safetensors has a wrong 'recipe.{next(iter(entry))}'"):
        checkpoints.load(damaged(tmp_path / "net.safetensors", json.dumps({**RECIPE, "recipe": entry})))


@pytest.mark.parametrize(
    "options", [{"pretrained": "/etc/hostname"}, {"pretrained": "IMAGENET1K_V1"}, {"partial": True}]
)
def test_weights_name_no_other_weights(tmp_path, options):
    recipe = {**RECIPE, "network": "sne-roadseg", "options": options}
    with pytest.raises(ValueError, match="its encoders start from other weights, and all are needed here"):
        checkpoints.load(damaged(tmp_path / "net.safetensors", json.dumps(recipe)))


@pytest.mark.parametrize("change", [lambda t: t * math.nan, lambda t: t / 0, lambda t: t.int(), lambda t: t > 0])
def test_weights_that_are_no_finite_numbers(tmp_path, change):
    state = nets.build("mfnet", num_classes=3).state_dict()
    name = next(iter(state))
    state = {**state, name: change(state[name])}
    save_file(state, tmp_path / "net.safetensors", {"recipe": json.dumps(RECIPE)})
    with pytest.raises(ValueError, match=f"net.safetensors does not fit the mfnet .*{name} (holds numbers|is of type)"):
        checkpoints.load(tmp_path / "net.safetensors")


def test_a_config_that_is_no_text(tmp_path):
    nets.build("mfnet", num_classes=3).save_pretrained(tmp_path, config={})
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="config.json is no JSON"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda net: torch.compile(nn.DataParallel(net))])
def test_a_wrapped_network_is_saved_by_its_own_names(tmp_path, wrap):
    net = nets.build("mfnet", num_classes=3)
    checkpoints.save(wrap(net), tmp_path / "net.safetensors", RECIPE)
    loaded, _ = checkpoints.load(tmp_path / "net.safetensors")
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in loaded.state_dict().items())


def test_a_network_with_a_compiled_part_is_saved_by_its_own_names(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    names = list(net.state_dict())
    net[1] = torch.compile(net[1])
    assert list(checkpoints.plain_state(net)) == names


def test_weights_are_as_readable_as_their_siblings(tmp_path):
    before = os.umask(0o022)
    try:
        checkpoints.save(nets.build("mfnet", num_classes=3), tmp_path / "net.safetensors", RECIPE)
        (tmp_path / "sibling").touch()
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"net.safetensors": 0o644, "sibling": 0o644}


def test_the_folder_of_a_run_is_taken(tmp_path):
    checkpoints.save(nets.build("mfnet", num_classes=3), tmp_path / "weights.safetensors", RECIPE)
    assert checkpoints.load(tmp_path)[1] == RECIPE


def test_an_empty_name():
    with pytest.raises(ValueError, match="the name of the weights is empty"):
        checkpoints.load("")


NETWORKS = {"mfnet": {"activated_head": False}, "sne-roadseg": {"encoder": "resnet18"}, "off-net": {}}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A student of every network, and its recipe."""
    options = NETWORKS[request.param]
    net = nets.build(request.param, num_classes=3, **options).eval()
    return net, {**RECIPE, "network": request.param, "options": options}


def same(net, other):
    rgb = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        return torch.allclose(net(rgb).logits, other(rgb).logits, atol=1e-5)


def test_a_folder_of_the_hub_is_loaded_by_us_and_by_the_network_itself(tmp_path, network):
    net, recipe = network
    net.save_pretrained(tmp_path / "net", config=checkpoints.hub_config(recipe))
    loaded, found = checkpoints.load(tmp_path / "net")
    assert {name: found[name] for name in recipe} == recipe
    assert same(net, loaded) and not loaded.training
    assert same(net, type(net).from_pretrained(tmp_path / "net"))


def test_what_was_pushed_to_the_hub_comes_back_by_its_name(tmp_path, network, monkeypatch):
    def upload(self, *, repo_id, folder_path, **_):
        shutil.copytree(folder_path, tmp_path / repo_id)
        return repo_id

    def download(repo_id, filename, **_):
        assert (tmp_path / repo_id / filename).is_file()
        return str(tmp_path / repo_id / filename)

    monkeypatch.setattr(
        huggingface_hub.HfApi, "create_repo", lambda *_, repo_id, **__: huggingface_hub.RepoUrl(repo_id)
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    monkeypatch.setattr(checkpoints, "hf_hub_download", download)
    net, recipe = network
    net.push_to_hub("me/net", config=checkpoints.hub_config(recipe))
    loaded, _ = checkpoints.load(Path("me/net"))
    assert same(net, loaded)


def test_a_folder_that_is_none_of_ours(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no model.safetensors in .*empty: write such a folder by"):
        checkpoints.load(tmp_path / "empty")
    nets.build("mfnet", num_classes=3).save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="config.json is not complete .missing: network, .*lixlib.checkpoints.hub"):
        checkpoints.load(tmp_path / "bare")


def test_a_name_that_the_hub_does_not_give(monkeypatch, caplog):
    def offline(*_, **__):
        logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s")
        raise ConnectionError("no network")

    monkeypatch.setattr(checkpoints, "hf_hub_download", offline)
    with pytest.raises(FileNotFoundError, match="no weights me/nothing: .*no network"):
        checkpoints.load("me/nothing")
    assert not caplog.text, "of the tries that fail only the error is told"
    with pytest.raises(FileNotFoundError, match="no weights file runs/typo.safetensors"):
        checkpoints.load("runs/typo.safetensors")  # a file's name is asked of no one


def test_what_comes_with_the_library_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="it has none"):
        checkpoints.shipped("a")
    (tmp_path / "b.safetensors").touch()
    with pytest.raises(FileNotFoundError, match="no weights 'a' come with lixlib: it has b"):
        checkpoints.shipped("a")
    assert checkpoints.shipped("b") == tmp_path / "b.safetensors"


@pytest.mark.parametrize("path", sorted(checkpoints.CHECKPOINTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_weights_load(path):
    net, recipe = checkpoints.load(path)
    dataset, network, method = path.stem.split("-", maxsplit=2)
    assert recipe["network"] == network
    assert (net.x_channels is not None) == (method == "teacher")
    assert len(recipe["classes"]) == recipe["num_classes"]
    assert checkpoints.describe(path.stem) == recipe, "the name alone is enough"
