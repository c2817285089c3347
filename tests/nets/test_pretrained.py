"""Published weights: torchvision's, SegFormer's and transformers' names, one-channel stems, and what fails says why."""

import pickle
import urllib.error

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from lixlib import checkpoints, nets
from lixlib.core.digests import digest_of_file
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.nets import pretrained
from lixlib.nets.resnet import LAYERS


def torchvision_names(blocks, convolutions):
    """The state dict of a torchvision ResNet, entry by entry: {name: is it a batch norm's?}."""

    def norm(name):
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.{kind}" for kind in kinds]

    names = ["conv1.weight", *norm("bn1")]
    for layer, count in enumerate(blocks, start=1):
        for block in range(count):
            for i in range(1, convolutions + 1):
                names += [f"layer{layer}.{block}.conv{i}.weight", *norm(f"layer{layer}.{block}.bn{i}")]
            if block == 0 and (layer > 1 or convolutions == 3):
                names += [f"layer{layer}.0.downsample.0.weight", *norm(f"layer{layer}.0.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


NAMES = {
    "resnet18": torchvision_names((2, 2, 2, 2), 2),
    "resnet34": torchvision_names((3, 4, 6, 3), 2),
    "resnet50": torchvision_names((3, 4, 6, 3), 3),
    "resnet101": torchvision_names((3, 4, 23, 3), 3),
    "resnet152": torchvision_names((3, 8, 36, 3), 3),
}


@pytest.mark.parametrize("encoder, count", [("resnet18", 122), ("resnet50", 320), ("resnet152", 932)])
def test_an_encoder_has_torchvisions_names(encoder, count):
    assert len(NAMES[encoder]) == count
    with torch.device("meta"):
        own = nets.SNERoadSeg(2, encoder=encoder).rgb_encoder.state_dict()
    assert list(own) == NAMES[encoder][:-2]


@pytest.fixture
def resnet18(tmp_path):
    """A file of random weights as torchvision writes it."""
    own = nets.SNERoadSeg(2, encoder="resnet18").rgb_encoder.state_dict()
    state = {
        name: torch.randn(1000, 512) if name == "fc.weight" else own.get(name, torch.randn(1000))
        for name in NAMES["resnet18"]
    }
    torch.save(state, tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth", state


@pytest.mark.parametrize("x_channels", [1, 3, None])
def test_both_encoders_get_them(resnet18, x_channels):
    path, state = resnet18
    net = nets.build("sne-roadseg", num_classes=2, x_channels=x_channels, encoder="resnet18", pretrained=str(path))
    encoders = [net.rgb_encoder] if x_channels is None else [net.rgb_encoder, net.x_encoder]
    for encoder in encoders:
        own = encoder.state_dict()
        assert all(torch.equal(own[name], state[name]) for name in own if name != "conv1.weight")
    stem = state["conv1.weight"]
    assert torch.equal(net.rgb_encoder.conv1.weight, stem)
    if x_channels == 1:
        assert torch.allclose(net.x_encoder.conv1.weight, (stem[:, :1] + stem[:, 1:2] + stem[:, 2:]) / 3)
    if x_channels == 3:
        assert torch.equal(net.x_encoder.conv1.weight, stem)


def test_weights_bring_the_normalisation_that_they_expect_of_rgb(resnet18, tmp_path):
    """The first map of the network on RGB in [0, 1] is that of the published encoder on normalised RGB."""
    path, state = resnet18
    options = {"num_classes": 2, "x_channels": 1, "encoder": "resnet18"}
    net = nets.build("sne-roadseg", pretrained=str(path), **options).eval()
    rgb, x = torch.rand(2, 3, 64, 96), torch.zeros(2, 1, 64, 96)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (pretrained.MEAN, pretrained.DEVIATION))
    of_rgb, of_x = (plain_stem(state, image) for image in ((rgb - mean) / deviation, x.expand_as(rgb)))
    torch.testing.assert_close(net(rgb, x).taps["e1"], of_rgb + of_x, rtol=1e-4, atol=1e-5)
    own, plain = net.state_dict(), nets.build("sne-roadseg", **options)
    assert own.keys() - plain.state_dict().keys() == {"normalise.mean", "normalise.deviation"}
    plain.load_state_dict(own)
    with torch.no_grad():
        expected = net(rgb, x).logits
        assert torch.equal(plain.eval()(rgb, x).logits, expected), "it stays with the weights"
        recipe = {"network": "sne-roadseg", "num_classes": 2, "x_channels": 1, "options": {"encoder": "resnet18"}}
        recipe |= {"classes": ["a", "b"], "size": [64, 96]}
        checkpoints.save(net, tmp_path / "own.safetensors", recipe)
        torch.testing.assert_close(checkpoints.load(tmp_path / "own.safetensors")[0](rgb, x).logits, expected)
        net.save_pretrained(tmp_path / "hub", config=checkpoints.hub_config(recipe))
        torch.testing.assert_close(nets.SNERoadSeg.from_pretrained(tmp_path / "hub")(rgb, x).logits, expected)


def plain_stem(state, rgb):
    """torchvision's first layers, written out."""
    maps = F.conv2d(rgb, state["conv1.weight"].float(), stride=2, padding=3)
    kinds = ("running_mean", "running_var", "weight", "bias")
    return F.relu(F.batch_norm(maps, *(state[f"bn1.{kind}"].float() for kind in kinds)))


def test_the_stages_of_real_weights_see_what_they_were_trained_on(shared):
    path = shared / "weights" / "resnet18-imagenet-partial-fp16.safetensors"
    if not path.is_file():
        pytest.skip(f"no file {path} of real weights")
    options = {"num_classes": 2, "encoder": "resnet18", "pretrained": str(path)}
    absent = [f"layer4.{block}.conv{number}.weight" for block in (0, 1) for number in (1, 2)]
    with pytest.raises(ValueError, match=f"it lacks {', '.join(absent)} .4 such names.*: partial=True leaves") as error:
        nets.build("sne-roadseg", **options)
    assert all(name in str(error.value) for name in absent)
    net = nets.build("sne-roadseg", partial=True, **options).eval()
    state, rgb = load_file(path), torch.rand(1, 3, 64, 96)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (pretrained.MEAN, pretrained.DEVIATION))
    with torch.no_grad():
        first, expected = net(rgb).taps["e1"], plain_stem(state, (rgb - mean) / deviation)
        torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)
        raw = plain_stem(state, rgb)
    assert (raw - expected).abs().mean() > 0.1 * expected.abs().mean(), "without it the maps are others"
    own = net.rgb_encoder.state_dict()
    assert torch.equal(own["layer3.1.conv2.weight"], state["layer3.1.conv2.weight"].float())


