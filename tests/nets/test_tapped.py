"""A network of one's own: taps by hooks, logits of every kind of result, and a run from the command line."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lixlib import nets
from lixlib.data import Sample
from lixlib.distillers import Distiller
from lixlib.lab.run import Recipe, run

FLAT = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 32, 48)))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "network_of_your_own.md"
RGB, X = torch.rand(2, 3, 32, 48), torch.rand(2, 1, 32, 48)


class Plain(nn.Module):
    """Two convolutions, whose result is given as one likes."""

    def __init__(self, give=lambda logits: logits, channels=3):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.unused = nn.Conv2d(1, 1, 1)
        self.head = nn.Conv2d(8, 4, 1)
        self.give = give

    def forward(self, rgb, x=None):
        rgb = rgb if x is None else torch.cat([rgb, x], 1)
        return self.give(self.head(self.stem(rgb).relu()))


class Result:
    def __init__(self, logits):
        self.logits = logits


KINDS = [lambda t: t, lambda t: {"out": t}, lambda t: {"logits": t}, lambda t: (t, None), Result]


@pytest.mark.parametrize("give", KINDS)
def test_every_kind_of_result(give):
    plain = Plain(give)
    net = nets.tapped(plain, {"stem": "stem"})
    output = nets.call(net, RGB)
    expected = nn.functional.interpolate(plain.head(plain.stem(RGB).relu()), (32, 48), mode="bilinear")
    assert torch.equal(output.logits, expected) and torch.equal(output.taps["stem"], plain.stem(RGB))


def test_a_function_for_the_logits():
    net = nets.tapped(Plain(lambda t: {"mine": {"deep": t}}), logits=lambda result: result["mine"]["deep"])
    assert nets.call(net, RGB).logits.shape == (2, 4, 32, 48)


@pytest.mark.parametrize("join", [None, lambda rgb, x: (rgb, x), lambda rgb, x: {"rgb": rgb, "x": x}])
def test_a_teacher_sees_x(join):
    net = nets.tapped(Plain(channels=4), {"stem": "stem"}, x_channels=1, join=join)
    assert nets.x_channels(net) == 1
    one, other = (nets.call(net, RGB, x).logits for x in (X, 1 - X))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taps": {"a": "stm"}}, "tap 'a': Plain has no submodule 'stm': did you mean stem?"),
        ({"join": lambda rgb, x: rgb}, "join is for a teacher"),
        ({"x_channels": 0}, "x_channels must be a number above 0"),
    ],
)
def test_what_does_not_fit_is_told(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nets.tapped(Plain(), **options)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nets.tapped(Plain(), {"a": "unused"}), "the submodule 'unused' did not run"),
        (nets.tapped(Plain(lambda t: {"mask": t})), "returned an object of type dict with mask"),
        (nets.tapped(Plain(lambda t: t.mean((2, 3)))), r"returned a tensor (2, 4), and logits (B, C, h, w) are needed"),
        (
            nets.tapped(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 32, 48))), {"a": "0"}),
            "expected a map (B, C, h, w)",
        ),
    ],
)
def test_what_comes_out_wrong_is_told(net, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nets.call(net, RGB)


def test_its_state_is_that_of_the_module():
    plain = Plain()
    net = nets.tapped(plain, {"stem": "stem"})
    assert net.state_dict().keys() == plain.state_dict().keys()
    other = nets.tapped(Plain(), {"stem": "stem"})
    other.load_state_dict(net.state_dict())
    assert torch.equal(nets.call(other, RGB).logits, nets.call(net, RGB).logits)


def test_a_copy_has_taps_of_its_own():
    net = nets.tapped(Plain(), {"stem": "stem"})
    twin = copy.deepcopy(net)
    nn.init.zeros_(twin.module.stem.weight)
    nn.init.zeros_(twin.module.stem.bias)
    assert not nets.call(twin, RGB).taps["stem"].any() and nets.call(net, RGB).taps["stem"].any()


def test_nothing_is_kept_between_calls():
    net = nets.tapped(Plain(), {"stem": "stem"})
    nets.call(net, RGB)
    assert net._maps.seen is None
    net.module(RGB)  # without the wrapper
    assert net._maps.seen is None


@pytest.mark.parametrize("method", ["kd", "at", "arfd"])
def test_distillation_between_two_of_them(method):
    def build(channels, x_channels):
        return nets.tapped(Plain(channels=channels), {"stem": "stem", "head": "head"}, x_channels=x_channels)

    label = torch.randint(4, (2, 32, 48))
    batch = Sample(RGB, X, torch.ones(2, 1, 32, 48, dtype=torch.bool), label)
    taps = {} if method == "kd" else {"taps": ["stem", "head"]}
    distiller = Distiller(build(3, None), build(4, 1), method, example=batch, **taps)
    optimiser = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(5):
        loss = sum(distiller(batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_transformers_segformer():
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[depth]'")
    config = transformers.SegformerConfig(
        num_labels=5, depths=[1] * 4, hidden_sizes=[8, 16, 32, 64], decoder_hidden_size=16
    )
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    patches = "segformer.stages.0.patch_embeddings.proj"
    net = nets.tapped(model, {"patches": patches, "fused": "decode_head.batch_norm"})
    output = nets.call(net, RGB)
    assert output.logits.shape == (2, 5, 32, 48) and output.taps["patches"].shape[-2:] == (8, 12)
    expected = nn.functional.interpolate(model(RGB).logits, (32, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(output.logits, expected)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The module of the documentation's page, in the working directory."""
    (tmp_path / "my_nets.py").write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    return tmp_path


def test_the_page_is_true(page):
    common = {"network": "my_nets:small", "size": (32, 64), "epochs": 1, "data": {"count": 8, "eval_count": 4}}
    finished = run(Recipe(method="kd", unlabelled=4, net={"width": 8}, **common), device="cpu", progress=False)
    assert finished.folder.parent.name == "my_nets-small" and finished.line["network"] == "my_nets:small"
    assert finished.net.module[0].weight.shape == (8, 3, 3, 3), "the weights of the run were loaded from its file"
    assert finished.teacher.net.module[0].weight.shape == (8, 4, 3, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_nets:tall", "has no tall: it has small"),
        ("my_netz:small", "there is no module my_netz"),
        ("os:system", "is a module of Python itself"),
        ("my nets:small", "must be module.path:factory"),
        ("mfnett", "unknown network 'mfnett': choose one of mfnet"),
    ],
)
def test_a_factory_that_is_not_there(page, name, message):
    with pytest.raises(ValueError, match=message):
        Recipe(network=name)


def test_a_registered_name(monkeypatch):
    monkeypatch.setattr(nets.registry, "NETWORKS", dict(nets.NETWORKS))
    nets.register("plain", lambda num_classes, x_channels=None: nets.tapped(Plain()))
    assert nets.call(nets.build("plain", num_classes=4), RGB).logits.shape == (2, 4, 32, 48)
    with pytest.raises(ValueError, match="is a network of the library"):
        nets.register("mfnet", Plain)