def test_partial_weights_are_still_weights_of_this_network(resnet18, tmp_path):
    path, state = resnet18
    some = {name: tensor for name, tensor in state.items() if not name.startswith("layer4")}
    torch.save(some, tmp_path / "some.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save({**some, "extra": torch.zeros(1)}, tmp_path / "more.pth")
    options = {"num_classes": 2, "encoder": "resnet18", "partial": True}
    net = nets.build("sne-roadseg", pretrained=str(tmp_path / "some.pth"), **options)
    assert torch.equal(net.rgb_encoder.layer3[1].conv2.weight, state["layer3.1.conv2.weight"])
    for name, message in (("other", "it lacks conv1.weight"), ("more", "it has besides extra")):
        with pytest.raises(ValueError, match=message):
            nets.build("sne-roadseg", pretrained=str(tmp_path / f"{name}.pth"), **options)


def test_the_published_files_are_asked_for_with_their_hash(resnet18, monkeypatch):
    asked = []

    def download(url, **options):
        asked.append(url)
        assert options["check_hash"] and options["weights_only"]
        return resnet18[1]

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    nets.build("sne-roadseg", num_classes=2, encoder="resnet18", pretrained="IMAGENET1K_V1")
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]
    assert set(pretrained.RESNET) == set(LAYERS)


def test_offline_the_message_says_what_to_fetch_and_where_to_put_it(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConnectionError, match="resnet18-f37072fd.pth.*put it into .*checkpoints") as error:
        nets.build("sne-roadseg", num_classes=2, encoder="resnet18", pretrained="IMAGENET1K_V1")
    assert str(tmp_path / "checkpoints") in str(error.value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def no_hub(*_, **__):
        raise ConnectionError("offline")

    monkeypatch.setattr(pretrained, "hf_hub_download", no_hub)
    with pytest.raises(ConnectionError, match="huggingface.co/nvidia/mit-b2.*give its path"):
        nets.build("off-net", num_classes=2, pretrained="nvidia/mit-b2")


def test_wrong_sources_say_what_is_wrong(resnet18, tmp_path):
    path, state = resnet18

    def build(source, encoder="resnet18"):
        return nets.build("sne-roadseg", num_classes=2, encoder=encoder, pretrained=str(source))

    with pytest.raises(ValueError, match="no file IMAGENET1K_V2, .* give a path or IMAGENET1K_V1"):
        build("IMAGENET1K_V2")  # of resnet18 there is none
    with pytest.raises(ValueError, match=r"does not fit this ResNet: .* lacks layer1.2.conv1.weight, .* \(96"):
        build(path, encoder="resnet34")
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ValueError, match=r"it has besides extra \(1 such names\)"):
        build(tmp_path / "more.pth")
    torch.save({**state, "bn1.bias": torch.zeros(3)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match="another shape bn1.bias"):
        build(tmp_path / "shape.pth")
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cut.pth is no file of weights"):
        build(tmp_path / "cut.pth")
    with pytest.raises(ValueError, match="'mfnet' has no option 'pretrained'"):
        nets.build("mfnet", num_classes=2, pretrained="IMAGENET1K_V1")


class Harmful:
    def __reduce__(self):
        return print, ("code from a weights file",)


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"conv1.weight": Harmful()}, protocol=2))
    with pytest.raises(ValueError, match="can be read safely"):
        nets.build("sne-roadseg", num_classes=2, encoder="resnet18", pretrained=str(tmp_path / "evil.pth"))
    assert capsys.readouterr().out == ""


def segformer_names():
    """The state dict of SegFormer's mit_b2, entry by entry."""
    names = []
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        parts = [f"patch_embed{stage}.proj", f"patch_embed{stage}.norm", f"norm{stage}"]
        for block in range(depth):
            inside = ["norm1", "attn.q", "attn.kv", "attn.proj", "norm2", "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2"]
            inside += ["attn.sr", "attn.norm"] if stage < 4 else []
            parts += [f"block{stage}.{block}.{name}" for name in inside]
        names += [f"{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return names


def test_the_encoder_has_segformers_names(tmp_path):
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in nets.OFFNet(2).encoder.state_dict().items()}
    assert sorted(shapes) == sorted(segformer_names())
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    save_file(
        {**state, "head.weight": torch.randn(1000, 512), "head.bias": torch.randn(1000)}, tmp_path / "b2.safetensors"
    )
    net = nets.build("off-net", num_classes=2, x_channels=3, pretrained=str(tmp_path / "b2.safetensors"))
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.encoder.state_dict().items())


def test_transformers_layout_gives_transformers_maps(tmp_path):
    transformers = pytest.importorskip("transformers", reason="compares with transformers: pip install -e '.[test]'")
    config = transformers.SegformerConfig(
        depths=[3, 4, 6, 3], hidden_sizes=[64, 128, 320, 512], num_attention_heads=[1, 2, 5, 8]
    )
    theirs = transformers.SegformerForImageClassification(config).eval()
    for parameter in theirs.parameters():  # biases and norms too, which start as 0 and 1
        torch.nn.init.normal_(parameter, std=0.05)
    theirs.save_pretrained(tmp_path)  # in the names of the published file
    ours = nets.build("off-net", num_classes=2, pretrained=str(tmp_path / "model.safetensors")).eval()
    rgb = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (pretrained.MEAN, pretrained.DEVIATION))
        expected = theirs.segformer((rgb - mean) / deviation, output_hidden_states=True).hidden_states
        taps = ours(rgb).taps
    for name, map_ in zip(("c1", "c2", "c3", "c4"), expected, strict=True):
        torch.testing.assert_close(taps[name], map_, rtol=1e-3, atol=1e-4)


def test_a_trained_network_needs_its_first_weights_no_more(resnet18, tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    path, _ = resnet18
    net = {"encoder": "resnet18", "pretrained": str(path)}
    options = {"size": (32, 64), "epochs": 1, "batch_size": 2, "dataset_options": {"count": 2, "eval_count": 2}}
    finished = run(
        Recipe(network="sne-roadseg", network_options=net, method="student", **options), device="cpu", progress=False
    )
    told = {"encoder": "resnet18", "pretrained": f"sha256:{digest_of_file(path)[:16]}"}
    assert finished.line["hyper"]["net"] == finished.line["recipe"]["net"] == told, "the contents, wherever they lay"
    assert str(tmp_path) not in str(finished.line)
    path.unlink()
    _, recipe = checkpoints.load(finished.folder / "weights.safetensors")
    assert recipe["options"] == {"encoder": "resnet18"}
